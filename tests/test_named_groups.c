// Groups that the key `group` names beside C, D, S and A: orders, elements, conjugacy classes and irreps against known
// ones, products against their definitions, one name for one construction, what is refused, and a training.
#define _POSIX_C_SOURCE 200809L
#include "support_tables.h"
#include "support_trainer.h"
#include "task/classes.h"
#include "task/group_guess.h"
#include "task/group_name.h"

#include <math.h>

// --- Known groups ---

// As character tables have them. Dimensions in the order of the set: a star for a pair of complex-conjugate irreps, a
// minus for a quaternionic one, nothing for one of real type.
static const struct {
    const char *name;
    int order, classes;
    const char *dimensions;
} KNOWN[] = {
    {"Q8", 8, 5, "1 1 1 1 2-"},
    {"Q16", 16, 7, "1 1 1 1 2- 2 2-"},
    {"Q32", 32, 11, "1 1 1 1 2- 2 2- 2 2- 2 2-"},
    {"Dic3", 12, 6, "1 1 1* 2- 2"},
    {"Dic5", 20, 8, "1 1 1* 2- 2 2- 2"},
    {"Dic6", 24, 9, "1 1 1 1 2- 2 2- 2 2-"},
    {"C7:C3", 21, 5, "1 1* 3*"},
    {"C5:C4", 20, 5, "1 1 1* 4"},
    {"C8:C2", 16, 7, "1 1 1 1 2 2*"},
    {"C9:C3", 27, 11, "1 1* 1* 1* 1* 3*"},
    {"C11:C5", 55, 7, "1 1* 1* 5*"},
    {"C13:C12", 156, 13, "1 1 1* 1* 1* 1* 1* 12"},
    {"SL(2,2)", 6, 3, "1 1 2"},
    {"SL(2,3)", 24, 7, "1 1* 2- 2* 3"},
    {"SL(2,5)", 120, 9, "1 2- 2- 3 3 4 4- 5 6-"},
    {"GL(2,3)", 48, 8, "1 1 2 2* 3 3 4"},
    {"PSL(2,3)", 12, 4, "1 1* 3"},
    {"PSL(2,5)", 60, 5, "1 3 3 4 5"},
    {"PSL(2,7)", 168, 6, "1 3* 6 7 8"},
    {"PGL(2,3)", 24, 5, "1 1 2 3 3"},
    {"PGL(2,5)", 120, 7, "1 1 4 4 5 5 6"},
    {"Q8xC3", 24, 15, "1 1 1 1 1* 1* 1* 1* 2- 2*"},
    {"C7:C3xC2", 42, 10, "1 1 1* 1* 3* 3*"},
    {"C2xSL(2,2)", 12, 6, "1 1 1 1 2 2"},
};

static double product_of(const ts_irreps *irreps, int i, int j) {
    double sum = 0;
    for (int g = 0; g < irreps->order; g++)
        sum += irreps->irrep[i].character[g] * irreps->irrep[j].character[g];
    return sum / irreps->order;
}

// Frobenius and Schur: the mean of chi(g^2).
static int indicator(const ts_table *table, const ts_irrep *irrep) {
    double sum = 0;
    for (int g = 0; g < table->n; g++)
        sum += irrep->character[product(table, g, g)];
    return (int)lround(sum / table->n);
}

static void list_dimensions(const ts_data *data, char *out, size_t bytes) {
    const ts_irreps *irreps = data->symmetry->irreps;
    size_t at = 0;
    for (int i = 0; i < irreps->count; i++) {
        const ts_irrep *one = &irreps->irrep[i];
        int type = indicator(data->table, one);
        at += (size_t)snprintf(out + at, bytes - at, "%s%d%s", i ? " " : "", one->dimension,
                               one->pair  ? "*"
                               : type < 0 ? "-"
                                          : "");
        assert_int_equal(type, one->pair ? 0 : type < 0 ? -1 : 1);
    }
}

