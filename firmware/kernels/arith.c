/* The general case of what arith.h has inline. */
#include "arith.h"

int32_t hnas_rescale_any(int32_t x, int32_t multiplier, int32_t shift)
{
    int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    int64_t product = (int64_t)(int32_t)((uint32_t)x << left) * multiplier;
    int32_t high = (int32_t)((product + (INT64_C(1) << 30)) >> 31);
    int32_t half = right ? INT32_C(1) << (right - 1) : 0;
    return (int32_t)(((int64_t)high + half - (right && high < 0)) >> right);
}
