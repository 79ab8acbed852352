/* Comes before a board's sources when they are compiled for the computer: fake_chip.c. */
#include <stdint.h>

volatile uint32_t *chip_register(uint32_t address);
#define REGISTER(address) (*chip_register(address))
