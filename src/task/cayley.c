// Task `cayley`: a multiplication table from a CSV file, of a group or of anything else with one operation.
#include "task/data.h"
#include "task/lines.h"
#include "task/split.h"
#include "task/task.h"

#include <stdio.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"cayley", TS_FILE, NULL, 0, 0, NULL, true,
     "Multiplication table: a CSV file of n rows of n integers, counted from 0; entry (a, b) is a b"},
    TS_SPLIT_KEYS,
    {0},
};

// Row a of the table into result (n), or nowhere if NULL. False: `message` says what is wrong.
static bool read_row(const char *at, const char *end, int n, int *result, char *message, size_t bytes) {
    char word[32];
    int count = 0, value;
    for (; ts_lines_integer(&at, end, ',', n, &value, word); count++) {
        if (value < 0 || value >= n) {
            snprintf(message, bytes,
                     "entry %d, '%s', is not one of 0 to %d (a table of %d rows; counted from 0)", count + 1,
                     word, n - 1, n);
            return false;
        }
        if (result && count < n)
            result[count] = value;
    }
    if (count != n)
        snprintf(message, bytes, "it has %d entries; a table of %d rows has %d in each, separated by commas",
                 count, n, n);
    return count == n;
}

// The table into result (n, n), or nowhere if NULL. False: `message` says where it is malformed, and how.
static bool read_table(const ts_file *file, int n, int *result, char *message, size_t bytes) {
    const char *begin, *end;
    char fault[200] = "";
    ts_lines lines = ts_lines_of(file);
    for (int a = 0; a < n && ts_lines_next(&lines, &begin, &end); a++)
        if (!read_row(begin, end, n, result ? result + (size_t)a * (size_t)n : NULL, fault, sizeof fault)) {
            snprintf(message, bytes, "%s, line %d: %s", file->path, lines.number, fault);
            return false;
        }
    return true;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    // A large table is not read again for every point of a sweep.
    static _Thread_local char checked[sizeof((ts_file *)0)->digest];
    const ts_file *file = ts_params_file(params, "cayley");
    if (file->lines < 1 || file->lines > TS_MAX_ORDER) {
        snprintf(message, bytes, "%s has %lld rows; a table has 1 to %d", file->path, (long long)file->lines,
                 TS_MAX_ORDER);
        return "cayley";
    }
    if (strcmp(file->digest, checked) != 0 && !read_table(file, (int)file->lines, NULL, message, bytes))
        return "cayley";
    memcpy(checked, file->digest, sizeof checked);
    return ts_split_check(params, (int)file->lines, message, bytes);
}

static bool derive(const ts_params *params, const char *name, double *value) {
    if (strcmp(name, "order") != 0)
        return false;
    *value = (double)ts_params_file(params, "cayley")->lines;
    return true;
}

static ts_status create(const ts_params *params, ts_data *data) {
    const ts_file *file = ts_params_file(params, "cayley");
    char message[512];
    int n = (int)file->lines; // in range: check saw to it
    ts_status status = ts_table_create(n, n, &data->table);
    if (status != TS_OK)
        return status;
    if (!read_table(file, n, data->table->result, message, sizeof message))
        return ts_fail(TS_ERROR_UNIT, "cayley: %s", message);
    return ts_table_examine(data->table);
}

static const char *const MODELS[] = {"mlp", "transformer", NULL};

const ts_task ts_task_cayley = {
    .name = "cayley",
    .help = "a multiplication table from a file, of a group or not",
    .models = MODELS,
    .keys = KEYS,
    .check = check,
    .derive = derive,
    .create = create,
};
