/* Lines of the protocol: words in, words out. */
#ifndef HNAS_TEXT_H
#define HNAS_TEXT_H

#include <stdint.h>

enum { LINE_BYTES = 240 };

/* Takes the check off a line: its payload, terminated, or NULL where the check is wrong. */
char *text_payload(char *line, uint32_t bytes);

/* The next word of a payload, or NULL; words are separated by one space. `*rest` starts as the
 * payload and is NULL after the last word. */
char *text_word(char **rest);

/* Whether two words are the same. */
int text_same(const char *a, const char *b);

/* A decimal number from `low` to `high`; returns 0 where the word is none. */
int text_number(const char *word, int32_t low, int32_t high, int32_t *value);

/* An answer is written word by word, then sent with its check. */
void answer_begin(const char *word);
void answer_word(const char *word);
void answer_number(uint64_t value);
void answer_hex(uint32_t value);
void answer_send(void);

#endif
