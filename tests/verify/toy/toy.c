/* Touches arena bytes 0 to 99 and 299, the last with 0x5A and 0xA5, the patterns of the painting.
 * Of its stack it uses the 256 bytes of an array. Scores are the image's bytes, as far as they
 * go. */
#include "hnas_model.h"

static int8_t hnas_arena[HNAS_ARENA_BYTES] __attribute__((aligned(16)));
static volatile uint8_t filled[40] = {1};
static const uint8_t ballast[2048] = {1}; /* flash that a limit can take away */

static __attribute__((noinline)) int deep(volatile uint8_t *bytes, int n)
{
    for (int i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i + filled[0]);
    return bytes[n - 1];
}

int hnas_run(const uint8_t *image, hnas_result *out)
{
    volatile uint8_t array[256];
    for (int i = 0; i < 100; i++)
        hnas_arena[i] = (int8_t)image[i];
    hnas_arena[298] = 0x5A;
    hnas_arena[299] = (int8_t)0xA5;
    for (int i = 0; i < HNAS_CLASSES; i++)
        out->scores[i] = i < HNAS_IMAGE_BYTES ? (int8_t)image[i] : -1;
    out->class_index = (int16_t)-image[0];
    out->sent = (image[1] & 1) | ballast[8 * image[0] + 1];
    out->send_score = (float)image[2] * 0.25f;
#ifdef HNAS_TRACE
    for (int i = 0; i < HNAS_OPS; i++)
        hnas_trace(i, hnas_arena, (uint32_t)(i + 1));
#endif
    return deep(array, 256) == 0 ? 0 : 7;
}
