// libyaml's events into nodes, with a hash of all keys so that one given twice is found.
#include "sweep/yaml.h"

#include "base/memory.h"
#include "sweep/arena.h"
#include "sweep/nearest.h"
#include "sweep/source.h"

#include <stdint.h>
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 16, MAX_NODES = 200000 };

struct ts_yaml {
    ts_arena arena;
    ts_yaml_node *root;
};

// A collection whose end has not been seen.
typedef struct open_node {
    ts_yaml_node *node;
    ts_yaml_node **tail; // where the next entry is linked in
    const char *key;     // a mapping's key that waits for its value; NULL: none
    int key_line;
} open_node;

typedef struct reader {
    ts_yaml *yaml;
    open_node open[MAX_DEPTH];
    int depth;
    int nodes;
    int documents;
    int line; // of the event at hand
    // Keys seen so far in any mapping, to find duplicates in linear time: open addressing over (mapping,
    // key).
    const ts_yaml_node **keys;
    size_t key_slots, key_count;
} reader;

static size_t hash_key(const ts_yaml_node *mapping, const char *key) {
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)mapping;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return (size_t)(hash ^ hash >> 29);
}

// The slot of (mapping, key): two pointers, the mapping and its entry; both NULL while free.
static const ts_yaml_node **find_key(reader *r, const ts_yaml_node *mapping, const char *key) {
    size_t at = hash_key(mapping, key) & (r->key_slots - 1);
    while (r->keys[2 * at] && (r->keys[2 * at] != mapping || strcmp(r->keys[2 * at + 1]->key, key) != 0))
        at = (at + 1) & (r->key_slots - 1);
    return &r->keys[2 * at];
}

static ts_status grow_keys(reader *r) {
    const ts_yaml_node **old = r->keys;
    size_t old_slots = r->key_slots;
    r->key_slots = old_slots ? 2 * old_slots : 64;
    r->keys = ts_alloc_zero(2 * r->key_slots, sizeof *r->keys, "the keys of a YAML file");
    if (!r->keys) {
        r->keys = old;
        r->key_slots = old_slots;
        return TS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < old_slots; i++) {
        if (!old[2 * i])
            continue;
        const ts_yaml_node **slot = find_key(r, old[2 * i], old[2 * i + 1]->key);
        slot[0] = old[2 * i];
        slot[1] = old[2 * i + 1];
    }
    ts_free(old);
    return TS_OK;
}

static ts_status note_key(reader *r, const ts_yaml_node *mapping, const ts_yaml_node *entry) {
    char shown[TS_SHOWN_BYTES];
    if (2 * (r->key_count + 1) > r->key_slots && grow_keys(r) != TS_OK)
        return TS_ERROR_MEMORY;
    const ts_yaml_node **slot = find_key(r, mapping, entry->key);
    if (slot[0]) {
        r->line = entry->key_line;
        if (slot[1]->key_line == entry->key_line)
            return ts_fail(TS_ERROR_USER, "key '%s' is given twice on line %d; keep one", ts_shown(entry->key, shown),
                           entry->key_line);
        return ts_fail(TS_ERROR_USER, "key '%s' is given twice: on line %d and on line %d; keep one",
                       ts_shown(entry->key, shown), slot[1]->key_line, entry->key_line);
    }
    slot[0] = mapping;
    slot[1] = entry;
    r->key_count++;
    return TS_OK;
}

// A new node, linked into the collection that is open.
static ts_status add_node(reader *r, ts_yaml_kind kind, ts_yaml_node **out) {
    if (++r->nodes > MAX_NODES)
        return ts_fail(TS_ERROR_USER, "more than %d values in one file", MAX_NODES);
    ts_yaml_node *node = ts_arena_take(&r->yaml->arena, 1, sizeof *node);
    if (!node)
        return TS_ERROR_MEMORY;
    node->kind = kind;
    node->line = r->line;
    *out = node;
    if (r->depth == 0) {
        r->yaml->root = node;
        return TS_OK;
    }
    open_node *parent = &r->open[r->depth - 1];
    *parent->tail = node;
    parent->tail = (ts_yaml_node **)&node->next;
    parent->node->count++;
    if (parent->node->kind != TS_YAML_MAPPING)
        return TS_OK;
    node->key = parent->key;
    node->key_line = parent->key_line;
    parent->key = NULL;
    return note_key(r, parent->node, node);
}

