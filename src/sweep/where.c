// The parser of `where` expressions: tokens into a tree whose nodes know what they give.
#include "sweep/where.h"
#include "sweep/where_tree.h"

#include "base/memory.h"
#include "model/model.h"
#include "sweep/nearest.h"
#include "sweep/synonyms.h"
#include "sweep/where_token.h"
#include "task/task.h"

#include <string.h>

// An expression is read, and run, by functions that call themselves: so it is bounded.
enum { MAX_DEPTH = 100, MAX_NODES = 4096 };

typedef struct parser {
    ts_where *where;
    const ts_key *const *keys;
    int n_keys;
    const char *at;       // behind the token
    ts_where_token token; // that is looked at
    int nodes, depth;
    ts_status status; // of the first fault, after which functions return NULL
} parser;

// --- Nodes ---

static ts_where_node *refuse(parser *p, ts_status fault) {
    p->status = fault;
    return NULL;
}

static ts_where_node *make(parser *p, ts_where_node node) {
    if (p->nodes++ == MAX_NODES)
        return refuse(p, ts_fail(TS_ERROR_USER, "the expression is too long; use a list of several"));
    ts_where_node *made = ts_arena_take(&p->where->arena, 1, sizeof *made);
    if (!made)
        return refuse(p, TS_ERROR_MEMORY);
    *made = node;
    return made;
}

static ts_status unknown_word(const parser *p, const char *word) {
    const char *known[TS_MAX_KNOWN + 1];
    char shown[TS_SHOWN_BYTES], text[TS_MEANT_BYTES];
    int n = 0;
    for (int i = 0; i < p->n_keys && n < TS_MAX_KNOWN; i++)
        known[n++] = p->keys[i]->name;
    for (int i = 0; ts_derived_name(i) && n < TS_MAX_KNOWN; i++)
        known[n++] = ts_derived_name(i);
    known[n] = NULL;
    ts_meant meant = ts_meant_by(word, known);
    if (meant.key[0])
        return ts_fail(TS_ERROR_USER, "'%s' is unknown; %s", ts_shown(word, shown), ts_meant_text(&meant, text));
    return ts_fail(TS_ERROR_USER, "'%s' is neither a key nor a derived quantity", ts_shown(word, shown));
}

// Whether the node gives a number (or a condition), as what it belongs to wants.
static bool gives(parser *p, const ts_where_node *node, ts_where_type wanted) {
    if (node->type == wanted)
        return true;
    const char *expected = wanted == TS_GIVES_NUMBER ? "a number" : "a condition";
    char shown[TS_SHOWN_BYTES];
    if (node->type == TS_GIVES_TEXT && !node->quoted)
        p->status = unknown_word(p, node->word);
    else if (node->word)
        p->status = ts_fail(TS_ERROR_USER, "'%s' is not %s", ts_shown(node->word, shown), expected);
    else
        p->status = ts_fail(TS_ERROR_USER, "expected %s, not %s", expected,
                            node->type == TS_GIVES_CONDITION ? "a condition" : "a number");
    return false;
}

// The n-th key of that name (several tasks and models may have one), from 0; NULL: there are no more.
static const ts_key *key_named(const parser *p, const char *name, int n) {
    for (int i = 0; i < p->n_keys; i++)
        if (strcmp(p->keys[i]->name, name) == 0 && n-- == 0)
            return p->keys[i];
    return NULL;
}

// Why values of the key cannot be compared; NULL if they can.
static const char *incomparable(const ts_key *key) {
    switch (key->type) {
    case TS_STEPS:
    case TS_STOP:
        return "is a list of steps and cannot be compared";
    case TS_THRESHOLDS:
        return "is several numbers and cannot be compared; use exclude";
    case TS_WORDS:
        return "is a list of words and cannot be compared; use exclude, with [[...]]";
    case TS_FILE:
        return "is a file and cannot be compared; use exclude";
    case TS_WEIGHTS:
        return "are weights and cannot be compared; use exclude";
    default:
        return NULL;
    }
}

