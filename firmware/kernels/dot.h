/* Dot products of rows of weights with columns of input: what convolution and dense layers are made
 * of. A column is widened to int16 once, with the input offset added, and then meets every row. */
#ifndef HNAS_DOT_H
#define HNAS_DOT_H

#include "arith.h"
#include "hnas_kernels.h"

/* int16 elements of a column of n; what lies beyond n is 0. */
#define HNAS_COLUMN(n) (((n) + 3) & ~INT32_C(3))

/* Widens n int8 to a column, whose fours are `step` int16 apart: 4 for one column, 8 for each of
 * two that are woven into each other. With SMLAD the elements of a four are in the order 0 2 1
 * 3, in which SXTB16 widens the weights too; a sum does not mind. */
HNAS_INLINE void hnas_widen(const int8_t *x, int32_t n, int32_t offset, int16_t *column,
                            int32_t step)
{
#if HNAS_DSP
    static const uint8_t place[3] = {0, 2, 1};
    uint32_t offsets = (uint32_t)(uint16_t)offset * 0x10001u;
    for (const int8_t *end = x + (n & ~INT32_C(3)); x != end; x += 4, column += step) {
        uint32_t word = hnas_load(x);
        uint32_t even = hnas_extend_even(offsets, word), odd = hnas_extend_odd(offsets, word);
        ((hnas_word *)column)[0] = even;
        ((hnas_word *)column)[1] = odd;
    }
#else
    static const uint8_t place[3] = {0, 1, 2};
    for (const int8_t *end = x + (n & ~INT32_C(3)); x != end; x += 4, column += step) {
        column[0] = (int16_t)(x[0] + offset);
        column[1] = (int16_t)(x[1] + offset);
        column[2] = (int16_t)(x[2] + offset);
        column[3] = (int16_t)(x[3] + offset);
    }
#endif
    int32_t rest = n & 3;
    if (rest) {
        column[0] = column[1] = column[2] = column[3] = 0;
        for (int32_t i = 0; i < rest; i++)
            column[place[i]] = (int16_t)(x[i] + offset);
    }
}

/* All output channels of one pixel: weights[out_c][n] times a column. */
void hnas_dot_one(int32_t n, int32_t out_c, const hnas_requant *requant, const int8_t *weights,
                  const int16_t *column, int8_t *output);

/* All output channels of two pixels, whose columns are woven and whose outputs follow each
 * other. */
void hnas_dot_two(int32_t n, int32_t out_c, const hnas_requant *requant, const int8_t *weights,
                  const int16_t *columns, int8_t *output);

#endif
