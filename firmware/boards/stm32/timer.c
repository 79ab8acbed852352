#include "timer.h"

#include <stdbool.h>

#include "cortex_m7.h"

/* "TIMx registers" of RM0385 and RM0433, chapter general-purpose timers (TIM2/3/4/5) */
#define TIM2_CR1 (*(volatile uint32_t *)0x40000000u)
#define TIM2_CR1_CEN (1u << 0)
#define TIM2_CNT (*(volatile uint32_t *)0x40000024u) /* after reset: counts up to 2^32 - 1 */

static bool has_cycles;
static uint32_t start;

static uint32_t now(void)
{
    return has_cycles ? m7_cycles() : TIM2_CNT;
}

void timer_open(struct board *board, uint32_t tim2_hz)
{
    has_cycles = m7_cycle_counter_on();
    TIM2_CR1 = TIM2_CR1_CEN;
    board->timer = has_cycles ? "dwt" : "tim2";
    board->timer_hz = has_cycles ? board->clock_hz : tim2_hz;
}

void board_timer_start(void)
{
    start = now();
}

uint32_t board_timer_ticks(void)
{
    return now() - start;
}
