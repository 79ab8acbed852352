/* Matrix-vector product. */
#include "dot.h"

uint32_t hnas_dense_scratch(int32_t in_c, int32_t out_c)
{
    (void)out_c;
    return (uint32_t)HNAS_COLUMN(in_c) * sizeof(int16_t);
}

void hnas_dense(int32_t in_c, int32_t out_c, const hnas_requant *requant, const int8_t *input,
                const int8_t *weights, int8_t *output, void *scratch)
{
    int16_t *column = scratch;
    hnas_widen(input, in_c, requant->input_offset, column, 4);
    hnas_dot_one(in_c, out_c, requant, weights, column, output);
}