static ts_where_node *quantity(parser *p, const char *word, const ts_key *key) {
    const char *why = key ? incomparable(key) : NULL;
    if (why)
        return refuse(p, ts_fail(TS_ERROR_USER, "'%s' %s", word, why));
    ts_where_type type = !key                   ? TS_GIVES_NUMBER
                         : key->type == TS_NAME ? TS_GIVES_NAME
                         : key->type == TS_BOOL ? TS_GIVES_CONDITION
                                                : TS_GIVES_NUMBER;
    return make(p, (ts_where_node){.op = TS_WHERE_KEY, .type = type, .word = word, .key = key});
}

static ts_where_node *word_node(parser *p, const ts_where_token *t) {
    char *word = ts_arena_copy(&p->where->arena, t->text, t->length);
    if (!word)
        return refuse(p, TS_ERROR_MEMORY);
    bool quoted = t->kind == TS_TOKEN_STRING;
    const ts_key *key = quoted ? NULL : key_named(p, word, 0);
    if (key || (!quoted && ts_is_derived(word)))
        return quantity(p, word, key);
    if (!quoted && (strcmp(word, "true") == 0 || strcmp(word, "false") == 0))
        return make(p, (ts_where_node){
                           .op = TS_WHERE_NUMBER, .type = TS_GIVES_CONDITION, .word = word, .number = word[0] == 't'});
    return make(
        p, (ts_where_node){.op = TS_WHERE_NAME, .type = TS_GIVES_TEXT, .word = word, .quoted = quoted, .name = word});
}

// --- Comparisons ---

