// Into how many parts a pass over all pairs is cut.
#include "measure/help.h"

int ts_measure_parts(int n) {
    enum { SMALL = 256, MOST = 64, ROWS = 8 }; // rows that a part has at least
    int parts = 1;
    while (n > SMALL && parts < MOST && n / (2 * parts) >= ROWS)
        parts *= 2;
    return parts;
}
