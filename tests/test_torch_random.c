// PyTorch's CPU random streams: samples printed by PyTorch 1.13, to the last bit.
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/torch_random.h"
#include "support_cmocka.h"
#include "sweep/yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Samples as rows of numbers. torch.manual_seed(seed); torch.randperm(n): seed, n, the first ten, the last five.
enum { PERM = 17, NORMAL = 19 };
static const double PERMS[][PERM] = {
    {0, 10, 4, 1, 7, 5, 3, 9, 0, 8, 6, 2, 9, 0, 8, 6, 2},
    {0, 1000, 44, 37, 675, 775, 947, 209, 719, 500, 561, 264, 206, 932, 745, 263, 354},
    {1, 10, 5, 6, 1, 2, 0, 8, 9, 3, 7, 4, 8, 9, 3, 7, 4},
    {1, 1000, 845, 303, 66, 436, 239, 593, 573, 999, 919, 268, 778, 364, 513, 935, 639},
    {2, 10, 8, 7, 1, 5, 6, 9, 0, 4, 2, 3, 9, 0, 4, 2, 3},
    {2, 1000, 848, 205, 453, 475, 414, 614, 334, 128, 176, 284, 863, 914, 887, 538, 499},
    {598, 10, 9, 5, 1, 0, 8, 4, 6, 7, 2, 3, 4, 6, 7, 2, 3},
    {598, 1000, 199, 905, 711, 217, 98, 658, 684, 460, 214, 926, 887, 975, 634, 265, 123},
    {999, 10, 2, 0, 7, 6, 4, 9, 5, 1, 3, 8, 9, 5, 1, 3, 8},
    {999, 1000, 152, 497, 445, 190, 388, 329, 877, 763, 417, 530, 219, 693, 46, 983, 289},
    {4294967295, 10, 1, 4, 6, 2, 0, 5, 8, 7, 9, 3, 5, 8, 7, 9, 3},
    {4294967295, 1000, 371, 805, 492, 705, 784, 265, 814, 793, 3, 573, 168, 890, 913, 837, 642},
};

// torch.manual_seed(seed); a = torch.randn(n); torch.randn(16): seed, n, the sum of a in float64, its first six, its
// last six, the first four of what comes then.
static const double NORMALS[][NORMAL] = {
    {0, 16, -1.909114308655262, -1.1258398, -1.1523602, -0.25057858, -0.4338788, 0.84871036, 0.69200915, 0.3499832,
     0.30813393, 0.11984151, 1.2376579, 1.1167772, -0.24727815, -1.3526537, -1.6959312, 0.5666506, 0.79350835},
    {0, 17, 2.996606692671776, -1.1258398, -1.6959312, 0.5666506, 0.79350835, 0.59883946, -1.5550951, 0.18347794,
     1.3893661, 1.5863342, 0.94629836, -0.84367675, 0.9318266, 0.03159274, -0.49267697, 0.24841475, 0.43969584},
    {0, 31, -1.9136945717036724, -1.1258398, -1.1523602, -0.25057858, -0.4338788, 0.84871036, 0.69200915, 0.792444,
     -0.2896677, 0.052507486, 0.52286047, 2.3022053, -1.4688939, 0.48886982, -0.6730899, 0.8728312, 1.0553575},
    {0, 100, 3.714113546826411, -1.1258398, -1.1523602, -0.25057858, -0.4338788, 0.84871036, 0.69200915, 0.78130794,
     -0.9267894, 0.20641631, -0.33344787, -0.42883, 0.23291829, 0.9625183, 0.34916824, -0.921462, -0.056194786},
    {0, 30720, -447.8633828963939, -1.1258398, -1.1523602, -0.25057858, -0.4338788, 0.84871036, 0.69200915, 0.1539356,
     0.33310768, -0.53000075, 0.32214475, -0.6599533, -0.7570491, -0.3892084, 0.50460225, -0.06877451, 0.564615},
    {999, 16, 1.9216099753975868, -0.25279874, 1.4072133, 0.29104957, 1.0364678, -0.9815582, -3.421909, 0.0941133,
     2.1528118, 0.6270559, -1.1665958, -0.7862484, 0.075932026, -0.008622645, -0.6568094, -1.001138, 0.29915124},
    {999, 17, -4.540363743901253, -0.25279874, -0.6568094, -1.001138, 0.29915124, 0.6395756, -1.085651, 0.6119257,
     0.32589537, -1.6059141, -0.5272387, 0.34006453, -1.6526339, 1.1149174, -0.7776, 0.27376306, 0.9146955},
    {999, 31, -0.8649211302399635, -0.25279874, 1.4072133, 0.29104957, 1.0364678, -0.9815582, -3.421909, -0.09856035,
     1.396193, -0.9138483, -1.1788335, -0.6680702, -0.31675553, -0.39568642, 0.22160225, 1.6330602, 1.0747436},
    {999, 100, 6.8220635461912025, -0.25279874, 1.4072133, 0.29104957, 1.0364678, -0.9815582, -3.421909, -0.67582417,
     0.06736228, -0.859808, 0.2495602, 1.2643032, 0.27120927, -0.072854474, -2.4516187, -0.68048793, -0.31769443},
    {999, 30720, -53.10583875224256, -0.25279874, 1.4072133, 0.29104957, 1.0364678, -0.9815582, -3.421909, -0.30668488,
     2.14269, 0.89451027, 0.100550614, 0.38851893, 0.94679224, 1.026959, -0.7339637, -0.5994414, 0.00352103},
    {4294967295, 16, -2.1445591896772385, -2.6642976, -1.0910486, 0.45144743, 0.2283607, 1.8986179, 1.5642089,
     1.2182662, 0.22224647, -2.5158842, 0.48375222, 0.84178656, 0.14090961, 1.7933999, -0.8765852, -1.6460391,
     -0.53825855},
    {4294967295, 17, -8.916652783751488, -2.6642976, -0.8765852, -1.6460391, -0.53825855, 0.30621922, 0.424003,
     -0.32600823, -0.029644504, 0.38321704, -0.1609532, 1.9678915, 1.6243832, 1.7220553, 0.77004033, -1.4820665,
     -0.86367506},
    {4294967295, 31, -6.306903757154942, -2.6642976, -1.0910486, 0.45144743, 0.2283607, 1.8986179, 1.5642089,
     -0.99843055, 0.68181765, -1.1006033, 1.5622407, -1.8858197, -1.0488554, 1.3450472, -0.11028474, 1.6035762,
     -1.5167536},
    {4294967295, 100, -11.626139772124588, -2.6642976, -1.0910486, 0.45144743, 0.2283607, 1.8986179, 1.5642089,
     0.13951501, -0.7070897, -0.26315156, 1.881143, -0.8279936, 1.6752886, -0.11585998, 1.0315461, -0.13438515,
     1.2194564},
    {4294967295, 30720, 284.00467492245104, -2.6642976, -1.0910486, 0.45144743, 0.2283607, 1.8986179, 1.5642089,
     1.5098238, -0.017251141, -0.6346842, -2.7536688, 0.15067054, 0.41089758, -0.32623604, 1.0299721, 1.6544758,
     0.9494526},
};

