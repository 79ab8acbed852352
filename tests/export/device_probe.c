/* A Cortex-M with nothing but this: prints the bits of every router's scores by semihosting. */
#include <stddef.h>
#include <stdint.h>

#include "hnas_router.h"

extern const hnas_router *const routers[];
extern const int32_t n_routers, n_inputs;
extern const int8_t scores[], features[], stage[];

int main(void);
void reset(void);
void fault(void);

static uint32_t scratch[64];

/* Semihosting for AArch32: operations SYS_WRITE0 (4) and SYS_EXIT (0x18). */
static void ask(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(float score)
{
    char line[] = "00000000\n";
    uint32_t bits;
    __builtin_memcpy(&bits, &score, sizeof bits);
    for (int i = 7; i >= 0; i--, bits >>= 4)
        line[i] = "0123456789abcdef"[bits & 15];
    ask(4, line);
}

int main(void)
{
    for (int32_t i = 0; i < n_routers; i++) {
        const hnas_router *r = routers[i];
        for (int32_t k = 0; k < n_inputs; k++)
            print(hnas_send_score(r, scores + k * r->classes, features + k * r->width,
                                  stage + k * r->pixels * r->width, scratch));
    }
    ask(0x18, (const void *)0x20026);
    return 0;
}

void reset(void)
{
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88u |= 0xfu << 20; /* CPACR: the FPU on */
    __asm__ volatile("dsb\n\tisb");
#endif
    main();
}

void fault(void)
{
    ask(0x18, (const void *)0x20023);
}

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    const uint8_t *f = from;
    for (volatile uint8_t *p = to; n--;)
        *p++ = *f++;
    return to;
}

__attribute__((section(".vectors"), used)) void (*const vectors[16])(void) = {
    (void (*)(void))0x20003000, reset, fault, fault, fault, fault, fault, fault,
    fault, fault, fault, fault, fault, fault, fault, fault};
