/* STM32F746 at 216 MHz: NUCLEO-F746ZG or, with VCP_DISCOVERY, 32F746GDISCOVERY. */
#include "board.h"

#include "cache.h"
#include "gpio.h"
#include "registers.h"
#include "timer.h"
#include "usart.h"

#define HSI_HZ 16000000u
#define CLOCK_HZ 216000000u
#define TIM2_HZ (CLOCK_HZ / 2u) /* twice APB1, as its prescaler is not 1: RM0385, figure "Clock tree" */

enum { PORT_A, PORT_B, PORT_C, PORT_D };

extern int8_t __arena_start[], __arena_end[], __work_start[], __work_end[];
extern const int8_t hnas_weights[];

static struct board board = {
    .name = "stm32f746",
    .core = "cortex-m7",
    .clock_hz = CLOCK_HZ,
    .placement = "weights=flash-axi,tensors=sram,work=dtcm",
    .weights = hnas_weights,
    .weight_bytes = WEIGHT_BYTES,
};

/* HSI / 8 * 216 / 2 = 216 MHz. The internal oscillator is on every board and true to about 1 %;
 * ticks are core cycles, which it cannot make wrong.
 *
 * The order is that of RM0385, chapter PWR, "Entering Over-drive mode", which 216 MHz needs. Seven
 * wait states: chapter FLASH, table "Number of wait states according to CPU clock (HCLK)
 * frequency", 2.7 to 3.6 V. The ART accelerator serves fetches through the ITCM bus, at 0x00200000;
 * this image runs at 0x08000000, through the AXI bus and the level 1 caches. */
static void run_at_full_speed(void)
{
    RCC_CR |= RCC_CR_HSION;
    while (!(RCC_CR & RCC_CR_HSIRDY)) {
    }
    RCC_APB1ENR |= RCC_APB1ENR_PWR;
    (void)RCC_APB1ENR; /* the clock takes two cycles to arrive */

    PWR_CR1 |= PWR_CR1_VOS_SCALE1;
    RCC_PLLCFGR = RCC_PLLCFGR_RESERVED | RCC_PLLCFGR_M(8) | RCC_PLLCFGR_N(216) | RCC_PLLCFGR_P(2) |
                  RCC_PLLCFGR_SRC_HSI | RCC_PLLCFGR_Q(9);
    RCC_CR |= RCC_CR_PLLON;
    PWR_CR1 |= PWR_CR1_ODEN;
    while (!(PWR_CSR1 & PWR_CSR1_ODRDY)) {
    }
    PWR_CR1 |= PWR_CR1_ODSWEN;
    while (!(PWR_CSR1 & PWR_CSR1_ODSWRDY)) {
    }

    FLASH_ACR = FLASH_ACR_LATENCY(7) | FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN;
    while ((FLASH_ACR & FLASH_ACR_LATENCY_MASK) != FLASH_ACR_LATENCY(7)) {
    }
    RCC_CFGR = RCC_CFGR_SW_HSI | RCC_CFGR_HPRE_1 | RCC_CFGR_PPRE1_4 | RCC_CFGR_PPRE2_2;
    while (!(RCC_CR & RCC_CR_PLLRDY)) {
    }
    RCC_CFGR = RCC_CFGR_SW_PLL | RCC_CFGR_HPRE_1 | RCC_CFGR_PPRE1_4 | RCC_CFGR_PPRE2_2;
    while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL) {
    }
}

/* The line's clock is the HSI, so that its rate does not depend on the PLL. Pins: UM1974 (Nucleo),
 * "USART communication"; UM1907 (Discovery), "Virtual COM port". Function 7: data sheet DS10916,
 * table "alternate function mapping". */
static void open_line(void)
{
#ifdef VCP_DISCOVERY
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIO(PORT_A) | RCC_AHB1ENR_GPIO(PORT_B);
    RCC_APB2ENR |= RCC_APB2ENR_USART1;
    RCC_DCKCFGR2 = (RCC_DCKCFGR2 & ~RCC_DCKCFGR2_USART1_MASK) | RCC_DCKCFGR2_USART1_HSI;
    gpio_alternate(GPIO_BASE(PORT_A), 9, 7); /* TX */
    gpio_alternate(GPIO_BASE(PORT_B), 7, 7); /* RX */
    usart_open(USART1_BASE, HSI_HZ);
#else
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIO(PORT_D);
    RCC_APB1ENR |= RCC_APB1ENR_USART3;
    RCC_DCKCFGR2 = (RCC_DCKCFGR2 & ~RCC_DCKCFGR2_USART3_MASK) | RCC_DCKCFGR2_USART3_HSI;
    gpio_alternate(GPIO_BASE(PORT_D), 8, 7); /* TX */
    gpio_alternate(GPIO_BASE(PORT_D), 9, 7); /* RX */
    usart_open(USART3_BASE, HSI_HZ);
#endif
}

const struct board *board_init(void)
{
    run_at_full_speed();
    board.cache = cache_open();
    board.arena = __arena_start;
    board.arena_bytes = (uint32_t)(__arena_end - __arena_start);
    board.work = __work_start;
    board.work_bytes = (uint32_t)(__work_end - __work_start);
    RCC_APB1ENR |= RCC_APB1ENR_TIM2;
    (void)RCC_APB1ENR;
    timer_open(&board, TIM2_HZ);
    open_line();
    return &board;
}
