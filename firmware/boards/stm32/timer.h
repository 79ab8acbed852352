/* What counts the ticks; implements board_timer_start() and board_timer_ticks(). */
#ifndef TIMER_H
#define TIMER_H

#include "board.h"

/* Fills in timer and timer_hz: DWT->CYCCNT where it counts, which is in core cycles, else TIM2,
 * the chip's 32-bit timer. SysTick has 24 bits: it wraps within 80 ms, and counting its wraps
 * would take an interrupt in the middle of what is timed.
 *
 * TIM2's clock must be on; it runs at `tim2_hz`. */
void timer_open(struct board *board, uint32_t tim2_hz);

#endif
