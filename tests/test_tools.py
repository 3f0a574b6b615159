#!/usr/bin/env python3
"""tests/test_tools.py FILE.h5: the Python tools on a results file of `toysweep run` (a feature task, finished)."""

import os
import subprocess
import sys
import tempfile

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")
sys.path.insert(0, TOOLS)
from needs import need

need("numpy", "h5py", "matplotlib", "xarray", "h5netcdf", "netCDF4")

import h5py
import numpy as np

import toysweep

OPEN_BOTH = """
import sys, xarray
root = xarray.open_dataset(sys.argv[2], engine=sys.argv[1]).load()
case = xarray.open_dataset(sys.argv[2], engine=sys.argv[1], group="/cases/" + sys.argv[3]).load()
assert "instance" in root.sizes and "exact_loss" in root, root
assert case.exact_loss.dims == ("row", "step"), case
assert len(root.identity.values[0]) == 64, root.identity
"""


def plot(*arguments):
    return subprocess.run([sys.executable, os.path.join(TOOLS, "plot.py"), *arguments], capture_output=True, text=True)


def check_equal(found, expected, what):
    assert found == expected, f"{what}: expected {expected!r}, found {found!r}"


def test_axes_are_the_sweeps_own(path, folder):
    data = toysweep.load(path)
    with toysweep.Results(path) as results:
        axes = [name for name in results.varying if name in data.sizes]
        check_equal(tuple(data.exact_loss.dims), tuple(axes), "dimensions of exact_loss")
        for instance in (0, results.count // 2, results.count - 1):
            keys = results.resolved(instance)
            found = float(data.exact_loss.sel({axis: keys[axis] for axis in axes}))
            check_equal(found, float(results.table["exact_loss"][instance]), f"exact_loss of instance {instance}")
        check_equal(int((data.status == toysweep.DONE).sum()), results.count, "instances done")
        check_equal(int((data.status == -1).sum()), int(np.prod([data.sizes[a] for a in axes])) - results.count,
                    "points that the sweep leaves out")


def test_instances_is_a_table(path, folder):
    table = toysweep.instances(path).to_dataframe()
    with toysweep.Results(path) as results:
        check_equal(len(table), results.count, "rows")
        assert set(results.varying) <= set(table.columns), (results.varying, list(table.columns))


def test_curves_are_loaded_where_shapes_are_equal(path, folder):
    data = toysweep.load(path, weights=True)
    with toysweep.Results(path) as results:
        group, row = results.case_of(results.count - 1)
        keys = results.resolved(results.count - 1)
        at = {axis: keys[axis] for axis in data.exact_loss.dims}
        found = data.exact_loss_curve.sel(at).values
        assert np.array_equal(found, group["exact_loss"][row]), (found, group["exact_loss"][row])
        shapes = {group["feature_norm"].shape[1:] for group, _ in results.cases.values()}
        check_equal("feature_norm" in data, len(shapes) == 1, "feature_norm is loaded")
        shapes = {group["weights/W"].shape[1:] for group, _ in results.cases.values()}
        check_equal("W" in data, len(shapes) == 1, "W is loaded")


def test_weights_by_instance(path, folder):
    with toysweep.Results(path) as results:
        keys = results.resolved(0)
        weights = results.weights(0)
        check_equal(sorted(weights), ["W", "b"], "names of the weights")
        check_equal(weights["W"].shape, (keys["hidden"], len(weights["b"])), "shape of W")


def test_xarray_opens_it_with_both_engines(path, folder):
    with toysweep.Results(path) as results:
        label = list(results.cases)[-1]
    for engine in ("h5netcdf", "netcdf4"):  # in a process of its own: netCDF4 and h5py do not always share one HDF5
        done = subprocess.run([sys.executable, "-c", OPEN_BOTH, engine, path, label], capture_output=True, text=True)
        assert done.returncode == 0, f"engine {engine}: exit code {done.returncode}\n{done.stderr}"


def test_figures_and_index_are_made(path, folder):
    out = os.path.join(folder, "the figures")
    done = plot(path, "-o", out)
    assert done.returncode == 0, done.stderr
    pictures = sorted(name for name in os.listdir(out) if name.endswith(".png"))
    assert len(pictures) >= 4, pictures
    with open(os.path.join(out, "index.html"), encoding="utf-8") as page:
        page = page.read()
    for picture in pictures:
        assert f'src="{picture}"' in page, f"{picture} is not in index.html"
        assert os.path.getsize(os.path.join(out, picture)) > 5000, f"{picture} is empty"
    with toysweep.Results(path) as results:
        assert f"{results.count} of {results.count} instances done" in page, page[:800]


def copy_with_status(path, copy, keep):
    """A copy in which only instances with keep(i) are done, the others as the store leaves what is not known."""
    with open(path, "rb") as source, open(copy, "wb") as target:
        target.write(source.read())
    with h5py.File(copy, "r+") as file:
        count = len(file["instance"])
        for i in range(count):
            if not keep(i):
                file["status"][i] = toysweep.PENDING
                for name in ("exact_loss", "final_loss", "train_loss"):
                    file[name][i] = np.nan
    return count


def test_unfinished_files_are_drawn(path, folder):
    copy = os.path.join(folder, "part.h5")
    count = copy_with_status(path, copy, lambda i: i % 3 == 0)
    done = plot(copy)
    assert done.returncode == 0, done.stderr
    finished = len(range(0, count, 3))
    assert f"{finished} of {count} instances done, {count - finished} still to come" in done.stdout, done.stdout
    assert os.path.exists(os.path.join(folder, "part-figures", "index.html"))


def test_faults_are_one_line(path, folder):
    copy, text = os.path.join(folder, "none.h5"), os.path.join(folder, "text.h5")
    copy_with_status(path, copy, lambda i: False)
    with open(text, "w", encoding="utf-8") as file:
        file.write("not HDF5\n")
    for file, words in ((copy, "nothing is finished yet"), (text, "not a results file"), ("/none.h5", "no such file")):
        done = plot(file)
        check_equal(done.returncode, 1, f"exit code for '{words}'")
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    failed = 0
    for name, test in tests:
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(os.path.abspath(sys.argv[1]), folder)
                print(f"ok - {name}")
            except Exception as fault:  # every test runs, whatever the one before did
                print(f"not ok - {name}: {type(fault).__name__}: {fault}")
                failed += 1
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
