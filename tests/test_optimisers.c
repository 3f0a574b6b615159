// Optimisers by themselves: what updates do, against PyTorch's and numbers made otherwise; what they cost. (Their other
// float32 forms, and engines that train with them: test_optimiser_engines.c.)
#define _POSIX_C_SOURCE 200809L
#include "backend/reference.h"
#include "model/muon.h"
#include "support_engine.h"

#include <stdio.h>

// --- Updates in double precision ---

enum { NUMBERS = 22, UPDATES = 3 };

// A tall matrix and two wide ones, which Muon takes; a bias and an embedding, which it does not.
static const ts_parameter_layout TENSORS = {
    .count = 4,
    .tensor = {{"W", 2, {3, 2}, {"model", "neuron"}, .offset = 0},
               {"heads", 3, {2, 2, 3}, {"head", "model", "head_width"}, .offset = 6},
               {"b", 1, {2}, {"neuron"}, .offset = 18, .kind = TS_BIAS},
               {"E", 2, {1, 2}, {"token", "model"}, .offset = 20}},
    .total = NUMBERS,
};

static double weight_at(int i) {
    return ((i * 37 + 11) % 41 - 20) / 16.0;
}

static double gradient_at(int t, int i) {
    return ((i * 29 + t * 17 + 5) % 31 - 15) / 8.0;
}

// After three updates with lr 0.05 and weight_decay 0.125: of PyTorch 2.15 in double precision (SGD, Adam, AdamW); of
// Muon's matrices, by their singular values, of which an iteration makes the polynomial; of the switches, by PyTorch's
// SGD behind the published filters.
static const struct {
    const char *keys;
    double expected[NUMBERS];
} UPDATED[] = {
    {"optimizer: sgd\n",
     {-0.4900242767334, -0.698099899292,  -0.9061755218506,  1.20916595459,    1.001090332031,   0.5992647094727,
      0.3911890869141,  0.1831134643555,  -0.02496215820312, -0.2330377807617, -0.4411134033203, -0.6491890258789,
      -1.049803710938,  -1.257879333496,  1.048797836304,    0.8407222137451,  0.6326465911865,  0.4245709686279,
      0.2164953460693,  -0.1829159698486, -0.5847415924072,  -0.7928172149658}},
    {"optimizer: momentum\nmomentum: 0.8\n",
     {-0.4278094329834, -0.604525680542,  -0.7812419281006,  1.05268157959,    0.8759653320312,  0.5054990844727,
      0.3287828369141,  0.1520665893555,  -0.02464965820313, -0.2013659057617, -0.3780821533203, -0.5547984008789,
      -1.079053710938,  -1.255769958496,  1.046551742554,    0.8698354949951,  0.6931192474365,  0.5164029998779,
      0.3396867523193,  -0.3054276885986, -0.6758939361572,  -0.8526101837158}},
    {"optimizer: adam\nbeta1: 0.8\nbeta2: 0.9\n",
     {-0.4836698823449, -0.7131896539277, -0.9486438253797,  1.162051453932,   0.9270717298957,  0.6384272176131,
      0.4064616522399,  0.1808415330687,  -0.04163809018771, -0.2657408460549, -0.4950619856647, -0.6308484400734,
      -0.9957581789712, -1.221981609289,  1.08689597535,     0.8640182834806,  0.6400163079839,  0.4108345102117,
      0.1756861628589,  -0.2590734952106, -0.5478256042706,  -0.7792280465936}},
    {"optimizer: adamw\nbeta1: 0.8\nbeta2: 0.9\n",
     {-0.4794730163566, -0.7050775369195, -0.9354969976478,  1.147330881795,   0.9163313919682,  0.6301469945827,
      0.4023788117925,  0.1793894545088,  -0.04144038592238, -0.2635127411693, -0.4894962928609, -0.6217206308082,
      -0.9859827412615, -1.212888616675,  1.079474110113,    0.8584659412587,  0.6350210435759,  0.4070121443126,
      0.1743388638614,  -0.2564429141733, -0.5420149673405,  -0.7724580857654}},
    {"optimizer: muon\nmomentum: 0.9\nbeta1: 0.8\nbeta2: 0.9\nadamw_lr_scale: 0.5\n",
     {-0.5199297020739, -0.7290261873161, -0.9187305552182,   1.135473306945,   0.9472640998833,  0.6422796652283,
      0.4166106862376,  0.2059446196171,  -0.004721447003422, -0.2791040368938, -0.4577536797562, -0.6364033226186,
      -1.081758681671,  -1.253780484826,  1.088950504377,     0.8121191000301,  0.5961587912627,  0.3801984824953,
      0.1186147568483,  -0.2221719488848, -0.4899395612313,   -0.7301377252928}},
    {"optimizer: sgd\ngrokfast: true\ngrokfast_alpha: 0.75\ngrokfast_lambda: 1.5\n",
     {-0.2870372161865, -0.4392136688232, -0.59139012146,   0.9127639770508,  0.7605875244141,  0.3420048217773,
      0.1898283691406,  0.03765191650391, -0.1145245361328, -0.2667009887695, -0.4188774414062, -0.571053894043,
      -1.042463745117,  -1.194640197754,  1.167936141968,   1.015759689331,   0.8635832366943,  0.7114067840576,
      0.5592303314209,  -0.4513683624268, -0.8699510650635, -1.0221275177}},
    {"optimizer: sgd\northograd: true\n",
     {-0.4146747477422, -0.7038994017102,  -0.9931240556782,  1.37884459898,    1.089619945012,   0.6066423844289,
      0.3844525262492,  0.1790504068434,   -0.02635171256236, -0.2317538319681, -0.4371559513739, -0.6425580707796,
      -1.04025890017,   -1.245661019576,   1.040232604723,    0.8348304853176,  0.6294283659119,  0.4240262465061,
      0.2501108149045,  -0.06736843370382, -0.625339046104,   -0.5234065711216}},
    {"optimizer: sgd\ngrokfast: true\ngrokfast_alpha: 0.75\ngrokfast_lambda: 1.5\northograd: true\n",
     {-0.175478353618,  -0.6216104661139,  -1.06774257861,   1.562198314267,   1.116066201771,   0.3735186761394,
      0.1535136493023,  0.01732210006474,  -0.1188694491729, -0.2550609984105, -0.3912525476481, -0.5274440968857,
      -0.9749216732192, -1.111113222457,   1.100444343513,   0.9642527942751,  0.8280612450375,  0.6918696957999,
      0.4313468730884,  -0.05623075726797, -0.5391698421506, -0.6877855123083}},
};

