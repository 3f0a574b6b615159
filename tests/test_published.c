// Training runs against published ones, as far as rounding lets them be followed. Epoch e of the published code is
// measured before its update (our step e) or after it (our step e + 1): docs/workloads.md.
#include "support_trainer.h"

#include <math.h>

// A published loss and how closely ours must agree.
typedef struct figure {
    int64_t step;
    const char *measure;
    double value, relative;
} figure;

// Trains the sweep's one instance and compares.
static void compare(const char *text, const figure *figures, int count) {
    support_unit unit;
    support_open(&unit.of, text);
    support_unit_open(&unit, NULL);
    const ts_record_layout *layout = unit.layout;
    ts_trainer *trainer = support_finish(&unit.spec);
    const char *record = ts_trainer_result(trainer, 0).record;
    for (int i = 0; i < count; i++) {
        int64_t checkpoint = 0;
        while (checkpoint < layout->checkpoints - 1 && layout->step[checkpoint] != figures[i].step)
            checkpoint++;
        const double *losses =
            (const double *)(record + support_field(layout, figures[i].measure, TS_FIELD_CASE)->offset);
        double error = fabs(losses[checkpoint] / figures[i].value - 1);
        print_message("step %lld %s %.16g, published %.16g: %.1e\n", (long long)figures[i].step, figures[i].measure,
                      losses[checkpoint], figures[i].value, error);
        assert_true(error <= figures[i].relative);
    }
    ts_trainer_free(trainer);
    support_unit_close(&unit);
}

#define S5 "task: group\ngroup: S5\nelement_order: " TOYSWEEP_SWEEPS "/orders/S5.txt\n"

TEST(test_s5_notebook) {
    static const figure figures[] = {
        {0, "train_loss", 4.788640449630546, 1e-8},
        {1, "test_loss", 4.789846160405907, 1e-8},
        {500, "train_loss", 0.09221563697684555, 1e-2},
        {501, "test_loss", 19.694246244583418, 1e-2},
    };
    compare(S5 "train_fraction: 0.4\nsplit_seed: 2\ninit_seed: 0\nsteps: 501\ncheckpoints: [0, 1, 500, 501]\n", figures,
            4);
}

TEST(test_paper_s5_seed_1) {
    static const figure figures[] = {
        {1, "train_loss", 4.783415905196712, 1e-7}, {1, "test_loss", 4.790263009624786, 1e-7},
        {1, "all_loss", 4.787524168012743, 1e-7},   {2, "train_loss", 4.779266508481836, 1e-7},
        {2, "test_loss", 4.791989633158143, 1e-7},  {2, "all_loss", 4.786900383223803, 1e-7},
        {6, "train_loss", 4.763916179927699, 1e-7}, {6, "test_loss", 4.798998334012076, 1e-7},
        {6, "all_loss", 4.784965472396436, 1e-7},   {11, "train_loss", 4.74561360315914, 1e-7},
        {11, "test_loss", 4.808467870115214, 1e-7}, {11, "all_loss", 4.783326163270466, 1e-7},
    };
    compare(S5 "train_fraction: 0.4\nseed: 1\nsteps: 11\n"
               "checkpoints: {every: 1}\n",
            figures, 12);
}

TEST(test_paper_d59_seed_1) {
    static const figure figures[] = {
        {1, "train_loss", 4.766598024049174, 1e-7},  {1, "test_loss", 4.772654304268617, 1e-7},
        {1, "all_loss", 4.770837507193308, 1e-7},    {2, "train_loss", 4.761538927395551, 1e-7},
        {2, "test_loss", 4.774046184607534, 1e-7},   {2, "all_loss", 4.770294187094287, 1e-7},
        {6, "train_loss", 4.7427500124920705, 1e-7}, {6, "test_loss", 4.7796302013411545, 1e-7},
        {6, "all_loss", 4.768566674421978, 1e-7},    {11, "train_loss", 4.720311537658787, 1e-7},
        {11, "test_loss", 4.787176418150279, 1e-7},  {11, "all_loss", 4.7671179144291544, 1e-7},
    };
    compare("task: group\ngroup: D59\ntrain_fraction: 0.3\nseed: 1\nsteps: 11\ncheckpoints: {every: 1}\n", figures, 12);
}

// Initial losses to the digits published; then as far as rounding lets it be followed.
TEST(test_power_8_9_notebook) {
    static const figure figures[] = {
        {0, "train_loss", 4.7332, 1.1e-5},
        {0, "test_loss", 4.7343, 1.1e-5},
        {99, "train_loss", 2.6091830243313203, 5e-3},
        {100, "test_loss", 3.5536351797228947, 5e-3},
        {199, "train_loss", 2.0558338910735423, 3e-2},
        {200, "test_loss", 3.8354116362670583, 3e-2},
    };
    compare("task: power\nm: 8\nn: 9\ntrain_fraction: 0.3\nsplit_seed: 598\ninit_seed: 999\nsteps: 200\n"
            "checkpoints: [0, 99, 100, 199, 200]\n",
            figures, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s5_notebook),
        cmocka_unit_test(test_paper_s5_seed_1),
        cmocka_unit_test(test_paper_d59_seed_1),
        cmocka_unit_test(test_power_8_9_notebook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
