/* hnas-verify/1 (docs/verify.md): takes images, runs the exported network on them, and tells what
 * came out, how long it took and what memory it used. Numbers in requests are decimal, in answers
 * hexadecimal: dividing would need library code, which the network's memory would then hold. */
#include <stddef.h>

#include "board.h"
#include "crc32.h"
#include "measure.h"
#include "text.h"

#ifndef HNAS_BUILD
#define HNAS_BUILD "unknown"
#endif

enum {
    MAX_ID = 65535,
    MAX_NUMBER = 999999999,
    BYTES_PER_LINE = 100,
    OPS_PER_LINE = 10,
};

#ifdef HNAS_TRACE
static const char traced_word[] = "traced";
#else
static const char traced_word[] = "plain";
#endif

static const struct board *board;
static uint8_t image[IMAGE_BYTES];
static struct run_record last;

/* A copy of one operator's output; boards without memory to spare have none. */
#ifndef COPY_BYTES
#define COPY_BYTES 1
#endif
static int8_t copy[COPY_BYTES];
static uint32_t copied;

/* --- answers --------------------------------------------------------------------------------- */

static void begin(const char *word, int32_t id)
{
    answer_begin(word);
    answer_hex((uint32_t)id);
}

static void fail(int32_t id, const char *code)
{
    begin("E", id);
    answer_word(code);
    answer_send();
}

static void hello(void)
{
    answer_begin("HELLO");
    answer_word("hnas-verify/1");
    answer_word(board->name);
    answer_word(board->core);
    answer_word(board->timer);
    answer_word(traced_word);
    answer_word(HNAS_BUILD);
    answer_hex(board->timer_hz);
    answer_hex(board->clock_hz);
    answer_hex(IMAGE_BYTES);
    answer_hex(HNAS_CLASSES);
    answer_hex(HNAS_OPS);
    answer_send();
}

static char hex_digit(uint8_t value)
{
    return "0123456789ABCDEF"[value & 15];
}

/* --- requests -------------------------------------------------------------------------------- */