TEST(test_updates_are_those_of_other_programs) {
    for (size_t k = 0; k < sizeof UPDATED / sizeof *UPDATED; k++) {
        support_instance f;
        char text[512];
        double numbers[4 * NUMBERS] = {0}, scratch[256], memory[32] = {0}, gradient[NUMBERS];
        snprintf(text, sizeof text, "task: tree\ndepth: 2\nhidden: 3\nlr: 0.05\nweight_decay: 0.125\n%s",
                 UPDATED[k].keys);
        support_open(&f, text);
        const ts_optimiser *optimiser = ts_optimiser_of(&f.params);
        assert_true(optimiser->memory <= sizeof memory && ts_optimiser_parts(&f.params) <= 4);
        assert_true(!optimiser->scratch || optimiser->scratch(&TENSORS) <= sizeof scratch / sizeof *scratch);
        for (int i = 0; i < NUMBERS; i++)
            numbers[i] = weight_at(i);
        for (int t = 0; t < UPDATES; t++) {
            const ts_update update = {&f.params, &TENSORS, t, memory, scratch};
            for (int i = 0; i < NUMBERS; i++)
                gradient[i] = gradient_at(t, i);
            ts_optimiser_update(&update, gradient, numbers);
        }
        for (int i = 0; i < NUMBERS; i++)
            if (fabs(numbers[i] - UPDATED[k].expected[i]) > 1e-11)
                fail_msg("number %d: %.13g, expected %.13g: %s", i, numbers[i], UPDATED[k].expected[i],
                         UPDATED[k].keys);
        support_close(&f);
    }
}

