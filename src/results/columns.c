// Every column that follows from the sweep, filled some thousand rows at a time.
#include "results/columns.h"

#include "base/digest.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { SLAB_ROWS = 4096, HEAP_BYTES = 32 };

static ts_h5_type type_of(ts_key_type type) {
    if (type == TS_BOOL)
        return TS_H5_UINT8;
    return type == TS_INTEGER ? TS_H5_INT64 : type == TS_REAL ? TS_H5_FLOAT64 : TS_H5_TEXT;
}

static void add(ts_columns *columns, ts_column_kind kind, const char *name, ts_h5_type type, const char *help,
                const ts_key *key) {
    for (int i = 0; i < columns->count; i++)
        if (strcmp(columns->column[i].name, name) == 0)
            return; // in the lists of two tasks or models
    columns->column[columns->count++] = (ts_column){
        .kind = kind,
        .name = name,
        .help = help,
        .key = key,
        .form = ts_format_list(type, ts_sweep_instances(columns->sweep)),
    };
}

// What the tasks of the sweep derive.
static void add_derived(ts_columns *columns) {
    const ts_task *seen = NULL;
    for (int c = 0; c < ts_sweep_cases(columns->sweep); c++) {
        const ts_task *task = ts_sweep_case(columns->sweep, c)->schema->task;
        for (const ts_quantity *one = task->derived; task != seen && one->name; one++)
            if (one->column)
                add(columns, TS_COLUMN_DERIVED, one->name, one->number ? TS_H5_INT64 : TS_H5_TEXT, one->help, NULL);
        seen = task;
    }
}

static int count_derived(void) {
    int count = 0;
    for (int t = 0; ts_tasks[t]; t++)
        for (const ts_quantity *one = ts_tasks[t]->derived; one->name; one++)
            count += one->column;
    return count;
}

// Goes to an instance, and finds anew where its values are if its keys are others than those of the one before.
static const ts_params *go_to(ts_columns *columns, int64_t instance) {
    const ts_params *params = ts_canonical_seek(columns->canonical, instance);
    if (columns->schema == params->schema)
        return params;
    columns->schema = params->schema;
    for (int c = 0; c < columns->count; c++) {
        ts_column *column = &columns->column[c];
        column->position = column->kind == TS_COLUMN_KEY    ? ts_schema_find(params->schema, column->key->name)
                           : column->kind == TS_COLUMN_SEED ? ts_schema_find(params->schema, "seed")
                                                            : -1;
        column->quantity =
            column->kind == TS_COLUMN_DERIVED ? ts_task_quantity(params->schema->task, column->name) : NULL;
    }
    return params;
}

// The instance's value of the column's key; NULL if it has no such key.
static const ts_value *value_of(const ts_column *column, const ts_params *params) {
    return column->position < 0 ? NULL : &params->value[column->position];
}

// Appends its digits, and the identity itself to the sweep's.
static void add_identity(ts_columns *columns, ts_text *text) {
    uint8_t identity[TS_SHA256_BYTES];
    char hex[TS_SHA256_HEX];
    ts_canonical_identity(columns->canonical, identity);
    ts_sha256_feed(columns->digest, identity, sizeof identity);
    ts_sha256_text(identity, hex);
    ts_text_append(text, hex, TS_SHA256_HEX - 1);
}

static void add_text(ts_columns *columns, const ts_column *column, const ts_params *params, ts_text *text) {
    if (column->kind == TS_COLUMN_RESOLVED) {
        const ts_text *form = ts_canonical_form(columns->canonical);
        ts_text_append(text, ts_text_get(form), form->length);
    } else if (column->kind == TS_COLUMN_IDENTITY) {
        add_identity(columns, text);
    } else if (column->kind == TS_COLUMN_DERIVED) {
        ts_text_add(text, column->quantity ? column->quantity->word(params) : "");
    } else {
        const ts_value *value = value_of(column, params);
        if (value && value->type == TS_NAME)
            ts_text_add(text, value->name);
        else if (value)
            ts_value_text(value, text);
    }
}

ts_status ts_columns_text_bytes(ts_columns *columns, int64_t *bytes) {
    ts_text text = {0};
    *bytes = 0;
    for (int64_t i = 0; i < ts_sweep_instances(columns->sweep); i++) {
        const ts_params *params = go_to(columns, i);
        for (int c = 0; c < columns->count; c++) {
            const ts_column *column = &columns->column[c];
            if (column->form.type != TS_H5_TEXT)
                continue;
            ts_text_clear(&text);
            if (column->kind == TS_COLUMN_IDENTITY)
                text.length = TS_SHA256_HEX - 1;
            else if (column->kind == TS_COLUMN_RESOLVED)
                text.length = ts_canonical_form(columns->canonical)->length;
            else
                add_text(columns, column, params, &text);
            *bytes += (int64_t)text.length + HEAP_BYTES;
        }
    }
    text.length = 0;
    ts_status status = ts_text_status(&text);
    ts_text_free(&text);
    return status == TS_OK ? ts_canonical_status(columns->canonical) : status;
}

static ts_status reserve_slabs(ts_columns *columns) {
    size_t row = 0;
    for (int c = 0; c < columns->count; c++)
        row += ts_h5_item_bytes(columns->column[c].form.type);
    columns->slab_rows = SLAB_ROWS;
    columns->slabs = ts_alloc_zero((size_t)columns->slab_rows, row, "columns of the results file");
    if (!columns->slabs)
        return TS_ERROR_MEMORY;
    char *slab = columns->slabs;
    for (int c = 0; c < columns->count; c++) {
        columns->column[c].slab = slab;
        slab += ts_h5_item_bytes(columns->column[c].form.type) * (size_t)columns->slab_rows;
    }
    return TS_OK;
}

