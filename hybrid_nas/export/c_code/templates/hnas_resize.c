/* Antialiased bilinear resizing to bytes, as training's preprocessing does it: PyTorch's interpolate
 * in float32, along rows and then along columns, rounded to the nearest byte, halves to even.
 *
 * Sums are rounded as PyTorch's builds for x86 with AVX2 or AVX-512 round them: after the first
 * product, fours of products are rounded before they are added, those that are left are fused with
 * their addition. Any core with IEEE 754 arithmetic then makes the same bytes. Other builds of PyTorch
 * may round a few pixels in a million the other way.
 *
 * Nothing is stored but the weights of one output pixel. A core without floating point is slow here,
 * and better off with a camera that delivers the network's size. */
#include "hnas_model.h"

#ifdef __FAST_MATH__
#error "-ffast-math changes pixels: compile hnas_resize.c without it"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* Source pixels under one output pixel, in one direction: images up to about 64 times larger. */
#define MAX_TAPS 130

struct taps {
    int32_t first, count;
    int32_t fused; /* from this one on, products are fused with their addition */
    float weight[MAX_TAPS];
};

/* a * b + sum with one rounding. */
static float fused(float a, float b, float sum)
{
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, sum);
#else
    /* The product is exact in double; the sum is rounded twice, which matters to one in 2^29. */
    return (float)((double)a * (double)b + (double)sum);
#endif
}

/* Weights of the source pixels under output pixel `i`; 0 where they are too many. Types and order of
 * operations are PyTorch's: indices in double, weights in float. */
static int find_taps(int32_t i, int32_t source, int32_t target, struct taps *taps)
{
    float scale = (float)source / (float)target;
    float reach = scale >= 1.0f ? scale : 1.0f;
    float inverse = scale >= 1.0f ? 1.0f / scale : 1.0f;
    float centre = scale * ((float)i + 0.5f);
    int32_t first = (int32_t)((double)(centre - reach) + 0.5);
    int32_t end = (int32_t)((double)(centre + reach) + 0.5);
    first = first < 0 ? 0 : first;
    end = end > source ? source : end;
    if (end - first > MAX_TAPS)
        return 0;

    float total = 0.0f;
    for (int32_t j = first; j < end; j++) {
        float x = (float)(((double)((float)j - centre) + 0.5) * (double)inverse);
        x = x < 0.0f ? -x : x;
        float weight = x < 1.0f ? 1.0f - x : 0.0f;
        taps->weight[j - first] = weight;
        total += weight;
    }
    for (int32_t j = 0; j < end - first; j++)
        taps->weight[j] /= total;
    taps->first = first;
    taps->count = end - first;
    taps->fused = 1 + (taps->count - 1) / 4 * 4;
    return 1;
}

/* What source pixel `i` under the window adds. */
static float add(float sum, float value, const struct taps *taps, int32_t i)
{
    if (i == 0)
        return value * taps->weight[0];
    return i < taps->fused ? sum + value * taps->weight[i] : fused(value, taps->weight[i], sum);
}

static uint8_t to_byte(float x)
{
    if (x <= 0.0f)
        return 0;
    if (x >= 255.0f)
        return 255;
    int32_t whole = (int32_t)x;
    float rest = x - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && (whole & 1)))
        whole++;
    return (uint8_t)whole;
}

int hnas_resize(const uint8_t *source, int h, int w, uint8_t *image)
{
    struct taps down, across;
    if (!source || !image)
        return HNAS_NO_POINTER;
    if (h < 1 || w < 1 || h > 65535 || w > 65535)
        return HNAS_BAD_SIZE;
    for (int32_t y = 0; y < HNAS_IMAGE_HEIGHT; y++) {
        if (!find_taps(y, h, HNAS_IMAGE_HEIGHT, &down))
            return HNAS_BAD_SIZE;
        for (int32_t x = 0; x < HNAS_IMAGE_WIDTH; x++) {
            if (!find_taps(x, w, HNAS_IMAGE_WIDTH, &across))
                return HNAS_BAD_SIZE;
            const uint8_t *corner = source + (down.first * w + across.first) * HNAS_IMAGE_CHANNELS;
            for (int32_t c = 0; c < HNAS_IMAGE_CHANNELS; c++) {
                const uint8_t *line = corner + c;
                float sum = 0.0f;
                for (int32_t j = 0; j < down.count; j++, line += w * HNAS_IMAGE_CHANNELS) {
                    const uint8_t *pixel = line;
                    float row = 0.0f;
                    for (int32_t i = 0; i < across.count; i++, pixel += HNAS_IMAGE_CHANNELS)
                        row = add(row, (float)*pixel, &across, i);
                    sum = add(sum, row, &down, j);
                }
                *image++ = to_byte(sum);
            }
        }
    }
    return HNAS_OK;
}