TEST(test_orders_classes_and_irreps_are_the_known_ones) {
    for (size_t k = 0; k < sizeof KNOWN / sizeof *KNOWN; k++) {
        ts_data *data = group_of(KNOWN[k].name);
        char dimensions[256];
        ts_classes classes;
        int of_complex = 0;
        list_dimensions(data, dimensions, sizeof dimensions);
        ts_classes_find(data->table, &classes);
        for (int i = 0; i < data->symmetry->irreps->count; i++)
            of_complex += data->symmetry->irreps->irrep[i].pair ? 2 : 1;
        if (!data->table->group || data->table->n != KNOWN[k].order || data->table->family ||
            classes.count != KNOWN[k].classes || of_complex != classes.count ||
            strcmp(dimensions, KNOWN[k].dimensions) != 0)
            fail_msg(
                "%s: group %d, family %d, order %d, %d classes, %d complex irreps, dimensions %s; expected %d, %d, %s",
                KNOWN[k].name, data->table->group, data->table->family, data->table->n, classes.count, of_complex,
                dimensions, KNOWN[k].order, KNOWN[k].classes, KNOWN[k].dimensions);
        ts_data_free(data);
    }
}

TEST(test_characters_are_orthogonal_and_squares_of_dimensions_add_up) {
    for (size_t k = 0; k < sizeof KNOWN / sizeof *KNOWN; k++) {
        ts_data *data = group_of(KNOWN[k].name);
        const ts_irreps *irreps = data->symmetry->irreps;
        int squares = 0;
        for (int i = 0; i < irreps->count; i++) {
            const ts_irrep *one = &irreps->irrep[i];
            squares += (one->pair ? 2 : 1) * one->dimension * one->dimension;
            for (int j = 0; j <= i; j++)
                assert_close(product_of(irreps, i, j), i != j ? 0 : one->pair ? 2 : 1, 0, 1e-10);
        }
        assert_int_equal(squares, data->table->n);
        ts_data_free(data);
    }
}

TEST(test_elements_have_their_known_orders) {
    static const struct {
        const char *name;
        int order, count;
    } ELEMENTS[] = {{"Q8", 2, 1},        {"Q8", 4, 6},        {"Q16", 2, 1},       {"Q16", 4, 10},
                    {"Q16", 8, 4},       {"Dic3", 4, 6},      {"Dic3", 6, 2},      {"C8:C2", 2, 5},
                    {"C8:C2", 4, 6},     {"C8:C2", 8, 4},     {"C7:C3", 3, 14},    {"C7:C3", 7, 6},
                    {"SL(2,3)", 2, 1},   {"SL(2,3)", 4, 6},   {"SL(2,3)", 3, 8},   {"SL(2,3)", 6, 8},
                    {"GL(2,3)", 2, 13},  {"GL(2,3)", 8, 12},  {"PSL(2,7)", 2, 21}, {"PSL(2,7)", 3, 56},
                    {"PSL(2,7)", 4, 42}, {"PSL(2,7)", 7, 48}, {"PGL(2,5)", 6, 20}, {"SL(2,5)", 10, 24}};
    for (size_t i = 0; i < sizeof ELEMENTS / sizeof *ELEMENTS; i++) {
        ts_data *data = group_of(ELEMENTS[i].name);
        int count = elements_of_order(data->table, ELEMENTS[i].order);
        if (count != ELEMENTS[i].count)
            fail_msg("%s has %d elements of order %d, expected %d", ELEMENTS[i].name, count, ELEMENTS[i].order,
                     ELEMENTS[i].count);
        ts_data_free(data);
    }
}