ts_status ts_columns_make(const ts_sweep *sweep, ts_columns *columns) {
    const ts_key *const *keys;
    int varying = ts_sweep_varying(sweep, &keys);
    *columns = (ts_columns){.sweep = sweep};
    columns->column = ts_alloc_zero((size_t)varying + (size_t)count_derived() + 8, sizeof *columns->column,
                                    "columns of the results file");
    if (!columns->column || ts_canonical_open(sweep, &columns->canonical) != TS_OK)
        return TS_ERROR_MEMORY;
    columns->digest = ts_canonical_begin_digest(sweep);
    add(columns, TS_COLUMN_INSTANCE, "instance", TS_H5_INT64, "instance of the sweep", NULL);
    add(columns, TS_COLUMN_CASE, "case", TS_H5_INT32, "case: number of its group under /cases", NULL);
    add(columns, TS_COLUMN_IDENTITY, "identity", TS_H5_TEXT, "SHA-256 of resolved parameters", NULL);
    add(columns, TS_COLUMN_SEED, "seed", TS_H5_INT64, "seed of everything random in the instance", NULL);
    for (int i = 0; i < varying; i++)
        add(columns, TS_COLUMN_KEY, keys[i]->name, type_of(keys[i]->type), keys[i]->help, keys[i]);
    add_derived(columns);
    add(columns, TS_COLUMN_RESOLVED, "sweep/resolved", TS_H5_TEXT, "all parameters, as JSON", NULL);
    return reserve_slabs(columns);
}

void ts_columns_free(ts_columns *columns) {
    for (int c = 0; c < columns->count; c++)
        ts_text_free(&columns->column[c].texts);
    ts_free(columns->column);
    ts_free(columns->slabs);
    ts_canonical_close(columns->canonical);
    if (columns->digest)
        ts_sha256_end(columns->digest, NULL);
    *columns = (ts_columns){0};
}

// Where the instance has no such key: -1, NaN, or an empty text (255 in a column of true and false).
static void put_value(const ts_column *column, const ts_value *value, char *out) {
    static const uint64_t nan64 = 0x7ff8000000000000u;
    switch (column->form.type) {
    case TS_H5_INT64: {
        int64_t integer = value && value->type == TS_INTEGER ? value->integer : -1;
        memcpy(out, &integer, sizeof integer);
        break;
    }
    case TS_H5_FLOAT64: {
        double real = value && value->type == TS_INTEGER ? (double)value->integer : 0;
        if (value && value->type == TS_REAL)
            real = value->real;
        if (!value || isnan(real))
            memcpy(&real, &nan64, sizeof real);
        memcpy(out, &real, sizeof real);
        break;
    }
    case TS_H5_UINT8:
        *(uint8_t *)out = value && value->type == TS_BOOL ? value->flag : 255;
        break;
    default:
        break;
    }
}

// A derived whole number; -1 where the instance's task has none of that name, or the point none.
static void put_derived(const ts_column *column, const ts_params *params, char *out) {
    double value = column->quantity && column->quantity->number ? column->quantity->number(params) : NAN;
    memcpy(out, &(int64_t){isnan(value) ? -1 : (int64_t)value}, sizeof(int64_t));
}

// Appends to the column's texts; the slab holds the place until they no longer move.
static void put_text(ts_columns *columns, ts_column *column, const ts_params *params, char *out) {
    uintptr_t place = column->texts.length;
    memcpy(out, &place, sizeof place);
    add_text(columns, column, params, &column->texts);
    ts_text_append(&column->texts, "", 1);
}

static void put_row(ts_columns *columns, int64_t instance, int64_t row) {
    const ts_params *params = go_to(columns, instance);
    for (int c = 0; c < columns->count; c++) {
        ts_column *column = &columns->column[c];
        char *out = column->slab + (size_t)row * ts_h5_item_bytes(column->form.type);
        if (column->form.type == TS_H5_TEXT)
            put_text(columns, column, params, out);
        else if (column->kind == TS_COLUMN_INSTANCE)
            memcpy(out, &instance, sizeof instance);
        else if (column->kind == TS_COLUMN_CASE)
            memcpy(out, &(int32_t){ts_sweep_case_of(columns->sweep, instance)}, sizeof(int32_t));
        else if (column->kind == TS_COLUMN_DERIVED)
            put_derived(column, params, out);
        else
            put_value(column, value_of(column, params), out);
    }
}

// From places to pointers.
static void point_texts(ts_column *column, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uintptr_t place;
        memcpy(&place, column->slab + (size_t)i * sizeof place, sizeof place);
        const char *text = column->texts.bytes + place;
        memcpy(column->slab + (size_t)i * sizeof text, &text, sizeof text);
    }
}

ts_status ts_columns_fill(ts_columns *columns, int64_t first, int64_t count) {
    for (int c = 0; c < columns->count; c++)
        ts_text_clear(&columns->column[c].texts);
    for (int64_t row = 0; row < count; row++)
        put_row(columns, first + row, row);
    ts_status status = ts_canonical_status(columns->canonical);
    for (int c = 0; c < columns->count && status == TS_OK; c++)
        if (columns->column[c].form.type == TS_H5_TEXT) {
            status = ts_text_status(&columns->column[c].texts);
            if (status == TS_OK)
                point_texts(&columns->column[c], count);
        }
    return status;
}

void ts_columns_digest(ts_columns *columns, uint8_t digest[TS_SHA256_BYTES]) {
    ts_sha256_end(columns->digest, digest);
    columns->digest = NULL;
}

const char *ts_column_text(const ts_column *column, int64_t i) {
    const char *text;
    memcpy(&text, column->slab + (size_t)i * sizeof text, sizeof text);
    return text;
}
