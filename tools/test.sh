#!/usr/bin/env bash
# Runs every test: sets up, builds each way the project is built, runs the tests and the gates.
#   tools/test.sh          everything but what is left to the night (some 45 minutes on two cores)
#   tools/test.sh quick    the tests labelled quick, release build only (under a minute)
# Exit code 0 only if all passed; the last line counts the tests of all stages together.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "${1:-}" in
"" | quick) mode=${1:-full} ;;
*)
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"
    [[ $1 == --help ]] && exit 0
    exit 2
    ;;
esac

jobs=$(nproc)
logs=build/logs
passed=0 failed=0 failures=()

# shellcheck source=tools/mpi.sh
source tools/mpi.sh
# MPI and HDF5 keep memory until the process ends: leaks are not looked for.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

fail() { # NAME [HOW-MANY]
    failed=$((failed + ${2:-1}))
    failures+=("$1")
}

# A gate: one command that counts as one test. Returns whether it passed.
gate() { # NAME COMMAND...
    local name=$1 begin=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        passed=$((passed + 1))
        echo "   $name: passed ($((SECONDS - begin)) s)"
    else
        fail "$name"
        echo "   $name: FAILED ($((SECONDS - begin)) s)"
        return 1
    fi
}

# Builds a preset (one test by itself). Warnings are errors.
build() { # PRESET
    cmake --preset "$1" -DTOYSWEEP_TESTS=ON >"$logs/configure-$1.log" 2>&1 || { cat "$logs/configure-$1.log"; return 1; }
    cmake --build "build/$1" -j "$jobs"
}

# Runs ctest in a built preset and adds up what it counted.
run_tests() { # PRESET CTEST-OPTION...
    local preset=$1 log code=0 total bad
    shift
    log=$logs/ctest-$preset.log
    echo "== tests of build/$preset ($*)"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=ignore -j "$jobs" "$@" 2>&1 | tee "$log" || code=$?
    # "98% tests passed, 1 tests failed out of 42"
    read -r bad total < <(sed -n 's/.*passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\1 \2/p' "$log") || true
    passed=$((passed + ${total:-0} - ${bad:-0}))
    if ((${bad:-0} || code)); then
        fail "tests of build/$preset" "$((${bad:-0} ? bad : 1))"
    fi
}

build_and_test() { # PRESET CTEST-OPTION...
    if gate "build $1" build "$1"; then
        run_tests "$@"
    fi
}

check_format() {
    find src kernels tests \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' \) -print0 | xargs -0 clang-format --dry-run -Werror
}

# The CUDA kernels on the processor, in one order of warps (two more, the thread sanitizer, and every barrier taken away in
# turn, at night), and what nvcc (where there is one) makes of them.
build_emulated() {
    cmake --preset emulate -DTOYSWEEP_TESTS=ON >"$logs/configure-emulate.log" 2>&1 ||
        { cat "$logs/configure-emulate.log"; return 1; }
    cmake --build build/emulate -j "$jobs" --target cuda_tests
}

test_emulated() {
    if gate "build emulate" build_emulated; then
        run_tests emulate -L cuda -LE nightly
        gate "lint of the CUDA backend" tools/lint.sh cuda || true
    fi
    gate "kernels by nvcc" tools/cuda_report.py || true
}

check_scripts() {
    shellcheck -x .ci/run tools/*.sh tools/*/*.sh slurm/*.sh tests/*.sh tests/*/*.sh
}

finish() {
    local name
    for name in ${failures[@]+"${failures[@]}"}; do
        echo "FAILED: $name"
    done
    echo "$passed passed, $failed failed"
    ((failed == 0))
}

tools/setup.sh --tests
mkdir -p "$logs"

if [[ $mode == quick ]]; then
    build_and_test release -L quick
    finish
    exit
fi

build_and_test release -LE nightly -j "$((jobs + 1))" # the longest of them, Slurm's, mostly waits
gate "format" check_format || true
gate "scripts" check_scripts || true
gate "documentation's site" tools/site.sh --quick || true
build_and_test clang -L 'quick|fuzz'
gate "lint" tools/lint.sh host || true
build_and_test sanitize -LE 'slow|fuzz|nightly'
build_and_test serial -L quick
test_emulated
finish
