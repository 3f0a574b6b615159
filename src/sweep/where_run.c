// The tree of a `where` expression, run for an instance.
#include "sweep/where.h"
#include "sweep/where_tree.h"

#include "model/model.h"
#include "model/optimiser.h"
#include "task/task.h"

#include <math.h>
#include <string.h>

typedef struct given {
    double number; // true: 1, false: 0
    const char *name;
} given;

bool ts_where_derive(const ts_params *params, const char *name, double *value) {
    return ts_model_learns(params->schema->model, params->schema->task) && ts_derive(params, name, value);
}

// A key may be true or false of one model and a name of another: where both have a word for it, that is the same.
static ts_status read_flag_or_name(const ts_where_node *node, const ts_params *params, given *out) {
    const ts_value *value = &params->value[node->position];
    bool flag;
    if (value->type == TS_BOOL) {
        out->name = value->flag ? "true" : "false";
        return TS_OK;
    }
    if (value->type != TS_NAME || node->type != TS_GIVES_CONDITION)
        return ts_fail(TS_ERROR_USER, "'%s' is not of one type in every instance", node->word);
    if (!ts_key_flag(params->schema->key[node->position], value->name, &flag))
        return ts_fail(TS_ERROR_USER,
                       "'%s' is '%s' in some instances, which is neither true nor false; compare it, as in `%s == %s`",
                       node->word, value->name, node->word, value->name);
    out->number = flag;
    return TS_OK;
}

static ts_status read_value(const ts_where_node *node, const ts_params *params, given *out) {
    const ts_key *key = params->schema->key[node->position];
    const ts_value *value = &params->value[node->position];
    if (!ts_params_counts(params, node->position)) {
        const char *by = params->schema->key[ts_schema_switch(params->schema, key)]->name;
        return ts_fail(TS_ERROR_USER, "'%s' means nothing without %s; say for which it counts, as in `not %s or ...`",
                       node->word, by, by);
    }
    if ((value->type == TS_NAME) != (node->type == TS_GIVES_NAME))
        return read_flag_or_name(node, params, out);
    switch (value->type) {
    case TS_INTEGER:
        out->number = (double)value->integer;
        return TS_OK;
    case TS_REAL:
        out->number = value->real;
        return TS_OK;
    case TS_BOOL:
        out->number = value->flag;
        return TS_OK;
    case TS_NAME:
        out->name = value->name;
        return TS_OK;
    default:
        break;
    }
    if (value->type == TS_FILE || value->type == TS_WEIGHTS || value->type == TS_WORDS ||
        value->numbers->form != TS_NUMBERS_SCALAR)
        return ts_fail(TS_ERROR_USER, "'%s' is not a single number in every instance", node->word);
    out->number = value->numbers->item[0];
    return TS_OK;
}

// A word that the instance has no value for: by the task, model or optimizer that others of its kind have it.
static ts_status refuse_word(const ts_schema *schema, const char *word) {
    const char *what = "task", *name = schema->task->name;
    for (int m = 0; ts_models[m]; m++)
        if (ts_key_listed(ts_models[m]->keys, word))
            what = "model", name = schema->model->name;
    for (int o = 0; ts_optimisers[o]; o++)
        if (ts_key_listed(ts_optimisers[o]->keys, word))
            what = "optimizer", name = schema->optimiser->name;
    for (int t = 0; ts_tasks[t]; t++)
        if (ts_key_listed(ts_tasks[t]->keys, word))
            what = "task", name = schema->task->name;
    return ts_fail(TS_ERROR_USER, "'%s' means nothing for %s '%s'; say for which it counts, as in `%s != %s or ...`",
                   word, what, name, what, name);
}

static ts_status read_key(ts_where_node *node, const ts_params *params, given *out) {
    if (node->bound != params->schema) {
        node->position = ts_schema_find(params->schema, node->word);
        node->bound = params->schema;
    }
    if (node->position >= 0)
        return read_value(node, params, out);
    if (node->type != TS_GIVES_NAME && ts_is_derived(node->word) && ts_where_derive(params, node->word, &out->number))
        return TS_OK;
    return refuse_word(params->schema, node->word);
}

static double calculate(ts_where_op op, double a, double b) {
    switch (op) {
    case TS_WHERE_ADD:
        return a + b;
    case TS_WHERE_SUBTRACT:
        return a - b;
    case TS_WHERE_MULTIPLY:
        return a * b;
    case TS_WHERE_DIVIDE:
        return a / b;
    default:
        break;
    }
    double rest = fmod(a, b); // with the sign of b, as in Python
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static bool compare(const ts_where_node *node, const given *a, const given *b) {
    if (node->left->type == TS_GIVES_NAME || node->left->type == TS_GIVES_TEXT)
        return (strcmp(a->name, b->name) == 0) == (node->op == TS_WHERE_EQUAL);
    switch (node->op) {
    case TS_WHERE_EQUAL:
        return a->number == b->number;
    case TS_WHERE_UNEQUAL:
        return a->number != b->number;
    case TS_WHERE_LESS:
        return a->number < b->number;
    case TS_WHERE_AT_MOST:
        return a->number <= b->number;
    case TS_WHERE_GREATER:
        return a->number > b->number;
    default:
        return a->number >= b->number;
    }
}

static ts_status run(ts_where_node *node, const ts_params *params, given *out) {
    *out = (given){.number = node->number, .name = node->name};
    if (node->op == TS_WHERE_NUMBER || node->op == TS_WHERE_NAME)
        return TS_OK;
    if (node->op == TS_WHERE_KEY)
        return read_key(node, params, out);
    given a = {0}, b = {0};
    ts_status status = node->left ? run(node->left, params, &a) : TS_OK;
    bool decided = (node->op == TS_WHERE_AND && a.number == 0) || (node->op == TS_WHERE_OR && a.number != 0);
    if (status == TS_OK && !decided)
        status = run(node->right, params, &b);
    if (status != TS_OK)
        return status;
    if (node->op == TS_WHERE_AND || node->op == TS_WHERE_OR)
        out->number = decided ? a.number : b.number;
    else if (node->op == TS_WHERE_NOT)
        out->number = b.number == 0;
    else if (node->op == TS_WHERE_NEGATE)
        out->number = -b.number;
    else if (node->op >= TS_WHERE_EQUAL)
        out->number = compare(node, &a, &b);
    else
        out->number = calculate(node->op, a.number, b.number);
    return TS_OK;
}

ts_status ts_where_run(ts_where *where, const ts_params *params, bool *holds) {
    given result;
    ts_status status = run(where->root, params, &result);
    *holds = status == TS_OK && result.number != 0;
    return status;
}
