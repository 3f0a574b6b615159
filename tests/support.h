// What several tests share: a sweep from a text, and the instances of its first case.
#pragma once

#include "base/memory.h"
#include "model/model.h"
#include "sweep/sweep.h"
#include "task/data.h"
#include "task/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// A sweep of that text; the test fails, with its errors, if it is none. Free with ts_sweep_free.
static inline ts_sweep *support_sweep(const char *text) {
    ts_sweep *sweep = NULL;
    ts_sweep_source source = {.file = "test.yaml", .text = text, .bytes = strlen(text)};
    if (ts_sweep_read(&source, &sweep) != TS_OK)
        fail_msg("%s", ts_sweep_errors());
    return sweep;
}

// Data of a sweep's case. Free with ts_data_free.
static inline ts_data *support_data(const ts_sweep *sweep, int case_index) {
    ts_params params;
    ts_data *data = NULL;
    ts_case_params(sweep, case_index, 0, &params);
    assert_int_equal(ts_data_create(&params, &data), TS_OK);
    return data;
}

// Fails, printing both, unless |a - b| <= relative * max(|a|, |b|) + absolute.
#define assert_close(a, b, relative, absolute)                                                               \
    do {                                                                                                     \
        double left_ = (a), right_ = (b);                                                                    \
        double scale_ = fabs(left_) > fabs(right_) ? fabs(left_) : fabs(right_);                             \
        if (!(fabs(left_ - right_) <= (relative)*scale_ + (absolute)))                                       \
            fail_msg("%s = %.17g, %s = %.17g", #a, left_, #b, right_);                                       \
    } while (0)
