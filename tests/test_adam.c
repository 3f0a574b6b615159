// Adam and AdamW on the processor: PyTorch's bits, in every instruction set that has fused multiply-adds.
#include "backend/cpu.h"
#include "support_adam.h"

static void update(const void *context, float *state, const float *gradient, ts_adam_betas betas,
                   ts_adam_rates rates) {
    const ts_kernels *kernels = context;
    kernels->adam(state, gradient, SUPPORT_ADAM_COUNT, betas, rates);
}

static void test_updates_have_the_bits_of_pytorch(void **state) {
    (void)state;
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[k]);
        if (kernels && strcmp(kernels->name, "portable") != 0)
            support_adam_has_the_bits_of_pytorch(update, kernels);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_updates_have_the_bits_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
