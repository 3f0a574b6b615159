"""What the tests of the Python tools share: `main`, sweeps run, tools called, pictures counted.

    tests/tools/test_*.py FEATURE.h5 TABLE.h5 [TEST...]

FEATURE.h5 is of a feature task; TABLE.h5 is of a table task and varies `group` and `seed`: finished results files of
`toysweep run`. What needs the program is skipped, by name, unless $TOYSWEEP says where it is; so is what needs torch,
unless /usr/bin/python3 or the Python that runs this has it. $TOYSWEEP_PYTHONS names further Pythons, with ":" between,
in which the tools are tried with whatever packages those have: the newest numpy, TransformerLens 3, TransformerLens 4.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings

TOOLS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tools")
sys.path.insert(0, TOOLS)
from needs import need

need("numpy", "h5py", "matplotlib", "xarray", "h5netcdf", "netCDF4")

import h5py
import numpy as np

import toysweep

MIXED = """
steps: 50
checkpoints: {log: 10}
instances: 2
cases:
  - {task: tree, depth: 2, hidden: [2, 3]}
  - {task: group, model: mlp, group: [C5, S3], hidden: 16, embed: 16, weight_decay: [0.5, 1]}
  - {task: cayley, model: mlp, cayley: table.csv, hidden: 16, embed: 16}
"""

POWERS = """
task: power
p: 11
model: transformer
d_model: 32
heads: 2
d_head: 16
d_mlp: 64
train_fraction: 0.8
steps: 300
checkpoints: {log: 20}
instances: 2
cases:
  - {m: 1, n: 3}
  - {m: 3, n: 1}
"""


class Skipped(Exception):
    """Says why a test cannot run."""


def python(*arguments, interpreter=sys.executable):
    """A Python at its end, which had the tools at hand."""
    return subprocess.run([interpreter, *arguments], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "PYTHONPATH": f"{TOOLS}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")})


def plot(*arguments):
    return python(os.path.join(TOOLS, "plot.py"), *arguments)


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


def write_table(folder, name, n, entry):
    write(folder, name, "".join(",".join(str(entry(a, b)) for b in range(n)) + "\n" for a in range(n)))


def check_equal(found, expected, what):
    assert found == expected, f"{what}: expected {expected!r}, found {found!r}"


def said(path, **options):
    """(what load() gives, its warnings)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = toysweep.load(path, **options)
    return data, " ".join(str(warning.message) for warning in caught)


def draw(path, out):
    """(names, page) of the figures that are made; checks that the page shows them all."""
    done = plot(path, "-o", out)
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr of plot.py")
    pictures = sorted(name for name in os.listdir(out) if name.endswith(".png"))
    with open(os.path.join(out, "index.html"), encoding="utf-8") as page:
        page = page.read()
    for picture in pictures:
        assert f'src="{picture}"' in page, f"{picture} is not in index.html"
        assert os.path.getsize(os.path.join(out, picture)) > 5000, f"{picture} is empty"
    return [picture[3:-4] for picture in pictures], page


def run_program(*arguments, code=0):
    """Runs the program, which has to end with the code; skips the test where there is none."""
    program = os.environ.get("TOYSWEEP")
    if not program:
        raise Skipped("$TOYSWEEP does not say where the program is")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr


def run_sweep(text, folder, *, code=0):
    """Its results file."""
    out = os.path.join(folder, "out.h5")
    run_program("run", write(folder, "sweep.yaml", text), "-o", out, code=code)
    return out


def check_loaded(path):
    """load() gives every dataset of the cases, on the sweep's axes and the dataset's own, and weights when asked."""
    data = toysweep.load(path, weights=True)
    with toysweep.Results(path) as results:
        axes = tuple(name for name in results.varying if name in data.sizes)
        groups = [group for group, _ in results.cases.values()]
        last, row = results.case_of(results.count - 1)
        at = {axis: results.resolved(results.count - 1)[axis] for axis in axes}
        names = [place + name for place in ("", "weights/") for name in toysweep.links(last[place or "."])]
        for name in names:
            if not isinstance(last[name], h5py.Dataset) or h5py.h5ds.is_scale(last[name].id) or name == "instance" or \
                    any(name not in group or group[name].shape[1:] != last[name].shape[1:] for group in groups):
                continue
            short = name.rsplit("/", 1)[-1]
            found = data[f"{short}_curve" if f"{short}_curve" in data else short]
            assert found.dims[:len(axes)] == axes, (name, found.dims)
            assert np.array_equal(found.sel(at).values, last[name][row], equal_nan=True), name


def run_test(name, test, files):
    """False if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        try:
            test(files[name.startswith("test_table_")], folder)
            print(f"ok - {name} ({time.monotonic() - begin:.1f} s)")
        except Skipped as reason:
            print(f"ok - {name} # skipped: {reason}")
        except Exception as fault:  # every test runs, whatever the one before did
            print(f"not ok - {name}: {type(fault).__name__}: {fault}")
            return False
    return True


def main(tests):
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    files, wanted = [os.path.abspath(path) for path in sys.argv[1:3]], sys.argv[3:]
    named = {name: test for name, test in tests.items() if name.startswith("test_")}
    if not set(wanted) <= set(named):
        sys.exit(f"no such test: {' '.join(set(wanted) - set(named))}")
    results = [run_test(name, named[name], files) for name in wanted or named]
    sys.exit(0 if all(results) else 1)
