/* Runs a board's board_init() on the computer, and prints what it does to the chip:
 *
 *   fake_chip ADDRESS=VALUE ... ADDRESS~SHIFT ...
 *
 * sets what registers hold at first (identity, flags that hardware raises), and makes a register
 * show its two lowest bits at SHIFT as well (the clock that is selected, and the one in use). */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "gpio.h"
#include "timer.h"
#include "usart.h"

static struct slot {
    uint32_t address, value, mirror;
} slots[64];

int8_t __arena_start[1], __arena_end[1], __work_start[1], __work_end[1];
const int8_t hnas_weights[1];

static struct slot *slot_of(uint32_t address)
{
    struct slot *slot = slots;
    while (slot->address && slot->address != address)
        slot++;
    slot->address = address;
    return slot;
}

volatile uint32_t *chip_register(uint32_t address)
{
    struct slot *slot = slot_of(address);
    if (slot->mirror)
        slot->value |= (slot->value & 3u) << slot->mirror;
    printf("register %x %x\n", slot->address, slot->value);
    return &slot->value;
}

void gpio_alternate(uint32_t base, uint32_t pin, uint32_t function)
{
    printf("pin %x %x %x\n", base, pin, function);
}

void usart_open(uint32_t base, uint32_t clock_hz)
{
    printf("usart %x %x\n", base, clock_hz);
}

void timer_open(struct board *board, uint32_t tim2_hz)
{
    board->timer_hz = board->clock_hz;
    printf("tim2 %x\n", tim2_hz);
}

const char *cache_open(void)
{
    puts("cache");
    return "warm";
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *rest;
        struct slot *slot = slot_of((uint32_t)strtoul(argv[i], &rest, 16));
        uint32_t value = (uint32_t)strtoul(rest + 1, NULL, 16);
        *(*rest == '~' ? &slot->mirror : &slot->value) = value;
    }
    printf("clock %x\n", board_init()->clock_hz);
    for (struct slot *slot = slots; slot->address; slot++)
        printf("final %x %x\n", slot->address, slot->value);
    return 0;
}
