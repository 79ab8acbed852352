/* Requantisation, clamping and unaligned words. */
#ifndef HNAS_ARITH_H
#define HNAS_ARITH_H

#include <stdint.h>

#define HNAS_INLINE static inline __attribute__((always_inline))

/* Two int16 at a time (SMLAD and its family): Armv7E-M, and Armv8-M with the DSP extension. */
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#define HNAS_DSP 1
#else
#define HNAS_DSP 0
#endif

/* The value is in a register here. Else the compiler first loads the operands of a whole
 * unrolled loop and then runs out of registers. No instruction. */
#define HNAS_SETTLE(x) __asm__ volatile("" : "+r"(x))

HNAS_INLINE int32_t hnas_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

HNAS_INLINE int32_t hnas_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

HNAS_INLINE int32_t hnas_clamp(int32_t x, int32_t low, int32_t high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* TFLite's MultiplyByQuantizedMultiplier with two roundings, for any shift from -31 to 30:
 * round(x * multiplier * 2^-31), halves upwards, then by 2^shift, halves away from zero. */
int32_t hnas_rescale_any(int32_t x, int32_t multiplier, int32_t shift);

/* round(x * multiplier * 2^-31), halves upwards; multiplier at least 2^30. */
HNAS_INLINE int32_t hnas_high(int32_t x, int32_t multiplier)
{
#if HNAS_DSP
    /* 2 multiplier = 2^32 + doubled: the upper word, rounded, of x * doubled, plus x. */
    int32_t doubled = (int32_t)((uint32_t)multiplier << 1), r;
    __asm__("smmlar %0, %1, %2, %1" : "=r"(r) : "r"(x), "r"(doubled));
    return r;
#else
    return (int32_t)(((int64_t)x * multiplier + (INT64_C(1) << 30)) >> 31);
#endif
}

/* The same, fast for shift < 0. */
HNAS_INLINE int32_t hnas_rescale(int32_t x, int32_t multiplier, int32_t shift)
{
    int32_t right = -1 - shift;
    if (__builtin_expect(right < 0, 0))
        return hnas_rescale_any(x, multiplier, shift);
    int32_t high = hnas_high(x, multiplier);
    return (((high - (high < 0)) >> right) + 1) >> 1;
}

/* One word from any address: a plain LDR where the core can, four LDRB on Armv6-M. */
HNAS_INLINE uint32_t hnas_load(const void *p)
{
    uint32_t word;
    __builtin_memcpy(&word, p, 4);
    return word;
}

HNAS_INLINE void hnas_store(void *p, uint32_t word)
{
    __builtin_memcpy(p, &word, 4);
}

/* One word from an address that is a multiple of 4, of memory that holds int16. */
typedef uint32_t __attribute__((may_alias)) hnas_word;

#if HNAS_DSP
/* In inline assembly, because the compiler's own intrinsics also keep the Q flag. */

/* Bytes 0 and 2 of x as int16, plus the halves of `add`. */
HNAS_INLINE uint32_t hnas_extend_even(uint32_t add, uint32_t x)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(add), "r"(x));
    return r;
}

/* Bytes 1 and 3 of x as int16, plus the halves of `add`. */
HNAS_INLINE uint32_t hnas_extend_odd(uint32_t add, uint32_t x)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(add), "r"(x));
    return r;
}

HNAS_INLINE uint32_t hnas_even(uint32_t x)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
    return r;
}

HNAS_INLINE uint32_t hnas_odd(uint32_t x)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
    return r;
}

/* sum + a.low * b.low + a.high * b.high */
HNAS_INLINE int32_t hnas_smlad(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
}
#endif

#endif
