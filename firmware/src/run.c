#include "run.h"

#include <stddef.h>

#include "generator.h"

enum { IN_ZERO = -5, OUT_ZERO = -7, ADD_MULTIPLIER = 0x1e0000, ADD_SHIFT = 22 };

static const struct {
    int8_t low, high;
} clamps[ACTIVATIONS] = {
    [ACTIVATION_NONE] = {-128, 127},
    [ACTIVATION_RELU] = {OUT_ZERO, 127},
    [ACTIVATION_RELU6] = {OUT_ZERO, 100},
};

struct shortage run_shortage(const struct board *board, const struct op *op)
{
    /* In this order: what fits into the weights has products that fit into 32 bits. */
    struct shortage s = {"weights", op_weight_bytes(op), board->weight_bytes};
    if (s.needed > s.there)
        return s;
    s = (struct shortage){"work", op_work_bytes(op), board->work_bytes};
    if (s.needed > s.there)
        return s;
    return (struct shortage){NULL, 0, 0};
}

static int32_t bit_length(uint32_t n)
{
    int32_t bits = 0;
    for (; n != 0; n >>= 1)
        bits++;
    return bits;
}

/* (2^23 + byte * 2^15) * 2^-(24 + places), as float32 stores it: sign, exponent, mantissa. */
static float scale_of(uint32_t byte, int32_t places)
{
    uint32_t bits = (uint32_t)(126 - places) << 23 | byte << 15;
    float scale;
    __builtin_memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* Scales and biases of an operator with weights; returns where they end. */
static int32_t *fill_constants(const struct op *op, int32_t *work)
{
    float *scale = (float *)work;
    int32_t *bias = work + op->cout;
    int32_t least = 6 + (bit_length(op_products(op) - 1) + 1) / 2;
    uint32_t m = SEED_SCALE, b = SEED_BIAS;
    for (int32_t c = 0; c < op->cout; c++) {
        m = generator_next(m);
        b = generator_next(b);
        scale[c] = scale_of(m >> 24, least + (c & 1));
        bias[c] = 16 * (int32_t)(int8_t)(b >> 24);
    }
    return bias + op->cout;
}

uint32_t run_op(const struct board *board, const struct op *op, const int8_t *in,
                const int8_t *second, const int8_t *weights, int8_t *out)
{
    const hnas_window window = op_window(op);
    const int32_t low = clamps[op->activation].low, high = clamps[op->activation].high;
    const int32_t count = window.in_h * window.in_w * window.in_c;
    int32_t *work = board->work;
    void *scratch = op_weight_bytes(op) != 0 ? fill_constants(op, work) : work;
    const hnas_requant requant = {-IN_ZERO, OUT_ZERO, low, high, (const float *)work,
                                  work + op->cout};
    const hnas_add_params add = {ADD_MULTIPLIER,
                                 ADD_MULTIPLIER,
                                 (INT32_C(1) << (ADD_SHIFT - 1)) - 2 * ADD_MULTIPLIER * IN_ZERO,
                                 ADD_SHIFT,
                                 OUT_ZERO,
                                 low,
                                 high};

    board_prepare_run();
    board_timer_start();
    switch (op->kind) {
    case OP_CONV: hnas_conv(&window, &requant, in, weights, out, scratch); break;
    case OP_DWCONV: hnas_depthwise(&window, &requant, in, weights, out, scratch); break;
    case OP_DENSE: hnas_dense(op->cin, op->cout, &requant, in, weights, out, scratch); break;
    case OP_ADD: hnas_add(&add, count, in, second, out); break;
    case OP_AVGPOOL: hnas_average_pool(&window, low, high, in, out, scratch); break;
    case OP_MAXPOOL: hnas_max_pool(&window, low, high, in, out); break;
    default: break;
    }
    return board_timer_ticks();
}

/* Ten instructions a round: additions that wait for each other, so that also a core that issues two
 * instructions at once takes a cycle for each of them. */
static __attribute__((noinline)) uint32_t time_rounds(uint32_t rounds)
{
    uint32_t x = 0;
    board_timer_start();
    __asm__ volatile(".balign 16\n"
                     "1:\n\t"
                     ".rept 8\n\t"
                     "adds %1, %1, #1\n\t"
                     ".endr\n\t"
                     "subs %0, %0, #1\n\t"
                     "bne 1b"
                     : "+l"(rounds), "+l"(x)
                     :
                     : "cc");
    return board_timer_ticks();
}

uint32_t run_instructions(uint32_t thousands)
{
    uint32_t one = time_rounds(1); /* with what reading the timer costs */
    return time_rounds(100 * thousands + 1) - one;
}
