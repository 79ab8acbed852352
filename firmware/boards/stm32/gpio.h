/* Pins of STM32F7 and H7 chips: chapter GPIO of RM0385 and RM0433, the same in both. */
#ifndef GPIO_H
#define GPIO_H

#include <stdint.h>

/* Gives pin 0-15 of the port at `base` to alternate function 0-15, with a pull-up: an unconnected
 * line then reads as idle. The port's clock must be on. */
void gpio_alternate(uint32_t base, uint32_t pin, uint32_t function);

#endif
