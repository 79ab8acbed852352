#include "kernels_word.h"

const char kernels_word[] = KERNELS_WORD;
