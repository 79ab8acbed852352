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

/* TFLite halves the operand of the larger scale by 2^30 at shift 0. Its values, multiples of
 * 2^left_shift, give the same twice as large at shift -1, which is the fast way. */
static void avoid_shift_0(int32_t multiplier, int32_t *shift, int32_t *unit)
{
    if (multiplier == INT32_C(1) << 30 && *shift == 0) {
        *shift = -1;
        *unit *= 2;
    }
}

void hnas_add(const hnas_add_params *params, int32_t count, const int8_t *a, const int8_t *b,
              int8_t *output)
{
    hnas_add_params p = *params;
    int32_t a_unit = INT32_C(1) << p.left_shift, b_unit = a_unit;
    avoid_shift_0(p.a_multiplier, &p.a_shift, &a_unit);
    avoid_shift_0(p.b_multiplier, &p.b_shift, &b_unit);
    if (p.a_shift >= 0 || p.b_shift >= 0 || p.output_shift >= 0) {
        add_any(params, count, a, b, output);
        return;
    }
    for (const int8_t *end = a + count; a != end; a++, b++, output++) {
        int32_t x = hnas_rescale((*a + p.a_offset) * a_unit, p.a_multiplier, p.a_shift);
        int32_t y = hnas_rescale((*b + p.b_offset) * b_unit, p.b_multiplier, p.b_shift);
        int32_t z = hnas_rescale(x + y, p.output_multiplier, p.output_shift);
        *output = (int8_t)hnas_clamp(z + p.output_offset, p.low, p.high);
    }
}
