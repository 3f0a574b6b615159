// The words of a `where` expression, one after the other, each with what it does and how strongly it binds.
#pragma once

#include "sweep/where_tree.h"

#include <stddef.h>

// Binding strength, weakest first. Above the sign there are only operands.
typedef enum ts_where_strength {
    TS_BINDS_OR,
    TS_BINDS_AND,
    TS_BINDS_NOT,
    TS_BINDS_COMPARISON,
    TS_BINDS_SUM,
    TS_BINDS_PRODUCT,
    TS_BINDS_SIGN,
} ts_where_strength;

typedef enum ts_where_token_kind {
    TS_TOKEN_END,
    TS_TOKEN_NUMBER,
    TS_TOKEN_STRING,
    TS_TOKEN_WORD,
    TS_TOKEN_OPERATOR,
    TS_TOKEN_OPEN,
    TS_TOKEN_CLOSE
} ts_where_token_kind;

typedef struct ts_where_token {
    ts_where_token_kind kind;
    const char *text;
    size_t length;
    ts_where_op op;
    ts_where_strength strength;
    double number;
} ts_where_token;

// The next token of *text, which then points behind it. TS_ERROR_USER: it cannot be read.
ts_status ts_where_token_next(const char **text, ts_where_token *out);
