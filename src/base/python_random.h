// CPython's random module where published runs shuffled with it: random.seed(integer) and random.shuffle, number for
// number (the same since 3.2). The generator is that of torch_random.h, seeded otherwise.
#pragma once

#include "base/torch_random.h"

// As random.seed(seed).
void ts_python_seed(ts_torch_random *random, uint64_t seed);

// As random.shuffle of a list of `count` < 2^31 numbers, in place.
void ts_python_shuffle(ts_torch_random *random, int64_t count, int *list);
