#include "text.h"

#include <stddef.h>

#include "board.h"
#include "crc32.h"

static char answer[LINE_BYTES];
static uint32_t length;

static void hex_digits(uint32_t value, char digits[8])
{
    for (int i = 7; i >= 0; i--, value >>= 4)
        digits[i] = "0123456789ABCDEF"[value & 15];
}

char *text_payload(char *line, uint32_t bytes)
{
    char digits[8];
    if (bytes < 9 || line[bytes - 9] != '*')
        return NULL;
    hex_digits(crc32(line, bytes - 9), digits);
    for (int i = 0; i < 8; i++)
        if (line[bytes - 8 + (uint32_t)i] != digits[i])
            return NULL;
    line[bytes - 9] = '\0';
    return line;
}

char *text_word(char **rest)
{
    char *word = *rest;
    if (word == NULL)
        return NULL;
    char *end = word;
    while (*end != '\0' && *end != ' ')
        end++;
    *rest = *end == ' ' ? end + 1 : NULL;
    *end = '\0';
    return word;
}

int text_same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

int text_number(const char *word, int32_t low, int32_t high, int32_t *value)
{
    if (word == NULL)
        return 0;
    int negative = *word == '-';
    const char *digit = word + negative;
    if (*digit == '\0')
        return 0;
    int32_t n = 0;
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9' || n > 99999999)
            return 0;
        n = 10 * n + (*digit - '0');
    }
    *value = negative ? -n : n;
    return *value >= low && *value <= high;
}

static void put(char c)
{
    if (length < LINE_BYTES)
        answer[length++] = c;
}

void answer_begin(const char *word)
{
    length = 0;
    while (*word != '\0')
        put(*word++);
}

void answer_word(const char *word)
{
    put(' ');
    while (*word != '\0')
        put(*word++);
}

void answer_number(uint64_t value)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(' ');
    while (n > 0)
        put(digits[--n]);
}

void answer_hex(uint32_t value)
{
    char digits[9] = {0};
    hex_digits(value, digits);
    answer_word(digits);
}

void answer_send(void)
{
    char digits[8];
    hex_digits(crc32(answer, length), digits);
    for (uint32_t i = 0; i < length; i++)
        board_putc(answer[i]);
    board_putc('*');
    for (int i = 0; i < 8; i++)
        board_putc(digits[i]);
    board_putc('\n');
}
