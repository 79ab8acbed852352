CPU_FLAGS := -mcpu=cortex-m3
BOARD_SRCS := boards/emulated/mps2.c
BOARD_LD := boards/emulated-cortex-m3/link.ld
MACHINE := mps2-an385
ICOUNT_SHIFT := 7
