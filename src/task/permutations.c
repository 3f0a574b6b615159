// Lexicographic listing, or one from a file, which must be of the same group.
#include "task/permutations.h"

#include "base/integer_rows.h"

#include <stdio.h>
#include <string.h>

static const int FACTORIAL[] = {1, 1, 2, 6, 24, 120, 720};

// Place in the lexicographic order of all permutations.
static int rank_of(const unsigned char image[TS_MAX_DEGREE], int degree) {
    int rank = 0;
    for (int i = 0; i < degree; i++) {
        int smaller = 0; // behind it
        for (int j = i + 1; j < degree && j < TS_MAX_DEGREE; j++)
            smaller += image[j] < image[i];
        rank += smaller * FACTORIAL[degree - 1 - i];
    }
    return rank;
}

static void unrank(int rank, int degree, unsigned char *image) {
    unsigned char left[TS_MAX_DEGREE];
    for (int i = 0; i < degree; i++)
        left[i] = (unsigned char)i;
    for (int i = 0; i < degree; i++) {
        int at = rank / FACTORIAL[degree - 1 - i];
        rank %= FACTORIAL[degree - 1 - i];
        image[i] = left[at];
        memmove(left + at, left + at + 1, (size_t)(degree - i - at - 1));
    }
}

static bool is_odd(const unsigned char *image, int degree) {
    int inversions = 0;
    for (int i = 0; i < degree; i++)
        for (int j = i + 1; j < degree; j++)
            inversions += image[j] < image[i];
    return inversions % 2 != 0;
}

static void append(ts_permutations *out, const unsigned char *image, int rank) {
    memcpy(out->image[out->count], image, (size_t)out->degree);
    out->position[rank] = out->count++;
}

static void start(ts_permutations *out, int degree) {
    out->degree = degree;
    out->count = 0;
    for (int rank = 0; rank < TS_MAX_PERMUTATIONS; rank++)
        out->position[rank] = -1;
}

void ts_permutations_list(int degree, bool even, ts_permutations *out) {
    unsigned char image[TS_MAX_DEGREE] = {0};
    start(out, degree);
    for (int rank = 0; rank < FACTORIAL[degree]; rank++) {
        unrank(rank, degree, image);
        if (!even || !is_odd(image, degree))
            append(out, image, rank);
    }
}

// An order of elements being read.
typedef struct listing {
    ts_permutations *out;
    bool even;
    int origin;                         // what the file counts from
    int first[TS_MAX_PERMUTATIONS];     // line of each
    unsigned char image[TS_MAX_DEGREE]; // of the row at hand
    char fault[200];
} listing;

static void take_number(listing *l, const ts_integer_rows *rows) {
    int degree = l->out->degree, value = rows->value - l->origin;
    if (value < 0 || value >= degree) {
        snprintf(l->fault, sizeof l->fault,
                 "line %d, column %d: '%s' is not one of %d to %d (permutations are counted from %d, and "
                 "written as the "
                 "images of all numbers)",
                 rows->line, ts_integer_rows_column(rows), rows->word, l->origin, degree - 1 + l->origin, l->origin);
        return;
    }
    for (int i = 0; i < rows->entries - 1 && i < degree; i++)
        if (l->image[i] == value)
            snprintf(l->fault, sizeof l->fault, "line %d, column %d: %d stands there twice, so it is no permutation",
                     rows->line, ts_integer_rows_column(rows), value + l->origin);
    if (rows->entries <= degree)
        l->image[rows->entries - 1] = (unsigned char)value;
}

static void take_row(listing *l, const ts_integer_rows *rows) {
    char place[TS_INTEGER_ROWS_PLACE];
    ts_integer_rows_place(rows, place);
    int degree = l->out->degree;
    if (rows->entries != degree) {
        snprintf(l->fault, sizeof l->fault, "%s: it has %d numbers; a permutation of %d has as many", place,
                 rows->entries, degree);
        return;
    }
    int rank = rank_of(l->image, degree), earlier = l->out->position[rank];
    if (l->even && is_odd(l->image, degree)) {
        snprintf(l->fault, sizeof l->fault, "%s: the permutation is odd, so it is not in A%d", place, degree);
    } else if (earlier >= 0) {
        snprintf(l->fault, sizeof l->fault, "%s: the permutation stands %s %d already", place,
                 rows->lists ? "in row" : "on line", l->first[earlier]);
    } else {
        l->first[l->out->count] = rows->lists ? rows->row : rows->line;
        append(l->out, l->image, rank);
    }
}

// Reads the file into l->out, which has the elements of the group. False: a fault is in `message`.
static bool read_file(listing *l, const ts_file *file, char *message, size_t bytes) {
    l->origin = ts_integer_rows_look(file->content, file->bytes, l->out->degree).origin;
    ts_integer_rows rows = ts_integer_rows_of(file->content, file->bytes);
    start(l->out, l->out->degree);
    for (ts_integer_rows_event event; !l->fault[0] && (event = ts_integer_rows_next(&rows)) != TS_INTEGER_ROWS_END;) {
        if (event == TS_INTEGER_ROWS_NUMBER)
            take_number(l, &rows);
        else if (event == TS_INTEGER_ROWS_ROW)
            take_row(l, &rows);
        else
            snprintf(l->fault, sizeof l->fault, "line %d, column %d: %s", rows.line, ts_integer_rows_column(&rows),
                     rows.fault);
    }
    if (l->fault[0])
        snprintf(message, bytes, "%s, %s", file->path, l->fault);
    return !l->fault[0];
}

bool ts_permutations_order(const ts_file *file, bool even, ts_permutations *out, char *message, size_t bytes) {
    listing l = {.out = out, .even = even};
    int expected = out->count;
    if (!read_file(&l, file, message, bytes))
        return false;
    if (out->count != expected)
        snprintf(message, bytes, "%s lists %d of the %d elements of %s%d; it must list each once", file->path,
                 out->count, expected, even ? "A" : "S", out->degree);
    return out->count == expected;
}

// Numbers in the longest row before the end or a fault.
static int longest_row(const ts_file *file) {
    int longest = 0;
    ts_integer_rows rows = ts_integer_rows_of(file->content, file->bytes);
    for (ts_integer_rows_event event;
         (event = ts_integer_rows_next(&rows)) != TS_INTEGER_ROWS_END && event != TS_INTEGER_ROWS_FAULT;)
        longest = rows.entries > longest ? rows.entries : longest;
    return longest;
}

bool ts_permutations_alike(const ts_file *file, char *message, size_t bytes) {
    ts_permutations permutations = {.degree = longest_row(file)};
    listing l = {.out = &permutations};
    return permutations.degree < 1 || permutations.degree > TS_MAX_DEGREE || read_file(&l, file, message, bytes);
}

int ts_permutations_product(const ts_permutations *permutations, int x, int y) {
    unsigned char image[TS_MAX_DEGREE] = {0};
    for (int i = 0; i < permutations->degree; i++)
        image[i] = permutations->image[y][permutations->image[x][i]];
    return permutations->position[rank_of(image, permutations->degree)];
}
