/* From reset to main() on any Cortex-M. */
#include <stdint.h>

/* From the linker script; word aligned. */
extern uint32_t __stack_top[];
extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];

int main(void);
void reset(void);
void fault(void);

typedef void (*handler)(void);

struct vector_table {
    uint32_t *stack;
    handler handlers[15];
};

/* The vectors of the core; interrupts stay disabled. */
__attribute__((section(".vectors"), used)) const struct vector_table vectors = {
    __stack_top,
    {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
     fault, fault},
};

/* Full access to coprocessors 10 and 11, the floating-point unit: CPACR, Armv7-M Architecture
 * Reference Manual (DDI 0403), B3.2.20. */
static void enable_fpu(void)
{
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
}

void reset(void)
{
    enable_fpu();
    const uint32_t *from = __data_load;
    for (uint32_t *p = __data_start; p != __data_end;)
        *p++ = *from++;
    for (uint32_t *p = __bss_start; p != __bss_end;)
        *p++ = 0;
    main();
    fault();
}

/* Start again: the program at the other end sees a board that was reset, not one that hangs.
 * AIRCR.SYSRESETREQ: Armv7-M Architecture Reference Manual (DDI 0403), B3.2.6. */
void fault(void)
{
    *(volatile uint32_t *)0xE000ED0Cu = 0x05FAu << 16 | 1u << 2;
    for (;;) {
    }
}