static void assert_state(const double *state, const double *expected, int64_t count) {
    for (int64_t p = 0; p < count; p++)
        if (state[p] != expected[p])
            fail_msg("number %d: %.17g, expected %.17g", (int)p, state[p], expected[p]);
}

// With sums that binary numbers hold exactly: p = p - lr schedule(t) (g + weight_decay p), which is also what PyTorch's
// SGD(lr, weight_decay) does: g.add(p, alpha=weight_decay), then p.add(g, alpha=-lr).
TEST(test_sgd_steps_against_the_gradient_and_the_weights) {
    static const double GRADIENT[2][4] = {{0.5, 0.25, -1, 0}, {-0.25, 1, 0.5, 2}},
                        //      1 - (0.5 + 0.25) / 2, -2 - (0.25 - 0.5) / 2, 0.5 - (-1 + 0.125) / 2, 8 - (0 + 2) / 2
        FIRST[4] = {0.625, -1.875, 0.9375, 7},
                        // a quarter each, linear's second of two: 0.625 - (-0.25 + 0.15625) / 4, ...
        SECOND[4] = {0.6484375, -2.0078125, 0.75390625, 6.0625};
    support_instance f;
    double weights[4] = {1, -2, 0.5, 8};
    support_open(&f, "task: tree\ndepth: 2\nhidden: 3\nsteps: 2\nschedule: linear\noptimizer: sgd\nlr: 0.5\n"
                     "weight_decay: 0.25\n");
    const ts_optimiser *sgd = ts_optimiser_of(&f.params);
    assert_string_equal(sgd->name, "sgd");
    assert_int_equal(sgd->moments, 0);
    const ts_parameter_layout four = {.count = 1, .tensor = {{"b", 1, {4}, {"neuron"}, .kind = TS_BIAS}}, .total = 4};
    sgd->update(&(ts_update){&f.params, &four, 0, NULL, NULL}, GRADIENT[0], weights);
    assert_state(weights, FIRST, 4);
    sgd->update(&(ts_update){&f.params, &four, 1, NULL, NULL}, GRADIENT[1], weights);
    assert_state(weights, SECOND, 4);
    support_close(&f);
}

// What `reference` trains is that update of its own gradient; and a state, which is the weights alone, is enough to go
// on with.
TEST(test_sgd_is_trained_by_the_reference) {
    static const char *const SWEEPS[] = {
        "task: tree\ndepth: 2\nhidden: 3\noptimizer: sgd\nlr: 0.1\nweight_decay: 0\nsteps: 20\n",
        "task: group\ngroup: S3\nembed: 5\nhidden: 9\noptimizer: sgd\nlr: 0.3\nweight_decay: 0.125\nsteps: 20\n",
        "task: power\np: 5\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\noptimizer: sgd\nsteps: 20\n",
    };
    for (size_t s = 0; s < sizeof SWEEPS / sizeof *SWEEPS; s++) {
        support_instance f;
        support_training whole, parts;
        support_open(&f, SWEEPS[s]);
        const ts_engine *engine = support_engine(ts_backend_find("reference"), &f.params);
        size_t count = (size_t)f.parameters;
        double *found = ts_alloc(count * sizeof *found, "a state"),
               *gradient = ts_alloc(count * sizeof *found, "a gradient"),
               *expected = ts_alloc(count * sizeof *found, "a state"), loss;
        support_create(engine, &f.spec, &whole);
        support_create(engine, &f.spec, &parts);
        assert_int_equal(whole.numbers, count);
        for (size_t p = 0; p < count; p++)
            expected[p] = f.initial[p];
        for (int64_t t = 0; t < 3; t++) {
            assert_int_equal(ts_reference_gradient(&f.spec, expected, t, &loss, gradient), TS_OK);
            double lr = ts_params_real(&f.params, "lr"), decay = ts_params_real(&f.params, "weight_decay");
            for (size_t p = 0; p < count; p++)
                expected[p] -= lr * (gradient[p] + decay * expected[p]);
        }
        support_advance(&whole, 0, 3);
        assert_int_equal(engine->get_state(whole.handle, 0, found), TS_OK);
        assert_state(found, expected, f.parameters);
        assert_int_equal(engine->set_state(parts.handle, 0, found), TS_OK);
        support_advance(&whole, 3, 20);
        support_advance(&parts, 3, 20);
        assert_int_equal(engine->get_state(whole.handle, 0, expected), TS_OK);
        assert_int_equal(engine->get_state(parts.handle, 0, found), TS_OK);
        assert_memory_equal(found, expected, count * sizeof *found);
        support_destroy(&whole);
        support_destroy(&parts);
        ts_free(found);
        ts_free(gradient);
        ts_free(expected);
        support_close(&f);
    }
}