TEST(test_the_largest_tables_are_groups) {
    static const struct {
        const char *name;
        int order;
    } LARGE[] = {{"SL(2,7)", 336}, {"GL(2,5)", 480}, {"PGL(2,7)", 336},
                 {"Q256", 256},    {"C31:C30", 930}, {"PSL(2,11)", 660}};
    for (size_t i = 0; i < sizeof LARGE / sizeof *LARGE; i++) { // without irreps, which take a second
        char text[128];
        snprintf(text, sizeof text, "task: group\ngroup: %s\n", LARGE[i].name);
        ts_sweep *sweep = sweep_of(text);
        ts_params params;
        ts_data data = {0};
        ts_case_params(sweep, 0, 0, &params);
        assert_int_equal(params.schema->task->create(&params, &data), TS_OK);
        assert_true(data.table->group);
        assert_int_equal(data.table->n, LARGE[i].order);
        ts_table_free(data.table);
        ts_sweep_free(sweep);
    }
}

// --- Products ---

TEST(test_generators_have_their_relations) {
    ts_data *q8 = group_of("Q8"), *dic3 = group_of("Dic3"), *frobenius = group_of("C7:C3"), *sd16 = group_of("C8:C2");
    assert_int_equal(product(q8->table, 4, 4), 2); // y^2 = x^2
    assert_int_equal(product(q8->table, 4, 1), 7); // y x = x^-1 y
    assert_int_equal(product(q8->table, 1, 4), 5); // x y
    assert_int_equal(product(q8->table, 5, 4), 3); // (x y) y = x^3
    assert_int_equal(product(dic3->table, 6, 6), 3);
    assert_int_equal(product(dic3->table, 6, 1), 11);
    assert_int_equal(product(frobenius->table, 7, 1), 9);       // y x = x^2 y
    assert_int_equal(product(frobenius->table, 14, 7), 0);      // y^3 = 1
    assert_int_equal(product(frobenius->table, 14, 3), 5 + 14); // y^2 x^3 = x^12 y^2
    assert_int_equal(product(sd16->table, 8, 1), 11);           // y x = x^3 y
    ts_data_free(q8);
    ts_data_free(dic3);
    ts_data_free(frobenius);
    ts_data_free(sd16);
}

enum { MOST = 1024 };

// All matrices with a determinant that fits, in the order of their entries; returns how many.
static int list_matrices(int q, bool special, int matrix[MOST][4]) {
    int count = 0;
    for (int a = 0; a < q; a++)
        for (int b = 0; b < q; b++)
            for (int c = 0; c < q; c++)
                for (int d = 0; d < q; d++) {
                    int determinant = (a * d - b * c + q * q) % q;
                    if (special ? determinant == 1 : determinant != 0)
                        memcpy(matrix[count++], (int[4]){a, b, c, d}, sizeof *matrix);
                }
    return count;
}

static int find_product(int q, int count, int matrix[MOST][4], int x, int y) {
    const int *l = matrix[x], *r = matrix[y];
    int made[4] = {(l[0] * r[0] + l[1] * r[2]) % q, (l[0] * r[1] + l[1] * r[3]) % q, (l[2] * r[0] + l[3] * r[2]) % q,
                   (l[2] * r[1] + l[3] * r[3]) % q};
    for (int z = 0; z < count; z++)
        if (memcmp(matrix[z], made, sizeof made) == 0)
            return z;
    fail_msg("no product of %d and %d", x, y);
    return -1;
}

TEST(test_matrices_are_multiplied) {
    static const struct {
        const char *name;
        int q;
        bool special;
    } GROUPS[] = {{"SL(2,3)", 3, true}, {"SL(2,5)", 5, true}, {"GL(2,3)", 3, false}};
    static int matrix[MOST][4];
    for (int i = 0; i < 3; i++) {
        ts_data *data = group_of(GROUPS[i].name);
        int count = list_matrices(GROUPS[i].q, GROUPS[i].special, matrix);
        assert_int_equal(data->table->n, count);
        for (int x = 0; x < count; x++)
            for (int y = 0; y < count; y++)
                assert_int_equal(product(data->table, x, y), find_product(GROUPS[i].q, count, matrix, x, y));
        ts_data_free(data);
    }
}

