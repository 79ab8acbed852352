/* hnas/1 (docs/protocol.md): waits for requests and answers them. */
#include <stddef.h>

#include "board.h"
#include "crc32.h"
#include "generator.h"
#include "kernels_word.h"
#include "op.h"
#include "run.h"
#include "text.h"

#ifndef BOARD_MAX_OPS
#define BOARD_MAX_OPS 256
#endif

enum { MAX_ID = 65535, MAX_REPS = 8, MAX_OPS = 256, MAX_OFFSET = 999999999 };

/* CAL may take 100 million instructions: seconds on the slowest board. */
enum { MAX_THOUSANDS = 100000 };

static const struct board *board;

static struct {
    int32_t count;
    uint8_t there[BOARD_MAX_OPS]; /* whether an operator was placed */
    struct placed ops[BOARD_MAX_OPS];
} network;

/* --- answers --------------------------------------------------------------------------------- */

static void fail(int32_t id, const char *code, const char *detail)
{
    answer_begin("E");
    answer_number((uint64_t)id);
    answer_word(code);
    answer_word(detail);
    answer_send();
}

static void fail_for_memory(int32_t id, const struct shortage *s)
{
    answer_begin("E");
    answer_number((uint64_t)id);
    answer_word("NOMEM");
    answer_number(s->needed);
    answer_number(s->there);
    answer_word(s->memory);
    answer_send();
}

static void accept(int32_t id, int32_t value)
{
    answer_begin("A");
    answer_number((uint64_t)id);
    answer_number((uint64_t)value);
    answer_send();
}

static void answer_run(int32_t id, int32_t reps, const uint64_t *ticks, uint32_t crc)
{
    answer_begin("R");
    answer_number((uint64_t)id);
    answer_number((uint64_t)reps);
    for (int32_t i = 0; i < reps; i++)
        answer_number(ticks[i]);
    answer_hex(crc);
    answer_send();
}

/* --- requests -------------------------------------------------------------------------------- */

/* An operator that is too large is told so; one that makes no sense, that. */
static int refused(int32_t id, const char *error)
{
    if (error != NULL)
        fail(id, error, error[0] == 'O' ? "no-kernel" : "operator");
    return error != NULL;
}

static void hello(void)
{
    answer_begin("HELLO");
    answer_word("hnas/1");
    answer_word(board->name);
    answer_word(board->core);
    answer_word(board->timer);
    answer_number(board->timer_hz);
    answer_number(board->clock_hz);
    answer_number(board->arena_bytes);
    answer_number(board->weight_bytes);
    answer_word(board->placement);
    answer_word(board->cache);
    answer_word(kernels_word);
    answer_send();
}

static void calibrate(int32_t id, char *rest)
{
    int32_t instructions;
    if (!text_number(text_word(&rest), 1000, 1000 * MAX_THOUSANDS, &instructions) || rest != NULL ||
        instructions % 1000 != 0) {
        fail(id, "ARGS", "instructions");
        return;
    }
    answer_begin("C");
    answer_number((uint64_t)id);
    answer_number((uint64_t)instructions);
    answer_number(run_instructions((uint32_t)instructions / 1000));
    answer_send();
}

static uint64_t align16(uint64_t n)
{
    return (n + 15) & ~UINT64_C(15);
}

static void run(int32_t id, char *rest)
{
    struct op op;
    int32_t reps;
    if (refused(id, op_parse(&rest, &op)))
        return;
    if (!text_number(text_word(&rest), 1, MAX_REPS, &reps) || rest != NULL) {
        fail(id, "ARGS", "reps");
        return;
    }
    uint64_t in_bytes = op_in_bytes(&op), out_bytes = op_out_bytes(&op);
    uint64_t second = align16(in_bytes);
    uint64_t out = op.kind == OP_ADD ? second + align16(in_bytes) : second;
    struct shortage s = {"arena", out + out_bytes, board->arena_bytes};
    if (s.needed <= s.there)
        s = run_shortage(board, &op);
    if (s.memory != NULL) {
        fail_for_memory(id, &s);
        return;
    }
    int8_t *arena = board->arena;
    uint64_t ticks[MAX_REPS];
    generator_fill(SEED_INPUT, arena, (uint32_t)in_bytes);
    if (op.kind == OP_ADD)
        generator_fill(SEED_SECOND, arena + second, (uint32_t)in_bytes);
    for (int32_t i = -1; i < reps; i++) {
        uint32_t t = run_op(board, &op, arena, arena + second, board->weights, arena + out);
        if (i >= 0)
            ticks[i] = t;
    }
    answer_run(id, reps, ticks, crc32(arena + out, (uint32_t)out_bytes));
}

static void begin_network(int32_t id, char *rest)
{
    int32_t count;
    network.count = 0;
    if (!text_number(text_word(&rest), 1, MAX_OPS, &count) || rest != NULL) {
        fail(id, "ARGS", "count");
    } else if (count > BOARD_MAX_OPS) {
        struct shortage s = {"list", (uint64_t)count * sizeof(struct placed), sizeof network.ops};
        fail_for_memory(id, &s);
    } else {
        network.count = count;
        __builtin_memset(network.there, 0, sizeof network.there);
        accept(id, count);
    }
}