/* The six bits of a character of base64 (RFC 4648), or -1. */
static int32_t six_bits(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes what `text` holds from image[at] on; returns where it ends, or -1. Ends of fours that stand
 * for no byte are "=". */
static int32_t decode(const char *text, int32_t at)
{
    for (; text[0] != '\0'; text += 4) {
        uint32_t three = 0;
        int32_t bytes = 3;
        for (int i = 0; i < 4; i++) {
            int32_t bits = text[i] == '=' && i >= 2 ? 0 : six_bits(text[i]);
            if (bits < 0)
                return -1;
            bytes -= text[i] == '=';
            three = three << 6 | (uint32_t)bits;
        }
        for (int i = 0; i < bytes; i++, at++) {
            if (at >= IMAGE_BYTES)
                return -1;
            image[at] = (uint8_t)(three >> (16 - 8 * i));
        }
    }
    return at;
}

/* PUT id offset BASE64: bytes of the image. With id 0 nothing is answered: pieces can then follow
 * each other, and SUM shows whether all arrived. */
static void put(int32_t id, char *rest)
{
    int32_t offset, end = -1;
    int good = text_number(text_word(&rest), 0, MAX_NUMBER, &offset);
    const char *text = text_word(&rest);
    if (good && text != NULL && rest == NULL)
        end = decode(text, offset);
    if (id == 0)
        return;
    if (end < 0) {
        fail(id, "ARGS");
        return;
    }
    begin("A", id);
    answer_hex((uint32_t)(end - offset));
    answer_send();
}

/* SUM id: the check of the whole image. */
static void sum(int32_t id, char *rest)
{
    (void)rest;
    begin("A", id);
    answer_hex(crc32(image, IMAGE_BYTES));
    answer_send();
}

/* RUN id traced: one inference; OUT and OPS tell more of it. */
static void run(int32_t id, char *rest)
{
    int32_t traced;
    if (!text_number(text_word(&rest), 0, 1, &traced) || rest != NULL) {
        fail(id, "ARGS");
        return;
    }
    measure_run(image, traced, &last);
    uint32_t score_bits;
    __builtin_memcpy(&score_bits, &last.result.send_score, sizeof score_bits);
    begin("R", id);
    answer_hex((uint32_t)last.status);
    answer_hex(last.ticks);
    answer_hex((uint32_t)last.result.class_index);
    answer_hex(last.result.sent);
    answer_hex(score_bits);
    answer_hex(crc32(image, IMAGE_BYTES)); /* a board that was reset has lost it */
    answer_send();
}

/* MEM id: two inferences over painted memory. */
static void memory(int32_t id, char *rest)
{
    (void)rest;
    struct memory_record m;
    measure_memory(image, &m);
    begin("M", id);
    answer_hex(m.arena_bytes);
    answer_hex(m.arena_touched);
    answer_hex(m.arena_high);
    answer_hex(m.stack_bytes);
    answer_hex(m.stack_high);
    answer_hex(m.data_bytes);
    answer_hex(m.bss_bytes);
    answer_send();
}

/* An answer of up to BYTES_PER_LINE bytes, from `first` of `bytes` on. */
static void answer_bytes(int32_t id, const int8_t *bytes, int32_t first, int32_t end)
{
    char word[2 * BYTES_PER_LINE + 1];
    int32_t n = 0;
    for (; n < BYTES_PER_LINE && first + n < end; n++) {
        uint8_t byte = (uint8_t)bytes[first + n];
        word[2 * n] = hex_digit((uint8_t)(byte >> 4));
        word[2 * n + 1] = hex_digit(byte);
    }
    word[2 * n] = '\0';
    begin("S", id);
    answer_word(word);
    answer_send();
}

/* OUT id first: scores of the last run. */
static void scores(int32_t id, char *rest)
{
    int32_t first;
    if (!text_number(text_word(&rest), 0, HNAS_CLASSES - 1, &first) || rest != NULL)
        fail(id, "ARGS");
    else
        answer_bytes(id, last.result.scores, first, HNAS_CLASSES);
}

/* TAP id op: an inference that keeps an operator's output; how many bytes of it. */
static void tap(int32_t id, char *rest)
{
    int32_t op;
    if (!text_number(text_word(&rest), 0, HNAS_OPS - 1, &op) || rest != NULL) {
        fail(id, "ARGS");
        return;
    }
    copied = measure_output(image, op, copy, COPY_BYTES);
    begin("A", id);
    answer_hex(copied);
    answer_send();
}

/* GET id first: bytes of what TAP kept. */
static void get(int32_t id, char *rest)
{
    int32_t first;
    if (!text_number(text_word(&rest), 0, (int32_t)copied - 1, &first) || rest != NULL)
        fail(id, "ARGS");
    else
        answer_bytes(id, copy, first, (int32_t)copied);
}

/* OPS id first: ticks and output checks of operators of the last traced run. */
static void operators(int32_t id, char *rest)
{
    int32_t first;
    if (!text_number(text_word(&rest), 0, HNAS_OPS - 1, &first) || rest != NULL) {
        fail(id, "ARGS");
        return;
    }
    begin("O", id);
    for (int32_t i = first; i < first + OPS_PER_LINE && i < HNAS_OPS; i++) {
        answer_hex(last.ops[i].ticks);
        answer_hex(last.ops[i].crc);
    }
    answer_send();
}

static void serve(char *payload)
{
    static const struct {
        const char *name;
        void (*answer)(int32_t id, char *rest);
    } requests[] = {
        {"PUT", put},    {"SUM", sum},       {"RUN", run}, {"MEM", memory},
        {"OUT", scores}, {"OPS", operators}, {"TAP", tap}, {"GET", get},
    };
    char *rest = payload;
    const char *name = text_word(&rest);
    int32_t id = 0;
    if (text_same(name, "HELLO") && rest == NULL) {
        hello();
        return;
    }
    if (!text_number(text_word(&rest), text_same(name, "PUT") ? 0 : 1, MAX_ID, &id)) {
        fail(0, "ARGS");
        return;
    }
    for (uint32_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (text_same(name, requests[i].name)) {
            requests[i].answer(id, rest);
            return;
        }
    }
    fail(id, "CMD");
}

/* --- lines ----------------------------------------------------------------------------------- */

/* Reads a line without its end. Returns its bytes, or -1 where it is too long or was damaged. */
static int32_t read_line(char line[LINE_BYTES])
{
    int32_t n = 0;
    for (;;) {
        int c = board_getc();
        if (c == '\n')
            break;
        if (c < 0)
            n = -1;
        else if (n >= 0 && n < LINE_BYTES)
            line[n++] = (char)c;
        else if (c != '\r')
            n = -1;
    }
    return n > 0 && line[n - 1] == '\r' ? n - 1 : n;
}

/* src/startup.c prepares the network's variables; this program's lie elsewhere (link.ld). */
static void prepare_own_memory(void)
{
    extern uint8_t __own_data_load[], __own_data_start[], __own_data_end[];
    extern uint8_t __own_bss_start[], __own_bss_end[];
    volatile uint8_t *to = __own_data_start;
    for (const uint8_t *from = __own_data_load; to != __own_data_end; from++)
        *to++ = *from;
    for (to = __own_bss_start; to != __own_bss_end; to++)
        *to = 0;
}

int main(void)
{
    static char line[LINE_BYTES];
    prepare_own_memory();
    board = board_init();
    for (;;) {
        int32_t n = read_line(line);
        if (n == 0)
            continue; /* an empty line: a terminal, or what cleared the way for a request */
        char *payload = n < 0 ? NULL : text_payload(line, (uint32_t)n);
        if (payload != NULL)
            serve(payload);
        else
            fail(0, "CKSUM");
    }
}
