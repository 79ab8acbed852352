/* Element-wise addition. */
#include "arith.h"
#include "hnas_kernels.h"

void hnas_add(const hnas_add_params *params, int32_t count, const int8_t *a, const int8_t *b,
              int8_t *output)
{
    const hnas_add_params p = *params;
    for (const int8_t *end = a + count; a != end; a++, b++, output++) {
        int32_t sum = p.bias + *a * p.a_multiplier + *b * p.b_multiplier;
        *output = (int8_t)hnas_clamp((sum >> p.shift) + p.output_offset, p.low, p.high);
    }
}
