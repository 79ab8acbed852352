# STM32F746 on a NUCLEO-F746ZG (VCP=nucleo) or a 32F746GDISCOVERY (VCP=discovery): the pins that the
# ST-Link's virtual serial port is wired to.
VCP ?= nucleo
ifeq ($(filter nucleo discovery,$(VCP)),)
$(error VCP is '$(VCP)'; give nucleo or discovery)
endif
WEIGHT_BYTES := 786432
include boards/stm32/family.mk
BOARD_CFLAGS += $(if $(filter discovery,$(VCP)),-DVCP_DISCOVERY)