static void expect(const double *sample, const char *call, const float *drawn, const double *expected, int count) {
    for (int i = 0; i < count; i++)
        if (drawn[i] != (float)expected[i])
            fail_msg("seed %.0f, %s(%.0f), number %d of those kept: %.9g, expected %.9g", sample[0], call, sample[1], i,
                     (double)drawn[i], expected[i]);
}

static void check_perm(const double *sample) {
    ts_torch_random random;
    int n = (int)sample[1], *perm = ts_alloc((size_t)n * sizeof *perm, "a permutation");
    float drawn[15];
    assert_non_null(perm);
    ts_torch_seed(&random, (uint64_t)sample[0]);
    ts_torch_randperm(&random, n, perm);
    for (int i = 0; i < 15; i++)
        drawn[i] = (float)perm[i < 10 ? i : n - 15 + i];
    expect(sample, "randperm", drawn, sample + 2, 15);
    ts_free(perm);
}

static void check_normal(const double *sample) {
    ts_torch_random random;
    int n = (int)sample[1];
    float *normal = ts_alloc((size_t)n * sizeof *normal, "normals"), then[16];
    assert_non_null(normal);
    ts_torch_seed(&random, (uint64_t)sample[0]);
    ts_torch_normal(&random, n, 1, normal);
    ts_torch_normal(&random, 16, 1, then);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)normal[i];
    // One last bit of one value is 1e-9 or more: sums tell of every value.
    if (fabs(sum - sample[2]) > 1e-10)
        fail_msg("seed %.0f, randn(%d): sum %.17g, expected %.17g", sample[0], n, sum, sample[2]);
    expect(sample, "randn", normal, sample + 3, 6);
    expect(sample, "the end of randn", normal + n - 6, sample + 9, 6);
    expect(sample, "what follows on randn", then, sample + 15, 4);
    ts_free(normal);
}

TEST(test_permutations_are_those_of_pytorch) {
    for (size_t i = 0; i < sizeof PERMS / sizeof *PERMS; i++)
        check_perm(PERMS[i]);
}

TEST(test_normals_are_those_of_pytorch_to_the_last_bit) {
    for (size_t i = 0; i < sizeof NORMALS / sizeof *NORMALS; i++)
        check_normal(NORMALS[i]);
}

