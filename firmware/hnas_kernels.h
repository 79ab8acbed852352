/* int8 kernels for microcontrollers: the interface between code that runs a network and the library
 * that computes it. firmware/kernels/ implements it in C; a vendor's library can stand in its place
 * (docs/firmware.md).
 *
 * Tensors are int8, channels last (height, width, channel), batch size 1. Arithmetic is XNNPACK's
 * for int8, which LiteRT runs by default, and that of onnxruntime's integer convolutions:
 *
 *   accumulator[c] = bias[c] + sum of (x + input_offset) * w
 *   y = clamp(round((float)accumulator * scale[c]) + output_offset)
 *
 * in float32, where round() takes halves to even. The kernels here give the same to the bit on cores
 * with a floating-point unit and, in integers, on those without.
 *
 * Outside the image x + input_offset is 0. A window must touch the image somewhere. The output may
 * not overlap the input, except where a function says so. Nothing needs an alignment except
 * `scratch` (4 bytes). */
#ifndef HNAS_KERNELS_H
#define HNAS_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A window that slides over an image. Padding at the bottom and right follows from the sizes. */
typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride;
    int32_t pad_top, pad_left;
} hnas_window;

/* From int32 accumulators to int8. */
typedef struct {
    int32_t input_offset;      /* minus the input's zero point, -127 to 128 */
    int32_t output_offset;     /* the output's zero point */
    int32_t low, high;         /* clamp: the fused activation */
    const float *scale;        /* at least 0, below 2^8; one per output channel */
    const int32_t *bias;       /* one per output channel, or NULL */
} hnas_requant;

/* Addition: y = clamp(((a * a_multiplier + b * b_multiplier + bias) >> shift) + output_offset).
 * Multipliers are the operands' scales over the output's, times 2^shift, at most 2^21; `bias` is what
 * the zero points come to, and the half that rounds. shift is 1 to 30. */
typedef struct {
    int32_t a_multiplier, b_multiplier;
    int32_t bias, shift;
    int32_t output_offset;
    int32_t low, high;
} hnas_add_params;

/* Bytes of scratch memory that a call needs. Their content means nothing between calls. */
uint32_t hnas_conv_scratch(const hnas_window *window);
uint32_t hnas_depthwise_scratch(const hnas_window *window);
uint32_t hnas_dense_scratch(int32_t in_c, int32_t out_c);
uint32_t hnas_pool_scratch(const hnas_window *window);

/* Convolution; weights[out_c][kernel_h][kernel_w][in_c]. */
void hnas_conv(const hnas_window *window, const hnas_requant *requant, const int8_t *input,
               const int8_t *weights, int8_t *output, void *scratch);

/* Depthwise convolution; in_c == out_c, weights[kernel_h][kernel_w][out_c]. `output` may be `input`
 * where the image gets no larger. */
void hnas_depthwise(const hnas_window *window, const hnas_requant *requant, const int8_t *input,
                    const int8_t *weights, int8_t *output, void *scratch);

/* Matrix-vector product; weights[out_c][in_c]. */
void hnas_dense(int32_t in_c, int32_t out_c, const hnas_requant *requant, const int8_t *input,
                const int8_t *weights, int8_t *output, void *scratch);

/* Element by element; `output` may be `a` or `b`. */
void hnas_add(const hnas_add_params *params, int32_t count, const int8_t *a, const int8_t *b,
              int8_t *output);

/* Mean of a window's pixels inside the image, halves away from zero; input and output share their
 * scale. in_c == out_c. */
void hnas_average_pool(const hnas_window *window, int32_t low, int32_t high, const int8_t *input,
                       int8_t *output, void *scratch);

/* Largest of a window's pixels inside the image. in_c == out_c. */
void hnas_max_pool(const hnas_window *window, int32_t low, int32_t high, const int8_t *input,
                   int8_t *output);

#ifdef __cplusplus
}
#endif

#endif
