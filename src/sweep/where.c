// The compiler: tokens into steps, by two stacks, of what is known of finished parts and of operators that wait.
#include "sweep/where.h"
#include "sweep/where_code.h"

#include "base/memory.h"
#include "model/model.h"
#include "sweep/nearest.h"
#include "sweep/synonyms.h"
#include "sweep/where_token.h"
#include "task/task.h"

#include <string.h>

enum { MAX_PENDING = 100 };

// What a part of the expression is known to give.
typedef enum part_type { IS_NUMBER, IS_BOOL, IS_NAME, IS_TEXT } part_type; // IS_TEXT: a word or string, not a key

typedef struct part {
    part_type type;
    int step;         // that pushes it, if it is a single one; -1
    const char *word; // as written, if it is a bare word or a string
    bool quoted;
    const ts_key *key; // if it is a key
} part;

// An operator that waits for its right side.
typedef struct pending {
    ts_where_token op;
    bool continues; // comparison: second of a chain
    int jump;       // and, or: the step that jumps over the right side
} pending;

typedef struct compiler {
    ts_where *where;
    const ts_key *const *keys;
    int n_keys;
    const char *at;
    pending pending[MAX_PENDING];
    int n_pending;
    part part[TS_WHERE_STACK];
    int n_parts;
    ts_where_step step[TS_WHERE_STEPS];
    int steps;
    ts_where_quantity quantity[TS_WHERE_QUANTITIES];
    int quantities;
} compiler;

// --- Steps and parts ---

static ts_status add_step(compiler *c, ts_where_step step) {
    if (c->steps == TS_WHERE_STEPS)
        return ts_fail(TS_ERROR_USER, "the expression is too long; use a list of several");
    c->step[c->steps++] = step;
    return TS_OK;
}

static ts_status add_part(compiler *c, part p) {
    // One place is left for what a chain of comparisons keeps.
    if (c->n_parts + 2 > TS_WHERE_STACK)
        return ts_fail(TS_ERROR_USER, "the expression is nested too deeply; use a list of several");
    c->part[c->n_parts++] = p;
    return TS_OK;
}

static ts_status unknown_word(const compiler *c, const char *word) {
    const char *known[TS_MAX_KNOWN + 1];
    char shown[TS_SHOWN_BYTES], text[TS_MEANT_BYTES];
    int n = 0;
    for (int i = 0; i < c->n_keys && n < TS_MAX_KNOWN; i++)
        known[n++] = c->keys[i]->name;
    for (int i = 0; ts_derived_name(i) && n < TS_MAX_KNOWN; i++)
        known[n++] = ts_derived_name(i);
    known[n] = NULL;
    ts_meant meant = ts_meant_by(word, known);
    if (meant.key[0])
        return ts_fail(TS_ERROR_USER, "'%s' is unknown; %s", ts_shown(word, shown), ts_meant_text(&meant, text));
    return ts_fail(TS_ERROR_USER, "'%s' is neither a key nor a derived quantity", ts_shown(word, shown));
}

// A part that is a word without meaning where a number or condition belongs.
static ts_status wrong_type(const compiler *c, const part *p, const char *expected) {
    char shown[TS_SHOWN_BYTES];
    if (p->type == IS_TEXT && !p->quoted)
        return unknown_word(c, p->word);
    if (p->word)
        return ts_fail(TS_ERROR_USER, "'%s' is not %s", ts_shown(p->word, shown), expected);
    return ts_fail(TS_ERROR_USER, "expected %s, not %s", expected, p->type == IS_BOOL ? "a condition" : "a number");
}

static const ts_key *find_key(const compiler *c, const char *name) {
    for (int i = 0; i < c->n_keys; i++)
        if (strcmp(c->keys[i]->name, name) == 0)
            return c->keys[i];
    return NULL;
}

