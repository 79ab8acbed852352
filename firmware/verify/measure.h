/* Runs the exported network as an application would, and looks at what it leaves in memory. */
#ifndef HNAS_VERIFY_MEASURE_H
#define HNAS_VERIFY_MEASURE_H

#include <stdint.h>

#include "hnas_model.h"

enum { IMAGE_BYTES = HNAS_IMAGE_HEIGHT * HNAS_IMAGE_WIDTH * HNAS_IMAGE_CHANNELS };

/* What an operator took and wrote. */
struct op_record {
    uint32_t ticks, crc;
};

/* What a run did. */
struct run_record {
    uint32_t ticks;
    int32_t status; /* as hnas_run() returns it */
    hnas_result result;
    struct op_record ops[HNAS_OPS]; /* zero where the network was built without HNAS_TRACE */
};

/* Bytes of memory, found by painting. `high` counts from where use starts: the arena's first byte,
 * the stack's top. */
struct memory_record {
    uint32_t arena_bytes, arena_touched, arena_high;
    uint32_t stack_bytes, stack_high;
    uint32_t data_bytes, bss_bytes; /* by the linker's symbols; bss holds the arena */
};

/* One run; `traced` also records each operator, which makes the whole take longer. */
void measure_run(const uint8_t image[IMAGE_BYTES], int traced, struct run_record *record);

/* A run that copies the output of operator `op` to `copy`; returns its bytes, 0 if they are more than
 * `room` or the network was built without HNAS_TRACE. */
uint32_t measure_output(const uint8_t image[IMAGE_BYTES], int32_t op, int8_t *copy, uint32_t room);

/* Two runs over two patterns, so that no byte passes for untouched because it equals one of them. */
void measure_memory(const uint8_t image[IMAGE_BYTES], struct memory_record *record);

#endif
