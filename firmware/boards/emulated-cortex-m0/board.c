/* The BBC micro:bit as QEMU emulates it: 16 KB of RAM for everything, weights included. */
#include "board.h"

#include "generator.h"
#include "registers.h"

#define WEIGHT_BYTES 3072u
#define ARENA_BYTES 6144u
#define WORK_BYTES 3072u

static int8_t weights[WEIGHT_BYTES] __attribute__((aligned(16)));
static int8_t arena[ARENA_BYTES] __attribute__((aligned(16)));
static int32_t work[WORK_BYTES / 4] __attribute__((aligned(16)));

static const struct board microbit = {
    .name = "emulated-cortex-m0",
    .core = "cortex-m0",
    .timer = "nrf-timer0",
    .timer_hz = TIMER0_HZ,
    .clock_hz = 16000000,
    .placement = "weights=ram,tensors=ram,work=ram",
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
    UART_PSELTXD = PIN_TX;
    UART_PSELRXD = PIN_RX;
    UART_BAUDRATE = UART_BAUD_115200;
    UART_ENABLE = UART_ENABLED;
    UART_STARTTX = 1;
    UART_STARTRX = 1;
    TIMER0_BITMODE = TIMER0_32_BITS;
    TIMER0_PRESCALER = 0;
    TIMER0_START = 1;
    generator_fill(SEED_WEIGHTS, weights, WEIGHT_BYTES);
    return &microbit;
}

int board_getc(void)
{
    while (UART_RXDRDY == 0) {
    }
    UART_RXDRDY = 0;
    uint32_t errors = UART_ERRORSRC, byte = UART_RXD;
    if (errors == 0)
        return (int)(byte & 255);
    UART_ERRORSRC = errors;
    return -1;
}

void board_putc(char c)
{
    UART_TXDRDY = 0;
    UART_TXD = (uint8_t)c;
    while (UART_TXDRDY == 0) {
    }
}

void board_prepare_run(void)
{
}

void board_timer_start(void)
{
    TIMER0_CLEAR = 1;
}

uint32_t board_timer_ticks(void)
{
    TIMER0_CAPTURE0 = 1;
    return TIMER0_CC0;
}