static ts_status refuse_choice(const ts_key *key, const char *word) {
    char shown[TS_SHOWN_BYTES];
    const char *near = ts_nearest(word, key->choices);
    return ts_fail(TS_ERROR_USER, "'%s' is never '%s'%s%s%s", key->name, ts_shown(word, shown),
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

// Whether the node, compared with a key of that name, is one of the key's words. Such a word may be the name of a key,
// too, as `group` is of a task and a key.
static bool is_choice(const parser *p, const char *of, const ts_where_node *node) {
    const ts_key *key;
    for (int n = 0; of && node->word && (key = key_named(p, of, n)); n++)
        if (ts_key_choice(key, node->word) >= 0)
            return true;
    return false;
}

// Makes `node`, compared with the key `of`, the name that it stands for.
static ts_status take_as_name(parser *p, ts_where_node *node, const ts_key *of) {
    if (node->type == TS_GIVES_NAME && !is_choice(p, of->name, node))
        return TS_OK; // another key
    if (!node->word)
        return ts_fail(TS_ERROR_USER, "'%s' is a name; compare it with a name", of->name);
    bool allowed = false, closed = true;
    const ts_key *key;
    for (int n = 0; (key = key_named(p, of->name, n)); n++) {
        if (key->type != TS_NAME)
            continue;
        closed = closed && key->choices;
        allowed = allowed || ts_key_choice(key, node->word) >= 0;
    }
    char message[512], spelling[TS_SPELLING_BYTES];
    if (closed && !allowed)
        return refuse_choice(of, node->word);
    ts_value name = {.type = TS_NAME, .name = node->word};
    if (!closed && !ts_task_check_value(of, &name, false, message, sizeof message))
        return ts_fail(TS_ERROR_USER, "%s", message);
    const char *spelt = ts_task_spell(of, node->word, spelling);
    if (spelt != node->word)
        spelt = ts_arena_copy(&p->where->arena, spelt, strlen(spelt));
    if (!spelt)
        return TS_ERROR_MEMORY;
    node->op = TS_WHERE_NAME;
    node->type = TS_GIVES_TEXT;
    node->name = spelt;
    return TS_OK;
}

// An integer key may have words for some of its numbers; "batch == exact".
static void take_as_number(ts_where_node *node, const ts_key *of) {
    int choice = node->word && of && of->type == TS_INTEGER ? ts_key_choice(of, node->word) : -1;
    if (choice < 0)
        return;
    node->op = TS_WHERE_NUMBER;
    node->type = TS_GIVES_NUMBER;
    node->number = choice;
}

// A key may be true or false of one model and a name of another; compared with a word it is the name.
static void take_as_named(const parser *p, ts_where_node *node, const ts_where_node *other) {
    bool is_word = other->type == TS_GIVES_TEXT || (other->op == TS_WHERE_KEY && is_choice(p, node->word, other));
    if (node->type != TS_GIVES_CONDITION || !node->key || !is_word)
        return;
    const ts_key *key;
    for (int n = 0; (key = key_named(p, node->word, n)); n++)
        if (key->type == TS_NAME) {
            node->type = TS_GIVES_NAME;
            node->key = key;
            return;
        }
}

// Whether both sides are of one type, which is that of numbers or, for equality, of names or of conditions.
static ts_status check_sides(parser *p, ts_where_node *a, ts_where_node *b, bool equality) {
    take_as_named(p, a, b);
    take_as_named(p, b, a);
    if (a->type == TS_GIVES_NAME || b->type == TS_GIVES_NAME) {
        bool b_is_of = a->type != TS_GIVES_NAME || (b->type == TS_GIVES_NAME && is_choice(p, b->word, a));
        const ts_key *of = b_is_of ? b->key : a->key;
        if (!equality)
            return ts_fail(TS_ERROR_USER, "'%s' is a name: it can only be compared with == and !=", of->name);
        return take_as_name(p, b_is_of ? a : b, of);
    }
    take_as_number(a, b->key);
    take_as_number(b, a->key);
    if (a->type == TS_GIVES_CONDITION && b->type == TS_GIVES_CONDITION)
        return equality ? TS_OK : ts_fail(TS_ERROR_USER, "true and false can only be compared with == and !=");
    return gives(p, a, TS_GIVES_NUMBER) && gives(p, b, TS_GIVES_NUMBER) ? TS_OK : p->status;
}

// --- The grammar ---

static ts_where_node *parse(parser *p, ts_where_strength strength);

static void advance(parser *p) {
    ts_status status = ts_where_token_next(&p->at, &p->token);
    if (status != TS_OK)
        refuse(p, status);
}

static ts_where_node *expected(parser *p, const char *what) {
    char shown[TS_SHOWN_BYTES];
    if (p->token.kind == TS_TOKEN_END)
        return refuse(p, ts_fail(TS_ERROR_USER, "the expression ends where %s is expected", what));
    return refuse(p, ts_fail(TS_ERROR_USER, "expected %s before '%s'", what, ts_shown(p->token.text, shown)));
}

static ts_where_node *parse_parenthesis(parser *p) {
    ts_where_node *inner = parse(p, TS_BINDS_OR);
    if (!inner)
        return NULL;
    if (p->token.kind == TS_TOKEN_END)
        return refuse(p, ts_fail(TS_ERROR_USER, "a ( is not closed"));
    if (p->token.kind != TS_TOKEN_CLOSE)
        return expected(p, "an operator");
    advance(p);
    return inner;
}

// `not` and the sign stand before what they negate.
static ts_where_node *parse_negation(parser *p, bool condition) {
    ts_where_type type = condition ? TS_GIVES_CONDITION : TS_GIVES_NUMBER;
    ts_where_node *right = parse(p, condition ? TS_BINDS_COMPARISON : TS_BINDS_SIGN);
    if (!right || !gives(p, right, type))
        return NULL;
    return make(p, (ts_where_node){.op = condition ? TS_WHERE_NOT : TS_WHERE_NEGATE, .type = type, .right = right});
}

static ts_where_node *parse_operand(parser *p) {
    const ts_where_token t = p->token;
    bool is_not = t.kind == TS_TOKEN_OPERATOR && t.op == TS_WHERE_NOT;
    bool is_sign = t.kind == TS_TOKEN_OPERATOR && t.op == TS_WHERE_SUBTRACT;
    bool is_value = t.kind == TS_TOKEN_NUMBER || t.kind == TS_TOKEN_STRING || t.kind == TS_TOKEN_WORD;
    if (!is_not && !is_sign && !is_value && t.kind != TS_TOKEN_OPEN)
        return expected(p, "a value");
    advance(p);
    if (p->status != TS_OK)
        return NULL;
    if (is_not || is_sign)
        return parse_negation(p, is_not);
    if (t.kind == TS_TOKEN_OPEN)
        return parse_parenthesis(p);
    if (t.kind == TS_TOKEN_NUMBER)
        return make(p, (ts_where_node){.op = TS_WHERE_NUMBER, .type = TS_GIVES_NUMBER, .number = t.number});
    return word_node(p, &t);
}

// What an operator other than a comparison takes, and gives.
static ts_where_type sides_of(const ts_where_token *t) {
    return t->strength < TS_BINDS_COMPARISON ? TS_GIVES_CONDITION : TS_GIVES_NUMBER;
}

static ts_where_node *join(parser *p, const ts_where_token *t, ts_where_node *left, ts_where_node *right) {
    ts_where_type type = TS_GIVES_CONDITION;
    if (t->strength == TS_BINDS_COMPARISON) {
        ts_status status = check_sides(p, left, right, t->op == TS_WHERE_EQUAL || t->op == TS_WHERE_UNEQUAL);
        if (status != TS_OK)
            return refuse(p, status);
    } else {
        type = sides_of(t);
        if (!gives(p, right, type))
            return NULL;
    }
    return make(p, (ts_where_node){.op = t->op, .type = type, .left = left, .right = right});
}

// Operands and the operators between them that bind at least that strongly; those of one strength from the left.
// a < b < c is a < b and b < c.
static ts_where_node *parse_sides(parser *p, ts_where_strength strength) {
    static const ts_where_token AND = {.op = TS_WHERE_AND, .strength = TS_BINDS_AND};
    ts_where_node *left = parse_operand(p), *last = NULL; // `last`: the last side, if it can go on as a chain
    while (left && p->status == TS_OK && p->token.kind == TS_TOKEN_OPERATOR && p->token.op != TS_WHERE_NOT &&
           p->token.strength >= strength) {
        const ts_where_token t = p->token;
        bool is_comparison = t.strength == TS_BINDS_COMPARISON, continues = is_comparison && last;
        if (!is_comparison && !gives(p, left, sides_of(&t)))
            return NULL;
        advance(p);
        ts_where_node *right = p->status == TS_OK ? parse(p, t.strength + 1) : NULL;
        if (!right)
            return NULL;
        ts_where_node *joined = join(p, &t, continues ? last : left, right);
        left = joined && continues ? join(p, &AND, left, joined) : joined;
        last = left && is_comparison ? make(p, *right) : NULL; // each comparison makes of a side what it needs
    }
    return p->status == TS_OK ? left : NULL;
}

static ts_where_node *parse(parser *p, ts_where_strength strength) {
    if (p->depth == MAX_DEPTH)
        return refuse(p, ts_fail(TS_ERROR_USER, "the expression is nested too deeply; use a list of several"));
    p->depth++;
    ts_where_node *node = parse_sides(p, strength);
    p->depth--;
    return node;
}

static ts_where_node *parse_all(parser *p) {
    advance(p);
    ts_where_node *root = p->status == TS_OK ? parse(p, TS_BINDS_OR) : NULL;
    if (!root)
        return NULL;
    if (p->token.kind == TS_TOKEN_CLOSE)
        return refuse(p, ts_fail(TS_ERROR_USER, "a ) has no ("));
    if (p->token.kind != TS_TOKEN_END)
        return expected(p, "an operator");
    return gives(p, root, TS_GIVES_CONDITION) ? root : NULL;
}

ts_status ts_where_compile(const char *text, const ts_key *const *keys, int n_keys, ts_where **where) {
    *where = NULL;
    ts_where *made = ts_alloc_zero(1, sizeof *made, "a where expression");
    if (!made)
        return TS_ERROR_MEMORY;
    parser p = {.where = made, .keys = keys, .n_keys = n_keys, .at = text, .status = TS_OK};
    made->root = parse_all(&p);
    if (made->root)
        *where = made;
    else
        ts_where_free(made);
    return p.status;
}

void ts_where_free(ts_where *where) {
    if (!where)
        return;
    ts_arena_free(&where->arena);
    ts_free(where);
}
