/* Arm MPS2 with the image AN385 (Arm DAI 0385), memory map. */
#ifndef REGISTERS_H
#define REGISTERS_H

#define BOARD_NAME "emulated-cortex-m3"
#define BOARD_CORE "cortex-m3"
#define BOARD_CLOCK_HZ 25000000u
#define UART0_BASE 0x40004000u
#define TIMER0_BASE 0x40000000u

#endif
