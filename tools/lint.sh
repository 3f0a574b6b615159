#!/usr/bin/env bash
# clang-tidy, by .clang-tidy, over files as a build compiles them, which has to be there.
#   tools/lint.sh host|cuda              of build/clang: all but the CUDA backend; of build/emulate: that
#   tools/lint.sh host|cuda --analyze    with clang's analyzer too, which takes twenty times as long
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=build/logs/clang-tidy-${1:-}.log
case "$*" in
"host" | "host --analyze") files=(find src kernels tests -name '*.c' ! -name '*cuda*' -print0) build=build/clang options=() ;;
"cuda" | "cuda --analyze")
    files=(find src/backend -name 'cuda*.c' -print0) build=build/emulate options=(--extra-arg=-Wno-unknown-warning-option)
    ;;
*)
    sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac
[[ ${2:-} ]] || options+=('--checks=-clang-analyzer-*')
mkdir -p build/logs
if ! "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet "${options[@]}" >"$log" 2>/dev/null; then
    grep -E 'error:|warning:' "$log" | sort -u
    exit 1
fi
