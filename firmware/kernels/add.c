/* Element-wise addition. */
#include "arith.h"
#include "hnas_kernels.h"

/* Any shifts: TFLite's are negative for all scales but odd ones. */
static void add_any(const hnas_add_params *p, int32_t count, const int8_t *a, const int8_t *b,
                    int8_t *output)
{
    int32_t unit = INT32_C(1) << p->left_shift;
    for (int32_t i = 0; i < count; i++) {
        int32_t x = hnas_rescale_any((a[i] + p->a_offset) * unit, p->a_multiplier, p->a_shift);
        int32_t y = hnas_rescale_any((b[i] + p->b_offset) * unit, p->b_multiplier, p->b_shift);
        int32_t z = hnas_rescale_any(x + y, p->output_multiplier, p->output_shift);
        output[i] = (int8_t)hnas_clamp(z + p->output_offset, p->low, p->high);
    }
}

void hnas_add(const hnas_add_params *params, int32_t count, const int8_t *a, const int8_t *b,
              int8_t *output)
{
    const hnas_add_params p = *params;
    if (p.a_shift >= 0 || p.b_shift >= 0 || p.output_shift >= 0) {
        add_any(params, count, a, b, output);
        return;
    }
    int32_t unit = INT32_C(1) << p.left_shift;
    for (const int8_t *end = a + count; a != end; a++, b++, output++) {
        int32_t x = hnas_rescale((*a + p.a_offset) * unit, p.a_multiplier, p.a_shift);
        int32_t y = hnas_rescale((*b + p.b_offset) * unit, p.b_multiplier, p.b_shift);
        int32_t z = hnas_rescale(x + y, p.output_multiplier, p.output_shift);
        *output = (int8_t)hnas_clamp(z + p.output_offset, p.low, p.high);
    }
}
