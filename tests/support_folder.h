// A folder for each test, under a name that has to be quoted everywhere, and the path of what is tested in it.
#pragma once

#include "support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[128];

static inline int support_folder_make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/test folder'\n\"XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a \"b\"\n'c'.h5", folder);
    return 0;
}

// Nothing else may be left in it.
static inline int support_folder_remove(void **state) {
    (void)state;
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, support_folder_make, support_folder_remove)

// Bits of a file's byte become the opposite.
static inline void support_flip(const char *file, int64_t offset, int bits) {
    FILE *opened = fopen(file, "r+b");
    assert_non_null(opened);
    fseek(opened, (long)offset, SEEK_SET);
    int byte = fgetc(opened);
    fseek(opened, (long)offset, SEEK_SET);
    fputc(byte ^ bits, opened);
    assert_int_equal(fclose(opened), 0);
}