/* The first byte after a tensor, as a shortage when that is beyond the arena. */
static int inside(int32_t id, int32_t offset, uint64_t bytes)
{
    struct shortage s = {"arena", (uint64_t)offset + bytes, board->arena_bytes};
    if (s.needed > s.there)
        fail_for_memory(id, &s);
    return s.needed <= s.there;
}

static void place(int32_t id, char *rest)
{
    int32_t index;
    struct placed p;
    if (!text_number(text_word(&rest), 0, MAX_OPS - 1, &index) ||
        !text_number(text_word(&rest), 0, MAX_OFFSET, &p.in) ||
        !text_number(text_word(&rest), 0, MAX_OFFSET, &p.out) ||
        !text_number(text_word(&rest), -1, MAX_OFFSET, &p.second)) {
        fail(id, "ARGS", "offsets");
        return;
    }
    if (refused(id, op_parse(&rest, &p.op)))
        return;
    if (rest != NULL || (p.op.kind == OP_ADD) != (p.second >= 0)) {
        fail(id, "ARGS", rest != NULL ? "words" : "second");
        return;
    }
    if (index >= network.count) {
        fail(id, "SEQ", "no-such-operator");
        return;
    }
    if (!inside(id, p.in, op_in_bytes(&p.op)) || !inside(id, p.out, op_out_bytes(&p.op)) ||
        (p.second >= 0 && !inside(id, p.second, op_in_bytes(&p.op))))
        return;
    struct shortage s = run_shortage(board, &p.op);
    if (s.memory != NULL) {
        fail_for_memory(id, &s);
        return;
    }
    network.ops[index] = p;
    network.there[index] = 1;
    accept(id, index);
}

/* Where the next operator's weights start, `end` being where the last one's do. */
static uint32_t weight_start(uint32_t end, const struct op *op)
{
    uint64_t start = ((uint64_t)end + 3) & ~UINT64_C(3);
    return start + op_weight_bytes(op) > board->weight_bytes ? 0 : (uint32_t)start;
}

static uint64_t run_list(void)
{
    uint64_t ticks = 0;
    uint32_t end = 0;
    const struct placed *first = &network.ops[0];
    generator_fill(SEED_INPUT, board->arena + first->in, (uint32_t)op_in_bytes(&first->op));
    for (int32_t i = 0; i < network.count; i++) {
        const struct placed *p = &network.ops[i];
        uint32_t start = weight_start(end, &p->op);
        const int8_t *second = p->second < 0 ? NULL : board->arena + p->second;
        ticks += run_op(board, &p->op, board->arena + p->in, second, board->weights + start,
                        board->arena + p->out);
        end = start + (uint32_t)op_weight_bytes(&p->op);
    }
    return ticks;
}

static void run_network(int32_t id, char *rest)
{
    int32_t count, reps;
    if (!text_number(text_word(&rest), 1, MAX_OPS, &count) ||
        !text_number(text_word(&rest), 1, MAX_REPS, &reps) || rest != NULL) {
        fail(id, "ARGS", "count-or-reps");
        return;
    }
    int32_t placed = 0;
    for (int32_t i = 0; i < network.count; i++)
        placed += network.there[i];
    if (count != network.count || placed != count) {
        fail(id, "SEQ", "list-not-complete");
        return;
    }
    uint64_t ticks[MAX_REPS];
    for (int32_t i = -1; i < reps; i++) {
        uint64_t t = run_list();
        if (i >= 0)
            ticks[i] = t;
    }
    const struct placed *last = &network.ops[count - 1];
    answer_run(id, reps, ticks, crc32(board->arena + last->out, (uint32_t)op_out_bytes(&last->op)));
}

static void serve(char *payload)
{
    static const struct {
        const char *name;
        void (*answer)(int32_t id, char *rest);
    } requests[] = {
        {"CAL", calibrate}, {"RUN", run},           {"NET", begin_network},
        {"NOP", place},     {"NETRUN", run_network},
    };
    char *rest = payload;
    const char *name = text_word(&rest);
    int32_t id = 0;
    if (text_same(name, "HELLO") && rest == NULL) {
        hello();
        return;
    }
    int has_id = text_number(text_word(&rest), 1, MAX_ID, &id);
    for (uint32_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (text_same(name, requests[i].name)) {
            if (has_id)
                requests[i].answer(id, rest);
            else
                fail(0, "ARGS", "id");
            return;
        }
    }
    fail(has_id ? id : 0, "CMD", "unknown-request");
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

int main(void)
{
    static char line[LINE_BYTES];
    board = board_init();
    for (;;) {
        int32_t n = read_line(line);
        if (n == 0)
            continue; /* an empty line: a terminal, or what cleared the way for a request */
        char *payload = n < 0 ? NULL : text_payload(line, (uint32_t)n);
        if (payload != NULL)
            serve(payload);
        else
            fail(0, "CKSUM", n < 0 ? "damaged-line" : "wrong-check");
    }
}
