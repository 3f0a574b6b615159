// Words are sorted, so that one set of them has one identity.
#include "sweep/words.h"

#include "sweep/nearest.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 1024 };

static bool is_number(const char *word) {
    return !word[strspn(word, "0123456789")];
}

// Whole numbers by size, then names.
static int compare(const void *a, const void *b) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t length = strlen(x), other = strlen(y);
    if (is_number(x) != is_number(y))
        return is_number(x) ? -1 : 1;
    if (is_number(x) && length != other)
        return length < other ? -1 : 1;
    return strcmp(x, y);
}

static bool is_plain(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

// Into *word, valid as long as the node.
static ts_status read_word(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char **word) {
    if (node->kind != TS_YAML_SCALAR || !node->text[0])
        return ts_value_refuse(reader, key, node, "is not a word or whole number; names with commas need quotes");
    if (!is_plain(node->text))
        return ts_value_refuse(reader, key, node, "is not a word: it has control characters");
    if (strlen(node->text) >= TS_WORD_BYTES)
        return ts_value_refuse(reader, key, node, "is too long for a word (63 bytes at most)");
    if (is_number(node->text) && node->text[0] == '0' && node->text[1])
        return ts_value_refuse(reader, key, node, "has a leading zero: programs disagree on whether it means octal");
    *word = node->text;
    return TS_OK;
}

static ts_status refuse_twice(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char *word) {
    char shown[TS_SHOWN_BYTES];
    return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "'%s' is given twice; name it once",
                         ts_shown(word, shown));
}

// Sorted, a line each.
static ts_status join(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char **word,
                      int count, const char **out) {
    size_t bytes = 0, length = 0;
    qsort(word, (size_t)count, sizeof *word, compare);
    for (int i = 0; i < count; i++) {
        bytes += strlen(word[i]) + 1;
        if (i > 0 && strcmp(word[i - 1], word[i]) == 0)
            return refuse_twice(reader, key, node, word[i]);
    }
    char *joined = ts_arena_take(reader->arena, bytes, 1);
    if (!joined)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < count; i++) {
        if (i > 0)
            joined[length++] = '\n';
        strcpy(joined + length, word[i]);
        length += strlen(word[i]);
    }
    *out = joined;
    return TS_OK;
}

ts_status ts_words_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char **out) {
    const char *word[MAX_WORDS];
    int count = 0;
    ts_status status = TS_OK;
    if (node->kind != TS_YAML_SEQUENCE) {
        status = read_word(reader, key, node, &word[0]);
        return status == TS_OK ? join(reader, key, node, word, 1, out) : status;
    }
    if (!node->child)
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "the list is empty");
    if (node->count > MAX_WORDS)
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "%d words are more than %d",
                             node->count, MAX_WORDS);
    reader->in_list = true;
    for (const ts_yaml_node *one = node->child; one; one = one->next) {
        ts_status found = read_word(reader, key, one, &word[count]);
        count += found == TS_OK;
        status = found == TS_OK ? status : found;
    }
    reader->in_list = false;
    return status == TS_OK ? join(reader, key, node, word, count, out) : status;
}
