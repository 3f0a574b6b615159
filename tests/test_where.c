// `where` expressions: what they mean, and what is refused.
#include "model/model.h"
#include "model/optimiser.h"
#include "support_cmocka.h"
#include "sweep/where.h"
#include "task/task.h"

#include <string.h>

extern const ts_task ts_task_tree, ts_task_independent;

// An instance: the first task and model, with some values set.
typedef struct instance {
    ts_schema schema;
    ts_params params;
} instance;

static ts_value *value_of(instance *at, const char *key) {
    int i = ts_schema_find(&at->schema, key);
    assert_true(i >= 0);
    return &at->params.value[i];
}

static void make_instance(instance *at) {
    static const ts_numbers ONE = {TS_NUMBERS_SCALAR, 0};
    memset(at, 0, sizeof *at);
    ts_model_schema(&ts_task_tree, ts_model_find("autoencoder"), &ts_optimiser_adam, &at->schema);
    at->params.schema = &at->schema;
    for (int i = 0; i < at->schema.count; i++) {
        at->params.value[i].type = at->schema.key[i]->type;
        if (at->schema.key[i]->type == TS_NAME)
            at->params.value[i].name = "";
        if (at->schema.key[i]->type == TS_NUMBERS || at->schema.key[i]->type == TS_STEPS)
            at->params.value[i].numbers = &ONE;
    }
    value_of(at, "task")->name = "tree";
    value_of(at, "model")->name = "autoencoder";
    value_of(at, "init")->name = "xavier";
    value_of(at, "depth")->integer = 3;
    value_of(at, "branching")->integer = 2; // so 14 features
    value_of(at, "hidden")->integer = 5;
    value_of(at, "seed")->integer = 7;
    value_of(at, "steps")->integer = 100;
    value_of(at, "lr")->real = 0.001;
    value_of(at, "early_stopping")->flag = true;
    value_of(at, "tied")->flag = true;
    value_of(at, "bias")->flag = true;
    value_of(at, "batch")->integer = 0; // exact
}

static ts_status run(const char *text, instance *at, bool *holds) {
    ts_where *where;
    ts_schema other; // keys of another task are known as well
    ts_model_schema(&ts_task_independent, ts_model_find("autoencoder"), &ts_optimiser_adam, &other);
    const ts_key *keys[2 * TS_MAX_KEYS];
    int n = 0;
    for (int i = 0; i < at->schema.count; i++)
        keys[n++] = at->schema.key[i];
    for (int i = 0; i < other.count; i++)
        keys[n++] = other.key[i];
    ts_status status = ts_where_compile(text, keys, n, &where);
    if (status != TS_OK) {
        assert_null(where);
        return status;
    }
    status = ts_where_run(where, &at->params, holds);
    ts_where_free(where);
    return status;
}

TEST(test_expressions_hold_as_written) {
    static const struct {
        const char *text;
        bool holds;
    } CASES[] = {
        {"hidden <= features", true},
        {"hidden > features", false},
        {"features == 14", true},
        {"features + 1 == 15 and features - 1 == 13", true},
        {"parameters == hidden * features + features", true},
        {"hidden + 2 * 3 == 11", true},
        {"(hidden + 2) * 3 == 21", true},
        {"10 - 3 - 2 == hidden", true},
        {"20 / 2 / 2 == hidden", true},
        {"seed % 4 == 3", true},
        {"-seed % 4 == 1", true},
        {"-hidden < 0", true},
        {"--hidden == 5", true},
        {"- (hidden - 7) == 2", true},
        {"hidden / 0 > 1e300", true},
        {"hidden % 0 == hidden % 0", false},
        {"1 < hidden < 6", true},
        {"1 < hidden < 5", false},
        {"1 < hidden <= 5 < seed <= 7", true},
        {"6 < hidden < 100", false},
        {"1 < 2 == 2 < 3", true},
        {"6 < hidden < order", false}, // what decides comes first
        {"hidden == 4 == order", false},
        {"tree == task == tree", true},
        {"lr == 1e-3", true},
        {"lr != 0.001", false},
        {"lr < .01 and steps >= 1e2", true},
        {"task == tree", true},
        {"tree == task", true},
        {"task != independent", true},
        {"'tree' == task", true},
        {"init == \"xavier\" and model == autoencoder", true},
        {"init == xavier == init", true},
        {"task == model", false},
        {"early_stopping", true},
        {"not early_stopping", false},
        {"early_stopping == true", true},
        {"early_stopping != false", true},
        {"true", true},
        {"not true or false", false},
        {"not (true and false)", true},
        {"not hidden == 4", true},
        {"not not early_stopping", true},
        {"hidden == 1 or hidden == 5", true},
        {"true or true and false", true},
        {"(true or true) and false", false},
        {"false and false or true", true},
        {"hidden == 5 and (seed == 1 or seed == 7)", true},
        {"batch == exact", true},
        {"batch != exact", false},
        {"task == tree or order > 3", true},
        {"task != tree and binary", false},
        {"\thidden\n==\r5 ", true},
    };
    instance at;
    make_instance(&at);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        bool holds = false;
        ts_status status = run(CASES[i].text, &at, &holds);
        if (status != TS_OK)
            fail_msg("'%s': %s", CASES[i].text, ts_message());
        if (holds != CASES[i].holds)
            fail_msg("'%s' is %d, expected %d", CASES[i].text, holds, CASES[i].holds);
    }
}

