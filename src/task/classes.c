// Orbits under conjugation, by brute force over the table.
#include "task/classes.h"

static int product(const ts_table *table, int a, int b) {
    return table->result[a * table->n + b];
}

static void find_inverses(const ts_table *table, int inverse[]) {
    for (int a = 0; a < table->n; a++) {
        inverse[a] = table->identity;
        for (int b = 0; b < table->n; b++)
            if (product(table, a, b) == table->identity)
                inverse[a] = b;
    }
}

static int period_of(const ts_table *table, int g) {
    int period = 1;
    for (int power = g; power != table->identity && period < table->n; power = product(table, power, g))
        period++;
    return period;
}

// Numbers every x^-1 g x that has no class yet; returns how many there were.
static int mark_conjugates(const ts_table *table, ts_classes *classes, int g, int c) {
    int size = 0;
    for (int x = 0; x < table->n; x++) {
        int conjugate = product(table, product(table, classes->inverse[x], g), x);
        size += classes->of[conjugate] < 0;
        classes->of[conjugate] = c;
    }
    return size;
}

void ts_classes_find(const ts_table *table, ts_classes *classes) {
    classes->order = table->n;
    classes->count = 0;
    find_inverses(table, classes->inverse);
    for (int g = 0; g < table->n; g++)
        classes->of[g] = -1;
    for (int g = 0; g < table->n; g++) {
        if (classes->of[g] >= 0)
            continue;
        int c = classes->count++;
        classes->representative[c] = g;
        classes->size[c] = mark_conjugates(table, classes, g, c);
        classes->period[c] = period_of(table, g);
    }
}

int ts_classes_inverse(const ts_classes *classes, int c) {
    return classes->of[classes->inverse[classes->representative[c]]];
}
