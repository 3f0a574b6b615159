// YAML text to a tree of nodes with line numbers, through libyaml's event interface, within bounds (size,
// depth, nodes) and without recursion over the input. JSON, being YAML, is read by the same code. Anchors,
// aliases, tags, NUL bytes and a second document are refused.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum ts_yaml_kind { TS_YAML_SCALAR, TS_YAML_SEQUENCE, TS_YAML_MAPPING } ts_yaml_kind;

typedef struct ts_yaml_node ts_yaml_node;
struct ts_yaml_node {
    ts_yaml_kind kind;
    int line;         // 1-based
    bool quoted;      // scalar in quotes: never a number, bool or range
    const char *text; // scalar: its text
    const char *key;  // in a mapping: this entry's key
    int key_line;
    const ts_yaml_node *child; // first entry of a sequence or mapping
    const ts_yaml_node *next;  // next entry of the parent
    int count;                 // entries
};

typedef struct ts_yaml ts_yaml;

// Parses one document. On a fault: TS_ERROR_USER, *line the line it was found at, and a message without file
// name. An empty document gives a NULL root.
ts_status ts_yaml_parse(const char *text, size_t bytes, ts_yaml **yaml, int *line);
const ts_yaml_node *ts_yaml_root(const ts_yaml *yaml);
void ts_yaml_free(ts_yaml *yaml);

const ts_yaml_node *ts_yaml_get(const ts_yaml_node *mapping, const char *key); // NULL: not there
