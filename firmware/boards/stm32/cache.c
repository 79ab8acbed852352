#include "cache.h"

#include "board.h"
#include "cortex_m7.h"

enum { CACHE_off, CACHE_warm, CACHE_cold };

const char *cache_open(void)
{
    if (CACHE_MODE == CACHE_off)
        return "off";
    m7_caches_on();
    return CACHE_MODE == CACHE_cold ? "cold" : "warm";
}

void board_prepare_run(void)
{
    if (CACHE_MODE == CACHE_cold)
        m7_caches_empty();
}
