CPU_FLAGS := -mcpu=cortex-m0
BOARD_SRCS := boards/emulated-cortex-m0/board.c
BOARD_LD := boards/emulated-cortex-m0/link.ld
BOARD_CFLAGS := -DBOARD_MAX_OPS=32
MACHINE := microbit
ICOUNT_SHIFT := 7
