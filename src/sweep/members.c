// No tree is made: values are passed over, strings and brackets counted.
#include "sweep/members.h"

#include <string.h>

// Behind a string whose opening quote is at `at`; NULL: it has no end.
static const char *behind_string(const char *at) {
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1])
            at++;
    return *at ? at + 1 : NULL;
}

// Behind a value: at the comma or bracket that ends it. NULL: it has no end.
static const char *behind_value(const char *at) {
    int depth = 0;
    while (at && *at) {
        if (*at == '"') {
            at = behind_string(at);
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == '}'))
            return at;
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
    }
    return NULL;
}

bool ts_member_next(const char **at, ts_member *member) {
    const char *from = *at;
    if (*from != '{' && *from != ',')
        return false;
    if (*++from != '"')
        return false;
    const char *behind = behind_string(from);
    if (!behind || *behind != ':')
        return false;
    const char *end = behind_value(behind + 1);
    if (!end)
        return false;
    *member = (ts_member){.name = from + 1,
                          .value = behind + 1,
                          .name_bytes = (size_t)(behind - from) - 2,
                          .value_bytes = (size_t)(end - behind) - 1};
    *at = end;
    return true;
}

bool ts_member_find(const char *object, const char *name, ts_member *member) {
    size_t bytes = strlen(name);
    while (ts_member_next(&object, member))
        if (member->name_bytes == bytes && memcmp(member->name, name, bytes) == 0)
            return true;
    return false;
}
