// MT19937 seeded by an array of words, and Fisher and Yates' shuffle with unbiased draws.
#include "base/python_random.h"

enum { WORDS = 624 };

// init_by_array of Matsumoto and Nishimura (2002); the key is the seed's words of 32 bits, the lowest first, as many as
// it has, at least one.
void ts_python_seed(ts_torch_random *random, uint64_t seed) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, *state = random->state;
    uint32_t length = key[1] ? 2 : 1, i = 1, j = 0;
    ts_torch_seed(random, 19650218);
    for (uint32_t k = WORDS; k > 0; k--) { // WORDS is more than the key has
        state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) * 1664525u) + key[j] + j;
        j = (j + 1) % length;
        if (++i == WORDS) {
            state[0] = state[WORDS - 1];
            i = 1;
        }
    }
    for (uint32_t k = WORDS - 1; k > 0; k--) {
        state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) * 1566083941u) - i;
        if (++i == WORDS) {
            state[0] = state[WORDS - 1];
            i = 1;
        }
    }
    state[0] = 0x80000000u;
    random->next = WORDS;
}

// A number below `count` > 0: as many bits as `count` has, drawn until they are below it.
static uint32_t below(ts_torch_random *random, uint32_t count) {
    int bits = 32 - __builtin_clz(count);
    uint32_t drawn;
    do
        drawn = ts_torch_u32(random) >> (32 - bits);
    while (drawn >= count);
    return drawn;
}

void ts_python_shuffle(ts_torch_random *random, int64_t count, int *list) {
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t other = below(random, (uint32_t)i + 1);
        int swapped = list[i];
        list[i] = list[other];
        list[other] = swapped;
    }
}
