#!/usr/bin/env bash
# What pip installs: the wheel without the program and the one with it, each in a venv of its own, from what PyPI has now.
#   tests/tools/wheel.sh FOLDER
# Contents and entry points are listed; pip check, twine check and mypy have to find nothing; the ten lines of
# docs/howto/python.md and toysweep-plot have to work. BRIDGES=yes tries TensorBoard, Weights & Biases, MLflow and
# safetensors as well. Skipped, saying so, where there is no network.
set -euo pipefail

folder=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
unset PYTHONPATH TOYSWEEP
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
export MPLBACKEND=Agg PIP_DISABLE_PIP_VERSION_CHECK=1

python3 -m venv tools
if ! tools/bin/pip install -q --timeout 15 --retries 1 twine >pip.log 2>&1; then
    cat pip.log
    ! grep -q 'from versions: none' pip.log || { echo "skipped: PyPI cannot be reached"; exit 0; }
    exit 1
fi

make_wheel() { # NAME PIP-OPTION...
    tools/bin/pip wheel -q --no-deps -w "$1" "${@:2}" "$root"
    python3 - "$root" "$1"/*.whl <<'PY'
import os, subprocess, sys, zipfile
root, path = sys.argv[1:]
with zipfile.ZipFile(path) as wheel:
    names = wheel.namelist()
    print(os.path.basename(path), *names, sep="\n  ")
    entry_points, = [wheel.read(name).decode() for name in names if name.endswith("entry_points.txt")]
tracked = subprocess.run(["git", "-C", os.path.join(root, "tools"), "ls-files", "toysweep"], capture_output=True, text=True)
lacking = set(tracked.stdout.split()) - set(names)
foreign = [name for name in names if not name.startswith("toysweep")]
programs = sorted(os.path.basename(name) for name in names if ".data/scripts/" in name)
print(entry_points, programs)
wanted = ["toysweep", "toysweep-mpirun"] if "any" not in path else []
sys.exit(f"{path}: lacks {lacking}, has {foreign}, programs {programs}" if lacking or foreign or programs != wanted else 0)
PY
    tools/bin/twine check --strict "$1"/*.whl
    python3 -m venv "$1-venv"
    "$1-venv/bin/pip" install -q "$1"/*.whl
    "$1-venv/bin/pip" check
    "$1-venv/bin/toysweep-plot" --help >/dev/null
}

echo "== without the program"
make_wheel pure --config-settings=wheel.cmake=false
pure-venv/bin/python - <<'PY'
import toysweep as ts
print(ts.__version__, len(dir(ts.figures)), "figures")
assert ts.sweep(task="tree", depth=2)["depth"] == 2  # not checked: there is nothing to check with
try:
    ts.run({"task": "tree", "depth": 1, "hidden": 2})
    raise SystemExit("a program is found that was not installed")
except ts.ProgramError as fault:
    print(fault)
PY

echo "== its type hints"
pure-venv/bin/pip install -q mypy types-PyYAML
pure-venv/bin/mypy --ignore-missing-imports --cache-dir mypy -p toysweep
# As a user's type checker sees it.
printf 'import toysweep as ts\naxis = ts.figures.heatmap(ts.run(ts.sweep(task="tree"), "a.h5"), "exact_loss")\naxis.set_title("")\n' >typed.py
pure-venv/bin/mypy --strict --ignore-missing-imports --cache-dir mypy typed.py

echo "== with the program"
TOYSWEEP_REQUIRE_PROGRAM=1 make_wheel whole --config-settings=cmake.define.TOYSWEEP_CUDA=OFF
awk '/^```/ { if (inside) exit; inside = 1; next } inside' "$root/docs/howto/python.md" >ten.py # the page's first block
(PATH=$PWD/whole-venv/bin:$PATH && python ten.py && toysweep --version && toysweep-plot grid.h5 -o figures)
[[ -s heatmap.png && -s figures/index.html ]]
pure-venv/bin/toysweep-plot grid.h5 -o figures-pure # of a file from elsewhere

if [[ ${BRIDGES:-} == yes ]]; then
    echo "== other programs' formats"
    whole-venv/bin/pip install -q tensorboard wandb mlflow safetensors sympy netCDF4 # without netCDF4 another Python is taken
    TOYSWEEP=$PWD/whole-venv/bin/toysweep whole-venv/bin/python "$root/tests/tools/test_package.py" grid.h5 grid.h5 \
        test_tensorboard_has_curves_and_finals test_mlflow_has_curves_and_finals test_wandb_has_curves_and_finals \
        test_safetensors_are_those_of_export test_groups_of_sympy test_table_is_a_lazy_tree | tee bridges.log
    if grep skipped bridges.log; then exit 1; fi
fi