// Which tensors Muon steps, of every model.
TEST(test_muon_takes_matrices_between_hidden_layers) {
    static const char *const TAKEN[][2] = {
        {"task: tree\ndepth: 2\nhidden: 3\n", "W "},
        {"task: group\ngroup: S3\n", "W "},
        {"task: power\np: 5\n", "W_Q W_K W_V W_O W_in W_out "},
    };
    for (size_t k = 0; k < sizeof TAKEN / sizeof *TAKEN; k++) {
        support_instance f;
        char taken[256] = "";
        support_open(&f, TAKEN[k][0]);
        for (int i = 0; i < f.layout.count; i++)
            if (ts_muon_takes(&f.layout.tensor[i])) {
                strcat(taken, f.layout.tensor[i].name);
                strcat(taken, " ");
            }
        assert_string_equal(taken, TAKEN[k][1]);
        support_close(&f);
    }
}

static ts_model_costs costs_of(const char *task, const char *optimizer) {
    support_instance f;
    ts_model_costs costs;
    char text[256];
    snprintf(text, sizeof text, "%soptimizer: %s\n", task, optimizer);
    support_open(&f, text);
    assert_int_equal(ts_model_cost(&f.params, f.data, &costs), TS_OK);
    support_close(&f);
    return costs;
}

// A gradient costs the same with any optimiser. Muon has five iterations of x x^T, a a and (b a) x besides, and works
// in x, y, a and b, of a matrix after the other.
TEST(test_costs_count_the_optimiser) {
    static const struct {
        const char *task;
        double multiply_adds, numbers;
    } ADDED[] = {
        // W (3, 14)
        {"task: tree\ndepth: 3\nhidden: 3\n", 5 * (2 * 3 * 3 * 14 + 3 * 3 * 3), 2 * (3 * 14 + 3 * 3)},
        // W (512, 128), which is stepped as (128, 512)
        {"task: group\ngroup: S5\n", 5.0 * (2 * 128 * 128 * 512 + 128 * 128 * 128), 2 * (128 * 512 + 128 * 128)},
        // W_Q, W_K, W_V (8, 4) and W_O (4, 8) of each of two heads, W_in (8, 16), W_out (16, 8)
        {"task: power\np: 5\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 16\n",
         5 * (8 * (2 * 4 * 4 * 8 + 4 * 4 * 4) + 2 * (2 * 8 * 8 * 16 + 8 * 8 * 8)), 2 * (8 * 16 + 8 * 8)},
    };
    for (size_t k = 0; k < sizeof ADDED / sizeof *ADDED; k++) {
        ts_model_costs adamw = costs_of(ADDED[k].task, "adamw"), muon = costs_of(ADDED[k].task, "muon");
        assert_close(muon.step_operations - adamw.step_operations, 2 * ADDED[k].multiply_adds, 1e-12, 0);
        assert_close(muon.unit_bytes - adamw.unit_bytes, 8 * ADDED[k].numbers, 1e-12, 0);
    }
}

