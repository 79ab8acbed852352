/* The send score and the decision. Every step here has its twin in
 * hybrid_nas/export/device_router.py and the modules beside it; neither changes without the other. */
#include "hnas_router.h"

#include <stddef.h>

#ifdef __FAST_MATH__
#error "-ffast-math changes scores: compile hnas_router.c without it"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "float expressions are wider than float here: compile hnas_router.c with SSE, not x87"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* ln 2 in two parts: the first has few bits, so that its small multiples are exact. */
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define LOG2_E 0x1.715476p+0f
#define SQRT_HALF_BITS 0x3f3504f3

/* Log-odds beyond this are all the same to a router; signals.LOG_ODDS_BOUND. */
#define LOG_ODDS_BOUND 12.0f
#define LEAST_REST 0x1.0p-18f /* its log-odds are beyond the bound */

static int32_t bits_of(float x)
{
    int32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(int32_t bits)
{
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^-x for x >= 0; 0 where the result would no longer be normal. */
static float exp_minus(float x)
{
    if (x > 86.0f)
        return 0.0f;
    int32_t halvings = (int32_t)(x * LOG2_E + 0.5f);
    float n = (float)halvings;
    float r = (n * LN2_HIGH - x) + n * LN2_LOW;
    float p = 0x1.6d44b6p-10f;
    p = p * r + 0x1.120cbep-7f;
    p = p * r + 0x1.5554e8p-5f;
    p = p * r + 0x1.5554dcp-3f;
    p = p * r + 0.5f;
    p = (p * r) * r + r;
    return (p + 1.0f) * float_of((127 - halvings) * (1 << 23));
}

/* ln x for positive normal x. */
static float log_of(float x)
{
    int32_t exponent = (bits_of(x) - SQRT_HALF_BITS) >> 23;
    float f = float_of(bits_of(x) - exponent * (1 << 23)) - 1.0f;
    float n = (float)exponent;
    float s = f / (2.0f + f);
    float z = s * s;
    float p = 0x1.2ee9a6p-3f;
    p = p * z + 0x1.997c18p-3f;
    p = p * z + 0x1.55555cp-2f;
    float twice = s + s;
    return n * LN2_HIGH + (twice + ((twice * z) * p + n * LN2_LOW));
}

/* ln (1 + x) for x >= 0, also where 1 + x is rounded. */
static float log1p_of(float x)
{
    float sum = 1.0f + x;
    if (sum == 1.0f)
        return x;
    return log_of(sum) * (x / (sum - 1.0f));
}

/* The square root of x: 0, or positive and normal. */
static float sqrt_of(float x)
{
    if (x == 0.0f)
        return 0.0f;
    float half = 0.5f * x;
    float y = float_of(0x5f375a86 - (bits_of(x) >> 1));
    for (int i = 0; i < 3; i++)
        y = y * (1.5f - (half * y) * y);
    return x * y;
}

static float sigmoid(float x)
{
    float e = exp_minus(x < 0.0f ? -x : x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* The scores, as integers: the predicted class, the three largest, and sums for their spread. */
struct ranked {
    int32_t best, first, second, third;
    int32_t sum;
    int64_t squares;
};

static struct ranked rank(const hnas_router *router, const int8_t *scores)
{
    struct ranked r = {.best = 0, .first = -129, .second = -129, .third = -129,
                       .sum = 0, .squares = 0};
    for (int32_t i = 0; i < router->classes; i++) {
        int32_t q = scores[i];
        r.sum += q;
        r.squares += q * q;
        if (q > r.first) {
            r.third = r.second, r.second = r.first, r.first = q;
            r.best = i;
        } else if (q > r.second) {
            r.third = r.second, r.second = q;
        } else if (q > r.third) {
            r.third = q;
        }
    }
    return r;
}

/* How far a score is below the largest one. */
static float below(const hnas_router *router, const struct ranked *r, int32_t q)
{
    return (float)(r->first - q) * router->scale;
}

/* Class probabilities, all multiplied by `total`, which makes the largest 1. */
struct spread {
    float rest;     /* sum of all but the largest */
    float total;    /* 1 + rest */
    float second;   /* the second largest */
    float distance; /* sum of each times its score's distance from the largest */
};

static struct spread spread(const hnas_router *router, const struct ranked *r,
                            const int8_t *scores)
{
    struct spread s = {.rest = 0.0f, .total = 1.0f, .second = 1.0f, .distance = 0.0f};
    for (int32_t i = 0; i < router->classes; i++) {
        if (i == r->best)
            continue;
        float x = below(router, r, scores[i]);
        float e = exp_minus(x);
        s.rest = s.rest + e;
        s.distance = s.distance + e * x;
    }
    s.total = 1.0f + s.rest;
    s.second = exp_minus(below(router, r, r->second));
    return s;
}

static float entropy(const struct spread *s)
{
    return log1p_of(s->rest) + s->distance / s->total;
}

static float confidence(const hnas_router *router, const int8_t *scores)
{
    struct ranked r = rank(router, scores);
    if (router->score == HNAS_MAX_LOGIT)
        return -((float)(r.first - router->zero) * router->scale);
    struct spread s = spread(router, &r, scores);
    if (router->score == HNAS_ENTROPY)
        return entropy(&s);
    return (router->score == HNAS_MARGIN ? s.rest + s.second : s.rest) / s.total;
}

static int32_t count_stats(const hnas_router *router)
{
    if (!(router->signals & HNAS_READS_STATS))
        return 0;
    return router->classes > 2 ? 9 : 8;
}

/* signals._stats, in its order. */
static void statistics(const hnas_router *router, const struct ranked *r, const int8_t *scores,
                       float *stats)
{
    struct spread s = spread(router, r, scores);
    float least = s.rest > LEAST_REST ? s.rest : LEAST_REST;
    float certainty = -log_of(least);
    float gap = below(router, r, r->second);
    float highest = (float)(r->first - router->zero) * router->scale;
    float n = (float)router->classes;
    float variance = (float)(router->classes * r->squares - (int64_t)r->sum * r->sum);
    *stats++ = certainty < LOG_ODDS_BOUND ? certainty : LOG_ODDS_BOUND;
    *stats++ = entropy(&s);
    *stats++ = 1.0f / s.total;
    *stats++ = s.second / s.total;
    if (router->classes > 2)
        *stats++ = exp_minus(below(router, r, r->third)) / s.total;
    *stats++ = gap < LOG_ODDS_BOUND ? gap : LOG_ODDS_BOUND;
    *stats++ = highest;
    *stats++ = highest + log1p_of(s.rest);
    *stats++ = (sqrt_of(variance) / n) * router->scale;
}

/* Sums over the pixels of each channel. */
static void pool(const hnas_router *router, const int8_t *stage, int32_t *sums)
{
    for (int32_t channel = 0; channel < router->width; channel++, stage++) {
        const int8_t *x = stage;
        int32_t sum = 0;
        for (int32_t left = router->pixels; left; left--, x += router->width)
            sum += *x;
        sums[channel] = sum;
    }
}

static int32_t dot(const int8_t *weights, const int8_t *x, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += weights[i] * x[i];
    return sum;
}

static int64_t dot_sums(const int8_t *weights, const int32_t *x, int32_t count)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += (int64_t)weights[i] * x[i];
    return sum;
}

/* sum + x[0] * w[0] + x[1] * w[1] ..., in this order. */
static float add_products(float sum, const float *x, const float *w, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        sum = sum + x[i] * w[i];
    return sum;
}

/* What the first layer reads beside int8 tensors, and its weights that come next. */
struct first {
    const int8_t *scores, *features;
    const float *stats;
    const int32_t *sums;
    int32_t best;
    const int8_t *weights;
    const float *constants;
};

/* The next output of the first layer. */
static float unit(const hnas_router *router, struct first *f)
{
    const int32_t n_stats = count_stats(router);
    const int8_t *w = f->weights;
    const float *c = f->constants;
    float y = add_products(c[0], f->stats, c + 1, n_stats);
    c += 1 + n_stats;
    if (router->signals & HNAS_READS_CLASS) {
        y = y + (float)w[f->best] * *c++;
        w += router->classes;
    }
    if (router->signals & HNAS_READS_SCORES) {
        y = y + (float)dot(w, f->scores, router->classes) * *c++;
        w += router->classes;
    }
    if (router->signals & HNAS_READS_FEATURES) {
        y = y + (float)dot(w, f->features, router->width) * *c++;
        w += router->width;
    }
    if (router->signals & HNAS_READS_STAGE) {
        y = y + (float)dot_sums(w, f->sums, router->width) * *c++;
        w += router->width;
    }
    f->weights = w;
    f->constants = c;
    return y;
}

uint32_t hnas_router_scratch(const hnas_router *router)
{
    int32_t sums = router->signals & HNAS_READS_STAGE ? router->width : 0;
    return 4u * (uint32_t)(sums + count_stats(router) + router->hidden);
}

float hnas_send_score(const hnas_router *router, const int8_t *scores, const int8_t *features,
                      const int8_t *stage, void *scratch)
{
    if (router->score < HNAS_OUTPUT)
        return confidence(router, scores);

    struct first f = {.scores = scores, .features = features, .stats = NULL, .sums = NULL,
                      .best = 0, .weights = router->weights, .constants = router->constants};
    /* An early router pools a stage, any other may have statistics: no design has both. */
    uint8_t *memory = scratch;
    if (router->signals & HNAS_READS_STAGE) {
        pool(router, stage, scratch);
        f.sums = scratch;
        memory += 4 * router->width;
    } else if (router->signals & (HNAS_READS_STATS | HNAS_READS_CLASS)) {
        struct ranked r = rank(router, scores);
        f.best = r.best;
        if (router->signals & HNAS_READS_STATS) {
            statistics(router, &r, scores, scratch);
            f.stats = scratch;
            memory += 4 * count_stats(router);
        }
    }

    const int32_t hidden = router->hidden;
    float *units = (float *)(void *)memory;
    for (int32_t i = 0; i < hidden; i++) {
        float y = unit(router, &f);
        units[i] = y > 0.0f ? y : 0.0f;
    }
    float out[2] = {0.0f, 0.0f};
    for (int i = 0; i < (router->score == HNAS_DIFFERENCE ? 2 : 1); i++) {
        if (hidden) {
            out[i] = add_products(f.constants[0], units, f.constants + 1, hidden);
            f.constants += 1 + hidden;
        } else {
            out[i] = unit(router, &f);
        }
    }
    if (router->score == HNAS_OUTPUT)
        return out[0];
    if (router->score == HNAS_PROBABILITY)
        return sigmoid(out[0]);
    return sigmoid(out[0]) - sigmoid(out[1]);
}

int hnas_sent(float score, float threshold)
{
    return score > threshold;
}

/* A score in units of 2^-fraction_bits, halves to even, held between low and high. */
static int32_t fixed(const hnas_rate_constants *rate, float score)
{
    const int32_t bits = bits_of(score);
    int32_t exponent = (bits >> 23) & 0xff;
    int64_t units = bits & 0x7fffff;
    if (exponent)
        units += 1 << 23;
    else
        exponent = 1;
    int32_t shift = exponent - 150 + rate->fraction_bits;
    if (shift >= 0) {
        units <<= shift < 38 ? shift : 38; /* far beyond `high` then */
    } else {
        int32_t right = shift > -32 ? -shift : 32;
        int64_t half = INT64_C(1) << (right - 1);
        int64_t odd = (units >> right) & 1;
        units = (units + half - 1 + odd) >> right;
    }
    if (bits < 0)
        units = -units;
    if (units < rate->low)
        return rate->low;
    return units > rate->high ? rate->high : (int32_t)units;
}

int hnas_rate_decide(const hnas_rate_constants *rate, int32_t *threshold, float score)
{
    int sent = fixed(rate, score) > *threshold;
    *threshold += sent ? rate->step_up : -rate->step_down;
    return sent;
}
