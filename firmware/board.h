/* What a board gives the profiling firmware. One directory of boards/ implements this file:
 *
 *   boards/ID/board.mk     what to build: see firmware/Makefile
 *   boards/ID/registers.h  addresses and bits, with the document that they are from
 *   a C file with the functions below, and a linker script: the board's own, or its family's
 *
 * src/startup.c starts every board: it copies .data, clears .bss and calls main(). The linker
 * script puts .vectors where the core looks for it, names `reset` as the entry, and defines
 * __stack_top, __data_load, __data_start, __data_end, __bss_start and __bss_end, all word aligned.
 */
#ifndef HNAS_BOARD_H
#define HNAS_BOARD_H

#include <stdint.h>

/* Words of HELLO contain no space. */
struct board {
    const char *name;      /* board id, as in `hybrid-nas boards` */
    const char *core;      /* cortex-m7 */
    const char *timer;     /* what counts the ticks: dwt, systick, ... */
    uint32_t timer_hz;     /* its frequency */
    uint32_t clock_hz;     /* of the core */
    const char *placement; /* where things are: weights=flash-axi,tensors=sram1,work=dtcm */
    const char *cache;     /* none, off, warm or cold: the state in which kernels are timed */

    int8_t *arena; /* tensors: inputs and outputs of operators; 16-byte aligned */
    uint32_t arena_bytes;
    const int8_t *weights; /* stream 1 of docs/protocol.md, there when board_init() returns; */
    uint32_t weight_bytes; /* a multiple of 4, 16-byte aligned */
    void *work; /* kernel scratch and per-channel constants, 12 bytes a channel; 16-byte aligned */
    uint32_t work_bytes;
};

/* Sets up clocks, caches, the line (115200 baud, 8N1) and the timer; interrupts stay off, but
 * for one that counts a timer's wraps. Boards whose weights are in RAM fill them here
 * (src/generator.h); src/weights.S is for those that have them in flash. */
const struct board *board_init(void);

/* Waits for a byte; negative where the line reports one lost or damaged. */
int board_getc(void);

/* Waits for room, then sends a byte. */
void board_putc(char c);

/* Called before each timed run, outside the timing: boards with `cache` cold clean and invalidate
 * their caches here, others do nothing. */
void board_prepare_run(void);

/* Starts counting from 0. */
void board_timer_start(void);

/* Ticks since then, at timer_hz; right up to 2^32 - 1 ticks. A 24-bit SysTick needs its wraps
 * counted. */
uint32_t board_timer_ticks(void);

#endif
