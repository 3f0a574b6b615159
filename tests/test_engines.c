// Which engine trains a case, and why not a faster one: the choice, and how it is said.
#include "run/engines.h"
#include "support.h"

static const char *no_sgd(const ts_params *params) {
    return strcmp(ts_optimiser_of(params)->name, "sgd") == 0 ? "it has no sgd" : NULL;
}

static const char *no_long_training(const ts_params *params) {
    return ts_params_integer(params, "steps") > 1000 ? "it takes no more than 1000 steps" : NULL;
}

static const ts_engine FUSED = {.name = TS_FUSED, .help = TS_FUSED_HELP, .model = "mlp", .can = no_sgd},
                       OTHER = {.name = TS_FUSED, .help = TS_FUSED_HELP, .model = "transformer"},
                       GENERAL = {.name = TS_GENERAL, .help = TS_GENERAL_HELP, .can = no_long_training};
static const ts_backend BOTH = {.name = "both", .engines = (const ts_engine *const[]){&FUSED, &OTHER, &GENERAL, NULL}},
                        PLAIN = {.name = "plain", .engines = (const ts_engine *const[]){&GENERAL, NULL}},
                        FAST = {.name = "fast", .engines = (const ts_engine *const[]){&FUSED, &OTHER, NULL}};

#define GROUP "task: group\ngroup: S3\n"

TEST(test_the_first_engine_that_can_is_taken_and_it_is_said_why_not_a_fused_one) {
    static const struct {
        const char *sweep;
        const ts_backend *backend;
        const ts_engine *engine;
        const char *why;
    } known[] = {
        {GROUP "steps: 10\n", &BOTH, &FUSED, NULL},
        {GROUP "steps: 10\nmodel: transformer\n", &BOTH, &OTHER, NULL},
        {GROUP "steps: 10\noptimizer: sgd\n", &BOTH, &GENERAL, "it has no sgd"},
        {GROUP "steps: 2000\noptimizer: sgd\n", &BOTH, NULL, "it has no sgd"},
        {"task: tree\ndepth: 2\nhidden: 3\nsteps: 10\n", &BOTH, &GENERAL, "there is none for this model"},
        {"task: tree\ndepth: 2\nhidden: 3\nsteps: 10\n", &PLAIN, &GENERAL, NULL},
        {"task: tree\ndepth: 2\nhidden: 3\nsteps: 10\n", &FAST, NULL, "it has no such model"},
        {GROUP "steps: 10\noptimizer: sgd\n", &FAST, NULL, "it has no sgd"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        support_instance f;
        const char *why = "?", *expected = known[i].why ? known[i].why : "nothing";
        support_open(&f, known[i].sweep);
        if (ts_backend_engine(known[i].backend, &f.params, &why) != known[i].engine)
            fail_msg("another engine of %s for:\n%s", known[i].backend->name, known[i].sweep);
        if (strcmp(why ? why : "nothing", expected) != 0)
            fail_msg("%s is said, not %s, for:\n%s", why ? why : "nothing", expected, known[i].sweep);
        support_close(&f);
    }
}

// What prints it can rely on them; kinds come in one order, so that the first is what others are compared with.
TEST(test_every_engine_has_a_name_and_a_help) {
    for (int b = 0; ts_backends[b]; b++) {
        int general = 0, count = 0;
        for (const ts_engine *const *engine = ts_backends[b]->engines; *engine; engine++, count++) {
            assert_non_null((*engine)->name);
            assert_non_null((*engine)->help);
            assert_int_equal(general, 0); // it trains all that those before it do not, and is the last
            assert_string_equal((*engine)->name, (*engine)->model ? "fused" : "general");
            general += (*engine)->model == NULL;
        }
        assert_true(count > 0);
    }
}

TEST(test_cases_are_gathered_by_engine_and_reason) {
    ts_sweep *sweep = support_sweep("name: x\ntask: group\ngroup: S3\nsteps: 10\ngrid:\n  optimizer: [adamw, sgd]\n"
                                    "  embed: [6, 7]\n  hidden: [4, 5]\n");
    ts_engines engines;
    ts_text json = {0};
    assert_int_equal(ts_engines_find(sweep, &BOTH, &engines), TS_OK);
    ts_json_open(&json, NULL, '{');
    ts_engines_json(&engines, &json);
    ts_engines_json_case(&engines, 0, &json);
    ts_json_close(&json, '}');
    support_expect_text(&json,
                        "{\"engines\":[{\"engine\":\"fused\",\"cases\":4},{\"engine\":\"general\","
                        "\"engine_why\":\"it has no sgd\",\"cases\":4}],\"engine\":\"fused\"}",
                        "JSON");
    ts_engines_free(&engines);
    assert_int_equal(ts_engines_find(sweep, &FAST, &engines), TS_ERROR_USER);
    ts_engines_free(&engines);
    ts_sweep_free(sweep);
}

TEST(test_memory_that_runs_out_is_said) {
    ts_sweep *sweep = support_sweep("task: tree\ndepth: 2\nhidden: 3\n");
    for (int i = 1; i <= 2; i++) {
        ts_engines engines;
        ts_alloc_fail_at(i);
        assert_int_equal(ts_engines_find(sweep, &BOTH, &engines), TS_ERROR_MEMORY);
        ts_alloc_fail_at(0);
        ts_engines_free(&engines);
    }
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_engine_that_can_is_taken_and_it_is_said_why_not_a_fused_one),
        cmocka_unit_test(test_every_engine_has_a_name_and_a_help),
        cmocka_unit_test(test_cases_are_gathered_by_engine_and_reason),
        cmocka_unit_test(test_memory_that_runs_out_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
