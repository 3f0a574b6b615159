// A fixed binary tree over the parts of a sum: 0 + 1, 2 + 3, (0 + 1) + (2 + 3) and so on. Whoever makes the parts,
// however many they are, the same pairs are added up, so that the total has the same bits.
#pragma once

// The subtree over parts first .. first + size - 1; size is a power of 2 that divides first.
typedef struct ts_subtree {
    int first, size;
} ts_subtree;

// Of `ranks` ranks that share the parts, this one makes parts *first .. *end - 1: none if there are fewer parts than
// ranks and others make them.
void ts_tree_share(int parts, int rank, int ranks, int *first, int *end);

// The fewest subtrees that parts first .. end - 1 are made of, in order; at most TS_MOST_SUBTREES. Returns how many.
enum { TS_MOST_SUBTREES = 62 };
int ts_tree_subtrees(int first, int end, ts_subtree list[TS_MOST_SUBTREES]);

// What is left to add up of subtrees that follow each other from part 0 to the last: subtree[to] += subtree[from] for
// each of these pairs, in order, after which subtree[0] is the total. Returns how many they are, subtrees - 1, and
// writes them to `list` (subtrees - 1).
typedef struct ts_addition {
    int to, from;
} ts_addition;
int ts_tree_additions(const ts_subtree *subtree, int subtrees, ts_addition *list);
