// What a `where` expression is compiled into: a tree. Shared by where.c, which makes it, and where_run.c.
#pragma once

#include "param/key.h"
#include "sweep/arena.h"

typedef enum ts_where_op {
    TS_WHERE_NUMBER,
    TS_WHERE_NAME,
    TS_WHERE_KEY, // a key or a derived quantity
    TS_WHERE_NEGATE,
    TS_WHERE_NOT,
    TS_WHERE_ADD,
    TS_WHERE_SUBTRACT,
    TS_WHERE_MULTIPLY,
    TS_WHERE_DIVIDE,
    TS_WHERE_MODULO,
    TS_WHERE_EQUAL,
    TS_WHERE_UNEQUAL,
    TS_WHERE_LESS,
    TS_WHERE_AT_MOST,
    TS_WHERE_GREATER,
    TS_WHERE_AT_LEAST,
    TS_WHERE_AND,
    TS_WHERE_OR,
} ts_where_op;

// What a node gives. TS_GIVES_TEXT: a word or string that is no key; a name once it is compared with one.
typedef enum ts_where_type { TS_GIVES_NUMBER, TS_GIVES_CONDITION, TS_GIVES_NAME, TS_GIVES_TEXT } ts_where_type;

typedef struct ts_where_node {
    ts_where_op op;
    ts_where_type type;
    const char *word; // as written, if it is a single word or string; else NULL
    bool quoted;
    double number;                      // of a number; 1 of true, 0 of false
    const char *name;                   // of a name
    const ts_key *key;                  // of a key; NULL: a derived quantity
    const ts_schema *bound;             // schema that `position` is of
    int position;                       // of the key there; -1: it has none
    struct ts_where_node *left, *right; // the sides; of a negation `right` alone. Comparisons of a
                                        // chain share what lies below the side that they have in common
} ts_where_node;

struct ts_where {
    ts_arena arena; // the nodes and their names
    ts_where_node *root;
};
