/* The weights of boards that have them in flash: WEIGHT_BYTES of stream 1 (generator.h), which the
 * assembler computes. Boards in whose RAM there is room fill it when they start. */
#ifdef WEIGHT_BYTES
    .syntax unified
    .section .weights, "a", %progbits
    .balign 16
    .global hnas_weights
    .type hnas_weights, %object
hnas_weights:
    .set state, 1
    .rept WEIGHT_BYTES
    .set state, (state * 1664525 + 1013904223) & 0xffffffff
    .byte state >> 24
    .endr
    .size hnas_weights, . - hnas_weights
#endif
