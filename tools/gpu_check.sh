#!/usr/bin/env bash
# On a machine with a GPU: builds with CUDA, measures there beside the CPU, runs the tests there, times training beside
# the CPU and PyTorch, runs the kernels under compute-sanitizer, and writes one report. The most telling comes first.
#   tools/gpu_check.sh [REPORT]      default: gpu-report.txt
# Exit code 0 only if everything that could be run passed; what could not be run is named in the report. All ends within
# 8 minutes after the build (TOYSWEEP_GPU_CHECK_SECONDS: another number of seconds, 0: no limit), and a step that takes two
# minutes (PyTorch: ten) has failed. TOYSWEEP_BUILD: a build that is there already, where this machine cannot make one.
# Paths are from the repository's root.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
if [[ ${1:-} == --help ]]; then
    sed -n '2,9s/^# //p' "${BASH_SOURCE[0]}"
    exit 0
fi
# shellcheck source=tools/mpi.sh
source tools/mpi.sh
report=$(realpath "${1:-gpu-report.txt}")
build=${TOYSWEEP_BUILD:-build/gpu}
seconds=${TOYSWEEP_GPU_CHECK_SECONDS:-480}
tests=(test_gpu_measures test_kernels test_any_network test_engine test_engine_units test_optimiser_engines test_divergence
    test_cuda_teams test_variants test_more_steps)
end=0
bad=0
most=120 # seconds of a step
: >"$report"

say() {
    echo "$*" | tee -a "$report"
}

# One step of the report: its title, its output, whether it passed. It is ended when it takes too long, or the time is up.
step() { # TITLE PROGRAM...
    local title=$1 begin=$SECONDS left=$((end > 0 ? end - SECONDS : most)) code
    shift
    if ((left <= 0)); then
        say "== $title: left out, the time is up"
        return
    fi
    say "== $title"
    timeout -k 10 "$((left < most ? left : most))" "$@" >>"$report" 2>&1
    code=$?
    if ((code == 0)); then
        say "   passed ($((SECONDS - begin)) s)"
    elif ((left < most && (code == 124 || code == 137))); then
        say "   ended after $((SECONDS - begin)) s: the time is up"
    else
        bad=$((bad + 1))
        say "   FAILED ($((SECONDS - begin)) s)"
    fi
    return "$code"
}

# The same, of a function here.
step_of() { # TITLE FUNCTION...
    local title=$1
    shift
    step "$title" bash -c "$(declare -p build); $(declare -f "$1"); "'"$@"' bash "$@"
}

build_it() {
    cmake --preset release -B "$build" -DTOYSWEEP_CUDA=ON && cmake --build "$build" -j "$(nproc)"
}

# Seconds of the sweep on a backend, from its log.
sweep_on() { # BACKEND
    local out
    out=$(mktemp -d) || return 1
    "$build/toysweep" run sweeps/tree.yaml --backend "$1" -o "$out/tree.h5" --progress none --set steps=2000 &&
        tail -n 1 "$out/tree.h5.log.jsonl"
    local code=$?
    rm -rf "$out"
    return "$code"
}

# One large instance on one rank, and on two: the same file. Ranks share the GPU where there is but one.
one_and_two_ranks() { # MODEL
    local out
    out=$(mktemp -d) || return 1
    printf '%s\n' "name: large" "task: group" "group: S6" "model: $1" "steps: 20" "checkpoints: {every: 10}" >"$out/large.yaml"
    "$build/toysweep" run "$out/large.yaml" --backend cuda -o "$out/1.h5" --progress none &&
        mpirun -n 2 "$build/toysweep" run "$out/large.yaml" --backend cuda --ranks-per-instance 2 -o "$out/2.h5" \
            --progress none &&
        sha256sum "$out"/[12].h5 && cmp "$out/1.h5" "$out/2.h5"
    local code=$?
    rm -rf "$out"
    return "$code"
}

say "toysweep on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), commit $(git describe --always --dirty 2>/dev/null)"
if ! nvidia-smi >>"$report" 2>&1; then
    say "no GPU here: nvidia-smi does not run"
    exit 1
fi
if [[ ! ${TOYSWEEP_BUILD:-} ]] && ! most=3600 step_of "build" build_it; then
    say "nothing was run; the report is $report"
    exit 1
fi
((seconds > 0)) && end=$((SECONDS + seconds))
step "info" "$build/toysweep" info
step "measures, on the GPU beside the CPU" "$build/tests/bench/bench_measures" 3
step "the same, of large groups" "$build/tests/bench/bench_measures" 1 C256 S6-mlp
step "training, and products beside cuBLAS" "$build/tests/bench/bench_cuda"
for test in "${tests[@]}"; do
    step "$test" "$build/tests/$test" cuda
done
step "commands" ctest --test-dir "$build" -R e2e_cuda --no-tests=error --output-on-failure
step_of "sweeps/tree.yaml, 2000 steps, GPU" sweep_on cuda
step_of "sweeps/tree.yaml, 2000 steps, CPU" sweep_on cpu
for model in mlp transformer; do
    step_of "$model on S6, one rank and two" one_and_two_ranks "$model"
done
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck synccheck initcheck; do
        for test in "${tests[@]}"; do
            step "compute-sanitizer $tool $test" compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/tests/$test" cuda
        done
    done
else
    say "== compute-sanitizer: not found, left out"
fi
if python3 -c 'import torch' 2>/dev/null; then
    jax=()
    python3 -c 'import jax, optax' 2>/dev/null && jax=(--jax python3)
    most=600 step "PyTorch and JAX on the GPU" python3 tools/bench_pytorch.py --gpu "${jax[@]}" --toysweep "$build/toysweep"
else
    say "== PyTorch: not found, left out"
fi
step "static gates" tools/cuda_report.py
say "$bad steps failed; the report is $report"
((bad == 0))
