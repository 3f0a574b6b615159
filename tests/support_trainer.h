// For tests of the trainer: what a sweep's first case takes to be trained as one unit, and the unit at its end.
#pragma once

#include "support.h"
#include "train/trainer.h"

typedef struct support_unit {
    support_instance of;
    ts_record_layout *layout;
    ts_trainer_spec spec;
} support_unit;

// Of the instances in unit->of, which are open; NULL: on the engine of the backend `cpu`.
static inline void support_unit_open(support_unit *unit, const ts_engine *engine) {
    const support_instance *of = &unit->of;
    assert_int_equal(ts_record_layout_make(&of->params, of->data, &unit->layout), TS_OK);
    unit->spec = (ts_trainer_spec){
        .engine = engine ? engine : support_engine(ts_backend_find("cpu"), &of->params),
        .params = of->all,
        .count = of->rows,
        .data = of->data,
        .layout = unit->layout,
    };
}

static inline void support_unit_close(support_unit *unit) {
    ts_record_layout_free(unit->layout);
    support_close(&unit->of);
}

// A trainer that has trained everything.
static inline ts_trainer *support_finish(const ts_trainer_spec *spec) {
    ts_trainer *trainer;
    atomic_int pause = 0;
    bool finished = false;
    assert_int_equal(ts_trainer_create(spec, &trainer), TS_OK);
    assert_int_equal(ts_trainer_advance(trainer, &pause, &finished), TS_OK);
    assert_true(finished);
    return trainer;
}

static inline const ts_field *support_field(const ts_record_layout *layout, const char *name, ts_field_place place) {
    for (int i = 0; i < layout->count; i++)
        if (layout->field[i].place == place && strcmp(layout->field[i].name, name) == 0)
            return &layout->field[i];
    fail_msg("no field %s", name);
    return NULL;
}
