// The program of a `where` expression, run on a stack.
#include "sweep/where.h"
#include "sweep/where_code.h"

#include "model/model.h"
#include "task/task.h"

#include <math.h>
#include <string.h>

typedef struct operand {
    double number; // true: 1, false: 0
    const char *name;
} operand;

bool ts_where_derive(const ts_params *params, const char *name, double *value) {
    return ts_model_learns(params->schema->model, params->schema->task) && ts_derive(params, name, value);
}

static void bind(struct ts_where *where, const ts_schema *schema) {
    if (where->bound == schema)
        return;
    for (int i = 0; i < where->quantities; i++)
        where->quantity[i].position = ts_schema_find(schema, where->quantity[i].name);
    where->bound = schema;
}

static ts_status read_key(const ts_where_quantity *quantity, const ts_params *params, operand *out) {
    *out = (operand){0};
    if (quantity->position < 0) {
        if (quantity->derived && !quantity->is_name && ts_where_derive(params, quantity->name, &out->number))
            return TS_OK;
        const char *task = params->schema->task->name;
        return ts_fail(TS_ERROR_USER,
                       "'%s' means nothing for task '%s' with model '%s'; say for which it counts, as in `task != %s "
                       "or ...`",
                       quantity->name, task, params->schema->model->name, task);
    }
    const ts_value *value = &params->value[quantity->position];
    bool flag;
    if (!quantity->is_name && value->type == TS_NAME &&
        ts_key_flag(params->schema->key[quantity->position], value->name, &flag)) {
        out->number = flag;
        return TS_OK;
    }
    if ((value->type == TS_NAME) != quantity->is_name)
        return ts_fail(TS_ERROR_USER, "'%s' is not of one type in every instance", quantity->name);
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
        return ts_fail(TS_ERROR_USER, "'%s' is not a single number in every instance", quantity->name);
    out->number = value->numbers->item[0];
    return TS_OK;
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

static bool compare(const ts_where_step *step, const operand *a, const operand *b) {
    if (step->names)
        return (strcmp(a->name, b->name) == 0) == (step->op == TS_WHERE_EQUAL);
    switch (step->op) {
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

// Replaces the sides on top of the stack; returns its new height.
static int run_comparison(const ts_where_step *step, operand *stack, int top) {
    operand right = stack[top - 1];
    bool holds = compare(step, &stack[top - 2], &right);
    top -= 2;
    if (step->continues)
        holds = stack[--top].number != 0 && holds;
    stack[top++] = (operand){.number = holds};
    if (step->chained)
        stack[top++] = right;
    return top;
}

ts_status ts_where_run(ts_where *where, const ts_params *params, bool *holds) {
    operand stack[TS_WHERE_STACK]; // the compiler saw to it that it suffices
    int top = 0;
    bind(where, params->schema);
    for (int at = 0; at < where->steps; at++) {
        const ts_where_step *step = &where->step[at];
        if (step->op == TS_WHERE_NUMBER) {
            stack[top++] = (operand){.number = step->number};
        } else if (step->op == TS_WHERE_NAME) {
            stack[top++] = (operand){.name = step->name};
        } else if (step->op == TS_WHERE_KEY) {
            ts_status status = read_key(&where->quantity[step->index], params, &stack[top++]);
            if (status != TS_OK)
                return status;
        } else if (step->op == TS_WHERE_NEGATE) {
            stack[top - 1].number = -stack[top - 1].number;
        } else if (step->op == TS_WHERE_NOT) {
            stack[top - 1].number = stack[top - 1].number == 0;
        } else if (step->op == TS_WHERE_AND || step->op == TS_WHERE_OR) {
            bool decided = (stack[top - 1].number != 0) == (step->op == TS_WHERE_OR);
            at = decided ? step->index - 1 : at;
            top -= !decided;
        } else if (step->op >= TS_WHERE_EQUAL) {
            top = run_comparison(step, stack, top);
        } else {
            top--;
            stack[top - 1].number = calculate(step->op, stack[top - 1].number, stack[top].number);
        }
    }
    *holds = stack[0].number != 0;
    return TS_OK;
}
