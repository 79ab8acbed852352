#include "measure.h"

#include <stddef.h>

#include "board.h"
#include "crc32.h"

/* From link.ld. The network's stack is its own, in the memory that it is planned for; this program
 * has another one elsewhere. */
extern uint8_t __arena_start[], __arena_end[], __stack_start[], __network_stack_top[];
extern uint8_t __data_start[], __data_end[], __bss_start[], __bss_end[];

/* Complements: what hides under one pattern shows under the other. */
static const uint8_t patterns[2] = {0xA5, 0x5A};

static struct run_record *tracing; /* where operators are recorded; NULL: nowhere */

/* The operator whose output is wanted; -1: none. */
static struct {
    int32_t op;
    int8_t *copy;
    uint32_t room, bytes;
} wanted = {.op = -1};

/* --- running --------------------------------------------------------------------------------- */

/* hnas_run() with the stack pointer at `top`; the caller's is kept in a register that calls
 * preserve. */
__attribute__((naked, noinline)) static int run_on(void *top, const uint8_t *image,
                                                   hnas_result *result)
{
    (void)top, (void)image, (void)result;
    __asm__("push {r4, lr}\n\t"
            "mov r4, sp\n\t"
            "mov sp, r0\n\t"
            "mov r0, r1\n\t"
            "mov r1, r2\n\t"
            "ldr r3, =hnas_run\n\t"
            "blx r3\n\t"
            "mov sp, r4\n\t"
            "pop {r4, pc}\n\t"
            ".pool");
}

/* Called by a network built with HNAS_TRACE, after each operator. */
void hnas_trace(int op_index, const int8_t *output, uint32_t bytes)
{
    uint32_t ticks = board_timer_ticks();
    if (op_index == wanted.op && bytes <= wanted.room) {
        __builtin_memcpy(wanted.copy, output, bytes);
        wanted.bytes = bytes;
    }
    if (tracing == NULL)
        return;
    tracing->ops[op_index] = (struct op_record){ticks, crc32(output, bytes)};
    board_timer_start();
}

void measure_run(const uint8_t image[IMAGE_BYTES], int traced, struct run_record *record)
{
    __builtin_memset(record, 0, sizeof *record);
    tracing = traced ? record : NULL;
    board_prepare_run();
    board_timer_start();
    record->status = run_on(__network_stack_top, image, &record->result);
    record->ticks = board_timer_ticks();
}

uint32_t measure_output(const uint8_t image[IMAGE_BYTES], int32_t op, int8_t *copy, uint32_t room)
{
    static struct run_record unused;
    wanted.op = op;
    wanted.copy = copy;
    wanted.room = room;
    wanted.bytes = 0;
    measure_run(image, 0, &unused);
    wanted.op = -1;
    return wanted.bytes;
}

/* --- painting -------------------------------------------------------------------------------- */

static void paint(uint8_t *from, const uint8_t *to, uint8_t pattern)
{
    for (volatile uint8_t *p = from; p != to; p++)
        *p = pattern;
}

/* Bytes that differ from what was painted; `*first` and `*end` are widened to hold them all. A byte
 * that equals `other` is counted in `*hidden`: the next run, painted in it, will not show it. */
static uint32_t scan(const uint8_t *from, const uint8_t *to, uint8_t pattern, uint8_t other,
                     const uint8_t **first, const uint8_t **end, uint32_t *hidden)
{
    uint32_t touched = 0;
    for (const volatile uint8_t *p = from; p != to; p++) {
        uint8_t byte = *p;
        if (byte == pattern)
            continue;
        touched++;
        *hidden += byte == other;
        if ((const uint8_t *)p < *first)
            *first = (const uint8_t *)p;
        if ((const uint8_t *)p >= *end)
            *end = (const uint8_t *)p + 1;
    }
    return touched;
}

void measure_memory(const uint8_t image[IMAGE_BYTES], struct memory_record *record)
{
    static struct run_record unused;
    const uint8_t *arena_first = __arena_end, *arena_end = __arena_start;
    const uint8_t *stack_first = __network_stack_top, *stack_end = __stack_start;
    uint32_t touched[2], hidden[2] = {0, 0}, none = 0;
    for (int i = 0; i < 2; i++) {
        uint8_t pattern = patterns[i], other = patterns[1 - i];
        paint(__arena_start, __arena_end, pattern);
        paint(__stack_start, __network_stack_top, pattern);
        measure_run(image, 0, &unused);
        touched[i] = scan(__arena_start, __arena_end, pattern, other, &arena_first, &arena_end,
                          &hidden[i]);
        scan(__stack_start, __network_stack_top, pattern, other, &stack_first, &stack_end, &none);
    }
    *record = (struct memory_record){
        .arena_bytes = (uint32_t)(__arena_end - __arena_start),
        .arena_touched = touched[1] + hidden[0],
        .arena_high = (uint32_t)(arena_end - __arena_start),
        .stack_bytes = (uint32_t)(__network_stack_top - __stack_start),
        .stack_high = (uint32_t)(__network_stack_top - stack_first),
        .data_bytes = (uint32_t)(__data_end - __data_start),
        .bss_bytes = (uint32_t)(__bss_end - __bss_start),
    };
}