// The place of a key or derived quantity, read as a name or as a number. -1, with a message: there are too many.
static int quantity_of(compiler *c, const char *word, bool is_name) {
    int index = 0;
    while (index < c->quantities &&
           (strcmp(c->quantity[index].name, word) != 0 || c->quantity[index].is_name != is_name))
        index++;
    if (index == TS_WHERE_QUANTITIES) {
        ts_fail(TS_ERROR_USER, "more than %d different keys in one expression", TS_WHERE_QUANTITIES);
        return -1;
    }
    if (index == c->quantities)
        c->quantity[c->quantities++] =
            (ts_where_quantity){.name = word, .derived = ts_is_derived(word), .is_name = is_name};
    return index;
}

static ts_status push_quantity(compiler *c, const char *word, const ts_key *key) {
    if (key && (key->type == TS_STEPS || key->type == TS_STOP))
        return ts_fail(TS_ERROR_USER, "'%s' is a list of steps and cannot be compared", word);
    if (key && key->type == TS_THRESHOLDS)
        return ts_fail(TS_ERROR_USER, "'%s' is several numbers and cannot be compared; use exclude", word);
    if (key && key->type == TS_WORDS)
        return ts_fail(TS_ERROR_USER, "'%s' is a list of words and cannot be compared; use exclude, with [[...]]",
                       word);
    if (key && key->type == TS_FILE)
        return ts_fail(TS_ERROR_USER, "'%s' is a file and cannot be compared; use exclude", word);
    if (key && key->type == TS_WEIGHTS)
        return ts_fail(TS_ERROR_USER, "'%s' are weights and cannot be compared; use exclude", word);
    int index = quantity_of(c, word, key && key->type == TS_NAME);
    if (index < 0)
        return TS_ERROR_USER;
    ts_status status = add_step(c, (ts_where_step){.op = TS_WHERE_KEY, .index = index});
    if (status != TS_OK)
        return status;
    part_type type = !key ? IS_NUMBER : key->type == TS_NAME ? IS_NAME : key->type == TS_BOOL ? IS_BOOL : IS_NUMBER;
    return add_part(c, (part){.type = type, .step = c->steps - 1, .word = word, .key = key});
}

static ts_status push_operand(compiler *c, const ts_where_token *t) {
    ts_status status;
    if (t->kind == TS_TOKEN_NUMBER) {
        status = add_step(c, (ts_where_step){.op = TS_WHERE_NUMBER, .number = t->number});
        return status == TS_OK ? add_part(c, (part){.type = IS_NUMBER, .step = c->steps - 1}) : status;
    }
    char *word = ts_arena_copy(&c->where->arena, t->text, t->length);
    if (!word)
        return TS_ERROR_MEMORY;
    bool quoted = t->kind == TS_TOKEN_STRING;
    const ts_key *key = quoted ? NULL : find_key(c, word);
    if (key || (!quoted && ts_is_derived(word)))
        return push_quantity(c, word, key);
    if (!quoted && (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)) {
        status = add_step(c, (ts_where_step){.op = TS_WHERE_NUMBER, .number = word[0] == 't'});
        return status == TS_OK ? add_part(c, (part){.type = IS_BOOL, .step = c->steps - 1, .word = word}) : status;
    }
    status = add_step(c, (ts_where_step){.op = TS_WHERE_NAME, .name = word});
    return status == TS_OK ? add_part(c, (part){.type = IS_TEXT, .step = c->steps - 1, .word = word, .quoted = quoted})
                           : status;
}

// --- Comparisons ---

