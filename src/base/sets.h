// Functions of plain C built for several instruction sets, chosen when the program starts. The bits are the same,
// since nothing is reordered or fused (-ffp-contract=off). Not under sanitizers, which run the choice before they are
// ready, and not by clang, which cannot choose by architecture.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) &&                           \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TS_FOR_EACH_SET __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TS_FOR_EACH_SET
#endif
