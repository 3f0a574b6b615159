// Shares of a binary tree, and what is left of it to add up.
#include "base/tree.h"

#include <stdint.h>

void ts_tree_share(int parts, int rank, int ranks, int *first, int *end) {
    *first = (int)((int64_t)parts * rank / ranks);
    *end = (int)((int64_t)parts * (rank + 1) / ranks);
}

int ts_tree_subtrees(int first, int end, ts_subtree list[TS_MOST_SUBTREES]) {
    int count = 0;
    while (first < end) {
        int size = 1;
        while (size <= (end - first) / 2 && first % (2 * size) == 0)
            size *= 2;
        list[count++] = (ts_subtree){first, size};
        first += size;
    }
    return count;
}

int ts_tree_additions(const ts_subtree *subtree, int subtrees, ts_addition *list) {
    int count = 0, height = 0, waiting[TS_MOST_SUBTREES]; // on the left of what comes next, without a partner yet
    ts_subtree made[TS_MOST_SUBTREES];
    for (int i = 0; i < subtrees; i++) {
        ts_subtree right = subtree[i];
        int at = i;
        for (; height > 0 && made[height - 1].size == right.size && made[height - 1].first % (2 * right.size) == 0;
             height--) {
            list[count++] = (ts_addition){waiting[height - 1], at};
            at = waiting[height - 1];
            right = (ts_subtree){made[height - 1].first, 2 * right.size};
        }
        waiting[height] = at;
        made[height++] = right;
    }
    return count;
}