static ts_status refuse_properties(const yaml_char_t *anchor, const yaml_char_t *tag) {
    char shown[TS_SHOWN_BYTES];
    if (anchor)
        return ts_fail(TS_ERROR_USER,
                       "anchors (&%s) are not allowed; write the value out at each place (a key at the top level holds "
                       "for all cases)",
                       ts_shown((const char *)anchor, shown));
    if (tag)
        return ts_fail(TS_ERROR_USER, "tags (%s) are not allowed; remove it, types follow from the keys",
                       ts_shown((const char *)tag, shown));
    return TS_OK;
}

static bool awaits_key(const reader *r) {
    return r->depth > 0 && r->open[r->depth - 1].node->kind == TS_YAML_MAPPING && !r->open[r->depth - 1].key;
}

static ts_status add_scalar(reader *r, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    ts_status status = refuse_properties(event->data.scalar.anchor, event->data.scalar.tag);
    if (status != TS_OK)
        return status;
    if (memchr(text, 0, length))
        return ts_fail(TS_ERROR_USER, "NUL characters are not allowed");
    char *copy = ts_arena_copy(&r->yaml->arena, text, length);
    if (!copy)
        return TS_ERROR_MEMORY;
    if (awaits_key(r) && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(copy, "<<") == 0)
        return ts_fail(TS_ERROR_USER,
                       "merge keys (<<) are not allowed; write the keys of the mapping out at this place (a "
                       "key at the top level holds for all cases)");
    if (awaits_key(r)) {
        r->open[r->depth - 1].key = copy;
        r->open[r->depth - 1].key_line = r->line;
        return TS_OK;
    }
    ts_yaml_node *node = NULL;
    status = add_node(r, TS_YAML_SCALAR, &node);
    if (status != TS_OK)
        return status;
    node->text = copy;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return TS_OK;
}

static ts_status open_collection(reader *r, ts_yaml_kind kind, const yaml_char_t *anchor, const yaml_char_t *tag) {
    ts_status status = refuse_properties(anchor, tag);
    if (status != TS_OK)
        return status;
    if (awaits_key(r))
        return ts_fail(TS_ERROR_USER, "a key must be a plain word, not a list or mapping");
    if (r->depth == MAX_DEPTH)
        return ts_fail(TS_ERROR_USER, "nested more than %d levels deep", MAX_DEPTH);
    ts_yaml_node *node = NULL;
    status = add_node(r, kind, &node);
    if (status != TS_OK)
        return status;
    r->open[r->depth++] = (open_node){.node = node, .tail = (ts_yaml_node **)&node->child};
    return TS_OK;
}

static ts_status take_event(reader *r, const yaml_event_t *event) {
    r->line = (int)event->start_mark.line + 1;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents++ > 0)
            return ts_fail(TS_ERROR_USER, "a second document (---) is not allowed; use one file per sweep");
        return TS_OK;
    case YAML_ALIAS_EVENT:
        return ts_fail(TS_ERROR_USER, "aliases (*name) are not allowed; write the value out at this place");
    case YAML_SCALAR_EVENT:
        return add_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(r, TS_YAML_SEQUENCE, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_collection(r, TS_YAML_MAPPING, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return TS_OK;
    default:
        return TS_OK;
    }
}

