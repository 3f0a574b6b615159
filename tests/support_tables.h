// For tests of multiplication tables: a folder for files, sweeps beside it, and the table of a sweep's only case.
#pragma once

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/toysweep-groups-XXXXXX";
static char sweep_file[64]; // in it, though never written: paths are relative to it

static inline int set_up(void **state) {
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(sweep_file, sizeof sweep_file, "%s/test.yaml", directory);
    return 0;
}

static inline void path_of(const char *name, char out[128]) {
    snprintf(out, 128, "%s/%s", directory, name);
}

static inline void write_file(const char *name, const char *content) {
    char path[128];
    path_of(name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline int tear_down(void **state) {
    static const char *const FILES[] = {"order.txt", "same.txt", "other.txt", "table.csv", "big.csv", "fifo"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        path_of(FILES[i], path);
        unlink(path);
    }
    return rmdir(directory);
}

static inline ts_sweep *sweep_of(const char *text) {
    return support_sweep_of((ts_sweep_source){.file = sweep_file, .text = text});
}

static inline void expect_refused(const char *text, const char *error) {
    support_refused((ts_sweep_source){.file = sweep_file, .text = text}, error);
}

// The table of the sweep's only case.
static inline ts_data *table_of(const char *text) {
    ts_sweep *sweep = sweep_of(text);
    ts_data *data = support_data(sweep, 0);
    ts_sweep_free(sweep);
    assert_non_null(data->table);
    return data;
}

static inline ts_data *group_of(const char *name) {
    char text[128];
    snprintf(text, sizeof text, "task: group\ngroup: %s\ntrain_fraction: 1\n", name);
    return table_of(text);
}

static inline ts_data *cayley_of(const char *content) {
    write_file("table.csv", content);
    return table_of("task: cayley\ncayley: table.csv\ntrain_fraction: 1\n");
}

static inline int product(const ts_table *table, int a, int b) {
    return table->result[a * table->n + b];
}

// How many elements have the order.
static inline int elements_of_order(const ts_table *table, int order) {
    int count = 0;
    for (int a = 0; a < table->n; a++) {
        int power = a, k = 1;
        for (; power != table->identity && k <= table->n; k++)
            power = product(table, power, a);
        count += k == order;
    }
    return count;
}
