CPU_FLAGS := -mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=softfp
BOARD_SRCS := boards/emulated/mps2.c
BOARD_LD := boards/emulated-cortex-m7/link.ld
MACHINE := mps2-an500
ICOUNT_SHIFT := 7
