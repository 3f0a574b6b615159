// Stacks that are switched by hand: what a lane of a warp runs on.
#include "fiber.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMULATOR_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

enum : size_t { STACK = 256 << 10, PAGE = 4096 };

#if defined(__x86_64__)
// Saves what a function call must keep, and the stack pointer; goes on where `to` was left.
extern "C" void emulator_switch(void **from, void *to);
asm(R"(
    .text
    .globl emulator_switch
    .hidden emulator_switch
    .type emulator_switch, @function
emulator_switch:
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .cfi_endproc
    .size emulator_switch, .-emulator_switch
)");

// Six registers, then where emulator_switch returns to; the stack is then as after a call.
static void prepare(fiber *out, void (*main)()) {
    void **top = reinterpret_cast<void **>(out->stack + out->stack_bytes - 8);
    *top = nullptr;
    *--top = reinterpret_cast<void *>(main);
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    out->stack_pointer = top;
}

static void jump(fiber *from, fiber *to) {
    emulator_switch(&from->stack_pointer, to->stack_pointer);
}
#else
static void prepare(fiber *out, void (*main)()) {
    ucontext_t *context = new ucontext_t;
    getcontext(context);
    context->uc_stack.ss_sp = out->stack;
    context->uc_stack.ss_size = out->stack_bytes;
    context->uc_link = nullptr;
    makecontext(context, main, 0);
    out->stack_pointer = context;
}

static void jump(fiber *from, fiber *to) {
    if (!from->stack_pointer)
        from->stack_pointer = new ucontext_t;
    swapcontext(static_cast<ucontext_t *>(from->stack_pointer), static_cast<ucontext_t *>(to->stack_pointer));
}
#endif

void fiber_create(fiber *out, void (*main)()) {
    void *memory =
        mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE) != 0) {
        perror("emulator: a fiber's stack");
        abort();
    }
    out->stack = static_cast<char *>(memory) + PAGE;
    out->stack_bytes = STACK;
    prepare(out, main);
#ifdef EMULATOR_THREAD_SANITIZER
    out->sanitizer_fiber = __tsan_create_fiber(0);
#endif
}

void fiber_destroy(fiber *which) {
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_destroy_fiber(which->sanitizer_fiber);
#endif
    munmap(which->stack - PAGE, which->stack_bytes + PAGE);
}

void fiber_of_thread(fiber *out) {
    pthread_attr_t attributes;
    void *stack = nullptr;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0 ||
        pthread_attr_getstack(&attributes, &stack, &out->stack_bytes) != 0)
        abort();
    pthread_attr_destroy(&attributes);
    out->stack = static_cast<char *>(stack);
#ifdef EMULATOR_THREAD_SANITIZER
    out->sanitizer_fiber = __tsan_get_current_fiber();
#endif
}

void fiber_switch(fiber *from, fiber *to) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_switch_to_fiber(to->sanitizer_fiber, __tsan_switch_to_fiber_no_sync);
#endif
    jump(from, to);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
#endif
}

void fiber_entered() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

void order_release([[maybe_unused]] void *variable) {
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_release(variable);
#endif
}

void order_acquire([[maybe_unused]] void *variable) {
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_acquire(variable);
#endif
}

} // namespace emulator
