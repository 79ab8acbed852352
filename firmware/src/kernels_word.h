/* KERNELS of HELLO: name, version, and a hash of sources, flags and compiler (Makefile). */
#ifndef HNAS_KERNELS_WORD_H
#define HNAS_KERNELS_WORD_H

extern const char kernels_word[];

#endif
