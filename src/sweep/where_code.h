// The program that a `where` expression is compiled into. Shared by where.c, which makes it, and where_run.c.
#pragma once

#include "param/key.h"
#include "sweep/arena.h"

typedef enum ts_where_op {
    TS_WHERE_NUMBER, // push a constant
    TS_WHERE_NAME,   // push a name
    TS_WHERE_KEY,    // push the value of quantity[index]
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
    TS_WHERE_AND, // go to `index` if the top is false and leave it there; else drop it
    TS_WHERE_OR,  // go to `index` if the top is true and leave it there; else drop it
} ts_where_op;

typedef struct ts_where_step {
    ts_where_op op;
    int index;
    bool continues; // comparison: the second of a chain; what the first gave lies below its sides
    bool chained;   // comparison: another follows, which needs the right side; it stays above the result
    bool names;     // comparison of names
    union {
        double number;
        const char *name;
    };
} ts_where_step;

// A key or derived quantity that the expression reads.
typedef struct ts_where_quantity {
    const char *name;
    bool is_name; // a TS_NAME key; else a number or condition
    bool derived; // some task or model derives a quantity of this name
    int position; // in `bound`; -1: no such key
} ts_where_quantity;

enum { TS_WHERE_STACK = 128, TS_WHERE_STEPS = 4096, TS_WHERE_QUANTITIES = 64 };

struct ts_where {
    ts_arena arena; // names and the arrays below
    int steps, quantities;
    ts_where_step *step;         // (steps)
    ts_where_quantity *quantity; // (quantities)
    const ts_schema *bound;      // schema that the positions are of
};
