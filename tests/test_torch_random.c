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

// torch.manual_seed(seed); torch.randperm(n)
typedef struct perm_sample {
    uint64_t seed;
    int n, first[10], last[5];
} perm_sample;

// torch.manual_seed(seed); a = torch.randn(n); torch.randn(16)
typedef struct normal_sample {
    uint64_t seed;
    int n;
    float first[6], last[6];
    double sum; // of a, in float64
    float then[4];
} normal_sample;

static const perm_sample PERMS[] = {
    {0u, 10, {4, 1, 7, 5, 3, 9, 0, 8, 6, 2}, {9, 0, 8, 6, 2}},
    {0u, 1000, {44, 37, 675, 775, 947, 209, 719, 500, 561, 264}, {206, 932, 745, 263, 354}},
    {1u, 10, {5, 6, 1, 2, 0, 8, 9, 3, 7, 4}, {8, 9, 3, 7, 4}},
    {1u, 1000, {845, 303, 66, 436, 239, 593, 573, 999, 919, 268}, {778, 364, 513, 935, 639}},
    {2u, 10, {8, 7, 1, 5, 6, 9, 0, 4, 2, 3}, {9, 0, 4, 2, 3}},
    {2u, 1000, {848, 205, 453, 475, 414, 614, 334, 128, 176, 284}, {863, 914, 887, 538, 499}},
    {598u, 10, {9, 5, 1, 0, 8, 4, 6, 7, 2, 3}, {4, 6, 7, 2, 3}},
    {598u, 1000, {199, 905, 711, 217, 98, 658, 684, 460, 214, 926}, {887, 975, 634, 265, 123}},
    {999u, 10, {2, 0, 7, 6, 4, 9, 5, 1, 3, 8}, {9, 5, 1, 3, 8}},
    {999u, 1000, {152, 497, 445, 190, 388, 329, 877, 763, 417, 530}, {219, 693, 46, 983, 289}},
    {4294967295u, 10, {1, 4, 6, 2, 0, 5, 8, 7, 9, 3}, {5, 8, 7, 9, 3}},
    {4294967295u, 1000, {371, 805, 492, 705, 784, 265, 814, 793, 3, 573}, {168, 890, 913, 837, 642}},
};

