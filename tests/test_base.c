// Numbers, text, digests, durations, memory: what everything else stands on.
#define _POSIX_C_SOURCE 200809L
#include "base/clock.h"
#include "base/digest.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "support.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// Known answers of Philox4x32-10, from the Random123 distribution (kat_vectors).
TEST(test_philox_matches_its_known_answers) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ts_philox at;
        uint32_t out[4];
        memcpy(at.counter, known[i].counter, sizeof at.counter);
        memcpy(at.key, known[i].key, sizeof at.key);
        ts_philox_block(&at, out);
        for (int w = 0; w < 4; w++)
            assert_int_equal(out[w], known[i].out[w]);
    }
}

TEST(test_many_blocks_are_the_single_ones) {
    enum { N = 37 }; // no multiple of any vector's length
    uint32_t block[N], lane[N], out[4 * N], one[4];
    ts_philox at = ts_philox_at(0x123456789abcdefu, TS_STREAM_BATCH, 99, 0);
    for (uint32_t i = 0; i < N; i++) {
        block[i] = i * 0x9e3779b9u;
        lane[i] = ~i;
    }
    for (int count = 0; count <= N; count++) {
        ts_philox_many(&at, block, lane, count, out);
        for (int i = 0; i < count; i++) {
            at.counter[0] = block[i];
            at.counter[1] = lane[i];
            ts_philox_block(&at, one);
            assert_memory_equal(one, out + 4 * i, sizeof one);
        }
    }
}

TEST(test_splits_are_those_of_the_blocks) {
    enum { N = 21, ROOM = 24 };
    uint32_t block[ROOM] = {0}, lane[ROOM] = {0}, one[4];
    uint64_t mask[ROOM] = {0}, out[ROOM];
    ts_philox at = ts_philox_at(0x123456789abcdefULL, TS_STREAM_BATCH, 77, 0);
    for (uint32_t i = 0; i < N; i++) {
        block[i] = i * 0x9e3779b9u;
        lane[i] = ~i;
        mask[i] = i % 3 == 0 ? ~(uint64_t)0 : ((uint64_t)1 << 3 * i) - 1;
    }
    for (int count = 0; count <= N; count++) {
        ts_philox_splits(&at, block, lane, mask, count, out);
        for (int i = 0; i < count; i++) {
            uint64_t expected = 0;
            at.counter[0] = block[i];
            at.counter[1] = lane[i];
            ts_philox_block(&at, one);
            for (int bit = 0; bit < 64; bit++) {
                unsigned low = one[bit / 32] >> bit % 32 & 1, high = one[2 + bit / 32] >> bit % 32 & 1;
                if (mask[i] >> bit & 1 && low != high)
                    expected += low ? 1 : (uint64_t)1 << 32;
            }
            assert_true(out[i] == expected);
        }
    }
}

TEST(test_normals_have_mean_0_and_variance_1) {
    enum { N = 200001 };
    double *x = ts_alloc(N * sizeof *x, "normals"), mean = 0, variance = 0, fourth = 0;
    ts_philox at = ts_philox_at(7, TS_STREAM_WEIGHTS, 0, 0);
    ts_philox_normals(&at, x, N);
    for (int i = 0; i < N; i++)
        mean += x[i] / N;
    for (int i = 0; i < N; i++) {
        variance += (x[i] - mean) * (x[i] - mean) / N;
        fourth += pow(x[i] - mean, 4) / N;
    }
    assert_close(mean, 0, 0, 0.01);
    assert_close(variance, 1, 0.01, 0);
    assert_close(fourth, 3, 0.03, 0);
    ts_free(x);
}

TEST(test_streams_of_an_instance_differ) {
    uint32_t a[4], b[4], c[4], d[4];
    ts_philox weights = ts_philox_at(1, TS_STREAM_WEIGHTS, 3, 0), batch = ts_philox_at(1, TS_STREAM_BATCH, 3, 0);
    ts_philox later = ts_philox_at(1, TS_STREAM_BATCH, 4, 0), other = ts_philox_at(2, TS_STREAM_BATCH, 3, 0);
    ts_philox_block(&weights, a);
    ts_philox_block(&batch, b);
    ts_philox_block(&later, c);
    ts_philox_block(&other, d);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(b, c, sizeof a);
    assert_memory_not_equal(b, d, sizeof a);
}

TEST(test_reals_are_written_shortest_and_read_back_exactly) {
    char text[32];
    assert_string_equal(ts_real_text(0.001, text), "0.001");
    assert_string_equal(ts_real_text(1, text), "1");
    assert_string_equal(ts_real_text(0.1 + 0.2, text), "0.30000000000000004");
    ts_philox at = ts_philox_at(3, TS_STREAM_BATCH, 0, 0);
    for (int i = 0; i < 10000; i++) {
        uint32_t words[4];
        double value;
        ts_philox_next(&at, words);
        memcpy(&value, words, sizeof value);
        if (isfinite(value))
            assert_true(strtod(ts_real_text(value, text), NULL) == value);
    }
}

