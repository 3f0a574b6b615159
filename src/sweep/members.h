// The members of a JSON object, as the texts that stand there: for objects that ts_text wrote, where equal values are
// equal texts and members are in the order of their names. Of any other text it finds what it finds, within its bounds.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ts_member {
    const char *name, *value; // within the object's text; names without their quotes
    size_t name_bytes, value_bytes;
} ts_member;

// The next member, from *at on, which starts as the whole text and moves behind it. False: there are no more.
bool ts_member_next(const char **at, ts_member *member);

// Of one object, by name; false: it has none.
bool ts_member_find(const char *object, const char *name, ts_member *member);
