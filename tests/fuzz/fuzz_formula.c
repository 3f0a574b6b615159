// Fuzz target: any bytes as the expression of task `expression`. Refused with a message; or it has one form, which is
// read to the same values.
#define _GNU_SOURCE
#include "fuzz.h"
#include "task/formula.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[4097], message[512] = "", once[TS_FORMULA_BYTES + 1], twice[TS_FORMULA_BYTES + 1];
    ts_formula formula, again;
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (!ts_formula_read(text, &formula, message, sizeof message)) {
        fuzz_require(message[0]);
        return 0;
    }
    if (!ts_formula_write(&formula, once))
        return 0;
    fuzz_require(ts_formula_read(once, &again, message, sizeof message) && ts_formula_write(&again, twice));
    fuzz_require(strcmp(once, twice) == 0);
    for (int p = 2; p < 14; p += 5)
        for (int pair = 0; pair < 4; pair++) {
            int value = ts_formula_value(&formula, pair / 2, pair, p);
            fuzz_require(value >= TS_FORMULA_LARGE_EXPONENT && value < p);
            fuzz_require(value == ts_formula_value(&again, pair / 2, pair, p));
        }
    return 0;
}