// The matrix's first multiple by a scalar of its group.
static int first_multiple(int q, bool special, int count, int matrix[MOST][4], int x) {
    const int *m = matrix[x];
    for (int y = 0; y < x && y < count; y++)
        for (int scalar = 2; scalar < q; scalar++) {
            int multiple[4] = {scalar * m[0] % q, scalar * m[1] % q, scalar * m[2] % q, scalar * m[3] % q};
            if ((!special || scalar == q - 1) && memcmp(matrix[y], multiple, sizeof multiple) == 0)
                return y;
        }
    return x;
}

// Each matrix's element of the projective group, by which all products go over.
static void check_projection(const char *name, int q, bool special) {
    static int matrix[MOST][4], to[MOST];
    ts_data *data = group_of(name);
    int count = list_matrices(q, special, matrix), number = 0;
    for (int x = 0; x < count; x++) {
        int first = first_multiple(q, special, count, matrix, x);
        to[x] = first == x ? number++ : to[first];
    }
    assert_int_equal(data->table->n, number);
    for (int x = 0; x < count; x++)
        for (int y = 0; y < count; y++)
            assert_int_equal(to[find_product(q, count, matrix, x, y)], product(data->table, to[x], to[y]));
    ts_data_free(data);
}

TEST(test_projective_groups_are_quotients_by_scalars) {
    check_projection("PSL(2,5)", 5, true);
    check_projection("PGL(2,3)", 3, false);
}

// --- Names ---

TEST(test_a_construction_has_one_name) {
    static const struct {
        const char *written, *name;
    } NAMES[] = {
        {"Dic2", "Q8"},
        {"Dic4", "Q16"},
        {"Dic3", "Dic3"},
        {"C7:C2", "D7"},
        {"C4:C2", "D4"},
        {"C8:C2", "C8:C2"},
        {"C7:C1", "C7"},
        {"C1:C1", "C1"},
        {"GL(2,2)", "SL(2,2)"},
        {"PSL(2,2)", "SL(2,2)"},
        {"PGL(2,2)", "SL(2,2)"},
        {"SL(2, 3)", "SL(2,3)"},
        {"C7:C2xDic2", "D7xQ8"},
        {"C5", "C5"},
        {"D1", "D1"},
        {"S3xC4", "S3xC4"},
        {"C2xC2", "C2xC2"},
        {"A4xC1", "A4xC1"},
        {"C2xC7:C3", "C2xC7:C3"},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char text[128];
        ts_params params;
        snprintf(text, sizeof text, "task: group\ngroup: %s\ntrain_fraction: 1\n", NAMES[i].written);
        ts_sweep *sweep = sweep_of(text);
        ts_sweep_params(sweep, 0, &params);
        assert_string_equal(ts_params_name(&params, "group"), NAMES[i].name);
        ts_sweep_free(sweep);
    }
    expect_refused("task: group\ngroup: [Q8, Dic2]\n", "instances 0 and 1 are the same");
    ts_data *dihedral = group_of("D7"), *other = group_of("C7:C2");
    assert_memory_equal(dihedral->table->result, other->table->result, 196 * sizeof(int));
    assert_int_equal(other->table->family, 'D');
    ts_data_free(dihedral);
    ts_data_free(other);
}

TEST(test_names_are_swept_and_filtered) {
    ts_sweep *sweep = sweep_of("task: group\ngrid: {group: [Q8, C7:C3, \"SL(2,3)\", \"PSL(2,13)\", Q512, S3]}\n"
                               "where: order <= 24 and group != \"PSL(2,13)\" and group != S3\n");
    assert_int_equal(ts_sweep_instances(sweep), 3);
    ts_sweep_free(sweep);
    sweep = sweep_of("task: group\ngroup: [Q8, C7:C3, Dic3]\nwhere: group == Dic2 or group == \"C7:C3\"\n");
    assert_int_equal(ts_sweep_instances(sweep), 2);
    ts_sweep_free(sweep);
}