static const normal_sample NORMALS[] = {
    {0u,
     16,
     {-1.1258398f, -1.1523602f, -0.25057858f, -0.4338788f, 0.84871036f, 0.69200915f},
     {0.3499832f, 0.30813393f, 0.11984151f, 1.2376579f, 1.1167772f, -0.24727815f},
     -1.909114308655262,
     {-1.3526537f, -1.6959312f, 0.5666506f, 0.79350835f}},
    {0u,
     17,
     {-1.1258398f, -1.6959312f, 0.5666506f, 0.79350835f, 0.59883946f, -1.5550951f},
     {0.18347794f, 1.3893661f, 1.5863342f, 0.94629836f, -0.84367675f, 0.9318266f},
     2.996606692671776,
     {0.03159274f, -0.49267697f, 0.24841475f, 0.43969584f}},
    {0u,
     31,
     {-1.1258398f, -1.1523602f, -0.25057858f, -0.4338788f, 0.84871036f, 0.69200915f},
     {0.792444f, -0.2896677f, 0.052507486f, 0.52286047f, 2.3022053f, -1.4688939f},
     -1.9136945717036724,
     {0.48886982f, -0.6730899f, 0.8728312f, 1.0553575f}},
    {0u,
     100,
     {-1.1258398f, -1.1523602f, -0.25057858f, -0.4338788f, 0.84871036f, 0.69200915f},
     {0.78130794f, -0.9267894f, 0.20641631f, -0.33344787f, -0.42883f, 0.23291829f},
     3.714113546826411,
     {0.9625183f, 0.34916824f, -0.921462f, -0.056194786f}},
    {0u,
     30720,
     {-1.1258398f, -1.1523602f, -0.25057858f, -0.4338788f, 0.84871036f, 0.69200915f},
     {0.1539356f, 0.33310768f, -0.53000075f, 0.32214475f, -0.6599533f, -0.7570491f},
     -447.8633828963939,
     {-0.3892084f, 0.50460225f, -0.06877451f, 0.564615f}},
    {999u,
     16,
     {-0.25279874f, 1.4072133f, 0.29104957f, 1.0364678f, -0.9815582f, -3.421909f},
     {0.0941133f, 2.1528118f, 0.6270559f, -1.1665958f, -0.7862484f, 0.075932026f},
     1.9216099753975868,
     {-0.008622645f, -0.6568094f, -1.001138f, 0.29915124f}},
    {999u,
     17,
     {-0.25279874f, -0.6568094f, -1.001138f, 0.29915124f, 0.6395756f, -1.085651f},
     {0.6119257f, 0.32589537f, -1.6059141f, -0.5272387f, 0.34006453f, -1.6526339f},
     -4.540363743901253,
     {1.1149174f, -0.7776f, 0.27376306f, 0.9146955f}},
    {999u,
     31,
     {-0.25279874f, 1.4072133f, 0.29104957f, 1.0364678f, -0.9815582f, -3.421909f},
     {-0.09856035f, 1.396193f, -0.9138483f, -1.1788335f, -0.6680702f, -0.31675553f},
     -0.8649211302399635,
     {-0.39568642f, 0.22160225f, 1.6330602f, 1.0747436f}},
    {999u,
     100,
     {-0.25279874f, 1.4072133f, 0.29104957f, 1.0364678f, -0.9815582f, -3.421909f},
     {-0.67582417f, 0.06736228f, -0.859808f, 0.2495602f, 1.2643032f, 0.27120927f},
     6.8220635461912025,
     {-0.072854474f, -2.4516187f, -0.68048793f, -0.31769443f}},
    {999u,
     30720,
     {-0.25279874f, 1.4072133f, 0.29104957f, 1.0364678f, -0.9815582f, -3.421909f},
     {-0.30668488f, 2.14269f, 0.89451027f, 0.100550614f, 0.38851893f, 0.94679224f},
     -53.10583875224256,
     {1.026959f, -0.7339637f, -0.5994414f, 0.00352103f}},
    {4294967295u,
     16,
     {-2.6642976f, -1.0910486f, 0.45144743f, 0.2283607f, 1.8986179f, 1.5642089f},
     {1.2182662f, 0.22224647f, -2.5158842f, 0.48375222f, 0.84178656f, 0.14090961f},
     -2.1445591896772385,
     {1.7933999f, -0.8765852f, -1.6460391f, -0.53825855f}},
    {4294967295u,
     17,
     {-2.6642976f, -0.8765852f, -1.6460391f, -0.53825855f, 0.30621922f, 0.424003f},
     {-0.32600823f, -0.029644504f, 0.38321704f, -0.1609532f, 1.9678915f, 1.6243832f},
     -8.916652783751488,
     {1.7220553f, 0.77004033f, -1.4820665f, -0.86367506f}},
    {4294967295u,
     31,
     {-2.6642976f, -1.0910486f, 0.45144743f, 0.2283607f, 1.8986179f, 1.5642089f},
     {-0.99843055f, 0.68181765f, -1.1006033f, 1.5622407f, -1.8858197f, -1.0488554f},
     -6.306903757154942,
     {1.3450472f, -0.11028474f, 1.6035762f, -1.5167536f}},
    {4294967295u,
     100,
     {-2.6642976f, -1.0910486f, 0.45144743f, 0.2283607f, 1.8986179f, 1.5642089f},
     {0.13951501f, -0.7070897f, -0.26315156f, 1.881143f, -0.8279936f, 1.6752886f},
     -11.626139772124588,
     {-0.11585998f, 1.0315461f, -0.13438515f, 1.2194564f}},
    {4294967295u,
     30720,
     {-2.6642976f, -1.0910486f, 0.45144743f, 0.2283607f, 1.8986179f, 1.5642089f},
     {1.5098238f, -0.017251141f, -0.6346842f, -2.7536688f, 0.15067054f, 0.41089758f},
     284.00467492245104,
     {-0.32623604f, 1.0299721f, 1.6544758f, 0.9494526f}},
};

static void check_ints(const perm_sample *sample, const char *which, const int *got, const int *expected, int count) {
    for (int i = 0; i < count; i++)
        if (got[i] != expected[i])
            fail_msg("seed %llu, randperm(%d), %s %d: got %d, expected %d", (unsigned long long)sample->seed, sample->n,
                     which, i, got[i], expected[i]);
}

static void check_perm(const perm_sample *sample) {
    ts_torch_random random;
    int *perm = ts_alloc((size_t)sample->n * sizeof *perm, "a permutation");
    assert_non_null(perm);
    ts_torch_seed(&random, sample->seed);
    ts_torch_randperm(&random, sample->n, perm);
    check_ints(sample, "first", perm, sample->first, 10);
    check_ints(sample, "last", perm + sample->n - 5, sample->last, 5);
    ts_free(perm);
}

static void check_floats(const normal_sample *sample, const char *which, const float *got, const float *expected,
                         int count) {
    for (int i = 0; i < count; i++)
        if (got[i] != expected[i])
            fail_msg("seed %llu, randn(%d), %s %d: got %.9g, expected %.9g", (unsigned long long)sample->seed,
                     sample->n, which, i, (double)got[i], (double)expected[i]);
}