TEST(test_faults_are_named) {
    static const struct {
        const char *text, *phrase;
    } CASES[] = {
        {"", "ends where a value is expected"},
        {"hidden <", "ends where a value is expected"},
        {"< 3", "expected a value before '< 3'"},
        {"hidden 3", "expected an operator before '3'"},
        {"hidden < 3 not", "expected an operator before 'not'"},
        {"()", "expected a value before ')'"},
        {"(true", "a ( is not closed"},
        {"true)", "a ) has no ("},
        {"hidden = 3", "equality is =="},
        {"true && true", "write and"},
        {"true || true", "write or"},
        {"!true", "write not"},
        {"hidden < 3 $", "cannot read '$'"},
        {"init == 'xavier", "a string has no closing '"},
        {"hidden", "'hidden' is not a condition"},
        {"hidden + 1", "expected a condition, not a number"},
        {"hidden and true", "'hidden' is not a condition"},
        {"true and hidden", "'hidden' is not a condition"},
        {"not hidden", "'hidden' is not a condition"},
        {"true + 1 == 2", "'true' is not a number"},
        {"1 + true == 2", "'true' is not a number"},
        {"-early_stopping == 1", "'early_stopping' is not a number"},
        {"early_stopping < true", "can only be compared with == and !="},
        {"early_stopping == 1", "'early_stopping' is not a number"},
        {"hiden == 2", "'hiden' is unknown; did you mean 'hidden'?"},
        {"hidden == featurs", "'featurs' is unknown; did you mean 'features'?"},
        {"zzzzzz", "'zzzzzz' is neither a key nor a derived quantity"},
        {"hidden == 'five'", "'five' is not a number"},
        {"task < tree", "it can only be compared with == and !="},
        {"task == 3", "'task' is a name; compare it with a name"},
        {"init == xaver", "'init' is never 'xaver'; did you mean 'xavier'?"},
        {"task", "'task' is not a condition"},
        {"task + 1 == 2", "'task' is not a number"},
        {"checkpoints == 2", "is a list of steps and cannot be compared"},
        {"1..3 == hidden", "cannot read '..3 == hidden'"},
        {"3x == hidden", "'3x' is neither a key"},
        {"task != tree or order > 3", "'order' means nothing for task 'tree'"},
        {"order == 3", "'order' means nothing for task 'tree'"},
        {"binary", "'binary' means nothing for task 'tree'"},
    };
    instance at;
    make_instance(&at);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        bool holds;
        ts_status status = run(CASES[i].text, &at, &holds);
        if (status != TS_ERROR_USER || !strstr(ts_message(), CASES[i].phrase))
            fail_msg("'%s': status %d, expected '%s', got '%s'", CASES[i].text, (int)status, CASES[i].phrase,
                     ts_message());
    }
}

static void expect_bounded(const char *unit, const char *middle, const char *after, const char *phrase) {
    instance at;
    bool holds;
    ts_text text = {0};
    make_instance(&at);
    for (int i = 0; i < 20000; i++)
        ts_text_add(&text, unit);
    ts_text_add(&text, middle);
    for (int i = 0; i < 20000; i++)
        ts_text_add(&text, after);
    ts_status status = run(text.bytes, &at, &holds);
    ts_text_free(&text);
    if (status != TS_ERROR_USER || !strstr(ts_message(), phrase))
        fail_msg("'%s'...: status %d, expected '%s', got '%s'", unit, (int)status, phrase, ts_message());
}

TEST(test_nesting_and_length_are_bounded) {
    expect_bounded("(", "true", ")", "nested too deeply");
    expect_bounded("not ", "true", "", "nested too deeply");
    expect_bounded("-", "1 == 1", "", "nested too deeply");
    expect_bounded("true and ", "true", "", "too long");
    expect_bounded("1 < ", "2", "", "too long");
    expect_bounded("1 == 1 + (", "2", ")", "nested too deeply");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions_hold_as_written),
        cmocka_unit_test(test_faults_are_named),
        cmocka_unit_test(test_nesting_and_length_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
