CPU_FLAGS := -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=softfp
BOARD_SRCS := boards/emulated/mps2.c
BOARD_LD := boards/emulated-cortex-m4/link.ld
MACHINE := mps2-an386
ICOUNT_SHIFT := 7
