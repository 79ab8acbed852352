/* Runs a stage patch by patch. */
#include "hnas_patches.h"

#include <stddef.h>

void hnas_patch_conv(const hnas_patch_op *op, const hnas_window *window, const int8_t *a,
                     int32_t a_line, const int8_t *b, int32_t b_line, int8_t *output)
{
    (void)a_line, (void)b, (void)b_line;
    hnas_conv(window, op->params, a, op->weights, output, op->scratch);
}

void hnas_patch_depthwise(const hnas_patch_op *op, const hnas_window *window, const int8_t *a,
                          int32_t a_line, const int8_t *b, int32_t b_line, int8_t *output)
{
    (void)a_line, (void)b, (void)b_line;
    hnas_depthwise(window, op->params, a, op->weights, output, op->scratch);
}

void hnas_patch_average_pool(const hnas_patch_op *op, const hnas_window *window, const int8_t *a,
                             int32_t a_line, const int8_t *b, int32_t b_line, int8_t *output)
{
    (void)a_line, (void)b, (void)b_line;
    hnas_average_pool(window, op->low, op->high, a, output, NULL);
}

void hnas_patch_max_pool(const hnas_patch_op *op, const hnas_window *window, const int8_t *a,
                         int32_t a_line, const int8_t *b, int32_t b_line, int8_t *output)
{
    (void)a_line, (void)b, (void)b_line;
    hnas_max_pool(window, op->low, op->high, a, output);
}

/* Row by row, because more may be in memory of an operand than the patch adds. */
void hnas_patch_add(const hnas_patch_op *op, const hnas_window *window, const int8_t *a,
                    int32_t a_line, const int8_t *b, int32_t b_line, int8_t *output)
{
    int32_t line = window->out_w * window->out_c;
    for (int32_t row = 0; row < window->out_h; row++, a += a_line, b += b_line, output += line)
        hnas_add(op->params, line, a, b, output);
}

static void copy_rows(int32_t rows, int32_t bytes, const int8_t *from, int32_t from_line,
                      int8_t *to, int32_t to_line)
{
    for (; rows > 0; rows--, from += from_line, to += to_line)
        __builtin_memcpy(to, from, (uint32_t)bytes);
}

/* What an operator reads along one axis for `out` of its output, and its padding before that;
 * `whole`: the axis is not cut. */
static hnas_span reads(const hnas_span *out, int32_t kernel, int32_t stride, int32_t size,
                       int32_t *pad, int32_t whole)
{
    int32_t first = out->start * stride - *pad;
    int32_t after = first + (out->count - 1) * stride + kernel;
    *pad = first < 0 ? -first : 0;
    if (first < 0)
        first = 0;
    if (after > size || whole)
        after = size;
    return (hnas_span){(int16_t)first, (int16_t)(after - first)};
}

/* `rows` and `columns`: what is in memory of every tensor. */
static void run_op(const hnas_stage *stage, const hnas_patch_op *op, const hnas_span *rows,
                   const hnas_span *columns, int32_t number, int8_t *output)
{
    hnas_window w = *op->window;
    hnas_span high = reads(&rows[number + 1], w.kernel_h, w.stride, w.in_h, &w.pad_top,
                           stage->n_rows == 1);
    hnas_span wide = reads(&columns[number + 1], w.kernel_w, w.stride, w.in_w, &w.pad_left,
                           stage->n_columns == 1);
    w.in_h = high.count;
    w.in_w = wide.count;
    w.out_h = rows[number + 1].count;
    w.out_w = columns[number + 1].count;

    int32_t operand[2] = {op->source, op->residual}, line[2] = {0, 0};
    const int8_t *read[2] = {NULL, NULL};
    for (int32_t i = 0; i < 2 && operand[i] >= 0; i++) {
        int32_t t = operand[i];
        line[i] = columns[t].count * w.in_c;
        read[i] = stage->tensors[t] + (high.start - rows[t].start) * line[i] +
                  (wide.start - columns[t].start) * w.in_c;
    }
    if (op->copy) {
        int32_t bytes = w.in_w * w.in_c;
        copy_rows(w.in_h, bytes, read[0], line[0], op->copy, bytes);
        read[0] = op->copy;
    }
    op->run(op, &w, read[0], line[0], read[1], line[1], output);
}

static void run_patch(const hnas_stage *stage, const hnas_span *rows, const hnas_span *columns)
{
    int32_t last = stage->n_ops - 1, pixel = stage->ops[last].window->out_c;
    int32_t line = stage->ops[last].window->out_w * pixel;
    hnas_span high = rows[last + 1], wide = columns[last + 1];
    int8_t *place = stage->output + high.start * line + wide.start * pixel;
    int8_t *made = stage->n_columns == 1 ? place : stage->tensors[last + 1];
    for (int32_t number = 0; number < last; number++)
        run_op(stage, &stage->ops[number], rows, columns, number, stage->tensors[number + 1]);
    run_op(stage, &stage->ops[last], rows, columns, last, made);
    if (made != place)
        copy_rows(high.count, wide.count * pixel, made, wide.count * pixel, place, line);
}

void hnas_run_stage(const hnas_stage *stage)
{
    int32_t tensors = stage->n_ops + 1;
    for (int32_t row = 0; row < stage->n_rows; row++)
        for (int32_t column = 0; column < stage->n_columns; column++)
            run_patch(stage, stage->rows + row * tensors, stage->columns + column * tensors);
}