TEST(test_json_is_escaped_and_separated) {
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    ts_json_string(&out, "a\"b", "line\nand \\ and \x01");
    ts_json_open(&out, "list", '[');
    ts_json_integer(&out, NULL, -3);
    ts_json_real(&out, NULL, 0.5);
    ts_json_real(&out, NULL, NAN);
    ts_json_bool(&out, NULL, true);
    ts_json_close(&out, ']');
    ts_json_real(&out, "none", INFINITY);
    ts_json_close(&out, '}');
    assert_string_equal(ts_text_get(&out), "{\"a\\\"b\":\"line\\u000aand \\\\ and \\u0001\",\"list\":[-3,0.5,null,"
                                           "true],\"none\":null}");
    ts_text_free(&out);
}

TEST(test_digests_match_their_standards) {
    uint8_t digest[TS_SHA256_BYTES];
    char text[TS_SHA256_HEX];
    ts_sha256("abc", 3, digest);
    ts_sha256_text(digest, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    uint8_t again[TS_SHA256_BYTES];
    assert_true(ts_sha256_of_text(text, again));
    assert_memory_equal(again, digest, sizeof digest);
    text[10] = 'g';
    assert_false(ts_sha256_of_text(text, again));
    assert_false(ts_sha256_of_text("ba78", again));
    assert_int_equal(ts_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(ts_crc32(ts_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

TEST(test_durations_are_read_and_written) {
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"30s", 30}, {"5m", 300}, {"1h50m", 6600}, {"2d", 172800}, {"90", 90}, {"1h2m3s", 3723}};
    static const char *const bad[] = {"", "s", "5x", "-5m", "5m3", "0s", "5 m", "99999999999s"};
    double seconds;
    char text[32];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(ts_duration_parse(good[i].text, &seconds), TS_OK);
        assert_close(seconds, good[i].seconds, 0, 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ts_duration_parse(bad[i], &seconds), TS_ERROR_USER);
    assert_string_equal(ts_duration_text(5400, text), "1h30m");
    assert_string_equal(ts_duration_text(0.004, text), "4ms");
}

TEST(test_a_failed_allocation_is_reported_and_leaves_the_rest_alone) {
    char *block = ts_alloc(8, "a block");
    strcpy(block, "kept");
    ts_alloc_fail_at(1);
    assert_null(ts_realloc(block, 1 << 20, "a larger block"));
    ts_alloc_fail_at(0);
    assert_string_equal(block, "kept");
    assert_non_null(strstr(ts_message(), "a larger block"));
    assert_null(ts_alloc_zero(SIZE_MAX / 4, 8, "an overflow"));
    ts_free(block);
}

// From 2 MiB on they lie otherwise.
TEST(test_blocks_of_every_size_are_aligned_zeroed_and_grow) {
    size_t bytes = 1 << 20;
    char *block = ts_alloc_zero(bytes, 1, "a block");
    for (; bytes <= 8 << 20; bytes = bytes * 3 / 2 + 1) {
        assert_int_equal((uintptr_t)block % 64, 0);
        for (size_t i = 0; i < bytes; i += 4096)
            assert_int_equal(block[i], 0);
        assert_int_equal(block[bytes - 1], 0);
        block = ts_realloc(block, bytes * 3 / 2 + 1, "a larger block");
        memset(block + bytes, 0, bytes * 3 / 2 + 1 - bytes);
    }
    ts_free(block);
}

TEST(test_an_overrun_by_one_of_a_part_of_a_slab_is_noticed) {
#ifdef TOYSWEEP_DEBUG
    for (int overrun = 0; overrun < 2; overrun++) {
        pid_t child = fork();
        if (child == 0) {
            ts_slab slab = {0};
            float *part = NULL;
            for (int pass = 0; pass < 2; pass++) {
                if (pass == 1 && ts_slab_reserve(&slab, "a test") != TS_OK)
                    _exit(1);
                part = ts_slab_take(&slab, 3, sizeof *part);
                ts_slab_take_zero(&slab, 5, 1);
            }
            for (int i = 0; i < 3 + overrun; i++)
                part[i] = 1;
            signal(SIGABRT, SIG_DFL);
            ts_slab_free(&slab);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status), overrun ? SIGABRT : 0);
    }
#else
    skip(); // only debug builds have guards
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_matches_its_known_answers),
        cmocka_unit_test(test_many_blocks_are_the_single_ones),
        cmocka_unit_test(test_splits_are_those_of_the_blocks),
        cmocka_unit_test(test_normals_have_mean_0_and_variance_1),
        cmocka_unit_test(test_streams_of_an_instance_differ),
        cmocka_unit_test(test_reals_are_written_shortest_and_read_back_exactly),
        cmocka_unit_test(test_json_is_escaped_and_separated),
        cmocka_unit_test(test_digests_match_their_standards),
        cmocka_unit_test(test_durations_are_read_and_written),
        cmocka_unit_test(test_a_failed_allocation_is_reported_and_leaves_the_rest_alone),
        cmocka_unit_test(test_blocks_of_every_size_are_aligned_zeroed_and_grow),
        cmocka_unit_test(test_an_overrun_by_one_of_a_part_of_a_slab_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
