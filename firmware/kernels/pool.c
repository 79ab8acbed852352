/* Average and max pooling: four channels at a time, over the part of a window inside the image. */
#include "arith.h"
#include "hnas_kernels.h"

/* A window's pixels: `rows` of `columns`, the first at `first`. */
struct pixels {
    const int8_t *first;
    int32_t rows, columns, count;
};

static struct pixels inside(const hnas_window *p, const int8_t *input, int32_t row, int32_t column)
{
    int32_t top = row * p->stride - p->pad_top, left = column * p->stride - p->pad_left;
    int32_t y = hnas_max(top, 0), x = hnas_max(left, 0);
    struct pixels w = {.first = input + (y * p->in_w + x) * p->in_c,
                       .rows = hnas_min(top + p->kernel_h, p->in_h) - y,
                       .columns = hnas_min(left + p->kernel_w, p->in_w) - x};
    w.count = w.rows * w.columns;
    return w;
}

uint32_t hnas_pool_scratch(const hnas_window *window)
{
    (void)window;
    return 0;
}

#if HNAS_DSP
/* Sums of four channels, two in a word. A half holds 255 times -128; rows are taken together as
 * long as that suffices. */
HNAS_INLINE void add_up_four(const struct pixels *w, const int8_t *x, int32_t channels,
                             int32_t line, int32_t *sum)
{
    int32_t together = 255 / w->columns;
    for (int32_t rows = w->rows; rows > 0; rows -= together) {
        uint32_t even = 0, odd = 0;
        for (int32_t some = hnas_min(rows, together); some; some--, x += line) {
            const int8_t *pixel = x;
            for (int32_t left = w->columns; left; left--, pixel += channels) {
                uint32_t word = hnas_load(pixel);
                even = hnas_extend_even(even, word);
                odd = hnas_extend_odd(odd, word);
            }
        }
        sum[0] += (int16_t)even;
        sum[1] += (int16_t)odd;
        sum[2] += (int32_t)even >> 16;
        sum[3] += (int32_t)odd >> 16;
    }
}
#endif

/* Sums of one to four channels over a window; sum[] starts at 0. */
HNAS_INLINE void add_up(int32_t lanes, const struct pixels *w, const int8_t *x, int32_t channels,
                        int32_t line, int32_t *sum)
{
#if HNAS_DSP
    if (lanes == 4 && w->columns <= 255) {
        add_up_four(w, x, channels, line, sum);
        return;
    }
#endif
    for (int32_t row = 0; row < w->rows; row++, x += line) {
        const int8_t *pixel = x;
        for (int32_t left = w->columns; left; left--, pixel += channels) {
#pragma GCC unroll 4
            for (int32_t i = 0; i < lanes; i++)
                sum[i] += pixel[i];
        }
    }
}

/* Halves away from zero. */
HNAS_INLINE int32_t mean(int32_t sum, int32_t count)
{
    int32_t half = count >> 1;
    return (sum < 0 ? sum - half : sum + half) / count;
}

HNAS_INLINE void average(int32_t lanes, const hnas_window *p, const struct pixels *w,
                         int32_t channel, int32_t low, int32_t high, int8_t *y)
{
    int32_t sum[4] = {0, 0, 0, 0};
    add_up(lanes, w, w->first + channel, p->in_c, p->in_w * p->in_c, sum);
#pragma GCC unroll 4
    for (int32_t i = 0; i < lanes; i++)
        y[channel + i] = (int8_t)hnas_clamp(mean(sum[i], w->count), low, high);
}

void hnas_average_pool(const hnas_window *window, int32_t low, int32_t high, const int8_t *input,
                       int8_t *output, void *scratch)
{
    (void)scratch;
    const hnas_window p = *window;
    for (int32_t row = 0; row < p.out_h; row++) {
        for (int32_t column = 0; column < p.out_w; column++, output += p.out_c) {
            struct pixels w = inside(&p, input, row, column);
            int32_t channel = 0;
            for (; channel + 4 <= p.out_c; channel += 4)
                average(4, &p, &w, channel, low, high, output);
            for (; channel < p.out_c; channel++)
                average(1, &p, &w, channel, low, high, output);
        }
    }
}

#if HNAS_DSP
/* Four signed maxima at once. */
HNAS_INLINE uint32_t max4(uint32_t a, uint32_t b)
{
    uint32_t difference, r;
    __asm__("ssub8 %0, %2, %3\n\tsel %1, %2, %3" : "=&r"(difference), "=r"(r) : "r"(a), "r"(b));
    return r;
}
#endif

HNAS_INLINE void largest(int32_t lanes, const hnas_window *p, const struct pixels *w,
                         int32_t channel, int32_t low, int32_t high, int8_t *y)
{
    int32_t most[4] = {-128, -128, -128, -128};
    const int8_t *x = w->first + channel;
#if HNAS_DSP
    uint32_t four = 0x80808080u;
#endif
    for (int32_t row = 0; row < w->rows; row++, x += p->in_w * p->in_c) {
        const int8_t *pixel = x;
        for (int32_t left = w->columns; left; left--, pixel += p->in_c) {
#if HNAS_DSP
            if (lanes == 4) {
                four = max4(four, hnas_load(pixel));
                continue;
            }
#endif
#pragma GCC unroll 4
            for (int32_t i = 0; i < lanes; i++)
                most[i] = hnas_max(most[i], pixel[i]);
        }
    }
#if HNAS_DSP
    if (lanes == 4)
        for (int32_t i = 0; i < 4; i++)
            most[i] = (int8_t)(four >> 8 * i);
#endif
#pragma GCC unroll 4
    for (int32_t i = 0; i < lanes; i++)
        y[channel + i] = (int8_t)hnas_clamp(most[i], low, high);
}

void hnas_max_pool(const hnas_window *window, int32_t low, int32_t high, const int8_t *input,
                   int8_t *output)
{
    const hnas_window p = *window;
    for (int32_t row = 0; row < p.out_h; row++) {
        for (int32_t column = 0; column < p.out_w; column++, output += p.out_c) {
            struct pixels w = inside(&p, input, row, column);
            int32_t channel = 0;
            for (; channel + 4 <= p.out_c; channel += 4)
                largest(4, &p, &w, channel, low, high, output);
            for (; channel < p.out_c; channel++)
                largest(1, &p, &w, channel, low, high, output);
        }
    }
}
