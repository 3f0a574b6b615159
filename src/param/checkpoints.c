// From the values of `steps` and `checkpoints` to a list of steps.
#include "param/checkpoints.h"

#include <math.h>

// Collects ascending steps, each once.
typedef struct step_list {
    int64_t *out;
    int64_t capacity, count, last;
} step_list;

static void add_step(step_list *list, int64_t step) {
    if (list->count > 0 && step <= list->last)
        return;
    if (list->out && list->count < list->capacity)
        list->out[list->count] = step;
    list->last = step;
    list->count++;
}

// numpy.logspace(0, log10(steps), n).astype(int), in numpy's own order of operations: i * (stop / (n - 1))
// rounded once, then a power of ten, then truncation. The last power may come out just below `steps`.
static void add_log_steps(step_list *list, int64_t n, int64_t steps) {
    double stop = log10((double)steps), step = n > 1 ? stop / (double)(n - 1) : 0;
    add_step(list, 0);
    for (int64_t i = 0; i < n; i++) {
        double power = i == n - 1 && n > 1 ? stop : (double)i * step;
        int64_t at = (int64_t)pow(10.0, power);
        add_step(list, at < steps ? at : steps);
    }
}

int64_t ts_checkpoints(const ts_numbers *value, int64_t steps, int64_t *out, int64_t capacity) {
    step_list list = {.out = out, .capacity = capacity};
    if (value->form == TS_NUMBERS_LOG) {
        add_log_steps(&list, (int64_t)value->item[0], steps);
    } else if (value->form == TS_NUMBERS_EVERY) {
        int64_t every = (int64_t)value->item[0];
        if (!out) // counted without walking
            return (steps - 1) / every + 2;
        for (int64_t at = 0; at < steps; at += every)
            add_step(&list, at);
    } else {
        // A list value is ascending: the sweep sorts it.
        for (int i = 0; i < value->count; i++)
            if (value->item[i] < (double)steps)
                add_step(&list, (int64_t)value->item[i]);
    }
    add_step(&list, steps);
    return list.count;
}
