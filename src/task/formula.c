// A parser by recursive descent into an array of nodes, and what is done with these.
#include "task/formula.h"

#include <stdio.h>
#include <string.h>

static const int64_t LARGEST = (int64_t)1 << 53;

// --- Reading ---

typedef struct parser {
    const char *text;
    size_t at;
    int depth;
    bool in_exponent;
    ts_formula *formula;
    char *message; // NULL once it is written
    size_t bytes;
} parser;

// What is wrong where the parser is; the first fault counts. Always -1, which is no node.
static int refuse(parser *p, size_t at, const char *what) {
    if (p->message)
        snprintf(p->message, p->bytes, "'%.80s%s', column %zu: %s", p->text, strlen(p->text) > 80 ? "..." : "", at + 1,
                 what);
    p->message = NULL;
    return -1;
}

static char peek(parser *p) {
    while (p->text[p->at] == ' ' || p->text[p->at] == '\t')
        p->at++;
    return p->text[p->at];
}

// "**" is one operation, not two.
static bool take(parser *p, const char *operation) {
    size_t length = strlen(operation);
    if (peek(p) != operation[0] || strncmp(p->text + p->at, operation, length) != 0 ||
        (length == 1 && strchr("*/", *operation) && p->text[p->at + 1] == *operation))
        return false;
    p->at += length;
    return true;
}

