/* Depthwise convolution, up to four channels at a time: the rows under the window are kept channel
 * by channel, as int16 with the input offset added, in a ring of kernel_h rows. Neighbours in a row
 * are then neighbours in memory, which is what SMLAD wants.
 *
 * No input is read after an output was written in its place: `output` may be `input` where the
 * image gets no larger (out_h <= in_h, out_w <= in_w). */
#include "arith.h"
#include "hnas_kernels.h"

#define LANES 4

/* What the outputs of one row in one channel need. */
struct line {
    const int16_t *ring;    /* rows of the channel */
    const int32_t *row;     /* where each kernel row's input row is in the ring */
    const int16_t *weights; /* of the channel, rows of an even length */
    int32_t kernel_h, kernel_w, stride;
    int32_t out_w, out_c;
    hnas_factor factor;
    int32_t bias, output_offset, low, high;
};

HNAS_INLINE int32_t even(int32_t n)
{
    return (n + 1) & ~INT32_C(1);
}

/* Input columns under the window on its way through a row, padding included. */
static int32_t padded_w(const hnas_window *p)
{
    return (p->out_w - 1) * p->stride + p->kernel_w;
}

/* int16 of a ring row; one more than needed, because windows of odd width are read in pairs. */
static int32_t row_length(const hnas_window *p)
{
    return even(padded_w(p) + 1);
}

uint32_t hnas_depthwise_scratch(const hnas_window *p)
{
    int32_t elements = p->kernel_h * (row_length(p) + even(p->kernel_w));
    return (uint32_t)p->kernel_h * (uint32_t)sizeof(int32_t) +
           LANES * (uint32_t)elements * (uint32_t)sizeof(int16_t);
}

/* sum[o] += products of one kernel row, for `outputs` neighbours in a row of outputs. */
HNAS_INLINE void row_sums(int32_t outputs, int32_t kernel_w, int32_t stride, const int16_t *x,
                          const int16_t *w, int32_t *sum)
{
#if HNAS_DSP
#pragma GCC unroll 4
    for (int32_t i = 0; i < kernel_w; i += 2) {
        uint32_t pair = hnas_load(w + i);
#pragma GCC unroll 4
        for (int32_t o = 0; o < outputs; o++)
            sum[o] = hnas_smlad(hnas_load(x + i + o * stride), pair, sum[o]);
    }
#else
#pragma GCC unroll 7
    for (int32_t i = 0; i < kernel_w; i++) {
        int32_t weight = w[i];
#pragma GCC unroll 4
        for (int32_t o = 0; o < outputs; o++) {
            sum[o] += weight * x[i + o * stride];
            HNAS_SETTLE(sum[o]);
        }
    }
#endif
}

/* `outputs` neighbours, from `first` on. */
HNAS_INLINE void neighbours(int32_t outputs, int32_t kernel_h, int32_t kernel_w, int32_t stride,
                            const struct line *l, int32_t first, int8_t *y)
{
    int32_t sum[4] = {l->bias, l->bias, l->bias, l->bias};
    const int16_t *x = l->ring + first * stride, *w = l->weights;
    const int32_t *row = l->row;
    for (const int32_t *end = row + kernel_h; row != end; w += even(kernel_w))
        row_sums(outputs, kernel_w, stride, x + *row++, w, sum);
    hnas_factor factor = l->factor;
#pragma GCC unroll 4
    for (int32_t o = 0; o < outputs; o++)
        sum[o] = hnas_rescale(sum[o], factor);
    int32_t zero = l->output_offset, low = l->low - zero, high = l->high - zero;
    int32_t out_c = l->out_c;
    y += first * out_c;
#pragma GCC unroll 4
    for (int32_t o = 0; o < outputs; o++, y += out_c)
        *y = (int8_t)(hnas_clamp(sum[o], low, high) + zero);
}

/* A row of outputs; kernel and stride are constants where this is inlined. */
HNAS_INLINE void fixed_line(int32_t kernel, int32_t stride, const struct line *l, int8_t *y)
{
    int32_t o = 0;
    for (; o + 4 <= l->out_w; o += 4)
        neighbours(4, kernel, kernel, stride, l, o, y);
    if (o + 2 <= l->out_w) {
        neighbours(2, kernel, kernel, stride, l, o, y);
        o += 2;
    }
    if (o < l->out_w)
        neighbours(1, kernel, kernel, stride, l, o, y);
}

static void any_line(const struct line *l, int8_t *y)
{
    for (int32_t o = 0; o < l->out_w; o++)
        neighbours(1, l->kernel_h, l->kernel_w, l->stride, l, o, y);
}

#define FIXED_LINE(kernel, stride)                                             \
    static void line_##kernel##_##stride(const struct line *l, int8_t *y)     \
    {                                                                          \
        fixed_line(kernel, stride, l, y);                                      \
    }
FIXED_LINE(3, 1)
FIXED_LINE(3, 2)
FIXED_LINE(5, 1)
FIXED_LINE(5, 2)
FIXED_LINE(7, 1)
FIXED_LINE(7, 2)

typedef void line_function(const struct line *l, int8_t *y);

static line_function *choose_line(const hnas_window *p)
{
    static line_function *const fixed[3][2] = {
        {line_3_1, line_3_2}, {line_5_1, line_5_2}, {line_7_1, line_7_2}};
    int32_t k = p->kernel_w;
    if (p->kernel_h != k || (k != 3 && k != 5 && k != 7) || p->stride > 2)
        return any_line;
    return fixed[(k - 3) / 2][p->stride - 1];
}

