// A `where` expression cut into tokens.
#include "sweep/where_token.h"

#include "sweep/nearest.h"
#include "sweep/number.h"

#include <string.h>

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static ts_where_token operator_of(const char *at, size_t length, ts_where_op op, ts_where_strength strength) {
    return (ts_where_token){.kind = TS_TOKEN_OPERATOR, .text = at, .length = length, .op = op, .strength = strength};
}

static bool read_operator(const char *at, ts_where_token *out) {
    static const struct {
        const char *text;
        ts_where_op op;
        int strength;
    } OPERATORS[] = {
        {"==", TS_WHERE_EQUAL, TS_BINDS_COMPARISON},
        {"!=", TS_WHERE_UNEQUAL, TS_BINDS_COMPARISON},
        {"<=", TS_WHERE_AT_MOST, TS_BINDS_COMPARISON},
        {">=", TS_WHERE_AT_LEAST, TS_BINDS_COMPARISON},
        {"<", TS_WHERE_LESS, TS_BINDS_COMPARISON},
        {">", TS_WHERE_GREATER, TS_BINDS_COMPARISON},
        {"+", TS_WHERE_ADD, TS_BINDS_SUM},
        {"-", TS_WHERE_SUBTRACT, TS_BINDS_SUM},
        {"*", TS_WHERE_MULTIPLY, TS_BINDS_PRODUCT},
        {"/", TS_WHERE_DIVIDE, TS_BINDS_PRODUCT},
        {"%", TS_WHERE_MODULO, TS_BINDS_PRODUCT},
    };
    for (size_t i = 0; i < sizeof OPERATORS / sizeof *OPERATORS; i++) {
        size_t length = strlen(OPERATORS[i].text);
        if (strncmp(at, OPERATORS[i].text, length) == 0) {
            *out = operator_of(at, length, OPERATORS[i].op, OPERATORS[i].strength);
            return true;
        }
    }
    return false;
}

static ts_status read_string(const char *at, ts_where_token *out) {
    const char *end = strchr(at + 1, *at);
    if (!end)
        return ts_fail(TS_ERROR_USER, "a string has no closing %c", *at);
    *out = (ts_where_token){.kind = TS_TOKEN_STRING, .text = at + 1, .length = (size_t)(end - at - 1)};
    return TS_OK;
}

static void read_word(const char *at, ts_where_token *out) {
    size_t length = 0;
    while (is_word(at[length]))
        length++;
    *out = (ts_where_token){.kind = TS_TOKEN_WORD, .text = at, .length = length};
    if (length == 3 && strncmp(at, "and", 3) == 0)
        *out = operator_of(at, 3, TS_WHERE_AND, TS_BINDS_AND);
    else if (length == 2 && strncmp(at, "or", 2) == 0)
        *out = operator_of(at, 2, TS_WHERE_OR, TS_BINDS_OR);
    else if (length == 3 && strncmp(at, "not", 3) == 0)
        *out = operator_of(at, 3, TS_WHERE_NOT, TS_BINDS_NOT);
}

// Length of the number at `at`; 0: none. A sign belongs to it only after an e.
static size_t number_length(const char *at) {
    size_t n = 0;
    bool digits = false;
    for (; (at[n] >= '0' && at[n] <= '9') || at[n] == '.'; n++)
        digits = digits || at[n] != '.';
    if (!digits)
        return 0;
    size_t mark = at[n] == 'e' || at[n] == 'E' ? n + 1 : 0;
    if (mark && (at[mark] == '-' || at[mark] == '+'))
        mark++;
    if (mark && at[mark] >= '0' && at[mark] <= '9')
        for (n = mark; at[n] >= '0' && at[n] <= '9';)
            n++;
    return n;
}

ts_status ts_where_token_next(const char **text, ts_where_token *out) {
    while (**text == ' ' || **text == '\t' || **text == '\n' || **text == '\r')
        (*text)++;
    char shown[TS_SHOWN_BYTES];
    const char *at = *text;
    size_t digits = number_length(at);
    ts_decimal number;
    const char *fault = ts_decimal_read(at, digits, &number);
    *out = (ts_where_token){.kind = TS_TOKEN_END, .text = at};
    if (*at == 0)
        return TS_OK;
    if (*at == '(' || *at == ')') {
        *out = (ts_where_token){.kind = *at == '(' ? TS_TOKEN_OPEN : TS_TOKEN_CLOSE, .text = at, .length = 1};
    } else if (*at == '\'' || *at == '"') {
        ts_status status = read_string(at, out);
        *text += out->length + 2;
        return status;
    } else if (digits && !is_word(at[digits]) && fault != ts_not_a_number) {
        if (fault)
            return ts_fail(TS_ERROR_USER, "'%.*s' %s", digits < 60 ? (int)digits : 60, at, fault);
        *out = (ts_where_token){.kind = TS_TOKEN_NUMBER, .text = at, .length = digits, .number = number.value};
    } else if (is_word(*at)) {
        read_word(at, out);
    } else if (!read_operator(at, out)) {
        return ts_fail(TS_ERROR_USER, "cannot read '%s'%s", ts_shown(at, shown),
                       *at == '='   ? "; equality is =="
                       : *at == '&' ? "; write and"
                       : *at == '|' ? "; write or"
                       : *at == '!' ? "; write not"
                                    : "");
    }
    *text += out->length;
    return TS_OK;
}
