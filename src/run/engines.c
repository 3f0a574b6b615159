// Engines are asked case by case; what they answer is gathered.
#include "run/engines.h"

#include "base/log.h"
#include "base/memory.h"

#include <string.h>

static bool same(const char *one, const char *other) {
    return one == other || (one && other && strcmp(one, other) == 0);
}

static void count_case(ts_engines *engines, int case_index, const char *name, const char *why) {
    int i = 0;
    while (i < engines->count && !(same(engines->use[i].name, name) && same(engines->use[i].why, why)))
        i++;
    if (i == engines->count)
        engines->use[engines->count++] = (ts_engine_use){.name = name, .why = why, .first = case_index};
    engines->use[i].cases++;
    engines->of[case_index] = i;
}

ts_status ts_engines_find(const ts_sweep *sweep, const ts_backend *backend, ts_engines *engines) {
    size_t cases = (size_t)ts_sweep_cases(sweep);
    *engines = (ts_engines){.sweep = sweep, .backend = backend};
    engines->use = ts_alloc_zero(cases, sizeof *engines->use, "the engines of cases");
    engines->of = ts_alloc_zero(cases, sizeof *engines->of, "the engines of cases");
    if (!engines->use || !engines->of)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < (int)cases; i++) {
        ts_params params;
        const char *why;
        ts_case_params(sweep, i, 0, &params);
        const ts_engine *engine = ts_backend_engine(backend, &params, &why);
        if (!engine)
            return ts_fail(TS_ERROR_USER, "--backend %s cannot train the case '%s': %s", backend->name,
                           ts_sweep_case(sweep, i)->title, why);
        count_case(engines, i, engine->name, why);
    }
    return TS_OK;
}

void ts_engines_free(ts_engines *engines) {
    ts_free(engines->use);
    ts_free(engines->of);
    *engines = (ts_engines){0};
}

// How many cases of several uses it is: " (2 of 5 cases: optimizer=sgd, ...)".
static void add_cases(const ts_engines *engines, const ts_engine_use *use, ts_text *out) {
    int all = ts_sweep_cases(engines->sweep);
    if (use->cases == all)
        return;
    ts_text_addf(out, " (%d of %d cases: %s%s)", use->cases, all, ts_sweep_case(engines->sweep, use->first)->title,
                 use->cases > 1 ? ", ..." : "");
}

void ts_engines_print(const ts_engines *engines, const char *heading) {
    int indent = (int)strlen(heading);
    for (int i = 0; i < engines->count; i++) {
        const ts_engine_use *use = &engines->use[i];
        ts_text line = {0};
        ts_text_addf(&line, "%*s%s on %s", indent, i == 0 ? heading : "", use->name, engines->backend->name);
        add_cases(engines, use, &line);
        if (use->why)
            ts_text_addf(&line, ", not %s: %s", engines->backend->engines[0]->name, use->why);
        ts_print_line(ts_text_get(&line));
        ts_text_free(&line);
    }
}

static void put_use(const ts_engine_use *use, ts_text *out) {
    ts_json_string(out, "engine", use->name);
    if (use->why)
        ts_json_string(out, "engine_why", use->why);
}

void ts_engines_json_case(const ts_engines *engines, int case_index, ts_text *out) {
    put_use(&engines->use[engines->of[case_index]], out);
}

void ts_engines_json(const ts_engines *engines, ts_text *out) {
    ts_json_open(out, "engines", '[');
    for (int i = 0; i < engines->count; i++) {
        ts_json_open(out, NULL, '{');
        put_use(&engines->use[i], out);
        ts_json_integer(out, "cases", engines->use[i].cases);
        ts_json_close(out, '}');
    }
    ts_json_close(out, ']');
}