static ts_status refuse_choice(const ts_key *key, const char *word) {
    char shown[TS_SHOWN_BYTES];
    const char *near = ts_nearest(word, key->choices);
    return ts_fail(TS_ERROR_USER, "'%s' is never '%s'%s%s%s", key->name, ts_shown(word, shown),
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

// Makes `p`, compared with the key `of`, the name that it stands for.
static ts_status take_as_name(compiler *c, part *p, const ts_key *of) {
    if (p->type == IS_NAME)
        return TS_OK;
    if (!p->word || p->step < 0)
        return ts_fail(TS_ERROR_USER, "'%s' is a name; compare it with a name", of->name);
    bool allowed = false, closed = true;
    for (int k = 0; k < c->n_keys; k++) {
        if (c->keys[k]->type != TS_NAME || strcmp(c->keys[k]->name, of->name) != 0)
            continue;
        closed = closed && c->keys[k]->choices;
        for (int i = 0; c->keys[k]->choices && c->keys[k]->choices[i]; i++)
            allowed = allowed || strcmp(c->keys[k]->choices[i], p->word) == 0;
    }
    char message[512], spelling[TS_SPELLING_BYTES];
    if (closed && !allowed)
        return refuse_choice(of, p->word);
    ts_value name = {.type = TS_NAME, .name = p->word};
    if (!closed && !ts_task_check_value(of, &name, false, message, sizeof message))
        return ts_fail(TS_ERROR_USER, "%s", message);
    const char *spelt = ts_task_spell(of, p->word, spelling);
    if (spelt != p->word)
        spelt = ts_arena_copy(&c->where->arena, spelt, strlen(spelt));
    if (!spelt)
        return TS_ERROR_MEMORY;
    c->step[p->step] = (ts_where_step){.op = TS_WHERE_NAME, .name = spelt};
    p->type = IS_TEXT;
    return TS_OK;
}

// An integer key may have words for some of its numbers; "batch == exact".
static void take_as_number(compiler *c, part *p, const ts_key *of) {
    if (p->type != IS_TEXT || !of || of->type != TS_INTEGER || !of->choices)
        return;
    for (int i = 0; of->choices[i]; i++)
        if (strcmp(of->choices[i], p->word) == 0) {
            c->step[p->step] = (ts_where_step){.op = TS_WHERE_NUMBER, .number = i};
            p->type = IS_NUMBER;
        }
}

// A key may be true or false of one model and a name of another; compared with a word it is the name.
static ts_status take_as_named(compiler *c, part *p, const part *other) {
    if (p->type != IS_BOOL || !p->key || other->type != IS_TEXT)
        return TS_OK;
    for (int k = 0; k < c->n_keys; k++) {
        if (c->keys[k]->type != TS_NAME || strcmp(c->keys[k]->name, p->key->name) != 0)
            continue;
        int index = quantity_of(c, p->word, true);
        if (index < 0)
            return TS_ERROR_USER;
        c->step[p->step].index = index;
        p->type = IS_NAME;
        p->key = c->keys[k];
        return TS_OK;
    }
    return TS_OK;
}

static ts_status check_sides(compiler *c, part *a, part *b, bool equality, bool *names) {
    ts_status status = take_as_named(c, a, b);
    if (status == TS_OK)
        status = take_as_named(c, b, a);
    if (status != TS_OK)
        return status;
    *names = a->type == IS_NAME || b->type == IS_NAME;
    if (*names) {
        const ts_key *of = a->type == IS_NAME ? a->key : b->key;
        if (!equality)
            return ts_fail(TS_ERROR_USER, "'%s' is a name: it can only be compared with == and !=", of->name);
        return take_as_name(c, a->type == IS_NAME ? b : a, of);
    }
    take_as_number(c, a, b->key);
    take_as_number(c, b, a->key);
    if (a->type == IS_BOOL && b->type == IS_BOOL && !equality)
        return ts_fail(TS_ERROR_USER, "true and false can only be compared with == and !=");
    if (a->type == IS_BOOL && b->type == IS_BOOL)
        return TS_OK;
    if (a->type != IS_NUMBER)
        return wrong_type(c, a, "a number");
    return b->type == IS_NUMBER ? TS_OK : wrong_type(c, b, "a number");
}

static ts_status close_comparison(compiler *c, const pending *top, bool chained) {
    part *b = &c->part[c->n_parts - 1], *a = b - 1, right;
    bool equality = top->op.op == TS_WHERE_EQUAL || top->op.op == TS_WHERE_UNEQUAL, names;
    ts_status status = check_sides(c, a, b, equality, &names);
    if (status != TS_OK)
        return status;
    right = *b;
    c->n_parts -= top->continues ? 3 : 2;
    status =
        add_step(c, (ts_where_step){.op = top->op.op, .continues = top->continues, .chained = chained, .names = names});
    if (status == TS_OK)
        status = add_part(c, (part){.type = IS_BOOL, .step = -1});
    return status == TS_OK && chained ? add_part(c, right) : status;
}

// --- Operators ---

// Takes the operator on top of the pending ones, whose sides are complete.
static ts_status close_operator(compiler *c, bool chained) {
    pending top = c->pending[--c->n_pending];
    part *right = &c->part[c->n_parts - 1];
    if (top.op.strength == TS_BINDS_COMPARISON)
        return close_comparison(c, &top, chained);
    bool logical = top.op.strength == TS_BINDS_OR || top.op.strength == TS_BINDS_AND || top.op.strength == TS_BINDS_NOT;
    if (right->type != (logical ? IS_BOOL : IS_NUMBER))
        return wrong_type(c, right, logical ? "a condition" : "a number");
    if (top.op.strength == TS_BINDS_OR || top.op.strength == TS_BINDS_AND) {
        c->step[top.jump].index = c->steps; // the left side's part went when the jump was made
    } else {
        ts_status status = add_step(c, (ts_where_step){.op = top.op.op});
        if (status != TS_OK)
            return status;
        if (top.op.strength == TS_BINDS_SUM || top.op.strength == TS_BINDS_PRODUCT) {
            c->n_parts--;
            if (right[-1].type != IS_NUMBER)
                return wrong_type(c, &right[-1], "a number");
        }
    }
    c->part[c->n_parts - 1] = (part){.type = logical ? IS_BOOL : IS_NUMBER, .step = -1};
    return TS_OK;
}

static ts_status push_pending(compiler *c, pending p) {
    if (c->n_pending == MAX_PENDING)
        return ts_fail(TS_ERROR_USER, "the expression is nested too deeply; use a list of several");
    c->pending[c->n_pending++] = p;
    return TS_OK;
}

// An operator between two sides, of which the left is complete once all that bind as strongly are closed.
static ts_status take_binary(compiler *c, const ts_where_token *t) {
    pending p = {.op = *t};
    while (c->n_pending && c->pending[c->n_pending - 1].op.strength >= t->strength) {
        bool chain =
            t->strength == TS_BINDS_COMPARISON && c->pending[c->n_pending - 1].op.strength == TS_BINDS_COMPARISON;
        ts_status status = close_operator(c, chain);
        if (status != TS_OK)
            return status;
        p.continues = chain;
    }
    if (t->strength == TS_BINDS_OR || t->strength == TS_BINDS_AND) {
        const part *left = &c->part[c->n_parts - 1];
        if (left->type != IS_BOOL)
            return wrong_type(c, left, "a condition");
        c->n_parts--;
        p.jump = c->steps;
        ts_status status = add_step(c, (ts_where_step){.op = t->op});
        if (status != TS_OK)
            return status;
    }
    return push_pending(c, p);
}

static ts_status take_close(compiler *c) {
    while (c->n_pending && c->pending[c->n_pending - 1].op.kind != TS_TOKEN_OPEN) {
        ts_status status = close_operator(c, false);
        if (status != TS_OK)
            return status;
    }
    if (!c->n_pending)
        return ts_fail(TS_ERROR_USER, "a ) has no (");
    c->n_pending--;
    return TS_OK;
}

static ts_status expected(const ts_where_token *t, const char *what) {
    char shown[TS_SHOWN_BYTES];
    if (t->kind == TS_TOKEN_END)
        return ts_fail(TS_ERROR_USER, "the expression ends where %s is expected", what);
    return ts_fail(TS_ERROR_USER, "expected %s before '%s'", what, ts_shown(t->text, shown));
}

// The start of a side: an operand, or what may precede one. *complete: an operand was read.
static ts_status take_start(compiler *c, ts_where_token *t, bool *complete) {
    if (t->kind == TS_TOKEN_OPEN)
        return push_pending(c, (pending){.op = *t});
    if (t->kind == TS_TOKEN_OPERATOR && t->op == TS_WHERE_NOT)
        return push_pending(c, (pending){.op = *t});
    if (t->kind == TS_TOKEN_OPERATOR && t->op == TS_WHERE_SUBTRACT) {
        t->op = TS_WHERE_NEGATE;
        t->strength = TS_BINDS_SIGN;
        return push_pending(c, (pending){.op = *t});
    }
    if (t->kind != TS_TOKEN_NUMBER && t->kind != TS_TOKEN_STRING && t->kind != TS_TOKEN_WORD)
        return expected(t, "a value");
    *complete = true;
    return push_operand(c, t);
}

static ts_status compile(compiler *c) {
    bool complete = false; // a side is complete: an operator must follow
    for (;;) {
        ts_where_token t;
        ts_status status = ts_where_token_next(&c->at, &t);
        if (status != TS_OK)
            return status;
        if (!complete) {
            status = take_start(c, &t, &complete);
        } else if (t.kind == TS_TOKEN_END) {
            break;
        } else if (t.kind == TS_TOKEN_CLOSE) {
            status = take_close(c);
        } else if (t.kind == TS_TOKEN_OPERATOR && t.op != TS_WHERE_NOT) {
            status = take_binary(c, &t);
            complete = false;
        } else {
            return expected(&t, "an operator");
        }
        if (status != TS_OK)
            return status;
    }
    while (c->n_pending) {
        if (c->pending[c->n_pending - 1].op.kind == TS_TOKEN_OPEN)
            return ts_fail(TS_ERROR_USER, "a ( is not closed");
        ts_status status = close_operator(c, false);
        if (status != TS_OK)
            return status;
    }
    return c->part[0].type == IS_BOOL ? TS_OK : wrong_type(c, &c->part[0], "a condition");
}

// Copies the program out of the compiler's large arrays.
static ts_status keep_program(const compiler *c) {
    ts_where *where = c->where;
    where->steps = c->steps;
    where->quantities = c->quantities;
    where->step = ts_arena_take(&where->arena, (size_t)c->steps, sizeof *c->step);
    where->quantity = ts_arena_take(&where->arena, (size_t)c->quantities, sizeof *c->quantity);
    if (!where->step || !where->quantity)
        return TS_ERROR_MEMORY;
    memcpy(where->step, c->step, (size_t)c->steps * sizeof *c->step);
    memcpy(where->quantity, c->quantity, (size_t)c->quantities * sizeof *c->quantity);
    return TS_OK;
}

ts_status ts_where_compile(const char *text, const ts_key *const *keys, int n_keys, ts_where **where) {
    *where = NULL;
    compiler *c = ts_alloc_zero(1, sizeof *c, "a where expression");
    ts_where *made = ts_alloc_zero(1, sizeof *made, "a where expression");
    ts_status status = c && made ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK) {
        c->where = made;
        c->keys = keys;
        c->n_keys = n_keys;
        c->at = text;
        status = compile(c);
    }
    if (status == TS_OK)
        status = keep_program(c);
    ts_free(c);
    if (status == TS_OK)
        *where = made;
    else
        ts_where_free(made);
    return status;
}

void ts_where_free(ts_where *where) {
    if (!where)
        return;
    ts_arena_free(&where->arena);
    ts_free(where);
}
