// Task `cayley`: a multiplication table from a text file, of a group or of anything else with one operation.
#include "base/integer_rows.h"
#include "task/data.h"
#include "task/split.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"cayley", TS_FILE, NULL, 0, 0, NULL, true,
     "Multiplication table: a text of n rows of n integers (CSV, blanks or lists), counted from 0; entry (a, "
     "b) is a b"},
    TS_SPLIT_KEYS,
    {0},
};

// One entry of the table, into *result. NULL, or where it stands and what is wrong with it.
static const char *take_entry(const ts_integer_rows *rows, int origin, int n, int *result, char fault[200]) {
    *result = rows->value - origin;
    if (*result >= 0 && *result < n)
        return NULL;
    snprintf(fault, 200,
             "line %d, column %d: entry %d%s, '%s', is not one of %d to %d (a table of %d rows; counted from %d)",
             rows->line, ts_integer_rows_column(rows), rows->entries, rows->lists ? " of a row" : "", rows->word,
             origin, n - 1 + origin, n, origin);
    return fault;
}

// The table into result (n, n), or nowhere if NULL. False: `message` says where it is malformed, and how.
static bool read_table(const ts_file *file, int n, int *result, char *message, size_t bytes) {
    char fault[200], place[TS_INTEGER_ROWS_PLACE];
    const char *wrong = NULL;
    int entry, a = 0;
    ts_integer_rows_survey survey = ts_integer_rows_look(file->content, file->bytes, n);
    if (survey.fault) {
        snprintf(message, bytes, "%s, line %d, column %d: %s", file->path, survey.line, survey.column, survey.fault);
        return false;
    }
    ts_integer_rows rows = ts_integer_rows_of(file->content, file->bytes);
    for (ts_integer_rows_event event; !wrong && (event = ts_integer_rows_next(&rows)) != TS_INTEGER_ROWS_END;) {
        if (event == TS_INTEGER_ROWS_NUMBER) {
            wrong = take_entry(&rows, survey.origin, n, &entry, fault);
            if (result && !wrong && a < n && rows.entries <= n)
                result[(size_t)a * (size_t)n + (size_t)(rows.entries - 1)] = entry;
        } else if (rows.entries != n) {
            snprintf(fault, sizeof fault, "%s: it has %d entries; a table of %d rows has %d in each%s",
                     ts_integer_rows_place(&rows, place), rows.entries, n, n,
                     abs(rows.entries - n) == 1 ? " (headings of rows or columns are to be left out)" : "");
            wrong = fault;
        } else {
            a++;
        }
    }
    if (wrong)
        snprintf(message, bytes, "%s, %s", file->path, wrong);
    return !wrong;
}

static bool check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes) {
    (void)kept;
    // A large table is not read again for every point of a sweep.
    static _Thread_local char checked[sizeof((ts_file *)0)->digest];
    if (strcmp(key->name, "cayley") != 0 || strcmp(value->file->digest, checked) == 0)
        return true;
    // Too many rows are a fault only if no filter drops them; none may be one that reading finds.
    int64_t rows = value->file->rows ? value->file->rows : 1;
    if (rows <= TS_MAX_ORDER && !read_table(value->file, (int)rows, NULL, message, bytes))
        return false;
    memcpy(checked, value->file->digest, sizeof checked);
    return true;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    const ts_file *file = ts_params_file(params, "cayley");
    if (file->rows >= 1 && file->rows <= TS_MAX_ORDER)
        return ts_split_check(params, file->rows * file->rows, message, bytes);
    snprintf(message, bytes, "%s has %lld rows; a table has 1 to %d", file->path, (long long)file->rows, TS_MAX_ORDER);
    return "cayley";
}

static double order(const ts_params *params) {
    return (double)ts_params_file(params, "cayley")->rows;
}

static const ts_quantity DERIVED[] = {{"order", "elements of the table", .number = order}, {0}};

static void label(const ts_params *params, ts_text *out) {
    ts_text_add(out, ts_params_file(params, "cayley")->name);
}

static ts_status create(const ts_params *params, ts_data *data) {
    const ts_file *file = ts_params_file(params, "cayley");
    char message[512];
    int n = (int)file->rows; // in range: check saw to it
    ts_status status = ts_table_create(n, n, &data->table);
    if (status != TS_OK)
        return status;
    if (!read_table(file, n, data->table->result, message, sizeof message))
        return ts_fail(TS_ERROR_UNIT, "cayley: %s", message);
    return ts_table_examine(data->table);
}

const ts_task ts_task_cayley = {
    .name = "cayley",
    .help = "a multiplication table from a file, of a group or not",
    .kind = TS_KIND_TABLE,
    .keys = KEYS,
    .derived = DERIVED,
    .check_value = check_value,
    .check = check,
    .label = label,
    .create = create,
};