TEST(test_what_is_not_built_is_refused_with_the_reason) {
    static const struct {
        const char *name, *reason;
    } REFUSED[] = {
        {"GL(2,4)", "a prime number of elements, which 4 is not; give a table with `task: cayley`"},
        {"PSL(2,9)", "which 9 is not"},
        {"SL(2,1)", "which 1 is not"},
        {"SL(3,2)", "only matrices of 2 x 2 are built; give SL(2,q)"},
        {"SL(2", "it ends at the comma; in a list write it in quotes"},
        {"Q7", "Q<n>, the generalised quaternion group, has n = 8, 16, 32, ... elements"},
        {"Q4", "has n = 8, 16, 32, ... elements"},
        {"Q12", "the dicyclic group of so many is Dic3"},
        {"Dic1", "has n from 2; Dic1 is C4"},
        {"C7:C5", "C7 has no automorphism of order 5 by which C5 could act, only of order 1, 2, 3, 6; C7xC5 is the"},
        {"C3:C4", "only of order 1, 2; Dic3 is the group in which C4 inverts C3"},
        {"C1:C2", "C1 has no automorphism of order 2"},
        {"Q8:C3", "of semidirect products only C<n>:C<m> are built"},
        {"C7:C3:C2", "of semidirect products only C<n>:C<m> are built"},
        {"C7:S3", "of semidirect products only C<n>:C<m> are built"},
        {"PSL(2,13)", "has more than 1024 elements"},
        {"SL(2,99999999999)", "has more than 1024 elements"},
        {"C500:C499", "has more than 1024 elements"},
        {"Dic257", "has more than 1024 elements"},
        {"Q2048", "has more than 1024 elements"},
        {"GL(2,5)xC3", "has more than 1024 elements"},
        {"SL(2,3)x", "is no group known here; give C<n>"},
        {"Dic", "is no group known here; give C<n>"},
        {"dic3", "did you mean 'Dic3' (12 elements)?"},
        {"Q_8", "did you mean 'Q8' (8 elements)?"},
        {"SL2(3)", "did you mean 'SL(2,3)' (24 elements)?"},
        {"PSL(2,F_7)", "did you mean 'PSL(2,7)' (168 elements)?"},
        {"L2(7)", "did you mean 'PSL(2,7)' (168 elements)?"},
        {"C7 : C3", "did you mean 'C7:C3' (21 elements)?"},
        {"Z7 \u22ca Z3", "did you mean 'C7:C3' (21 elements)?"},
        {"SD16", "did you mean 'C8:C2' (16 elements)?"},
        {"C2 x SL(2,3)", "did you mean 'C2xSL(2,3)' (48 elements)?"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        char text[128];
        snprintf(text, sizeof text, "task: group\ngroup: '%s'\n", REFUSED[i].name);
        expect_refused(text, REFUSED[i].reason);
        expect_refused(text, "test.yaml:2: key 'group': '");
    }
    write_file("order.txt", "0 1 2\n");
    expect_refused("task: group\ngroup: Q8\nelement_order: order.txt\n", "only S<n> and A<n> have elements to order");
}

// Every text of a few characters that names are made of is read or refused, within its bounds.
TEST(test_any_text_is_read_or_refused) {
    static const char *const PIECES[] = {"C", "D",  "Dic", "Q", "S",     "SL(", "PGL(2,", "2", "8",
                                         "7", "3)", ":",   "x", "(2,3)", " ",   "999999", "0", "_"};
    enum { COUNT = sizeof PIECES / sizeof *PIECES };
    uint32_t random = 1;
    for (int round = 0; round < 4000; round++) {
        char text[256] = "";
        ts_group_name name, again;
        char fault[512], written[TS_SPELLING_BYTES], other[TS_SPELLING_BYTES];
        for (uint32_t left = 1 + (random >> 28) % 6; left > 0; left--) {
            random = random * 1664525 + 1013904223;
            strcat(text, PIECES[(random >> 16) % COUNT]);
        }
        ts_group_guess(text, fault, sizeof fault);
        if (!ts_group_name_read(text, &name, fault, sizeof fault) || name.order > TS_MAX_ORDER)
            continue;
        ts_group_name_write(&name, written, sizeof written);
        assert_true(ts_group_name_read(written, &again, fault, sizeof fault));
        assert_true(again.order == name.order);
        ts_group_name_write(&again, other, sizeof other);
        assert_string_equal(other, written);
    }
}

// --- Training ---

static void write_table(const ts_table *table) {
    char path[128];
    path_of("table.csv", path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < table->n * table->n; i++)
        fprintf(file, "%d%s", table->result[i], (i + 1) % table->n ? "," : "\n");
    assert_int_equal(fclose(file), 0);
}

static void open_training(support_unit *unit, const char *task) {
    char text[512];
    snprintf(text, sizeof text,
             "%s\nembed: 8\nhidden: 16\ntrain_fraction: 0.8\nlr: 1e-2\nsteps: 60\ncheckpoints: [0, 30, 60]\n", task);
    support_open(&unit->of, text);
    support_unit_open(unit, NULL);
}

// A number of a measure at all checkpoints.
static double number_of(const support_unit *unit, ts_trainer *trainer, const char *name, int index) {
    const ts_field *field = support_field(unit->layout, name, TS_FIELD_CASE);
    const char *at = (const char *)ts_trainer_result(trainer, 0).record + field->offset;
    double wide;
    float narrow;
    memcpy(&wide, at + (size_t)(field->item_bytes == 8 ? index : 0) * sizeof wide, sizeof wide);
    memcpy(&narrow, at + (size_t)index * sizeof narrow, sizeof narrow);
    return field->item_bytes == 8 ? wide : (double)narrow;
}

// It learns, and all that is measured is what is measured of the same table from a file.
TEST(test_a_named_group_is_trained_and_measured_as_its_table) {
    static const char *const GROUPS[] = {"Q8", "C7:C3"};
    for (int i = 0; i < 2; i++) {
        char task[256], path[128];
        support_unit named, table;
        snprintf(task, sizeof task, "task: group\ngroup: %s", GROUPS[i]);
        open_training(&named, task);
        write_table(named.of.data->table);
        path_of("table.csv", path);
        snprintf(task, sizeof task, "task: cayley\ncayley: %s", path);
        open_training(&table, task);
        ts_trainer *first = support_finish(&named.spec), *second = support_finish(&table.spec);
        assert_int_equal(named.layout->bytes, table.layout->bytes);
        assert_null(ts_trainer_result(first, 0).failure);
        assert_memory_equal(ts_trainer_result(first, 0).record, ts_trainer_result(second, 0).record,
                            named.layout->bytes);
        assert_true(number_of(&named, first, "train_loss", 2) < number_of(&named, first, "train_loss", 0));
        double whole = 0; // of the embedding, over its irreps
        for (int r = 0; r < named.of.data->symmetry->irreps->count; r++)
            whole += number_of(&named, first, "embed_left_fraction", r);
        assert_close(whole, 1, 0, 1e-6);
        ts_trainer_free(first);
        ts_trainer_free(second);
        support_unit_close(&named);
        support_unit_close(&table);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_classes_and_irreps_are_the_known_ones),
        cmocka_unit_test(test_characters_are_orthogonal_and_squares_of_dimensions_add_up),
        cmocka_unit_test(test_elements_have_their_known_orders),
        cmocka_unit_test(test_the_largest_tables_are_groups),
        cmocka_unit_test(test_generators_have_their_relations),
        cmocka_unit_test(test_matrices_are_multiplied),
        cmocka_unit_test(test_projective_groups_are_quotients_by_scalars),
        cmocka_unit_test(test_a_construction_has_one_name),
        cmocka_unit_test(test_names_are_swept_and_filtered),
        cmocka_unit_test(test_what_is_not_built_is_refused_with_the_reason),
        cmocka_unit_test(test_any_text_is_read_or_refused),
        cmocka_unit_test(test_a_named_group_is_trained_and_measured_as_its_table),
    };
    return cmocka_run_group_tests_name("named groups", tests, set_up, tear_down);
}
