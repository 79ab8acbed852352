/* The Cortex-M7 core: caches and cycle counter. Sections are those of the Armv7-M Architecture
 * Reference Manual (Arm DDI 0403). */
#ifndef CORTEX_M7_H
#define CORTEX_M7_H

#include <stdbool.h>
#include <stdint.h>

/* Invalidates both level 1 caches and switches them on. */
void m7_caches_on(void);

/* Writes back and empties both level 1 caches. */
void m7_caches_empty(void);

/* Starts DWT->CYCCNT; false where it does not count (an optional part of the core, C1.8). */
bool m7_cycle_counter_on(void);

/* Cycles of the core, modulo 2^32. */
uint32_t m7_cycles(void);

#endif
