/* A stand-in for an exported network, which touches memory in a known way. */
#ifndef HNAS_MODEL_H
#define HNAS_MODEL_H

#include <stdint.h>

#define HNAS_IMAGE_HEIGHT 5
#define HNAS_IMAGE_WIDTH 7
#define HNAS_IMAGE_CHANNELS 3
#define HNAS_IMAGE_BYTES 105
#define HNAS_CLASSES 130
#define HNAS_OPS 12
#define HNAS_ARENA_BYTES 400

typedef struct {
    int16_t class_index;
    uint8_t sent;
    float send_score;
    int8_t scores[HNAS_CLASSES];
} hnas_result;

int hnas_run(const uint8_t *image, hnas_result *out);
#ifdef HNAS_TRACE
void hnas_trace(int op_index, const int8_t *output, uint32_t bytes);
#endif

#endif
