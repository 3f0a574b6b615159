// Expressions in a and b: what is read, the one form in which they are written, their values, and what is refused.
#include "support.h"
#include "task/formula.h"

#include <stdio.h>

static ts_formula formula_of(const char *text) {
    ts_formula formula;
    char message[512];
    if (!ts_formula_read(text, &formula, message, sizeof message))
        fail_msg("'%s' is refused: %s", text, message);
    return formula;
}

static int value_of(const char *text, int a, int b, int p) {
    ts_formula formula = formula_of(text);
    return ts_formula_value(&formula, a, b, p);
}

TEST(test_there_is_one_form_of_each_expression) {
    static const char *const FORMS[][2] = {
        {"a+b", "a + b"},
        {"  a **2+ a*  b+b** 2 ", "a**2 + a*b + b**2"},
        {"((a)+(b))", "a + b"},
        {"(a*b)+a", "a*b + a"},
        {"a*(b + 01)", "a*(b + 1)"},
        {"a-(b-a)", "a - (b - a)"},
        {"(a-b)-a", "a - b - a"},
        {"a/(b/a)", "a/(b/a)"},
        {"a/(b*a)", "a/(b*a)"},
        {"(a/b)*a", "a/b*a"},
        {"-a**2", "-a**2"},
        {"-(a**2)", "-a**2"},
        {"(-a)**2", "(-a)**2"},
        {"-(a*b)", "-(a*b)"},
        {"(-a)*b", "-a*b"},
        {"a*-b", "a*-b"},
        {"a - -b", "a - -b"},
        {"+a - (+b)", "a - b"},
        {"(a**b)**2", "(a**b)**2"},
        {"a**(b**2)", "a**b**2"},
        {"2**(b+1)", "2**(b + 1)"},
        {"a**-(-2)", "a**--2"},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        char once[TS_FORMULA_BYTES + 1], twice[TS_FORMULA_BYTES + 1];
        ts_formula formula = formula_of(FORMS[i][0]);
        assert_true(ts_formula_write(&formula, once));
        assert_string_equal(once, FORMS[i][1]);
        formula = formula_of(once);
        assert_true(ts_formula_write(&formula, twice));
        assert_string_equal(twice, once);
    }
}

TEST(test_values_are_those_of_python) {
    static const struct {
        const char *text;
        int a, b, p, value;
    } VALUES[] = {
        {"a**2 + a*b + b**2", 5, 9, 97, 54},
        {"-a**2", 3, 0, 97, 88},
        {"(-a)**2", 3, 0, 97, 9},
        {"2**3**2", 0, 0, 997, 512},
        {"(2**3)**2", 0, 0, 997, 64},
        {"a - b - 1", 2, 5, 7, 3},
        {"a/b", 1, 3, 7, 5},
        {"a/b/b", 1, 3, 7, 4},
        {"a/b*b", 6, 3, 7, 6},
        {"1/2 + a", 0, 0, 97, 49},
        {"a/b", 1, 2, 12, TS_FORMULA_NONE},
        {"a/b", 1, 5, 12, 5},
        {"a/0", 1, 1, 7, TS_FORMULA_NONE},
        {"0*(a/b)", 0, 0, 7, TS_FORMULA_NONE},
        {"(a/b)**0", 0, 0, 7, TS_FORMULA_NONE},
        {"a**0", 0, 0, 7, 1},
        {"a**b", 0, 0, 7, 1},
        {"a**b", 10, 96, 97, 1},        // exponents are not reduced modulo p
        {"2**(a*b)", 100, 100, 97, 61}, // 2^10000
        {"a**9007199254740992", 2, 0, 97, 35},
        {"9007199254740992 - a", 0, 0, 1023, 8},
        {"a**-1", 2, 0, 7, TS_FORMULA_NEGATIVE_EXPONENT},
        {"a**(b - 3)", 2, 2, 7, TS_FORMULA_NEGATIVE_EXPONENT},
        {"a**-(-2)", 3, 2, 7, 2},
        {"a**(9007199254740992*b)", 2, 2, 7, TS_FORMULA_LARGE_EXPONENT},
        {"a**b**b**b", 2, 1000, 7, TS_FORMULA_LARGE_EXPONENT},
        {"a**(2**1000000 - 1)", 2, 2, 7, TS_FORMULA_LARGE_EXPONENT},
        {"a**(1**9007199254740992)", 3, 2, 7, 3},
        {"a", 5, 0, 2, 1},
    };
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++) {
        int found = value_of(VALUES[i].text, VALUES[i].a, VALUES[i].b, VALUES[i].p);
        if (found != VALUES[i].value)
            fail_msg("%s at %d, %d modulo %d: found %d, expected %d", VALUES[i].text, VALUES[i].a, VALUES[i].b,
                     VALUES[i].p, found, VALUES[i].value);
    }
}

