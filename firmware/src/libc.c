/* What the compiler calls on its own where there is no C library. */
#include <stddef.h>
#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word;
#ifdef __ARM_FEATURE_UNALIGNED
typedef uint32_t __attribute__((may_alias, aligned(1))) loose_word;
#else
typedef word loose_word; /* only used where both ends are aligned */
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);

/* -fno-tree-loop-distribute-patterns (Makefile): these loops must not become calls of
 * themselves. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
#ifdef __ARM_FEATURE_UNALIGNED
    const int by_words = 1;
#else
    const int by_words = (((uintptr_t)t | (uintptr_t)f) & 3) == 0;
#endif
    if (by_words) {
        for (; n >= 16; n -= 16, t += 16, f += 16)
            for (int i = 0; i < 16; i += 4)
                *(loose_word *)(t + i) = *(const loose_word *)(f + i);
        for (; n >= 4; n -= 4, t += 4, f += 4)
            *(loose_word *)t = *(const loose_word *)f;
    }
    while (n--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *t = to;
    uint32_t pattern = (uint8_t)value * 0x01010101u;
    for (; n && ((uintptr_t)t & 3); n--)
        *t++ = (uint8_t)value;
    for (; n >= 16; n -= 16, t += 16)
        ((word *)t)[0] = ((word *)t)[1] = ((word *)t)[2] = ((word *)t)[3] = pattern;
    for (; n >= 4; n -= 4, t += 4)
        *(word *)t = pattern;
    while (n--)
        *t++ = (uint8_t)value;
    return to;
}
