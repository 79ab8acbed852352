#include "op.h"

#include <stddef.h>

#include "text.h"

enum { MAX_SIZE = 65535, MAX_WINDOW = 255 };

static int lookup(const char *word, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (text_same(word, names[i]))
            return i;
    return -1;
}

static int is_pool(const struct op *op)
{
    return op->kind == OP_AVGPOOL || op->kind == OP_MAXPOOL;
}

/* The rules of docs/protocol.md. */
static int makes_sense(const struct op *op)
{
    if (op->kind != OP_CONV && op->kind != OP_DENSE && op->cin != op->cout)
        return 0;
    if (op->kind == OP_DENSE && (op->h != 1 || op->w != 1))
        return 0;
    if ((op->kind == OP_DENSE || op->kind == OP_ADD) &&
        (op->kernel != 1 || op->stride != 1 || op->padding != 0))
        return 0;
    if (op->kernel == 0)
        return is_pool(op) && op->padding == 0;
    int smaller = op->h < op->w ? op->h : op->w;
    return op->padding < op->kernel && op->kernel <= smaller + 2 * op->padding;
}

const char *op_parse(char **rest, struct op *op)
{
    static const char *const kinds[OP_KINDS] = {"conv", "dwconv",  "dense",
                                                "add",  "avgpool", "maxpool"};
    static const char *const activations[ACTIVATIONS] = {"none", "relu", "relu6"};
    static const int32_t least[7] = {1, 1, 1, 1, 0, 1, 0};
    int32_t size[7];

    const char *word = text_word(rest);
    if (word == NULL)
        return "ARGS";
    int kind = lookup(word, kinds, OP_KINDS);
    for (int i = 0; i < 7; i++)
        if (!text_number(text_word(rest), least[i], i < 4 ? MAX_SIZE : MAX_WINDOW, &size[i]))
            return "ARGS";
    word = text_word(rest);
    if (word == NULL)
        return "ARGS";
    int activation = lookup(word, activations, ACTIVATIONS);
    if (kind < 0 || activation < 0)
        return "OP";
    *op = (struct op){.kind = (uint8_t)kind,
                      .activation = (uint8_t)activation,
                      .h = (uint16_t)size[0],
                      .w = (uint16_t)size[1],
                      .cin = (uint16_t)size[2],
                      .cout = (uint16_t)size[3],
                      .kernel = (uint8_t)size[4],
                      .stride = (uint8_t)size[5],
                      .padding = (uint8_t)size[6]};
    return makes_sense(op) ? NULL : "ARGS";
}

hnas_window op_window(const struct op *op)
{
    hnas_window w = {.in_h = op->h,
                     .in_w = op->w,
                     .in_c = op->cin,
                     .out_h = 1,
                     .out_w = 1,
                     .out_c = op->cout,
                     .kernel_h = op->h,
                     .kernel_w = op->w,
                     .stride = 1};
    if (op->kernel != 0) {
        w.kernel_h = w.kernel_w = op->kernel;
        w.stride = op->stride;
        w.pad_top = w.pad_left = op->padding;
        w.out_h = (op->h + 2 * op->padding - op->kernel) / op->stride + 1;
        w.out_w = (op->w + 2 * op->padding - op->kernel) / op->stride + 1;
    }
    return w;
}

uint64_t op_in_bytes(const struct op *op)
{
    return (uint64_t)op->h * op->w * op->cin;
}

uint64_t op_out_bytes(const struct op *op)
{
    hnas_window w = op_window(op);
    return (uint64_t)(uint32_t)w.out_h * (uint32_t)w.out_w * op->cout;
}

uint32_t op_products(const struct op *op)
{
    uint32_t area = (uint32_t)op->kernel * op->kernel;
    switch (op->kind) {
    case OP_CONV: return area * op->cin;
    case OP_DWCONV: return area;
    case OP_DENSE: return op->cin;
    default: return 0;
    }
}

uint64_t op_weight_bytes(const struct op *op)
{
    return (uint64_t)op_products(op) * op->cout;
}

uint64_t op_work_bytes(const struct op *op)
{
    hnas_window w = op_window(op);
    uint64_t constants = (uint64_t)op->cout * 2 * sizeof(int32_t);
    switch (op->kind) {
    case OP_CONV: return constants + hnas_conv_scratch(&w);
    case OP_DWCONV: return constants + hnas_depthwise_scratch(&w);
    case OP_DENSE: return constants + hnas_dense_scratch(op->cin, op->cout);
    case OP_AVGPOOL: return hnas_pool_scratch(&w);
    default: return 0;
    }
}
