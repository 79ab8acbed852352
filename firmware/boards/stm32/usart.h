/* The serial line of STM32F7 and H7 boards; implements board_getc() and board_putc(). */
#ifndef USART_H
#define USART_H

#include <stdint.h>

/* 115200 baud, 8N1, on the USART at `base`, whose kernel clock runs at `clock_hz`. */
void usart_open(uint32_t base, uint32_t clock_hz);

#endif
