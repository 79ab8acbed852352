/* Operators on their generated data, timed. */
#ifndef HNAS_RUN_H
#define HNAS_RUN_H

#include "board.h"
#include "op.h"

/* Bytes that a request needs of a memory that has too few. */
struct shortage {
    const char *memory; /* arena, weights, work or list; NULL: everything fits */
    uint64_t needed, there;
};

/* Where an operator of a network finds its operands: offsets in the arena; second is -1 for all
 * kinds but add. */
struct placed {
    struct op op;
    int32_t in, out, second;
};

/* Whether weights and work memory suffice; the arena is the caller's matter. */
struct shortage run_shortage(const struct board *board, const struct op *op);

/* Ticks of one run. Constants are prepared before, outside the timing. */
uint32_t run_op(const struct board *board, const struct op *op, const int8_t *in,
                const int8_t *second, const int8_t *weights, int8_t *out);

/* Ticks that `thousands` times 1000 instructions take. */
uint32_t run_instructions(uint32_t thousands);

#endif