// --- Learning rates ---

// The factor is min(t / N, 1), t the updates made before, beside the schedule's.
TEST(test_warm_up_multiplies_the_schedule) {
    static const char *const SCHEDULES[] = {"constant", "linear", "cosine"};
    for (int k = 0; k < 3; k++) {
        support_instance plain, warm;
        char text[256];
        snprintf(text, sizeof text, "task: tree\ndepth: 2\nhidden: 3\nsteps: 20\nlr: 0.5\nschedule: %s\n",
                 SCHEDULES[k]);
        support_open(&plain, text);
        strcat(text, "warmup: 8\n");
        support_open(&warm, text);
        ts_schedule without = ts_schedule_of(&plain.params), with = ts_schedule_of(&warm.params);
        for (int t = 0; t < 20; t++)
            assert_close(ts_schedule_rate(&with, t), (t < 8 ? t / 8.0 : 1) * ts_schedule_rate(&without, t), 1e-15, 0);
        support_close(&plain);
        support_close(&warm);
    }
}

// --- Updates in float32 ---

// Three steps of PyTorch 2.15's SGD(lr=0.05, weight_decay=0.1), in float32 on a processor with AVX-512; and of portable
// kernels, which may have no fused multiply-add, nearly that.
TEST(test_descent_has_the_bits_of_pytorch) {
    enum { COUNT = 16, STEPS = 3 };
    static const uint32_t EXPECTED[2][COUNT] = {
        {0xbf32d64b, 0xbf7636b7, 0xbfad31f9, 0x3fbec89c, 0x3f9d1866, 0x3f76d05d, 0x3f0e5352, 0x3e95e5ca, 0x3cf24f02,
         0xbebd3b86, 0xbf21fe2f, 0xbf655e9d, 0xbfa4c5eb, 0xbfc67621, 0x3fa58472, 0x3f83d43c},
        // momentum=0.9
        {0xbf40b7c1, 0xbf79c6fa, 0xbfa9d180, 0x3fc211ac, 0x3fa58a11, 0x3f890273, 0x3ee82b5b, 0x3e6c19d1, 0x3bfb9d7b,
         0xbef2c974, 0xbf3273f3, 0xbf6b832d, 0xbfa2af9a, 0xbfbf3736, 0x3facabf7, 0x3f90245a}};
    for (int s = 0; ts_cpu_kernel_names[s]; s++)
        for (int momentum = 0; momentum < 2; momentum++) {
            const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[s]);
            float numbers[STEPS + 1][COUNT], velocity[COUNT] = {0}, expected[COUNT];
            for (int k = 0; k <= STEPS; k++) // weights, then gradients
                for (int i = 0; i < COUNT; i++)
                    numbers[k][i] = (float)(((i * 37 + k * 53 + 11) % 41 - 20) / (13.0 + k));
            for (int k = 1; kernels && k <= STEPS; k++) {
                kernels->add_scaled(numbers[k], 0.1F, numbers[0], COUNT);
                if (momentum)
                    kernels->momentum(numbers[0], velocity, numbers[k], COUNT, 0.9F, 0.05F);
                else
                    kernels->descent(numbers[0], numbers[k], COUNT, 0.05F);
            }
            memcpy(expected, EXPECTED[momentum], sizeof expected);
            double off = kernels && strcmp(kernels->name, "portable") == 0 ? 1e-6 : 0;
            for (int i = 0; kernels && i < COUNT; i++)
                assert_close(numbers[0][i], expected[i], off, 0);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_updates_are_those_of_other_programs),
        cmocka_unit_test(test_sgd_steps_against_the_gradient_and_the_weights),
        cmocka_unit_test(test_sgd_is_trained_by_the_reference),
        cmocka_unit_test(test_muon_takes_matrices_between_hidden_layers),
        cmocka_unit_test(test_costs_count_the_optimiser),
        cmocka_unit_test(test_warm_up_multiplies_the_schedule),
        cmocka_unit_test(test_descent_has_the_bits_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
