/* The registers of the STM32H743 that this firmware touches, from reference manual RM0433. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdint.h>

#ifndef REGISTER /* a test stands in for the chip */
#define REGISTER(address) (*(volatile uint32_t *)(address))
#endif

/* Reset and clock control: base 0x58024400, chapter RCC, "RCC register description" */
#define RCC_CR REGISTER(0x58024400u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 2)
#define RCC_CR_HSIDIV_MASK (0x3u << 3) /* 0: 64 MHz */
#define RCC_CR_HSIDIVF (1u << 5)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR REGISTER(0x58024410u)
#define RCC_CFGR_SW_PLL1 0x3u
#define RCC_CFGR_SWS_MASK (0x7u << 3)
#define RCC_CFGR_SWS_PLL1 (0x3u << 3)
#define RCC_D1CFGR REGISTER(0x58024418u)
#define RCC_D1CFGR_HPRE_2 (0x8u << 0)
#define RCC_D1CFGR_D1PPRE_2 (0x4u << 4)
#define RCC_D1CFGR_D1CPRE_1 (0x0u << 8)
#define RCC_D2CFGR REGISTER(0x5802441Cu)
#define RCC_D2CFGR_D2PPRE1_2 (0x4u << 4)
#define RCC_D2CFGR_D2PPRE2_2 (0x4u << 8)
#define RCC_D3CFGR REGISTER(0x58024420u)
#define RCC_D3CFGR_D3PPRE_2 (0x4u << 4)
#define RCC_PLLCKSELR REGISTER(0x58024428u)
#define RCC_PLLCKSELR_HSI 0x0u
#define RCC_PLLCKSELR_DIVM1(divisor) ((uint32_t)(divisor) << 4)
#define RCC_PLLCFGR REGISTER(0x5802442Cu)
#define RCC_PLLCFGR_PLL1VCO_WIDE (0u << 1)
#define RCC_PLLCFGR_PLL1RGE_4_TO_8_MHZ (0x2u << 2)
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_PLL1DIVR REGISTER(0x58024430u)
#define RCC_PLL1DIVR_N(factor) (((uint32_t)(factor) - 1u) << 0)
#define RCC_PLL1DIVR_P(divisor) (((uint32_t)(divisor) - 1u) << 9)
#define RCC_PLL1DIVR_Q(divisor) (((uint32_t)(divisor) - 1u) << 16)
#define RCC_PLL1DIVR_R(divisor) (((uint32_t)(divisor) - 1u) << 24)
#define RCC_D2CCIP2R REGISTER(0x58024454u)
#define RCC_D2CCIP2R_USART234578_MASK (0x7u << 0)
#define RCC_D2CCIP2R_USART234578_HSI (0x3u << 0)
#define RCC_AHB4ENR REGISTER(0x580244E0u)
#define RCC_AHB4ENR_GPIO(port) (1u << (port)) /* port A is 0 */
#define RCC_APB1LENR REGISTER(0x580244E8u)
#define RCC_APB1LENR_TIM2 (1u << 0)
#define RCC_APB1LENR_USART3 (1u << 18)
#define RCC_APB4ENR REGISTER(0x580244F4u)
#define RCC_APB4ENR_SYSCFG (1u << 1)

/* Power control: base 0x58024800, chapter PWR, "PWR registers" */
#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3 REGISTER(0x5802480Cu)
#define PWR_CR3_BYPASS (1u << 0)
#define PWR_CR3_LDOEN (1u << 1)
#define PWR_CR3_SCUEN (1u << 2)
#define PWR_D3CR REGISTER(0x58024818u)
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS_MASK (0x3u << 14)
#define PWR_D3CR_VOS_SCALE1 (0x3u << 14)

/* System configuration: base 0x58000400, "SYSCFG power control register" */
#define SYSCFG_PWRCR REGISTER(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN (1u << 0)

/* Flash interface: base 0x52002000, "FLASH access control register" */
#define FLASH_ACR REGISTER(0x52002000u)
#define FLASH_ACR_LATENCY(wait_states) ((uint32_t)(wait_states))
#define FLASH_ACR_LATENCY_MASK 0xFu
#define FLASH_ACR_WRHIGHFREQ_2 (0x2u << 4)

/* Identity: base 0x5C001000, chapter DBG, "DBGMCU identity code register" */
#define DBGMCU_IDC REGISTER(0x5C001000u)
#define DBGMCU_IDC_REVISION(value) ((value) >> 16)
#define REVISION_V 0x2003u

/* AXI interconnect, target 7 (AXI SRAM): base 0x51000000, "AXI interconnect - TARG x bus matrix
 * functionality modification register" */
#define AXI_TARG7_FN_MOD REGISTER(0x51008108u)
#define AXI_TARG_FN_MOD_READ_ISS_OVERRIDE (1u << 0)

/* GPIO port A at 0x58020000, one port every 0x400 bytes */
#define GPIO_BASE(port) (0x58020000u + 0x400u * (port))

#define USART3_BASE 0x40004800u

#endif
