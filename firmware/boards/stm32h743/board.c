/* STM32H743 on a NUCLEO-H743ZI or -H743ZI2, at 480 MHz, or at 400 MHz where the chip is an early one. */
#include "board.h"

#include <stdbool.h>

#include "cache.h"
#include "gpio.h"
#include "registers.h"
#include "timer.h"
#include "usart.h"

#define HSI_HZ 64000000u

enum { PORT_D = 3 };

/* HSI / 8 * factor / 2; AXI at half of that. Wait states: RM0433, chapter FLASH, table "FLASH
 * recommended number of wait states and programming delay", 240 MHz at VOS0, 200 MHz at VOS1. */
struct speed {
    uint32_t clock_hz;
    uint32_t pll_factor;
    uint32_t wait_states;
    bool boost; /* VOS0 */
};
static const struct speed full_speed = {480000000u, 120, 4, true};
static const struct speed early_speed = {400000000u, 100, 2, false};

extern int8_t __arena_start[], __arena_end[], __work_start[], __work_end[];
extern const int8_t hnas_weights[];

static struct board board = {
    .name = "stm32h743",
    .core = "cortex-m7",
    .placement = "weights=flash-axi,tensors=axi-sram,work=dtcm",
    .weights = hnas_weights,
    .weight_bytes = WEIGHT_BYTES,
};

/* 480 MHz is for revision V and later (data sheet DS12110, "General operating conditions"). */
static bool is_early_chip(void)
{
    return DBGMCU_IDC_REVISION(DBGMCU_IDC) < REVISION_V;
}

/* RM0433, chapter PWR, "System supply startup" and "Voltage scaling": the supply is chosen once
 * after power-on, VOS1 comes before VOS0. Nucleo boards supply the core from the LDO. */
static void raise_voltage(bool boost)
{
    PWR_CR3 = (PWR_CR3 & ~(PWR_CR3_SCUEN | PWR_CR3_BYPASS)) | PWR_CR3_LDOEN;
    while (!(PWR_CSR1 & PWR_CSR1_ACTVOSRDY)) {
    }
    PWR_D3CR = (PWR_D3CR & ~PWR_D3CR_VOS_MASK) | PWR_D3CR_VOS_SCALE1;
    while (!(PWR_D3CR & PWR_D3CR_VOSRDY)) {
    }
    if (!boost)
        return;
    RCC_APB4ENR |= RCC_APB4ENR_SYSCFG;
    (void)RCC_APB4ENR; /* the clock takes two cycles to arrive */
    SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
    while (!(PWR_D3CR & PWR_D3CR_VOSRDY)) {
    }
}

static void run_at(const struct speed *speed)
{
    raise_voltage(speed->boost);
    RCC_CR = (RCC_CR & ~RCC_CR_HSIDIV_MASK) | RCC_CR_HSION;
    while ((RCC_CR & (RCC_CR_HSIRDY | RCC_CR_HSIDIVF)) != (RCC_CR_HSIRDY | RCC_CR_HSIDIVF)) {
    }
    RCC_PLLCKSELR = RCC_PLLCKSELR_HSI | RCC_PLLCKSELR_DIVM1(8);
    RCC_PLLCFGR = RCC_PLLCFGR_PLL1VCO_WIDE | RCC_PLLCFGR_PLL1RGE_4_TO_8_MHZ | RCC_PLLCFGR_DIVP1EN;
    RCC_PLL1DIVR = RCC_PLL1DIVR_N(speed->pll_factor) | RCC_PLL1DIVR_P(2) | RCC_PLL1DIVR_Q(2) |
                   RCC_PLL1DIVR_R(2);
    RCC_CR |= RCC_CR_PLL1ON;
    while (!(RCC_CR & RCC_CR_PLL1RDY)) {
    }

    FLASH_ACR = FLASH_ACR_LATENCY(speed->wait_states) | FLASH_ACR_WRHIGHFREQ_2;
    while ((FLASH_ACR & FLASH_ACR_LATENCY_MASK) != FLASH_ACR_LATENCY(speed->wait_states)) {
    }
    RCC_D1CFGR = RCC_D1CFGR_D1CPRE_1 | RCC_D1CFGR_HPRE_2 | RCC_D1CFGR_D1PPRE_2;
    RCC_D2CFGR = RCC_D2CFGR_D2PPRE1_2 | RCC_D2CFGR_D2PPRE2_2;
    RCC_D3CFGR = RCC_D3CFGR_D3PPRE_2;
    RCC_CFGR = RCC_CFGR_SW_PLL1;
    while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL1) {
    }
}

/* The line's clock is the HSI, so that its rate does not depend on the PLL. Pins: UM1974 (-H743ZI)
 * and UM2407 (-H743ZI2), "USART communication"; function 7: data sheet DS12110, "Pin descriptions". */
static void open_line(void)
{
    RCC_AHB4ENR |= RCC_AHB4ENR_GPIO(PORT_D);
    RCC_APB1LENR |= RCC_APB1LENR_USART3;
    RCC_D2CCIP2R = (RCC_D2CCIP2R & ~RCC_D2CCIP2R_USART234578_MASK) | RCC_D2CCIP2R_USART234578_HSI;
    gpio_alternate(GPIO_BASE(PORT_D), 8, 7); /* TX */
    gpio_alternate(GPIO_BASE(PORT_D), 9, 7); /* RX */
    usart_open(USART3_BASE, HSI_HZ);
}

const struct board *board_init(void)
{
    const struct speed *speed = is_early_chip() ? &early_speed : &full_speed;
    if (is_early_chip())
        /* Erratum of revision Y (ES0392, "Reading from AXI SRAM may lead to data read corruption") */
        AXI_TARG7_FN_MOD = AXI_TARG_FN_MOD_READ_ISS_OVERRIDE;
    run_at(speed);
    board.clock_hz = speed->clock_hz;
    board.cache = cache_open();
    board.arena = __arena_start;
    board.arena_bytes = (uint32_t)(__arena_end - __arena_start);
    board.work = __work_start;
    board.work_bytes = (uint32_t)(__work_end - __work_start);
    RCC_APB1LENR |= RCC_APB1LENR_TIM2;
    (void)RCC_APB1LENR;
    timer_open(&board, speed->clock_hz / 2u); /* twice APB1, as its prescaler is not 1 */
    open_line();
    return &board;
}
