/* Arm MPS2 with the image AN505 (Arm DAI 0505), memory map: addresses as secure code sees them, in
 * which state the core starts. */
#ifndef REGISTERS_H
#define REGISTERS_H

#define BOARD_NAME "emulated-cortex-m33"
#define BOARD_CORE "cortex-m33"
#define BOARD_CLOCK_HZ 20000000u
#define UART0_BASE 0x50200000u
#define TIMER0_BASE 0x50000000u

#endif
