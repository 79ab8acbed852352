CPU_FLAGS := -mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=softfp
BOARD_SRCS := boards/emulated/mps2.c
BOARD_LD := boards/emulated-cortex-m33/link.ld
MACHINE := mps2-an505
ICOUNT_SHIFT := 7
