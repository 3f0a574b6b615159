// Integer expressions in a and b, as the key `expression` takes them: read, written in one form, and computed modulo p.
// Which pairs of tokens they are computed for is the task's business (expression.c).
//
//     sum      = [sum ("+" | "-")] product
//     product  = [product ("*" | "/")] signed
//     signed   = ("-" | "+") signed | power
//     power    = operand ["**" signed]
//     operand  = digits | "a" | "b" | "(" sum ")"
//
// Precedence is Python's: -a**2 is -(a**2), and ** is read from the right. "/" is the product with the inverse modulo
// p. An exponent is computed before anything is reduced modulo p, so it has no "/".
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_FORMULA_BYTES = 256, TS_FORMULA_DEPTH = 64 }; // of a text without its NUL; of what lies in each other

typedef enum ts_formula_operation {
    TS_FORMULA_NUMBER,
    TS_FORMULA_A,
    TS_FORMULA_B,
    TS_FORMULA_NEGATIVE, // of left
    TS_FORMULA_SUM,      // of left and right, as all below
    TS_FORMULA_DIFFERENCE,
    TS_FORMULA_PRODUCT,
    TS_FORMULA_QUOTIENT,
    TS_FORMULA_POWER,
} ts_formula_operation;

typedef struct ts_formula_node {
    ts_formula_operation operation;
    int left, right; // nodes
    int64_t number;  // of TS_FORMULA_NUMBER, up to 2^53
} ts_formula_node;

typedef struct ts_formula {
    int count, root;
    ts_formula_node node[TS_FORMULA_BYTES + 1]; // (count) after those that they are made of
} ts_formula;

// False: `message` says at which column what is wrong, and the cure.
bool ts_formula_read(const char *text, ts_formula *formula, char *message, size_t bytes);

// The one form of all texts that are read to the same nodes: blanks around + and - between two terms and nowhere else,
// no parentheses but those that are needed, numbers without leading zeros. False: it has more than TS_FORMULA_BYTES.
bool ts_formula_write(const ts_formula *formula, char out[TS_FORMULA_BYTES + 1]);

// Beside results 0 to p - 1.
enum {
    TS_FORMULA_NONE = -1, // a divisor has no inverse
    TS_FORMULA_NEGATIVE_EXPONENT = -2,
    TS_FORMULA_LARGE_EXPONENT = -3, // above 2^53, or something on the way there is
};

// For a and b >= 0, modulo p <= 2^15. 0**0 is 1.
int ts_formula_value(const ts_formula *formula, int a, int b, int p);