TEST(test_every_inverse_is_found) {
    for (int p = 2; p < 64; p++)
        for (int b = 0; b < p; b++) {
            int found = value_of("1/b", 0, b, p), expected = TS_FORMULA_NONE;
            for (int x = 0; x < p; x++)
                if (x * b % p == 1 % p)
                    expected = x;
            assert_int_equal(found, expected);
        }
}

TEST(test_what_cannot_be_read_is_refused) {
    static const char *const REFUSED[][2] = {
        {"a*", "column 3: it ends where a, b, a number or '(' is to be"},
        {"", "column 1: it ends"},
        {"2a", "column 2: expected an operation (+ - * / **); write * for a product"},
        {"a b", "column 3: expected an operation"},
        {"a(b)", "column 2: expected an operation"},
        {"a^2", "column 2: '^' is no operation here; write ** for powers"},
        {"x + y", "column 1: 'x' is no input"},
        {"ab", "column 1: 'ab' is no input"},
        {"a + pow(b, 2)", "column 5: 'pow' is no input"},
        {"(a + b) % 97", "column 9: results are taken modulo the key p; leave '%' out"},
        {"a + b mod 97", "column 7: results are taken modulo the key p; leave 'mod' out"},
        {"a // b", "column 3: '//' is no operation"},
        {"1.5*a", "column 2: numbers are whole"},
        {"(a + b", "column 1: this '(' is never closed; add ')'"},
        {"(a, b)", "column 3: numbers are whole"},
        {"a + b)", "column 6: this ')' closes nothing"},
        {"a**(1/2)", "column 6: an exponent is an integer"},
        {"9007199254740993", "column 1: the number is too large"},
        {"a***b", "column 4: expected a, b, a number"},
        {"a ! b", "column 3: expected an operation (+ - * / **) or the end"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        ts_formula formula;
        char message[512] = "nothing";
        assert_false(ts_formula_read(REFUSED[i][0], &formula, message, sizeof message));
        if (!strstr(message, REFUSED[i][1]))
            fail_msg("'%s'\n     got %s\nexpected %s", REFUSED[i][0], message, REFUSED[i][1]);
    }
}

// Signs, parentheses and powers within each other, and the longest texts.
TEST(test_depth_and_length_have_limits) {
    static const char *const PIECES[] = {"(", "-", "a**", "a+", "+"};
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++)
        for (int count = 1; count < 400; count += 7) {
            char text[2048] = "", message[512];
            ts_formula formula;
            for (int k = 0; k < count; k++)
                strcat(text, PIECES[i]);
            strcat(text, "b");
            for (int k = 0; k < count && i == 0; k++)
                strcat(text, ")");
            bool deep = i != 3 && count >= TS_FORMULA_DEPTH, lengthy = strlen(text) > TS_FORMULA_BYTES;
            assert_int_equal(ts_formula_read(text, &formula, message, sizeof message), !deep && !lengthy);
        }
}

// Any bytes: read, or refused with a message; what is read is written so that it is read to the same.
TEST(test_no_text_is_too_much) {
    static const char BYTES[] = "aab()+-*/* 0179.^%x\xc3\n";
    uint64_t seed = 1;
    int read = 0;
    for (int i = 0; i < 200000; i++) {
        char text[40], message[512] = "", once[TS_FORMULA_BYTES + 1], twice[TS_FORMULA_BYTES + 1];
        ts_formula formula;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t length = (size_t)(seed >> 59), at = 0;
        for (; at < length; at++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[at] = BYTES[(seed >> 33) % (sizeof BYTES - 1)];
        }
        text[at] = 0;
        if (!ts_formula_read(text, &formula, message, sizeof message)) {
            assert_true(message[0]);
            continue;
        }
        read++;
        assert_true(ts_formula_write(&formula, once));
        int before = ts_formula_value(&formula, 3, 5, 7);
        assert_true(ts_formula_read(once, &formula, message, sizeof message));
        assert_true(ts_formula_write(&formula, twice));
        assert_string_equal(once, twice);
        assert_int_equal(ts_formula_value(&formula, 3, 5, 7), before);
        assert_true(before >= TS_FORMULA_LARGE_EXPONENT && before < 7);
    }
    assert_true(read > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_is_one_form_of_each_expression),
        cmocka_unit_test(test_values_are_those_of_python),
        cmocka_unit_test(test_every_inverse_is_found),
        cmocka_unit_test(test_what_cannot_be_read_is_refused),
        cmocka_unit_test(test_depth_and_length_have_limits),
        cmocka_unit_test(test_no_text_is_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