// torch.manual_seed(0); torch.empty(10).uniform_(-1, 1), as it is printed.
TEST(test_uniforms_are_those_of_pytorch) {
    static const double PRINTED[10] = {-0.0075, 0.5364,  -0.8230, -0.7359, -0.3852,
                                       0.2682,  -0.0198, 0.7929,  -0.0887, 0.2646};
    ts_torch_random random;
    float one[10], three[10];
    ts_torch_seed(&random, 0);
    ts_torch_uniform(&random, 10, 1, one);
    ts_torch_seed(&random, 0);
    ts_torch_uniform(&random, 10, 3, three);
    for (int i = 0; i < 10; i++)
        if (!(fabs((double)one[i] - PRINTED[i]) <= 5.1e-5 && fabs((double)(three[i] - 3 * one[i])) <= 1e-6))
            fail_msg("number %d: %.9g, printed %.9g; of three times the bound %.9g", i, (double)one[i], PRINTED[i],
                     (double)three[i]);
}

TEST(test_only_the_low_32_bits_of_a_seed_count) {
    ts_torch_random low, high;
    ts_torch_seed(&low, 7);
    ts_torch_seed(&high, ((uint64_t)5 << 32) + 7);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(ts_torch_u32(&low), ts_torch_u32(&high));
}

TEST(test_mt19937_gives_its_published_ten_thousandth_word) {
    ts_torch_random random;
    uint32_t word = 0;
    ts_torch_seed(&random, 5489);
    for (int i = 0; i < 10000; i++)
        word = ts_torch_u32(&random);
    assert_int_equal(word, 4123659995u); // ISO C++ [rand.predef]
}

TEST(test_factor_is_one_rounded_product) {
    ts_torch_random random;
    float plain[40], scaled[40];
    ts_torch_seed(&random, 3);
    ts_torch_normal(&random, 40, 1, plain);
    ts_torch_seed(&random, 3);
    ts_torch_normal(&random, 40, 0.0625f * 1.1f, scaled);
    for (int i = 0; i < 40; i++) {
        float expected = plain[i] * (0.0625f * 1.1f);
        if (scaled[i] != expected)
            fail_msg("value %d: %.9g, expected %.9g", i, (double)scaled[i], (double)expected);
    }
}

// The numbers under these keys of a sample, in lists or not, in their order: `count` in all.
static void read_sample(const ts_yaml_node *sample, const char *const *keys, int count, double *out) {
    int n = 0;
    for (; *keys; keys++) {
        const ts_yaml_node *node = ts_yaml_get(sample, *keys);
        assert_non_null(node);
        for (const ts_yaml_node *one = node->child ? node->child : node; one; one = node->child ? one->next : NULL) {
            assert_true(n < count);
            out[n++] = strtod(one->text, NULL);
        }
    }
    assert_int_equal(n, count);
}

TEST(test_every_sample_of_the_reference_file_agrees) {
    const char *directory = getenv("TOYSWEEP_REFERENCE");
    if (!directory) {
        print_message("skipped: TOYSWEEP_REFERENCE names no directory with torch_rng.json\n");
        skip();
    }
    ts_text path = {0};
    char *text;
    size_t bytes;
    ts_yaml *yaml;
    int line, perms = 0, normals = 0;
    double sample[NORMAL];
    ts_text_addf(&path, "%s/torch_rng.json", directory);
    if (ts_file_read(ts_text_get(&path), 1 << 20, &text, &bytes) != TS_OK)
        fail_msg("%s", ts_message());
    if (ts_yaml_parse(text, bytes, &yaml, &line) != TS_OK) // JSON is YAML
        fail_msg("%s:%d: %s", ts_text_get(&path), line, ts_message());
    const ts_yaml_node *root = ts_yaml_root(yaml);
    for (const ts_yaml_node *n = ts_yaml_get(root, "randperm")->child; n; n = n->next, perms++) {
        read_sample(n, (const char *const[]){"seed", "n", "first", "last", NULL}, PERM, sample);
        check_perm(sample);
    }
    for (const ts_yaml_node *n = ts_yaml_get(root, "normal")->child; n; n = n->next, normals++) {
        read_sample(n, (const char *const[]){"seed", "n", "sum", "first", "last", "then_16_first", NULL}, NORMAL,
                    sample);
        check_normal(sample);
    }
    assert_int_equal(perms, 12);
    assert_int_equal(normals, 30);
    ts_yaml_free(yaml);
    ts_free(text);
    ts_text_free(&path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt19937_gives_its_published_ten_thousandth_word),
        cmocka_unit_test(test_uniforms_are_those_of_pytorch),
        cmocka_unit_test(test_only_the_low_32_bits_of_a_seed_count),
        cmocka_unit_test(test_permutations_are_those_of_pytorch),
        cmocka_unit_test(test_normals_are_those_of_pytorch_to_the_last_bit),
        cmocka_unit_test(test_factor_is_one_rounded_product),
        cmocka_unit_test(test_every_sample_of_the_reference_file_agrees),
    };
    return cmocka_run_group_tests_name("torch_random", tests, NULL, NULL);
}
