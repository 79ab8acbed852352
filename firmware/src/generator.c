#include "generator.h"

void generator_fill(uint32_t seed, int8_t *to, uint32_t bytes)
{
    uint32_t state = seed;
    for (int8_t *end = to + bytes; to != end; to++) {
        state = generator_next(state);
        *to = (int8_t)(state >> 24);
    }
}