// A node for each character at most, so that there is room. A part that is none (-1) gives none.
static int add_node(parser *p, ts_formula_operation operation, int left, int right) {
    if (left < 0 || right < 0)
        return -1;
    p->formula->node[p->formula->count] = (ts_formula_node){.operation = operation, .left = left, .right = right};
    return p->formula->count++;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// What stands where an operand is to be, or behind one.
static int refuse_here(parser *p, bool behind) {
    char c = peek(p), message[160];
    size_t at = p->at, length = 0;
    while (is_letter(p->text[at + length]) || (length > 0 && is_digit(p->text[at + length])))
        length++;
    if (!c)
        snprintf(message, sizeof message, "it ends where %s is to be", behind ? "')'" : "a, b, a number or '('");
    else if (c == '^')
        snprintf(message, sizeof message, "'^' is no operation here; write ** for powers");
    else if (c == '%' || strncmp(p->text + at, "mod", 3) == 0)
        snprintf(message, sizeof message, "results are taken modulo the key p; leave '%s' out", c == '%' ? "%" : "mod");
    else if (strncmp(p->text + at, "//", 2) == 0)
        snprintf(message, sizeof message, "'//' is no operation here; '/' is the product with the inverse modulo p");
    else if (c == '.' || (behind && c == ','))
        snprintf(message, sizeof message, "numbers are whole; a fraction may be written with '/'");
    else if (behind && (length > 0 || c == '(' || is_digit(c)))
        snprintf(message, sizeof message, "expected an operation (+ - * / **); write * for a product");
    else if (length > 0)
        snprintf(message, sizeof message, "'%.*s' is no input: they are called a and b, and a product is a*b",
                 (int)(length < 20 ? length : 20), p->text + at);
    else
        snprintf(message, sizeof message, "expected %s",
                 behind ? "an operation (+ - * / **) or the end" : "a, b, a number or '('");
    return refuse(p, at, message);
}

static int read_sum(parser *p);
static int read_signed(parser *p);

static int read_number(parser *p) {
    int64_t number = 0;
    size_t at = p->at;
    for (; is_digit(p->text[p->at]); p->at++) {
        number = 10 * number + (p->text[p->at] - '0');
        if (number > LARGEST)
            return refuse(p, at, "the number is too large; 2^53 is the largest that is read");
    }
    int node = add_node(p, TS_FORMULA_NUMBER, 0, 0);
    p->formula->node[node].number = number;
    return node;
}

static int read_operand(parser *p) {
    char c = peek(p), next = c ? p->text[p->at + 1] : 0;
    if (is_digit(c))
        return read_number(p);
    if ((c == 'a' || c == 'b') && !is_letter(next) && !is_digit(next)) {
        p->at++;
        return add_node(p, c == 'a' ? TS_FORMULA_A : TS_FORMULA_B, 0, 0);
    }
    size_t at = p->at;
    if (!take(p, "("))
        return refuse_here(p, false);
    int inner = read_sum(p);
    if (inner < 0 || take(p, ")"))
        return inner;
    return peek(p) ? refuse_here(p, true) : refuse(p, at, "this '(' is never closed; add ')'");
}

// Exponents are integers, before anything is reduced.
static int read_power(parser *p) {
    int base = read_operand(p);
    if (base < 0 || !take(p, "**"))
        return base;
    bool outside = !p->in_exponent;
    p->in_exponent = true;
    int exponent = read_signed(p);
    if (outside)
        p->in_exponent = false;
    return add_node(p, TS_FORMULA_POWER, base, exponent);
}

// Every way into the depth comes by here.
static int read_signed(parser *p) {
    int node;
    if (++p->depth > TS_FORMULA_DEPTH)
        return refuse(p, p->at, "too many signs, powers and parentheses within each other; 64 is the most");
    if (take(p, "-"))
        node = add_node(p, TS_FORMULA_NEGATIVE, read_signed(p), 0);
    else if (take(p, "+"))
        node = read_signed(p);
    else
        node = read_power(p);
    p->depth--;
    return node;
}

static int read_product(parser *p) {
    int left = read_signed(p);
    while (left >= 0) {
        bool product = take(p, "*");
        size_t at = p->at;
        if (!product && !take(p, "/"))
            return left;
        if (!product && p->in_exponent)
            return refuse(p, at, "an exponent is an integer, without '/'; to divide by a power, write 1 / a**n");
        int right = read_signed(p);
        left = add_node(p, product ? TS_FORMULA_PRODUCT : TS_FORMULA_QUOTIENT, left, right);
    }
    return left;
}

static int read_sum(parser *p) {
    int left = read_product(p);
    while (left >= 0) {
        bool sum = take(p, "+");
        if (!sum && !take(p, "-"))
            return left;
        int right = read_product(p);
        left = add_node(p, sum ? TS_FORMULA_SUM : TS_FORMULA_DIFFERENCE, left, right);
    }
    return left;
}

bool ts_formula_read(const char *text, ts_formula *formula, char *message, size_t bytes) {
    parser p = {.text = text, .formula = formula, .message = message, .bytes = bytes};
    formula->count = 0;
    formula->root = -1;
    if (strlen(text) > TS_FORMULA_BYTES) {
        snprintf(message, bytes, "it has %zu characters; %d is the most", strlen(text), TS_FORMULA_BYTES);
        return false;
    }
    int root = read_sum(&p);
    if (root >= 0 && peek(&p))
        root =
            *(p.text + p.at) == ')' ? refuse(&p, p.at, "this ')' closes nothing; leave it out") : refuse_here(&p, true);
    formula->root = root;
    return root >= 0;
}

// --- Writing ---

typedef struct writer {
    char *out; // (TS_FORMULA_BYTES + 1)
    size_t length;
    bool full;
} writer;

static void put(writer *w, const char *text) {
    size_t length = strlen(text);
    w->full = w->full || w->length + length > TS_FORMULA_BYTES;
    if (!w->full)
        memcpy(w->out + w->length, text, length + 1);
    w->length += w->full ? 0 : length;
}

// How tightly an operation binds what it is made of.
static int strength(ts_formula_operation operation) {
    switch (operation) {
    case TS_FORMULA_SUM:
    case TS_FORMULA_DIFFERENCE:
        return 1;
    case TS_FORMULA_PRODUCT:
    case TS_FORMULA_QUOTIENT:
        return 2;
    case TS_FORMULA_NEGATIVE:
        return 3;
    case TS_FORMULA_POWER:
        return 4;
    default:
        return 5;
    }
}

static const char *sign_of(ts_formula_operation operation) {
    static const char *const SIGNS[] = {[TS_FORMULA_SUM] = " + ",
                                        [TS_FORMULA_DIFFERENCE] = " - ",
                                        [TS_FORMULA_PRODUCT] = "*",
                                        [TS_FORMULA_QUOTIENT] = "/",
                                        [TS_FORMULA_POWER] = "**"};
    return SIGNS[operation];
}

// A node, in parentheses if it binds less than `least`.
static void write_node(writer *w, const ts_formula *formula, int at, int least) {
    const ts_formula_node *node = &formula->node[at];
    int own = strength(node->operation);
    char number[24];
    if (w->full)
        return;
    put(w, own < least ? "(" : "");
    switch (node->operation) {
    case TS_FORMULA_NUMBER:
        snprintf(number, sizeof number, "%lld", (long long)node->number);
        put(w, number);
        break;
    case TS_FORMULA_A:
    case TS_FORMULA_B:
        put(w, node->operation == TS_FORMULA_A ? "a" : "b");
        break;
    case TS_FORMULA_NEGATIVE:
        put(w, "-");
        write_node(w, formula, node->left, own);
        break;
    case TS_FORMULA_POWER: // what is raised is an operand; an exponent may have a sign
        write_node(w, formula, node->left, own + 1);
        put(w, sign_of(node->operation));
        write_node(w, formula, node->right, strength(TS_FORMULA_NEGATIVE));
        break;
    default: // read from the left
        write_node(w, formula, node->left, own);
        put(w, sign_of(node->operation));
        write_node(w, formula, node->right, own + 1);
    }
    put(w, own < least ? ")" : "");
}

bool ts_formula_write(const ts_formula *formula, char out[TS_FORMULA_BYTES + 1]) {
    writer w = {.out = out};
    out[0] = 0;
    write_node(&w, formula, formula->root, 0);
    return !w.full;
}

// --- Computing ---

// base^exponent with |result| <= 2^53; false: it is larger.
static bool raise_exactly(int64_t base, int64_t exponent, int64_t *out) {
    if (base == 0 || base == 1 || base == -1) {
        *out = exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
        return true;
    }
    for (*out = 1; exponent > 0; exponent--)
        if (__builtin_mul_overflow(*out, base, out) || *out > LARGEST || *out < -LARGEST)
            return false;
    return true;
}

// An exponent, or what one is made of: 0, or one of the faults.
static int compute_exactly(const ts_formula *formula, int at, int a, int b, int64_t *out) {
    const ts_formula_node *node = &formula->node[at];
    int64_t left = 0, right = 0;
    bool two = node->operation >= TS_FORMULA_SUM, fits = true;
    int fault = node->operation >= TS_FORMULA_NEGATIVE ? compute_exactly(formula, node->left, a, b, &left) : 0;
    if (fault == 0 && two)
        fault = compute_exactly(formula, node->right, a, b, &right);
    if (fault != 0)
        return fault;
    switch (node->operation) {
    case TS_FORMULA_NUMBER:
        *out = node->number;
        break;
    case TS_FORMULA_A:
    case TS_FORMULA_B:
        *out = node->operation == TS_FORMULA_A ? a : b;
        break;
    case TS_FORMULA_NEGATIVE:
        *out = -left;
        break;
    case TS_FORMULA_SUM:
        *out = left + right;
        break;
    case TS_FORMULA_DIFFERENCE:
        *out = left - right;
        break;
    case TS_FORMULA_PRODUCT:
        fits = !__builtin_mul_overflow(left, right, out);
        break;
    case TS_FORMULA_POWER:
        if (right < 0)
            return TS_FORMULA_NEGATIVE_EXPONENT;
        fits = raise_exactly(left, right, out);
        break;
    case TS_FORMULA_QUOTIENT: // is refused when it is read
        return TS_FORMULA_NONE;
    }
    return fits && *out <= LARGEST && *out >= -LARGEST ? 0 : TS_FORMULA_LARGE_EXPONENT;
}

static int raise(int base, int64_t exponent, int p) {
    int result = 1 % p;
    for (; exponent > 0; exponent >>= 1, base = base * base % p)
        if (exponent & 1)
            result = result * base % p;
    return result;
}

// By Euclid; TS_FORMULA_NONE: it has none.
static int invert(int number, int p) {
    int rest = p, divisor = number, before = 0, now = 1;
    while (divisor > 0) {
        int quotient = rest / divisor, next = before - quotient * now, left = rest % divisor;
        rest = divisor;
        divisor = left;
        before = now;
        now = next;
    }
    return rest == 1 ? (before % p + p) % p : TS_FORMULA_NONE;
}

static int compute_power(const ts_formula *formula, const ts_formula_node *node, int base, int a, int b, int p) {
    int64_t exponent = 0;
    int fault = compute_exactly(formula, node->right, a, b, &exponent);
    if (fault == 0 && exponent < 0)
        fault = TS_FORMULA_NEGATIVE_EXPONENT;
    return fault ? fault : raise(base, exponent, p);
}

static int compute(const ts_formula *formula, int at, int a, int b, int p) {
    const ts_formula_node *node = &formula->node[at];
    ts_formula_operation operation = node->operation;
    int left = operation >= TS_FORMULA_NEGATIVE ? compute(formula, node->left, a, b, p) : 0;
    int right =
        operation >= TS_FORMULA_SUM && operation != TS_FORMULA_POWER ? compute(formula, node->right, a, b, p) : 0;
    if (operation == TS_FORMULA_POWER) // a fault of an exponent counts, whatever else there is
        right = compute_power(formula, node, left < 0 ? 0 : left, a, b, p);
    if (left < 0 || right < 0)
        return left < right ? left : right;
    switch (operation) {
    case TS_FORMULA_NUMBER:
        return (int)(node->number % p);
    case TS_FORMULA_A:
    case TS_FORMULA_B:
        return (operation == TS_FORMULA_A ? a : b) % p;
    case TS_FORMULA_NEGATIVE:
        return (p - left) % p;
    case TS_FORMULA_SUM:
        return (left + right) % p;
    case TS_FORMULA_DIFFERENCE:
        return (left - right + p) % p;
    case TS_FORMULA_PRODUCT:
        return left * right % p;
    case TS_FORMULA_QUOTIENT:
        right = invert(right, p);
        return right < 0 ? right : left * right % p;
    case TS_FORMULA_POWER:
        return right;
    }
    return TS_FORMULA_NONE;
}

int ts_formula_value(const ts_formula *formula, int a, int b, int p) {
    return compute(formula, formula->root, a, b, p);
}
