/* The router on the device: which images stay, and which are sent to the cloud.
 *
 * It reads what the base has computed: the int8 scores of the classes and the int8 features that the
 * classifier reads; an early router reads the int8 output of one operator before that. All of it is
 * in float32, in one order of operations, but for sums of int8 products, which are exact integers.
 * hybrid_nas/export/device_router.py does the same steps and agrees to the bit, provided that the
 * compiler keeps to IEEE 754: no -ffast-math, no x87; multiplications and additions are not fused
 * (hnas_router.c sees to that itself). No library function is called, no memory allocated. */
#ifndef HNAS_ROUTER_H
#define HNAS_ROUTER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the first layer reads (hnas_router.signals, any of them together). */
enum {
    HNAS_READS_STATS = 1,    /* 9 statistics of the scores; 8 where there are two classes */
    HNAS_READS_CLASS = 2,    /* the predicted class */
    HNAS_READS_SCORES = 4,   /* the scores themselves */
    HNAS_READS_FEATURES = 8, /* what the classifier reads */
    HNAS_READS_STAGE = 16    /* the mean over its pixels of an earlier operator's output */
};

/* What the send score is (hnas_router.score). */
enum {
    HNAS_MSP = 0,       /* 1 - p1; p1 >= p2 are the two largest class probabilities */
    HNAS_ENTROPY = 1,   /* in nats */
    HNAS_MARGIN = 2,    /* 1 - (p1 - p2) */
    HNAS_MAX_LOGIT = 3, /* minus the largest score */
    /* From here on of the last layer's outputs a and b: */
    HNAS_OUTPUT = 4,      /* a */
    HNAS_PROBABILITY = 5, /* 1 / (1 + e^-a) */
    HNAS_DIFFERENCE = 6   /* 1 / (1 + e^-a) - 1 / (1 + e^-b) */
};

/* A router. Its last layer has two outputs for HNAS_DIFFERENCE, one for the scores before it, none
 * for the confidences. The first layer has `hidden` units (ReLU), or is the last one where that
 * is 0.
 *
 * `weights` are those of the first layer: for each of its outputs, of what it reads, weights of all
 * classes (HNAS_READS_CLASS), all classes (SCORES), `width` features or channels (FEATURES, STAGE).
 *
 * `constants` are, for each output of the first layer, its bias, the weights of the statistics, and
 * the scale of each of the rows of weights above; then, if there is a hidden layer, for each output
 * of the last one its bias and the weights of the hidden units. */
typedef struct {
    uint8_t score;
    uint8_t signals;
    uint16_t hidden;
    int32_t classes;
    int32_t width;  /* features, or channels of the stage; 0 if neither is read */
    int32_t pixels; /* of the stage; 0 if it is not read */
    int32_t zero;   /* a score is scale * (int8 - zero) */
    float scale;
    const int8_t *weights;  /* NULL for a confidence */
    const float *constants; /* NULL for a confidence */
} hnas_router;

/* Bytes of scratch memory that a call needs. Their content means nothing between calls. */
uint32_t hnas_router_scratch(const hnas_router *router);

/* The send score of one image, finite: the higher, the sooner it goes to the cloud.
 *
 *   scores     int8 of the classes; not read by an early router (NULL)
 *   features   int8, `width` of them; read with HNAS_READS_FEATURES only
 *   stage      int8 [pixels][width]; read with HNAS_READS_STAGE only
 *   scratch    aligned to 4 bytes; NULL where hnas_router_scratch is 0 */
float hnas_send_score(const hnas_router *router, const int8_t *scores, const int8_t *features,
                      const int8_t *stage, void *scratch);

/* 1 if an image with this score is sent. */
int hnas_sent(float score, float threshold);

/* A threshold that follows its inputs, so that the share of images sent stays near
 * step_down / (step_up + step_down). In units of 2^-fraction_bits of a send score. */
typedef struct {
    int32_t threshold; /* to start with */
    int32_t step_up, step_down;
    int32_t low, high; /* scores are held within these */
    int32_t fraction_bits;
} hnas_rate_constants;

/* 1 if the image with this score is sent; moves `*threshold`, which starts as rate->threshold. */
int hnas_rate_decide(const hnas_rate_constants *rate, int32_t *threshold, float score);

#ifdef __cplusplus
}
#endif

#endif