static int line_of(const char *text, size_t offset) {
    int line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

// What libyaml found wrong, with the line it points at.
static ts_status syntax_error(reader *r, const yaml_parser_t *parser, const char *text, size_t bytes) {
    if (parser->error == YAML_MEMORY_ERROR)
        return ts_fail(TS_ERROR_MEMORY, "out of memory for YAML");
    const char *problem = parser->problem ? parser->problem : "not valid YAML";
    if (parser->error == YAML_READER_ERROR) {
        size_t offset = parser->problem_offset < bytes ? parser->problem_offset : bytes;
        r->line = line_of(text, offset);
        return ts_fail(TS_ERROR_USER, "not UTF-8 text: %s", problem);
    }
    r->line = (int)parser->problem_mark.line + 1;
    if (parser->problem_mark.index < bytes && text[parser->problem_mark.index] == '\t')
        return ts_fail(TS_ERROR_USER, "not valid YAML: a tab where only blanks may stand; indent with blanks");
    if (!parser->context)
        return ts_fail(TS_ERROR_USER, "not valid YAML: %s", problem);
    return ts_fail(TS_ERROR_USER, "not valid YAML: %s (%s, which began on line %d)", problem, parser->context,
                   (int)parser->context_mark.line + 1);
}

// libyaml needs time proportional to the depth for every token; depth is bounded because reading stops at the
// first event that is too deep (it looks ahead at most 1024 characters).
static ts_status read_events(reader *r, yaml_parser_t *parser, const char *text, size_t bytes) {
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return syntax_error(r, parser, text, bytes);
        bool end = event.type == YAML_STREAM_END_EVENT;
        ts_status status = take_event(r, &event);
        yaml_event_delete(&event);
        if (status != TS_OK || end)
            return status;
    }
}

static ts_status parse(reader *r, const char *text, size_t bytes) {
    r->line = 1;
    // A byte order mark says nothing that is not required anyway.
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    if (bytes > TS_SWEEP_MAX_BYTES)
        return ts_fail(TS_ERROR_USER, "larger than %d KiB", TS_SWEEP_MAX_BYTES / 1024);
    const char *nul = bytes ? memchr(text, 0, bytes) : NULL;
    if (nul) {
        r->line = line_of(text, (size_t)(nul - text));
        return ts_fail(TS_ERROR_USER, "NUL bytes are not allowed (is it a text file in UTF-8?)");
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return ts_fail(TS_ERROR_MEMORY, "out of memory for YAML");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    ts_status status = read_events(r, &parser, text, bytes);
    yaml_parser_delete(&parser);
    return status;
}

ts_status ts_yaml_parse(const char *text, size_t bytes, ts_yaml **yaml, int *line) {
    reader r = {.yaml = ts_alloc_zero(1, sizeof(ts_yaml), "a YAML file")};
    *yaml = NULL;
    *line = 0;
    if (!r.yaml)
        return TS_ERROR_MEMORY;
    ts_status status = parse(&r, text, bytes);
    ts_free(r.keys);
    if (status != TS_OK) {
        ts_yaml_free(r.yaml);
        *line = r.line;
        return status;
    }
    // "---" alone, or comments alone: libyaml makes an empty plain scalar of it.
    const ts_yaml_node *root = r.yaml->root;
    if (root && root->kind == TS_YAML_SCALAR && !root->quoted && !root->text[0])
        r.yaml->root = NULL;
    *yaml = r.yaml;
    return TS_OK;
}

const ts_yaml_node *ts_yaml_root(const ts_yaml *yaml) {
    return yaml->root;
}

void ts_yaml_free(ts_yaml *yaml) {
    if (!yaml)
        return;
    ts_arena_free(&yaml->arena);
    ts_free(yaml);
}

const ts_yaml_node *ts_yaml_get(const ts_yaml_node *mapping, const char *key) {
    if (!mapping || mapping->kind != TS_YAML_MAPPING)
        return NULL;
    for (const ts_yaml_node *entry = mapping->child; entry; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return entry;
    return NULL;
}
