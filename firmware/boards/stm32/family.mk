# What the Cortex-M7 boards of STMicroelectronics share. CACHE is the state that kernels are timed
# in; after a change of a setting, `make clean`.
CACHE ?= warm
ifeq ($(filter off warm cold,$(CACHE)),)
$(error CACHE is '$(CACHE)'; give off, warm or cold)
endif

CPU_FLAGS := -mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=softfp
BOARD_CFLAGS := -Iboards/stm32 -DCACHE_MODE=CACHE_$(CACHE) -DWEIGHT_BYTES=$(WEIGHT_BYTES)
BOARD_SRCS := boards/$(BOARD)/board.c $(addprefix boards/stm32/,cache.c cortex_m7.c gpio.c timer.c usart.c) \
  src/weights.S
BOARD_LD := boards/$(BOARD)/link.ld
