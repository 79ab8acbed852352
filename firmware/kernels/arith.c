/* The rare cases of what arith.h has inline for cores without a floating-point unit. */
#include "arith.h"

#if !HNAS_FPU
/* n * 2^-bits to the nearest integer, halves to even; bits is 1 to 63. */
static uint64_t nearest_even(uint64_t n, int32_t bits)
{
    uint64_t down = n >> bits, rest = n - (down << bits), half = UINT64_C(1) << (bits - 1);
    return down + (rest > half || (rest == half && (down & 1)));
}

/* n to the 24 bits that float32 has; *power grows by the bits that go. */
static uint64_t to_float32(uint64_t n, int32_t *power)
{
    int32_t bits = n ? 40 - __builtin_clzll(n) : 0;
    if (bits <= 0)
        return n;
    *power += bits;
    return nearest_even(n, bits);
}

int32_t hnas_rescale_exact(int32_t x, hnas_factor factor)
{
    int32_t power = -25 - factor.last; /* of the product below, with 7 bits fewer */
    uint64_t size = to_float32(x < 0 ? 0 - (uint64_t)x : (uint64_t)x, &power);
    uint64_t product = to_float32(size * ((uint32_t)factor.multiplier >> 7), &power);
    if (power < 0)
        product = power < -25 ? 0 : nearest_even(product, -power);
    for (; power > 0 && product && product < UINT64_C(1) << 24; power--)
        product <<= 1;
    int32_t rounded = (int32_t)(product < UINT64_C(1) << 24 ? product : UINT64_C(1) << 24);
    return x < 0 ? -rounded : rounded;
}

int32_t hnas_rescale_any(int32_t x, hnas_factor factor)
{
    int32_t more = factor.last - (HNAS_FRACTION - 1);
    if (more > 0) {
        int32_t high = hnas_high(x, factor.multiplier) >> (more < 31 ? more : 31);
        if (!hnas_near_half(high, HNAS_FRACTION - 1))
            return ((high >> (HNAS_FRACTION - 1)) + 1) >> 1;
    }
    return hnas_rescale_exact(x, factor);
}
#endif
