/* Caches as `make CACHE=warm|cold|off` wants them; implements board_prepare_run(). */
#ifndef CACHE_H
#define CACHE_H

/* Switches the caches on, unless off is wanted; returns the word of HELLO. */
const char *cache_open(void);

#endif
