#include "usart.h"

#include "board.h"

#define BAUD 115200u

/* Chapter USART, "USART registers" of RM0385 and RM0433; the same in both without the FIFO. */
struct usart {
    uint32_t cr1, cr2, cr3, brr, gtpr, rtor, rqr, isr, icr, rdr, tdr;
};
#define CR1_UE (1u << 0)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define ISR_FE (1u << 1)
#define ISR_NE (1u << 2)
#define ISR_ORE (1u << 3)
#define ISR_RXNE (1u << 5)
#define ISR_TXE (1u << 7)
#define ISR_DAMAGED (ISR_FE | ISR_NE | ISR_ORE) /* cleared by the same bits of ICR */

static volatile struct usart *line;

void usart_open(uint32_t base, uint32_t clock_hz)
{
    line = (volatile struct usart *)base;
    line->cr1 = 0;
    line->cr2 = 0;
    line->cr3 = 0;
    line->brr = (clock_hz + BAUD / 2u) / BAUD; /* oversampling by 16 */
    line->cr1 = CR1_UE | CR1_RE | CR1_TE;
}

int board_getc(void)
{
    for (;;) {
        uint32_t status = line->isr;
        if (status & ISR_DAMAGED) {
            (void)line->rdr;
            line->icr = ISR_DAMAGED;
            return -1;
        }
        if (status & ISR_RXNE)
            return (int)(line->rdr & 0xFFu);
    }
}

void board_putc(char c)
{
    while (!(line->isr & ISR_TXE)) {
    }
    line->tdr = (uint8_t)c;
}
