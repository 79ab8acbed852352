/* The numbers of docs/protocol.md, "What is computed". */
#ifndef HNAS_GENERATOR_H
#define HNAS_GENERATOR_H

#include <stdint.h>

enum {
    SEED_WEIGHTS = 1,
    SEED_INPUT = 2,
    SEED_SECOND = 3,
    SEED_BIAS = 4,
    SEED_SCALE = 5,
};

/* The next state; its upper byte is the next byte of the stream. */
static inline uint32_t generator_next(uint32_t state)
{
    return 1664525u * state + 1013904223u;
}

/* The first `bytes` of the stream that starts with `seed`. */
void generator_fill(uint32_t seed, int8_t *to, uint32_t bytes);

#endif
