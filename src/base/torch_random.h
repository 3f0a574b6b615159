// PyTorch's CPU random streams, bit for bit: MT19937, randperm, and normal tensors as torch.randn fills them
// (checked against PyTorch 1.13). The published runs drew their train/test splits and initial weights from
// them.
#pragma once

#include <stdint.h>

enum { TS_TORCH_NORMALS = 16 }; // numbers that a normal tensor has at least

typedef struct ts_torch_random {
    uint32_t state[624];
    int next; // of state; 624: all used
} ts_torch_random;

// As torch.manual_seed(seed): only the low 32 bits count.
void ts_torch_seed(ts_torch_random *random, uint64_t seed);
uint32_t ts_torch_u32(ts_torch_random *random);

// torch.randperm(count) -> out (count); count < 2^31.
void ts_torch_randperm(ts_torch_random *random, int64_t count, int *out);

// The same order of any list of `count` numbers, in place: list[torch.randperm(count)].
void ts_torch_shuffle(ts_torch_random *random, int64_t count, int *list);
// As tensor.uniform_(-bound, bound) of a float32 tensor with `count` elements.
void ts_torch_uniform(ts_torch_random *random, int64_t count, float bound, float *out);

// torch.randn of a float32 tensor with `count` >= TS_TORCH_NORMALS elements, times `factor` (the product rounded to
// float32).
void ts_torch_normal(ts_torch_random *random, int64_t count, float factor, float *out);
