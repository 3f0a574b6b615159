// Adam and AdamW as PyTorch 1.13 left 32 numbers drawn by torch.randn (seed 5, divided by 16) after 20 updates, with
// gradients drawn after them and scaled by 1, 1e-4, 1e-8, 1e-12 in turns: whose updates have these bits?
#pragma once

#include "backend/adam_constants.h"
#include "base/torch_random.h"
#include "support.h"

enum { SUPPORT_ADAM_COUNT = 32, SUPPORT_ADAM_STEPS = 20 };

static const struct {
    const char *name;
    double beta2, weight_decay;
    uint32_t expected[SUPPORT_ADAM_COUNT];
} SUPPORT_ADAM[] = {
    {"AdamW",
     0.98,
     1,
     {
         0x3dee6d37, 0x3d055ed8, 0xbde59bb8, 0xbdd55d7e, 0x3dfdc27d, 0xbc6a41f7, 0xbc495c06, 0xbdb13f95,
         0x3ce71a19, 0xbb242a6e, 0xbdb19a42, 0xbd2c6e97, 0x3d88fc70, 0xbced2a90, 0xbd03cee6, 0xbd247253,
         0x3e28852c, 0x3d98109e, 0xbcbc4e68, 0xbd87cb9e, 0xbc1984d1, 0xbd2995fb, 0x3c8623ec, 0xbaabab5b,
         0xbca31fd2, 0x3d37b409, 0xbc26f3d3, 0xbdebcc2d, 0x3dafb8a3, 0x3cc8942c, 0x3bfc14c2, 0x3dcd0b35,
     }},
    {"Adam",
     0.999,
     0,
     {
         0x3df3455f, 0x3d0806ee, 0xbde9bcfb, 0xbdd9b07a, 0x3e0159e0, 0xbc703868, 0xbc4cece7, 0xbdb4bf76,
         0x3cebb175, 0xbb26272b, 0xbdb515d8, 0xbd30046f, 0x3d8b8aa9, 0xbcf2018a, 0xbd06c52e, 0xbd289c68,
         0x3e2bfd0d, 0x3d9b3340, 0xbcc05e44, 0xbd8a05fd, 0xbc1b2723, 0xbd2cb595, 0x3c8828a2, 0xbac67e0d,
         0xbca8a6fc, 0x3d3bac82, 0xbc27f037, 0xbdf0a5a9, 0x3db35772, 0x3ccdc419, 0x3c02e8fc, 0x3dd17a60,
     }},
};

// `update`: one step of state (3, SUPPORT_ADAM_COUNT).
static inline void
support_adam_has_the_bits_of_pytorch(void (*update)(const void *context, float *state, const float *gradient,
                                                    ts_adam_betas betas, ts_adam_rates rates),
                                     const void *context) {
    static const float scale[] = {1, 1e-4F, 1e-8F, 1e-12F};
    for (size_t k = 0; k < sizeof SUPPORT_ADAM / sizeof *SUPPORT_ADAM; k++) {
        double beta1 = 0.9, beta2 = SUPPORT_ADAM[k].beta2;
        ts_adam adam = {.lr = 1e-3,
                        .beta1 = beta1,
                        .beta2 = beta2,
                        .weight_decay = SUPPORT_ADAM[k].weight_decay,
                        .steps = SUPPORT_ADAM_STEPS,
                        .power1 = 1,
                        .power2 = 1};
        const ts_adam_betas betas = {(float)beta1, (float)(1 - beta1), (float)beta2, (float)(1 - beta2)};
        float state[3 * SUPPORT_ADAM_COUNT] = {0}, gradient[SUPPORT_ADAM_COUNT];
        ts_torch_random random;
        ts_torch_seed(&random, 5);
        ts_torch_normal(&random, SUPPORT_ADAM_COUNT, 1.0F / 16, state);
        for (int step = 0; step < SUPPORT_ADAM_STEPS; step++) {
            ts_torch_normal(&random, SUPPORT_ADAM_COUNT, scale[step % 4], gradient);
            update(context, state, gradient, betas, ts_adam_next_rates(&adam));
        }
        print_message("%s\n", SUPPORT_ADAM[k].name);
        assert_memory_equal(state, SUPPORT_ADAM[k].expected, sizeof gradient);
    }
}
