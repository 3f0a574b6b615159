// cmocka, after the headers that it needs and does not include itself.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// The head of a test; cmocka gives each a state, and most have no use for it. TEST(test_promise) { ... }
#define TEST(name) static void name(__attribute__((unused)) void **unused)

// A test between the program's set_up and tear_down.
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
