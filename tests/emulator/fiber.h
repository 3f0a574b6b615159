// Fibers: stacks that a thread of the operating system switches between, and what the sanitizers need to know of
// it. Nothing of CUDA.
#pragma once

#include <cstddef>

namespace emulator {

// What a stack is left with and entered again.
struct fiber {
    void *stack_pointer = nullptr;
    char *stack = nullptr; // with a page below that faults
    size_t stack_bytes = 0;
    void *fake_stack = nullptr;      // AddressSanitizer's
    void *sanitizer_fiber = nullptr; // ThreadSanitizer's
};

// A fiber that calls `main`, which never returns, when it is first entered.
void fiber_create(fiber *out, void (*main)());
void fiber_destroy(fiber *which);
// The thread itself, as something to come back to.
void fiber_of_thread(fiber *out);

void fiber_switch(fiber *from, fiber *to);
void fiber_entered(); // first call in a fiber's main

// Order between fibers, told to ThreadSanitizer: what one did before it released, others see once they acquired.
void order_release(void *variable);
void order_acquire(void *variable);

} // namespace emulator
