/* Dot products in blocks: a weight that was loaded meets two columns, an input four rows. */
#include "dot.h"

#if HNAS_DSP
/* Four weights of one row with a four of each column. */
HNAS_INLINE void dot4(int32_t columns, uint32_t w, const uint32_t *x, int32_t *sum)
{
    uint32_t even = hnas_even(w), odd = hnas_odd(w);
    sum[0] = hnas_smlad(even, x[0], sum[0]);
    if (columns == 2)
        sum[1] = hnas_smlad(even, x[2], sum[1]);
    sum[0] = hnas_smlad(odd, x[1], sum[0]);
    if (columns == 2)
        sum[1] = hnas_smlad(odd, x[3], sum[1]);
}

/* The last 1 to 3 bytes of a row as a word, the missing ones 0: no byte beyond the row is read. */
HNAS_INLINE uint32_t row_end(const int8_t *w, int32_t rest)
{
    uint32_t word = (uint8_t)w[0];
    if (rest > 1)
        word |= (uint32_t)(uint8_t)w[1] << 8;
    if (rest > 2)
        word |= (uint32_t)(uint8_t)w[2] << 16;
    return word;
}
#else
/* One weight of each row with an element of each column. */
HNAS_INLINE void dot1(int32_t rows, int32_t columns, int32_t n, const int8_t *w, const int16_t *x,
                      int32_t (*sum)[2])
{
    int32_t first = x[0], second = columns == 2 ? x[4] : 0;
#pragma GCC unroll 4
    for (int32_t r = 0; r < rows; r++) {
        int32_t weight = w[r * n];
        sum[r][0] += weight * first;
        HNAS_SETTLE(sum[r][0]);
        if (columns == 2) {
            sum[r][1] += weight * second;
            HNAS_SETTLE(sum[r][1]);
        }
    }
}
#endif

/* sum[r][c] += dot product of row r and column c, for `rows` (at most 4) rows, n bytes apart, and
 * `columns` (at most 2); both are constants where this is inlined, and the sums registers. */
HNAS_INLINE void dot(int32_t rows, int32_t columns, int32_t n, const int8_t *w, const int16_t *x,
                     int32_t (*sum)[2])
{
    const int8_t *end = w + (n & ~INT32_C(3));
    int32_t rest = n & 3;
#if HNAS_DSP
    const hnas_word *words = (const hnas_word *)x;
    for (; w != end; w += 4, words += 2 * columns) {
        uint32_t four[4] = {words[0], words[1]};
        if (columns == 2) {
            four[2] = words[2];
            four[3] = words[3];
        }
#pragma GCC unroll 4
        for (int32_t r = 0; r < rows; r++)
            dot4(columns, hnas_load(w + r * n), four, sum[r]);
    }
    if (rest) {
        uint32_t four[4] = {words[0], words[1]};
        if (columns == 2) {
            four[2] = words[2];
            four[3] = words[3];
        }
#pragma GCC unroll 4
        for (int32_t r = 0; r < rows; r++)
            dot4(columns, row_end(w + r * n, rest), four, sum[r]);
    }
#else
    for (; w != end; w += 4, x += 4 * columns) {
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; i++)
            dot1(rows, columns, n, w + i, x + i, sum);
    }
    for (int32_t i = 0; i < rest; i++)
        dot1(rows, columns, n, w + i, x + i, sum);
#endif
}

/* `rows` output channels, from `channel` on, of one or two pixels. */
HNAS_INLINE void block(int32_t rows, int32_t columns, int32_t n, int32_t out_c,
                       const hnas_requant *q, int32_t channel, const int8_t *weights,
                       const int16_t *x, int8_t *y)
{
    int32_t sum[4][2];
#pragma GCC unroll 4
    for (int32_t r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = q->bias ? q->bias[channel + r] : 0;
    dot(rows, columns, n, weights, x, sum);
#pragma GCC unroll 4
    for (int32_t r = 0; r < rows; r++) {
        hnas_factor factor = hnas_factor_of(q->scale[channel + r]);
#pragma GCC unroll 2
        for (int32_t c = 0; c < columns; c++)
            sum[r][c] = hnas_rescale(sum[r][c], factor);
    }
    int32_t zero = q->output_offset, low = q->low - zero, high = q->high - zero;
    y += channel;
#pragma GCC unroll 2
    for (int32_t c = 0; c < columns; c++, y += out_c) {
#pragma GCC unroll 4
        for (int32_t r = 0; r < rows; r++)
            y[r] = (int8_t)(hnas_clamp(sum[r][c], low, high) + zero);
    }
}

void hnas_dot_one(int32_t n, int32_t out_c, const hnas_requant *requant, const int8_t *weights,
                  const int16_t *column, int8_t *output)
{
    const hnas_requant q = *requant;
    int32_t channel = 0;
    for (; channel + 4 <= out_c; channel += 4, weights += 4 * n)
        block(4, 1, n, out_c, &q, channel, weights, column, output);
    for (; channel < out_c; channel++, weights += n)
        block(1, 1, n, out_c, &q, channel, weights, column, output);
}

void hnas_dot_two(int32_t n, int32_t out_c, const hnas_requant *requant, const int8_t *weights,
                  const int16_t *columns, int8_t *output)
{
    const hnas_requant q = *requant;
    int32_t channel = 0;
    for (; channel + 2 <= out_c; channel += 2, weights += 2 * n)
        block(2, 2, n, out_c, &q, channel, weights, columns, output);
    if (channel < out_c)
        block(1, 2, n, out_c, &q, channel, weights, columns, output);
}
