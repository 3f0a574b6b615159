#!/usr/bin/env bash
# Runs the tests that take hours: faults at every place instead of a share of them (docs/faults.md), and, without
# options, CUDA kernels in every order and clang's analyzer.
#   tools/nightly.sh [CTEST-OPTION...]    e.g. -R kills
# TOYSWEEP_PYTHONS=PYTHON[:PYTHON...] tries the tools in these as well (in venvs with TransformerLens 3 and 4, say).
# Power cuts need root and loop devices; they are skipped, saying so, where there are none.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ ${1:-} == --help ]]; then
    sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}"
    exit 0
fi

# shellcheck source=tools/mpi.sh
source tools/mpi.sh

# Python with the newest packages, beside Debian's, for the tools' test. Without a network: skipped, saying so.
if [[ -z ${TOYSWEEP_PYTHONS:-} ]]; then
    mkdir -p build
    if python3 -m venv build/newest && build/newest/bin/pip install -q -U numpy h5py matplotlib xarray; then
        export TOYSWEEP_PYTHONS=$PWD/build/newest/bin/python
    else
        echo "nightly: no newest packages, since pip cannot install them here" >&2
    fi
fi

tools/setup.sh --night
code=0
for preset in release debug; do # failing allocations only in the second, all else only in the first
    cmake --preset "$preset" -DTOYSWEEP_TESTS=ON
    cmake --build "build/$preset" -j "$(nproc)"
    only=(-LE nothing)
    [[ $preset == debug ]] && only=(-R out_of_memory)
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=ignore -L nightly "${only[@]}" "$@" || code=1
done
if (($# == 0)); then # CUDA kernels on the processor: every order of warps, every barrier taken away in turn
    for preset in emulate emulate-thread; do
        cmake --preset "$preset" -DTOYSWEEP_TESTS=ON
        cmake --build "build/$preset" -j "$(nproc)" --target cuda_tests
    done
    ctest --test-dir build/emulate --output-on-failure -L cuda || code=1
    ctest --test-dir build/emulate-thread --output-on-failure -L cuda -R '_forward|emulator' || code=1
    tests/emulator/mutate.py build/emulate-thread build/emulate || code=1
    cmake --preset clang -DTOYSWEEP_TESTS=ON # what its analyzer says
    cmake --build build/clang -j "$(nproc)"
    tools/lint.sh host --analyze || code=1
    tools/lint.sh cuda --analyze || code=1
    tools/site.sh || code=1
    if [[ $(id -u) == 0 ]] && command -v debootstrap >/dev/null; then # another gcc, Open MPI, HDF5, OpenSSL, Python
        tools/container/try.sh trixie || code=1
    else
        echo "nightly: Debian 13 is not tried, which takes root and debootstrap" >&2
    fi
fi
exit "$code"