static void check_normal(const normal_sample *sample) {
    ts_torch_random random;
    float *normal = ts_alloc((size_t)sample->n * sizeof *normal, "normals"), then[16];
    assert_non_null(normal);
    ts_torch_seed(&random, sample->seed);
    ts_torch_normal(&random, sample->n, 1, normal);
    ts_torch_normal(&random, 16, 1, then);
    check_floats(sample, "first", normal, sample->first, 6);
    check_floats(sample, "last", normal + sample->n - 6, sample->last, 6);
    check_floats(sample, "then", then, sample->then, 4);
    double sum = 0;
    for (int i = 0; i < sample->n; i++)
        sum += (double)normal[i];
    // One last bit of one value is 1e-9 or more: sums tell of every value.
    if (fabs(sum - sample->sum) > 1e-10)
        fail_msg("seed %llu, randn(%d): sum %.17g, expected %.17g", (unsigned long long)sample->seed, sample->n, sum,
                 sample->sum);
    ts_free(normal);
}

static void test_permutations_are_those_of_pytorch(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof PERMS / sizeof *PERMS; i++)
        check_perm(&PERMS[i]);
}

static void test_normals_are_those_of_pytorch_to_the_last_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof NORMALS / sizeof *NORMALS; i++)
        check_normal(&NORMALS[i]);
}

static void test_only_the_low_32_bits_of_a_seed_count(void **state) {
    (void)state;
    ts_torch_random low, high;
    ts_torch_seed(&low, 7);
    ts_torch_seed(&high, ((uint64_t)5 << 32) + 7);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(ts_torch_u32(&low), ts_torch_u32(&high));
}

static void test_mt19937_gives_its_published_ten_thousandth_word(void **state) {
    (void)state;
    ts_torch_random random;
    uint32_t word = 0;
    ts_torch_seed(&random, 5489);
    for (int i = 0; i < 10000; i++)
        word = ts_torch_u32(&random);
    assert_int_equal(word, 4123659995u); // ISO C++ [rand.predef]
}

static void test_factor_is_one_rounded_product(void **state) {
    (void)state;
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

static double number_of(const ts_yaml_node *sample, const char *key) {
    const ts_yaml_node *node = ts_yaml_get(sample, key);
    assert_non_null(node);
    return strtod(node->text, NULL);
}

// Numbers of a list of the sample.
static void numbers_of(const ts_yaml_node *sample, const char *key, int count, double *out) {
    const ts_yaml_node *list = ts_yaml_get(sample, key);
    assert_non_null(list);
    assert_int_equal(list->count, count);
    for (const ts_yaml_node *item = list->child; item; item = item->next)
        *out++ = strtod(item->text, NULL);
}

static void check_perm_node(const ts_yaml_node *node) {
    perm_sample sample = {.seed = (uint64_t)number_of(node, "seed"), .n = (int)number_of(node, "n")};
    double first[10], last[5];
    numbers_of(node, "first", 10, first);
    numbers_of(node, "last", 5, last);
    for (int i = 0; i < 10; i++)
        sample.first[i] = (int)first[i];
    for (int i = 0; i < 5; i++)
        sample.last[i] = (int)last[i];
    check_perm(&sample);
}

static void check_normal_node(const ts_yaml_node *node) {
    normal_sample sample = {
        .seed = (uint64_t)number_of(node, "seed"), .n = (int)number_of(node, "n"), .sum = number_of(node, "sum")};
    double first[6], last[6], then[4];
    numbers_of(node, "first", 6, first);
    numbers_of(node, "last", 6, last);
    numbers_of(node, "then_16_first", 4, then);
    for (int i = 0; i < 6; i++) {
        sample.first[i] = (float)first[i];
        sample.last[i] = (float)last[i];
    }
    for (int i = 0; i < 4; i++)
        sample.then[i] = (float)then[i];
    check_normal(&sample);
}

static void test_every_sample_of_the_reference_file_agrees(void **state) {
    (void)state;
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
    ts_text_addf(&path, "%s/torch_rng.json", directory);
    if (ts_file_read(ts_text_get(&path), 1 << 20, &text, &bytes) != TS_OK)
        fail_msg("%s", ts_message());
    if (ts_yaml_parse(text, bytes, &yaml, &line) != TS_OK) // JSON is YAML
        fail_msg("%s:%d: %s", ts_text_get(&path), line, ts_message());
    const ts_yaml_node *root = ts_yaml_root(yaml);
    for (const ts_yaml_node *n = ts_yaml_get(root, "randperm")->child; n; n = n->next, perms++)
        check_perm_node(n);
    for (const ts_yaml_node *n = ts_yaml_get(root, "normal")->child; n; n = n->next, normals++)
        check_normal_node(n);
    assert_int_equal(perms, 12);
    assert_int_equal(normals, 30);
    ts_yaml_free(yaml);
    ts_free(text);
    ts_text_free(&path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt19937_gives_its_published_ten_thousandth_word),
        cmocka_unit_test(test_only_the_low_32_bits_of_a_seed_count),
        cmocka_unit_test(test_permutations_are_those_of_pytorch),
        cmocka_unit_test(test_normals_are_those_of_pytorch_to_the_last_bit),
        cmocka_unit_test(test_factor_is_one_rounded_product),
        cmocka_unit_test(test_every_sample_of_the_reference_file_agrees),
    };
    return cmocka_run_group_tests_name("torch_random", tests, NULL, NULL);
}
