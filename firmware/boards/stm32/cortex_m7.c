#include "cortex_m7.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* System control block (B3.2), cache identification (B4.8) and maintenance (B2.2.7) */
#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_CCSIDR REGISTER(0xE000ED80u)
#define SCB_CSSELR REGISTER(0xE000ED84u)
#define SCB_CSSELR_L1_DATA 0u
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW_ADDRESS 0xE000EF60u  /* invalidate */
#define SCB_DCCISW_ADDRESS 0xE000EF74u /* clean and invalidate */

/* Data watchpoint and trace unit (C1.8); the lock register is CoreSight's (D1) */
#define DEMCR REGISTER(0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)
#define DWT_LAR_UNLOCK 0xC5ACCE55u

static void synchronise(void)
{
    __asm volatile("dsb\n\tisb" ::: "memory");
}

/* A write of set and way to `address`, for every line of the data cache. Lines are 32 bytes; the
 * way is in the top bits (Cortex-M7 Technical Reference Manual, Arm DDI 0489, "DCISW"). */
static void each_data_line(uint32_t address)
{
    SCB_CSSELR = SCB_CSSELR_L1_DATA;
    synchronise();
    uint32_t size = SCB_CCSIDR;
    uint32_t last_set = (size >> 13) & 0x7FFFu;
    uint32_t last_way = (size >> 3) & 0x3FFu;
    for (uint32_t set = 0; set <= last_set; set++)
        for (uint32_t way = 0; way <= last_way; way++)
            REGISTER(address) = (way << 30) | (set << 5);
    synchronise();
}

void m7_caches_on(void)
{
    SCB_ICIALLU = 0;
    synchronise();
    SCB_CCR |= SCB_CCR_IC;
    each_data_line(SCB_DCISW_ADDRESS);
    SCB_CCR |= SCB_CCR_DC;
    synchronise();
}

void m7_caches_empty(void)
{
    synchronise();
    each_data_line(SCB_DCCISW_ADDRESS);
    SCB_ICIALLU = 0;
    synchronise();
}

bool m7_cycle_counter_on(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_UNLOCK;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    synchronise();
    uint32_t before = DWT_CYCCNT;
    for (int i = 0; i < 16; i++)
        synchronise();
    return DWT_CYCCNT != before;
}

uint32_t m7_cycles(void)
{
    return DWT_CYCCNT;
}
