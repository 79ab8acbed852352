/* Patch-based inference: the first operators of a network, its stage, run for one patch of the
 * stage's last output after the other (docs/patches.md). Tables say what a patch needs of every
 * tensor; the kernels are those that run whole images. Outputs are the same to the bit. */
#ifndef HNAS_PATCHES_H
#define HNAS_PATCHES_H

#include <stdint.h>

#include "hnas_kernels.h"

/* What is in memory of a tensor along one axis. */
typedef struct {
    int16_t start, count;
} hnas_span;

typedef struct hnas_patch_op hnas_patch_op;

/* Runs an operator: `window` is the patch's, `a` and `b` point at what it reads first, their rows
 * `a_line` and `b_line` bytes apart; `a` is in one piece where the operator has a window. */
typedef void hnas_patch_run(const hnas_patch_op *op, const hnas_window *window, const int8_t *a,
                            int32_t a_line, const int8_t *b, int32_t b_line, int8_t *output);

hnas_patch_run hnas_patch_conv, hnas_patch_depthwise, hnas_patch_add, hnas_patch_average_pool,
    hnas_patch_max_pool;

/* An operator. Tensor 0 is the image, tensor t + 1 the output of operator t. */
struct hnas_patch_op {
    hnas_patch_run *run;
    const hnas_window *window; /* of the whole image; of an addition, one of a pixel */
    const void *params;        /* hnas_requant, hnas_add_params, or nothing */
    const int8_t *weights;
    void *scratch;
    int8_t *copy; /* where its part of the operand is copied if it is not in one piece */
    int16_t source, residual; /* operands; residual -1 for none */
    int16_t low, high;        /* clamp of a pool */
};

/* A stage. */
typedef struct {
    const hnas_patch_op *ops;
    int8_t *const *tensors;   /* where the image and each operator's output of a patch are */
    const hnas_span *rows;    /* of every tensor, for the first row of patches, then the second */
    const hnas_span *columns; /* the same for columns */
    int8_t *output;           /* the whole last output; if there is one column of patches, they are
                                 written there, and the last of `tensors` is not used */
    int16_t n_ops, n_rows, n_columns;
} hnas_stage;

void hnas_run_stage(const hnas_stage *stage);

#endif
