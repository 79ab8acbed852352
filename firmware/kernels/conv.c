/* Convolution: the window of an output pixel becomes a column, two columns at a time meet the
 * weights. */
#include "dot.h"

static int32_t products(const hnas_window *p)
{
    return p->kernel_h * p->kernel_w * p->in_c;
}

uint32_t hnas_conv_scratch(const hnas_window *p)
{
    /* Two columns, and the window's bytes before they are widened. */
    uint32_t n = (uint32_t)HNAS_COLUMN(products(p));
    return 2 * n * (uint32_t)sizeof(int16_t) + (p->kernel_h * p->kernel_w > 1 ? n : 0);
}

/* The window of output pixel (row, x) in one piece, with the zero point where it leaves the
 * image. */
static const int8_t *gather(const hnas_window *p, int32_t zero, const int8_t *input, int32_t row,
                            int32_t x, int8_t *bytes)
{
    int32_t left = x * p->stride - p->pad_left;
    int32_t top = row * p->stride - p->pad_top;
    int32_t inside_image = left >= 0 && left < p->in_w && top >= 0 && top < p->in_h;
    if (p->kernel_h == 1 && p->kernel_w == 1 && inside_image)
        return input + (top * p->in_w + left) * p->in_c;

    int32_t first = hnas_max(left, 0), last = hnas_min(left + p->kernel_w, p->in_w);
    int32_t line = p->kernel_w * p->in_c;
    int32_t before = (first - left) * p->in_c, inside = (last - first) * p->in_c;
    int8_t *to = bytes;
    for (int32_t y = top; y < top + p->kernel_h; y++, to += line) {
        if (y < 0 || y >= p->in_h || inside <= 0) {
            __builtin_memset(to, zero, (uint32_t)line);
            continue;
        }
        if (inside < line) {
            __builtin_memset(to, zero, (uint32_t)before);
            __builtin_memset(to + before + inside, zero, (uint32_t)(line - before - inside));
        }
        __builtin_memcpy(to + before, input + (y * p->in_w + first) * p->in_c, (uint32_t)inside);
    }
    return bytes;
}

void hnas_conv(const hnas_window *window, const hnas_requant *requant, const int8_t *input,
               const int8_t *weights, int8_t *output, void *scratch)
{
    int32_t n = products(window), out_c = window->out_c;
    int32_t left = window->out_h * window->out_w, column = 0;
    int16_t *columns = scratch;
    int8_t *bytes = (int8_t *)(columns + 2 * HNAS_COLUMN(n));

    for (int32_t row = 0; row < window->out_h; row++) {
        for (int32_t x = 0; x < window->out_w; x++, left--) {
            const int8_t *from = gather(window, -requant->input_offset, input, row, x, bytes);
            if (column == 0 && left == 1) {
                hnas_widen(from, n, requant->input_offset, columns, 4);
                hnas_dot_one(n, out_c, requant, weights, columns, output);
                return;
            }
            hnas_widen(from, n, requant->input_offset, columns + 4 * column, 8);
            if (column == 1) {
                hnas_dot_two(n, out_c, requant, weights, columns, output);
                output += 2 * out_c;
            }
            column = 1 - column;
        }
    }
}
