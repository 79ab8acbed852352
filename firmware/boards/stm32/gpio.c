#include "gpio.h"

struct gpio {
    uint32_t moder, otyper, ospeedr, pupdr, idr, odr, bsrr, lckr, afr[2];
};

static void set_field(volatile uint32_t *word, uint32_t shift, uint32_t bits, uint32_t value)
{
    uint32_t mask = ((1u << bits) - 1u) << shift;
    *word = (*word & ~mask) | (value << shift);
}

void gpio_alternate(uint32_t base, uint32_t pin, uint32_t function)
{
    volatile struct gpio *port = (volatile struct gpio *)base;
    set_field(&port->pupdr, 2u * pin, 2, 1);
    set_field(&port->afr[pin / 8u], 4u * (pin % 8u), 4, function);
    set_field(&port->moder, 2u * pin, 2, 2);
}