/* One row of the image into one row of the ring, `plane` int16 between channels. */
static void spread(int32_t lanes, int32_t pixels, int32_t channels, int32_t offset, const int8_t *x,
                   int16_t *to, int32_t plane)
{
    if (lanes == LANES) {
        for (int16_t *end = to + pixels; to != end; to++, x += channels) {
#if HNAS_DSP
            uint32_t word = hnas_load(x), offsets = (uint32_t)(uint16_t)offset * 0x10001u;
            uint32_t even_bytes = hnas_extend_even(offsets, word);
            uint32_t odd_bytes = hnas_extend_odd(offsets, word);
            to[0] = (int16_t)even_bytes;
            to[plane] = (int16_t)odd_bytes;
            to[2 * plane] = (int16_t)(even_bytes >> 16);
            to[3 * plane] = (int16_t)(odd_bytes >> 16);
#else
            to[0] = (int16_t)(x[0] + offset);
            to[plane] = (int16_t)(x[1] + offset);
            to[2 * plane] = (int16_t)(x[2] + offset);
            to[3 * plane] = (int16_t)(x[3] + offset);
#endif
        }
        return;
    }
    for (int32_t i = 0; i < pixels; i++, x += channels)
        for (int32_t lane = 0; lane < lanes; lane++)
            to[lane * plane + i] = (int16_t)(x[lane] + offset);
}

/* Weights of the lanes, channel by channel, in rows of an even length: an image that is spread. */
static void pack_weights(const hnas_window *p, int32_t lanes, const int8_t *weights, int16_t *to)
{
    int32_t width = even(p->kernel_w), plane = p->kernel_h * width;
    __builtin_memset(to, 0, (uint32_t)(lanes * plane) * sizeof(int16_t));
    for (int32_t row = 0; row < p->kernel_h; row++, to += width, weights += p->kernel_w * p->out_c)
        spread(lanes, p->kernel_w, p->out_c, 0, weights, to, plane);
}

/* Brings the rows under the window, whose uppermost is `top` (padding included), into the ring.
 * `next` is the first row that is not there yet; returns the new one. */
static int32_t fill_ring(const hnas_window *p, int32_t offset, int32_t lanes, int32_t top,
                         int32_t next, const int8_t *input, int16_t *ring)
{
    int32_t length = row_length(p), plane = p->kernel_h * length;
    int32_t columns = hnas_min(p->in_w, padded_w(p) - p->pad_left);
    for (next = hnas_max(next, top); next < top + p->kernel_h; next++) {
        int32_t y = next - p->pad_top;
        int16_t *to = ring + next % p->kernel_h * length;
        if (y >= 0 && y < p->in_h) {
            spread(lanes, columns, p->in_c, offset, input + y * p->in_w * p->in_c, to + p->pad_left,
                   plane);
        } else {
            for (int32_t lane = 0; lane < lanes; lane++)
                __builtin_memset(to + lane * plane, 0, (uint32_t)length * sizeof(int16_t));
        }
    }
    return next;
}

/* Up to four channels from `channel` on. */
static void lanes_of(const hnas_window *p, const hnas_requant *q, line_function *line,
                     int32_t channel, int32_t lanes, const int8_t *input, const int8_t *weights,
                     int8_t *output, void *scratch)
{
    int32_t length = row_length(p), plane = p->kernel_h * length;
    int32_t *row = scratch;
    int16_t *ring = (int16_t *)(row + p->kernel_h);
    int16_t *packed = ring + LANES * plane;
    struct line l[LANES];

    pack_weights(p, lanes, weights + channel, packed);
    for (int32_t lane = 0; lane < lanes; lane++) {
        int32_t c = channel + lane;
        l[lane] = (struct line){
            .ring = ring + lane * plane,
            .row = row,
            .weights = packed + lane * p->kernel_h * even(p->kernel_w),
            .kernel_h = p->kernel_h,
            .kernel_w = p->kernel_w,
            .stride = p->stride,
            .out_w = p->out_w,
            .out_c = p->out_c,
            .factor = hnas_factor_of(q->scale[c]),
            .bias = q->bias ? q->bias[c] : 0,
            .output_offset = q->output_offset,
            .low = q->low,
            .high = q->high,
        };
    }
    __builtin_memset(ring, 0, (uint32_t)(lanes * plane) * sizeof(int16_t));
    for (int32_t y = 0, top = 0, next = 0; y < p->out_h; y++, top += p->stride) {
        next = fill_ring(p, q->input_offset, lanes, top, next, input + channel, ring);
        for (int32_t i = 0, slot = top % p->kernel_h; i < p->kernel_h; i++) {
            row[i] = slot * length;
            slot = slot + 1 == p->kernel_h ? 0 : slot + 1;
        }
        for (int32_t lane = 0; lane < lanes; lane++)
            line(&l[lane], output + y * p->out_w * p->out_c + channel + lane);
    }
}

void hnas_depthwise(const hnas_window *window, const hnas_requant *requant, const int8_t *input,
                    const int8_t *weights, int8_t *output, void *scratch)
{
    line_function *line = choose_line(window);
    for (int32_t channel = 0; channel < window->out_c; channel += LANES)
        lanes_of(window, requant, line, channel, hnas_min(LANES, window->out_c - channel), input,
                 weights, output, scratch);
}
