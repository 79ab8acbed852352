/* Arm's MPS2 boards as QEMU emulates them: UART and timer of the Cortex-M System Design Kit (CMSDK
 * Technical Reference Manual, DDI 0479, 4.3 APB timer and 4.4 APB UART). */
#include "board.h"
#include "generator.h"
#include "registers.h"

struct uart {
    volatile uint32_t data, state, control, interrupts, divider;
};
#define UART ((struct uart *)UART0_BASE)
enum { STATE_TX_FULL = 1, STATE_RX_FULL = 2, STATE_RX_OVERRUN = 8, CONTROL_TX = 1, CONTROL_RX = 2 };

struct timer {
    volatile uint32_t control, value, reload, interrupts;
};
#define TIMER ((struct timer *)TIMER0_BASE)
enum { TIMER_ENABLE = 1 };

#define BAUD 115200u
#define WEIGHT_BYTES (3u << 20)
#define ARENA_BYTES (2u << 20)
#define WORK_BYTES (512u << 10)

static int8_t weights[WEIGHT_BYTES] __attribute__((section(".bss.weights"), aligned(16)));
static int8_t arena[ARENA_BYTES] __attribute__((section(".bss.arena"), aligned(16)));
static int32_t work[WORK_BYTES / 4] __attribute__((section(".bss.work"), aligned(16)));

static const struct board mps2 = {
    .name = BOARD_NAME,
    .core = BOARD_CORE,
    .timer = "cmsdk-timer0",
    .timer_hz = BOARD_CLOCK_HZ,
    .clock_hz = BOARD_CLOCK_HZ,
    .placement = "weights=ssram1,tensors=ssram2+3,work=ssram2+3",
    .cache = "none",
    .arena = arena,
    .arena_bytes = ARENA_BYTES,
    .weights = weights,
    .weight_bytes = WEIGHT_BYTES,
    .work = work,
    .work_bytes = WORK_BYTES,
};

const struct board *board_init(void)
{
    generator_fill(SEED_WEIGHTS, weights, WEIGHT_BYTES);
    TIMER->reload = UINT32_MAX;
    TIMER->control = TIMER_ENABLE;
    UART->divider = BOARD_CLOCK_HZ / BAUD;
    UART->control = CONTROL_TX | CONTROL_RX;
    (void)UART->data; /* QEMU hands on what came before only when a byte was read */
    return &mps2;
}

int board_getc(void)
{
    uint32_t state;
    do {
        state = UART->state;
    } while (!(state & STATE_RX_FULL));
    uint32_t byte = UART->data;
    if (!(state & STATE_RX_OVERRUN))
        return (int)(byte & 255);
    UART->state = STATE_RX_OVERRUN;
    return -1;
}

void board_putc(char c)
{
    while (UART->state & STATE_TX_FULL) {
    }
    UART->data = (uint8_t)c;
}

void board_prepare_run(void)
{
}

/* The timer counts down. Setting it anew makes it start with a whole tick, so that a run of so many
 * instructions always takes the same number of ticks. */
void board_timer_start(void)
{
    TIMER->value = UINT32_MAX;
}

uint32_t board_timer_ticks(void)
{
    return UINT32_MAX - TIMER->value;
}
