// Adam and AdamW against PyTorch 1.13, bit for bit, in every instruction set that has fused multiply-adds: 20 updates of
// 32 numbers drawn by torch.randn, gradients drawn after them and scaled by 1, 1e-4, 1e-8, 1e-12 in turns.
#include "support.h"

#include "backend/adam_constants.h"
#include "backend/cpu.h"
#include "base/torch_random.h"

#include <string.h>

enum { COUNT = 32, STEPS = 20 };

static void update(const ts_kernels *kernels, ts_adam adam, float *parameters) {
    static const float scale[] = {1, 1e-4F, 1e-8F, 1e-12F};
    float state[3 * COUNT] = {0}, gradient[COUNT];
    const ts_adam_betas betas = {(float)adam.beta1, (float)(1 - adam.beta1), (float)adam.beta2,
                                 (float)(1 - adam.beta2)};
    ts_torch_random random;
    ts_torch_seed(&random, 5);
    ts_torch_normal(&random, COUNT, 1.0F / 16, state);
    for (int step = 0; step < STEPS; step++) {
        ts_torch_normal(&random, COUNT, scale[step % 4], gradient);
        kernels->adam(state, gradient, COUNT, betas, ts_adam_next_rates(&adam));
    }
    memcpy(parameters, state, COUNT * sizeof *parameters);
}

static void assert_bits(ts_adam adam, const uint32_t *expected) {
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[k]);
        float parameters[COUNT];
        if (!kernels || strcmp(kernels->name, "portable") == 0)
            continue;
        update(kernels, adam, parameters);
        assert_memory_equal(parameters, expected, sizeof parameters);
    }
}

static void test_adamw_has_the_bits_of_pytorch(void **state) {
    (void)state;
    static const uint32_t expected[COUNT] = {
        0x3dee6d37, 0x3d055ed8, 0xbde59bb8, 0xbdd55d7e, 0x3dfdc27d, 0xbc6a41f7, 0xbc495c06, 0xbdb13f95,
        0x3ce71a19, 0xbb242a6e, 0xbdb19a42, 0xbd2c6e97, 0x3d88fc70, 0xbced2a90, 0xbd03cee6, 0xbd247253,
        0x3e28852c, 0x3d98109e, 0xbcbc4e68, 0xbd87cb9e, 0xbc1984d1, 0xbd2995fb, 0x3c8623ec, 0xbaabab5b,
        0xbca31fd2, 0x3d37b409, 0xbc26f3d3, 0xbdebcc2d, 0x3dafb8a3, 0x3cc8942c, 0x3bfc14c2, 0x3dcd0b35,
    };
    assert_bits((ts_adam){.lr = 1e-3,
                          .beta1 = 0.9,
                          .beta2 = 0.98,
                          .weight_decay = 1,
                          .steps = STEPS,
                          .power1 = 1,
                          .power2 = 1},
                expected);
}

static void test_adam_has_the_bits_of_pytorch(void **state) {
    (void)state;
    static const uint32_t expected[COUNT] = {
        0x3df3455f, 0x3d0806ee, 0xbde9bcfb, 0xbdd9b07a, 0x3e0159e0, 0xbc703868, 0xbc4cece7, 0xbdb4bf76,
        0x3cebb175, 0xbb26272b, 0xbdb515d8, 0xbd30046f, 0x3d8b8aa9, 0xbcf2018a, 0xbd06c52e, 0xbd289c68,
        0x3e2bfd0d, 0x3d9b3340, 0xbcc05e44, 0xbd8a05fd, 0xbc1b2723, 0xbd2cb595, 0x3c8828a2, 0xbac67e0d,
        0xbca8a6fc, 0x3d3bac82, 0xbc27f037, 0xbdf0a5a9, 0x3db35772, 0x3ccdc419, 0x3c02e8fc, 0x3dd17a60,
    };
    assert_bits((ts_adam){.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .steps = STEPS, .power1 = 1, .power2 = 1},
                expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw_has_the_bits_of_pytorch),
        cmocka_unit_test(test_adam_has_the_bits_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
