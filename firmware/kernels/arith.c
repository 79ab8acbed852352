/* The general case of what arith.h has inline. */
#include "arith.h"

int32_t hnas_rescale_any(int32_t x, int32_t multiplier, int32_t shift)
{
    int64_t product = (int64_t)x * multiplier;
    return (int32_t)((product + (INT64_C(1) << (30 - shift))) >> (31 - shift));
}
