/* The registers of the STM32F746 that this firmware touches, from reference manual RM0385. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdint.h>

#ifndef REGISTER /* a test stands in for the chip */
#define REGISTER(address) (*(volatile uint32_t *)(address))
#endif

/* Reset and clock control: base 0x40023800, chapter RCC, "RCC registers" */
#define RCC_CR REGISTER(0x40023800u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_PLLCFGR_RESERVED (0x2u << 28) /* as after reset */
#define RCC_PLLCFGR_M(divisor) ((uint32_t)(divisor))
#define RCC_PLLCFGR_N(factor) ((uint32_t)(factor) << 6)
#define RCC_PLLCFGR_P(divisor) (((uint32_t)(divisor) / 2u - 1u) << 16)
#define RCC_PLLCFGR_SRC_HSI (0u << 22)
#define RCC_PLLCFGR_Q(divisor) ((uint32_t)(divisor) << 24)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_CFGR_SW_HSI 0x0u
#define RCC_CFGR_SW_PLL 0x2u
#define RCC_CFGR_SWS_MASK (0x3u << 2)
#define RCC_CFGR_SWS_PLL (0x2u << 2)
#define RCC_CFGR_HPRE_1 (0x0u << 4)
#define RCC_CFGR_PPRE1_4 (0x5u << 10)
#define RCC_CFGR_PPRE2_2 (0x4u << 13)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_AHB1ENR_GPIO(port) (1u << (port)) /* port A is 0 */
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB1ENR_TIM2 (1u << 0)
#define RCC_APB1ENR_USART3 (1u << 18)
#define RCC_APB1ENR_PWR (1u << 28)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define RCC_APB2ENR_USART1 (1u << 4)
#define RCC_DCKCFGR2 REGISTER(0x40023890u)
#define RCC_DCKCFGR2_USART1_MASK (0x3u << 0)
#define RCC_DCKCFGR2_USART1_HSI (0x2u << 0)
#define RCC_DCKCFGR2_USART3_MASK (0x3u << 4)
#define RCC_DCKCFGR2_USART3_HSI (0x2u << 4)

/* Power control: base 0x40007000, chapter PWR, "PWR registers" */
#define PWR_CR1 REGISTER(0x40007000u)
#define PWR_CR1_VOS_SCALE1 (0x3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1 REGISTER(0x40007004u)
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)

/* Flash interface: base 0x40023C00, "FLASH access control register" */
#define FLASH_ACR REGISTER(0x40023C00u)
#define FLASH_ACR_LATENCY(wait_states) ((uint32_t)(wait_states))
#define FLASH_ACR_LATENCY_MASK 0xFu
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ARTEN (1u << 9)

/* GPIO port A at 0x40020000, one port every 0x400 bytes */
#define GPIO_BASE(port) (0x40020000u + 0x400u * (port))

#define USART1_BASE 0x40011000u
#define USART3_BASE 0x40004800u

#endif
