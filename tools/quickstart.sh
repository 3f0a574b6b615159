#!/usr/bin/env bash
# From a fresh clone to a picture: sets up, builds, runs sweeps/quickstart.yaml over 2 ranks and plots it.
# Run it again at any time: what is there already is not done twice.
set -euo pipefail

if (($#)); then
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"
    [[ $1 == --help ]] && exit 0
    exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
out=quickstart-results
ranks=2
build=build/release

echo "== 1/4 Setting up"
tools/setup.sh

echo "== 2/4 Building"
cmake --log-level=NOTICE --preset release -DTOYSWEEP_WERROR=OFF
cmake --build "$build" --target toysweep

echo "== 3/4 Training sweeps/quickstart.yaml on $ranks ranks"
# shellcheck source=tools/mpi.sh
source tools/mpi.sh
mkdir -p "$out"
mpirun -n "$ranks" "$build/toysweep" run sweeps/quickstart.yaml -o "$out/quickstart.h5"

echo "== 4/4 Plotting"
tools/plot.py "$out/quickstart.h5" -o "$out/figures"

cat <<TEXT

Done. The pictures:  $root/$out/figures/index.html
The numbers:         h5dump -d /exact_loss $out/quickstart.h5
Type next:           $build/toysweep --help
                     mpirun -n $ranks $build/toysweep run sweeps/tree.yaml -o tree.h5
                     tools/plot.py tree.h5
TEXT
