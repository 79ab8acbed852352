CPU_FLAGS := -mcpu=cortex-m4
BOARD_SRCS := boards/emulated/mps2.c
BOARD_LD := boards/emulated-cortex-m4/link.ld
MACHINE := mps2-an386
ICOUNT_SHIFT := 7
