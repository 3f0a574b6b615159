#include "task/permutations.h"

#include "task/lines.h"

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

// One line into image (degree). False: `message` says what is wrong with it.
static bool read_line(const char *at, const char *end, int degree, unsigned char *image, char *message,
                      size_t bytes) {
    char word[32];
    int count = 0, value;
    bool seen[TS_MAX_DEGREE] = {false};
    for (; ts_lines_integer(&at, end, ' ', degree, &value, word); count++) {
        if (value < 0 || value >= degree) {
            snprintf(message, bytes,
                     "'%s' is not one of 0 to %d (permutations are counted from 0, separated by spaces)",
                     word, degree - 1);
            return false;
        }
        if (count < degree && seen[value]) {
            snprintf(message, bytes, "%d stands there twice, so it is no permutation", value);
            return false;
        }
        if (count < degree)
            image[count] = (unsigned char)value;
        seen[value] = true;
    }
    if (count != degree)
        snprintf(message, bytes, "it has %d numbers; a permutation of %d has as many", count, degree);
    return count == degree;
}

bool ts_permutations_order(const ts_file *file, bool even, ts_permutations *out, char *message,
                           size_t bytes) {
    const char *begin, *end, *group = even ? "A" : "S";
    char fault[160] = "";
    int first[TS_MAX_PERMUTATIONS], expected = out->count; // line of each
    ts_lines lines = ts_lines_of(file);
    start(out, out->degree);
    while (!fault[0] && ts_lines_next(&lines, &begin, &end)) {
        unsigned char image[TS_MAX_DEGREE] = {0};
        if (!read_line(begin, end, out->degree, image, fault, sizeof fault))
            break;
        int rank = rank_of(image, out->degree), earlier = out->position[rank];
        if (even && is_odd(image, out->degree))
            snprintf(fault, sizeof fault, "the permutation is odd, so it is not in A%d", out->degree);
        else if (earlier >= 0)
            snprintf(fault, sizeof fault, "the permutation stands on line %d already", first[earlier]);
        else {
            first[out->count] = lines.number;
            append(out, image, rank);
        }
    }
    if (fault[0])
        snprintf(message, bytes, "%s, line %d: %s", file->path, lines.number, fault);
    else if (out->count != expected)
        snprintf(message, bytes, "%s lists %d of the %d elements of %s%d; it must list each once", file->path,
                 out->count, expected, group, out->degree);
    return !fault[0] && out->count == expected;
}

int ts_permutations_product(const ts_permutations *permutations, int x, int y) {
    unsigned char image[TS_MAX_DEGREE] = {0};
    for (int i = 0; i < permutations->degree; i++)
        image[i] = permutations->image[y][permutations->image[x][i]];
    return permutations->position[rank_of(image, permutations->degree)];
}
