/* One operator, as a request names it. */
#ifndef HNAS_OP_H
#define HNAS_OP_H

#include <stdint.h>

#include "hnas_kernels.h"

enum op_kind { OP_CONV, OP_DWCONV, OP_DENSE, OP_ADD, OP_AVGPOOL, OP_MAXPOOL, OP_KINDS };
enum op_activation { ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_RELU6, ACTIVATIONS };

struct op {
    uint8_t kind, activation, kernel, stride, padding;
    uint16_t h, w, cin, cout;
};

enum { OP_WORDS = 9 };

/* Reads nine words. Returns NULL, or what is wrong with them: "OP" for a kind or activation that
 * there is no kernel for, "ARGS" for anything else. */
const char *op_parse(char **rest, struct op *op);

/* The window of an operator; sizes of its tensors in bytes. They may be more than any memory, but
 * fit: the largest operator that op_parse() accepts has less than 2^60 of anything. */
hnas_window op_window(const struct op *op);
uint64_t op_in_bytes(const struct op *op);
uint64_t op_out_bytes(const struct op *op);
uint64_t op_weight_bytes(const struct op *op);

/* Products in one output value. */
uint32_t op_products(const struct op *op);

/* Bytes of work memory: per-channel constants, then the kernel's scratch. */
uint64_t op_work_bytes(const struct op *op);

#endif
