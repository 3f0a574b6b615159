// Task `expression`: any integer expression in a and b, modulo p. Pairs for which it has no value are left out.
#include "base/memory.h"
#include "task/data.h"
#include "task/formula.h"
#include "task/recognise.h"
#include "task/split.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"expression", TS_NAME, NULL, 0, 0, NULL, true,
     "Integers, a and b, joined by + - * / ** and parentheses, as in a**2 + a*b + b**2; modulo p"},
    {"p", TS_INTEGER, "113", 2, TS_MAX_ORDER, NULL, true, "Modulus: tokens and results are 0 to p - 1"},
    {"nonzero", TS_BOOL, "false", 0, 0, NULL, true, "Leaves 0 out of the tokens (and of the results, if none is 0)"},
    TS_SPLIT_KEYS,
    {0},
};

_Static_assert((int)TS_SPELLING_BYTES > (int)TS_FORMULA_BYTES, "an expression as it is written");

// --- Which pairs, and which results ---

typedef struct survey {
    int64_t pairs; // that have a value
    bool zero;     // is one of the values
    int fault;     // of an exponent (formula.h), of the pair (a, b); 0: none
    int a, b;
} survey;

static int residue_of(const ts_params *params) {
    return ts_params_bool(params, "nonzero") ? 1 : 0;
}

static survey look(const ts_formula *formula, int p, int first) {
    survey found = {0};
    for (int a = first; a < p; a++)
        for (int b = first; b < p; b++) {
            int value = ts_formula_value(formula, a, b, p);
            if (value < TS_FORMULA_NONE) {
                found = (survey){.fault = value, .a = a, .b = b};
                return found;
            }
            found.pairs += value >= 0;
            found.zero = found.zero || value == 0;
        }
    return found;
}

// Layouts are asked for far more often than expressions change, so that what was found last is remembered.
enum { REMEMBERED = 8 };
typedef struct seen {
    char text[TS_FORMULA_BYTES + 1];
    int p, first;
    survey found;
} seen;

static survey survey_of(const ts_params *params) {
    static _Thread_local seen last[REMEMBERED];
    static _Thread_local int next;
    const char *text = ts_params_name(params, "expression");
    int p = (int)ts_params_integer(params, "p"), first = residue_of(params);
    for (int i = 0; i < REMEMBERED; i++)
        if (last[i].p == p && last[i].first == first && strcmp(last[i].text, text) == 0)
            return last[i].found;
    ts_formula formula;
    char message[512];
    if (!ts_formula_read(text, &formula, message, sizeof message))
        return (survey){0}; // check_value refuses it before
    seen *made = &last[next++ % REMEMBERED];
    *made = (seen){.p = p, .first = first, .found = look(&formula, p, first)};
    snprintf(made->text, sizeof made->text, "%s", text);
    return made->found;
}

// --- Checks ---

static bool check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes) {
    ts_formula formula;
    char spelt[TS_FORMULA_BYTES + 1];
    (void)kept;
    if (strcmp(key->name, "expression") != 0)
        return true;
    if (!ts_formula_read(value->name, &formula, message, bytes))
        return false;
    if (ts_formula_write(&formula, spelt))
        return true;
    snprintf(message, bytes, "it has more than %d characters once there are blanks around + and -; shorten it",
             TS_FORMULA_BYTES);
    return false;
}

static void spell(const ts_key *key, const char *name, char *out) {
    ts_formula formula;
    char message[512];
    if (strcmp(key->name, "expression") != 0 || !ts_formula_read(name, &formula, message, sizeof message) ||
        !ts_formula_write(&formula, out))
        snprintf(out, TS_SPELLING_BYTES, "%s", name);
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    const char *text = ts_params_name(params, "expression");
    survey found = survey_of(params);
    long long p = (long long)ts_params_integer(params, "p");
    if (found.fault == TS_FORMULA_NEGATIVE_EXPONENT)
        snprintf(message, bytes, "'%.80s' has a negative exponent at a = %d, b = %d; write 1 / x**n for an inverse",
                 text, found.a, found.b);
    else if (found.fault)
        snprintf(message, bytes,
                 "'%.80s' has an exponent above 2^53 at a = %d, b = %d (exponents are not taken modulo p); make it "
                 "smaller",
                 text, found.a, found.b);
    else if (found.pairs == 0)
        snprintf(message, bytes,
                 "'%.80s' is defined for no pair modulo %lld, as what it divides by never has an inverse; divide by "
                 "something else, or choose another p",
                 text, p);
    else
        return ts_split_check(params, found.pairs, message, bytes);
    return "expression";
}

// --- Derived quantities ---

static double order(const ts_params *params) {
    return (double)(ts_params_integer(params, "p") - residue_of(params));
}

static double classes(const ts_params *params) {
    bool all = ts_params_bool(params, "nonzero") && survey_of(params).zero;
    return all ? (double)ts_params_integer(params, "p") : order(params);
}

static double pairs(const ts_params *params) {
    return (double)survey_of(params).pairs;
}

static const ts_quantity DERIVED[] = {
    {"order", "elements of the table, that is tokens: p, or p - 1 without 0", .number = order},
    {"classes", "results that there may be: p, or p - 1 without 0", .number = classes},
    {"pairs", "pairs of tokens for which the expression is defined", true, .number = pairs},
    {0},
};

static void label(const ts_params *params, ts_text *out) {
    ts_text_addf(out, "%s mod %lld%s", ts_params_name(params, "expression"), (long long)ts_params_integer(params, "p"),
                 ts_params_bool(params, "nonzero") ? " without 0" : "");
}

// --- The table ---

static ts_status create(const ts_params *params, ts_data *data) {
    ts_formula formula;
    char message[512];
    int p = (int)ts_params_integer(params, "p"), n = (int)order(params), n_out = (int)classes(params);
    int first = residue_of(params), lowest = p - n_out; // residue of token 0, of result 0
    if (!ts_formula_read(ts_params_name(params, "expression"), &formula, message, sizeof message))
        return ts_fail(TS_ERROR_UNIT, "expression: %s", message); // check_value refuses it before
    ts_status status = ts_table_create(n, n_out, &data->table);
    for (int a = 0; a < n && status == TS_OK; a++)
        for (int b = 0; b < n; b++) {
            int value = ts_formula_value(&formula, a + first, b + first, p);
            data->table->result[a * n + b] = value < 0 ? TS_UNDEFINED : value - lowest;
        }
    if (status == TS_OK) {
        data->table->modulus = n == p ? p : 0;
        status = ts_table_examine(data->table);
    }
    return status == TS_OK ? ts_symmetry_recognise(data->table, p, first, &data->symmetry) : status;
}

const ts_task ts_task_expression = {
    .name = "expression",
    .help = "any integer expression in a and b modulo p",
    .kind = TS_KIND_TABLE,
    .keys = KEYS,
    .derived = DERIVED,
    .check_value = check_value,
    .spell = spell,
    .check = check,
    .label = label,
    .create = create,
};
