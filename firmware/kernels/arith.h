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

/* Single-precision arithmetic in hardware: Cortex-M4F, M7 and M33 with their unit. */
#if defined(__ARM_FP) && (__ARM_FP & 4)
#define HNAS_FPU 1
#else
#define HNAS_FPU 0
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

/* An output channel's scale as the core multiplies by it; hnas_rescale() is the nearest integer to
 * x * scale in float32, halves to even. Beyond 2^24 it is only known to be that large: clamp it
 * before adding to it. */
#if HNAS_FPU
typedef float hnas_factor;

HNAS_INLINE hnas_factor hnas_factor_of(float scale)
{
    return scale;
}

HNAS_INLINE int32_t hnas_rescale(int32_t x, hnas_factor factor)
{
    float product = (float)x * factor, word;
    int32_t rounded;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(word) : "t"(product));
    __builtin_memcpy(&rounded, &word, 4);
    return rounded;
}
#else
/* scale = multiplier * 2^(-1 - last - 31), exact: the multiplier is in [2^30, 2^31), its last seven
 * bits are 0. */
typedef struct {
    int32_t multiplier;
    int32_t last; /* bit before the point of hnas_high() */
} hnas_factor;

HNAS_INLINE hnas_factor hnas_factor_of(float scale)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &scale, 4);
    int32_t multiplier = (int32_t)((bits & 0x7FFFFFu) << 7 | UINT32_C(1) << 30);
    return (hnas_factor){multiplier, 125 - (int32_t)(bits >> 23)};
}

/* As float32 has it: x to 24 bits, times the scale to 24 bits, to an integer, halves to even. */
int32_t hnas_rescale_exact(int32_t x, hnas_factor factor);

/* The same, for scales that hnas_rescale() leaves to it: at least 1/2, or below 2^-15. */
int32_t hnas_rescale_any(int32_t x, hnas_factor factor);

/* x * multiplier * 2^-31, rounded down; multiplier at least 2^30. */
HNAS_INLINE int32_t hnas_high(int32_t x, int32_t multiplier)
{
#if HNAS_DSP
    /* 2 multiplier = 2^32 + doubled: the upper word of x * doubled, plus x. */
    int32_t doubled = (int32_t)((uint32_t)multiplier << 1), r;
    __asm__("smmla %0, %1, %2, %1" : "=r"(r) : "r"(x), "r"(doubled));
    return r;
#else
    return (int32_t)(((int64_t)x * multiplier) >> 31);
#endif
}

/* Bits behind the point of hnas_high() from which float32 is told apart. Results below 256 are off by
 * less than 2^-15 in float32, two roundings to 24 bits: less than one of these units. */
#define HNAS_FRACTION 14

/* Whether x, with `last` + 1 bits behind the point, is so near a half that float32 may see it on the
 * other side, or on the half itself. */
HNAS_INLINE int32_t hnas_near_half(int32_t x, int32_t last)
{
    uint32_t half = UINT32_C(1) << last;
    return (((uint32_t)x + half + 1) & (2 * half - 1)) <= 1;
}

/* Rounding in integers differs from float32 next to halves alone, one time in hundreds. */
HNAS_INLINE int32_t hnas_rescale(int32_t x, hnas_factor factor)
{
    int32_t last = factor.last;
    if (__builtin_expect((uint32_t)last >= HNAS_FRACTION, 0))
        return hnas_rescale_any(x, factor);
    int32_t high = hnas_high(x, factor.multiplier);
    if (__builtin_expect(hnas_near_half(high, last), 0))
        return hnas_rescale_exact(x, factor);
    return ((high >> last) + 1) >> 1;
}
#endif

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
