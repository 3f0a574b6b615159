#!/usr/bin/env python3
"""tests/test_tools.py FEATURE.h5 [TABLE.h5]: the Python tools on finished results files of `toysweep run`.

FEATURE.h5 is of a feature task. TABLE.h5 is of a table task and varies `group` and `seed`; without it, what needs it
is skipped, by name. So is what needs the program, unless $TOYSWEEP says where it is, and what needs torch, unless
/usr/bin/python3 or the Python that runs this has it. $TOYSWEEP_PYTHONS names further Pythons, with ":" between, in which
the tools are tried with whatever packages those have: the newest numpy, TransformerLens 3, TransformerLens 4.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings

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


MIXED = """
steps: 50
checkpoints: {log: 10}
instances: 2
cases:
  - {task: tree, depth: 2, hidden: [2, 3]}
  - {task: group, model: mlp, group: [C5, S3], hidden: 16, embed: 16, weight_decay: [0.5, 1]}
  - {task: cayley, model: mlp, cayley: table.csv, hidden: 16, embed: 16}
"""

EVERY_TASK = """
steps: 3
cases:
  - {task: tree, depth: 2, hidden: 2}
  - {task: independent, features: 4, hidden: 2}
  - {task: group, group: S3, hidden: 16, embed: 16}
  - {task: power, p: 7, m: 2, n: 3, d_model: 8, heads: 2, d_head: 4, d_mlp: 16}
  - {task: cayley, cayley: [p/t.csv, q/t.csv], hidden: 16, embed: 16}
"""

TABLE_CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "all_loss", "weight_norm2")
TRAINING_FIGURES = ["loss-curves", "accuracy-curves", "weight-norm", "grokking-steps"]
TABLE_FIGURES = TRAINING_FIGURES + [
    "logit-similarity", "irrep-fractions", "restricted-and-excluded-loss", "losses-per-irrep",
    "key-irreps-across-seeds", "order-of-irreps", "region-measures", "embedding-fourier-norms",
    "dihedral-fourier-norms", "embedding-fourier-norms-over-time", "logit-cosines", "key-frequency-losses",
    "neuron-frequencies", "neurons-in-two-dimensions", "neuron-clusters", "unembedding-by-irrep", "logit-slices",
    "singular-values"]


# Two groups that alternate. Figures of damaged and unfinished files are drawn of this one: there are fewer panels.
GROUPS = """
task: group
model: mlp
embed: 16
hidden: 16
train_fraction: 0.8
steps: 300
checkpoints: {log: 20}
instances: 3
grid:
  group: [S3, C7]
"""

PERMUTATIONS = """
task: group
group: S4
model: mlp
embed: 64
hidden: 64
train_fraction: 0.8
steps: 3000
checkpoints: {log: 20}
"""

FILES = """
model: mlp
embed: 16
hidden: 16
train_fraction: 0.8
steps: 30
checkpoints: {log: 5}
cases:
  - {task: group, group: S3, element_order: order.txt}
  - {task: cayley, cayley: table.csv}
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

# Axes whose names are not in alphabetical order; not a full product; a key that rides; derived columns.
AXES = {
    "grid": ("{task: tree, steps: 3, checkpoints: [0, 3], instances: 2, where: hidden <= depth + 1, "
             "grid: {hidden: [4, 2, 3], depth: 1..3}}", ("hidden", "depth", "seed"), ()),
    "zip": ("{task: tree, depth: 1, steps: 3, checkpoints: [0, 3], instances: 2, "
            "grid: {schedule: [linear, constant]}, zip: {lr: [0.1, 0.01], hidden: [2, 3]}}",
            ("schedule", "lr", "seed"), ("hidden",)),
    "cases": ("{task: tree, steps: 3, checkpoints: [0, 3], cases: [{hidden: 3, depth: [1, 2]}, {hidden: 2, lr: 0.5}], "
              "depth: 1}", ("hidden", "depth"), ("lr", "seed")),
    "powers": ("{task: power, p: 7, model: transformer, d_model: 8, heads: 2, d_head: 4, d_mlp: 16, steps: 2, "
               "train_fraction: 0.5, checkpoints: [0, 2], instances: 2, grid: {n: [1, 2, 3], m: [3, 2]}}",
               ("n", "m", "seed"), ("gcd_m", "gcd_n", "relation")),
}
DIVERGING = """
task: tree
depth: 1
hidden: 2
steps: 5
checkpoints: [0, 5]
instances: 2
grid: {lr: [1.0e-3, 1.0e+30]}
"""
MANY = """
task: independent
steps: 1
checkpoints: [0, 1]
grid: {features: 2..51, hidden: 1..20}
"""

# In one process, since importing torch takes seconds: the tool, for every file that is named.
CONVERT = """
import sys
import to_transformer_lens
for file in sys.argv[1:]:
    for options in [file], [file, "--check"]:
        sys.argv[1:] = options
        to_transformer_lens.main()
"""


# What is said of files, a line each; the last of every seven is of an exported instance.
READ = """
import sys
import to_transformer_lens, toysweep
for i, path in enumerate(sys.argv[1:]):
    try:
        print(to_transformer_lens.read(path) if i % 7 == 6 else toysweep.load(path, weights=True))
    except (to_transformer_lens.ExportError, toysweep.ResultsError) as fault:
        print(fault, flush=True)
"""

# Of this Python as if it had no such module, and no other Python had it.
LACKING = """
import sys
sys.modules[sys.argv[1]] = None
import to_transformer_lens as tool
tool.need.__globals__["shutil"].which = lambda name: None
path, call = sys.argv[2:]
try:
    tool.read(path) if call == "read" else tool.hooked(path) if call == "hooked" else tool.module(path)
except tool.ExportError as fault:
    print("in Python:", fault)
sys.argv[1:] = [path]
tool.main()
"""


class Skipped(Exception):
    """Says why a test cannot run."""


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


def said(path, **options):
    """(what load() gives, its warnings)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = toysweep.load(path, **options)
    return data, " ".join(str(warning.message) for warning in caught)


def test_axes_come_in_the_sweeps_order(path, folder):
    for name, (text, axes, riders) in AXES.items():
        out = run_sweep(text, tempfile.mkdtemp(dir=folder))
        data, _ = said(out)
        check_equal(data.status.dims, axes, f"axes of {name}")
        for rider in riders:
            assert rider in data.coords and "seed" not in data[rider].dims, (name, rider, data.coords)
        with toysweep.Results(out) as results:
            check_equal(sorted(set(results.table) - set(data.variables)), [], f"{name}: columns that are missing")
            for instance in range(results.count):
                at = {axis: results.resolved(instance)[axis] for axis in axes}
                for column, values in results.table.items():
                    found = data[column].sel({axis: at[axis] for axis in data[column].dims}).item()
                    assert found == values[instance] or found != found, (name, column, instance, found)
                check_equal(int(data.instance.sel(at)), instance, f"{name}: instance")


def test_what_load_leaves_out_is_warned_of(path, folder):
    out = run_sweep("\n".join(line for line in MIXED.splitlines() if "cayley" not in line), folder)
    for file in path, out:
        data, words = said(file, weights=True)
        with toysweep.Results(file) as results:
            stored = set()
            for group, _ in results.cases.values():
                group.visititems(lambda name, item: stored.add(name) if isinstance(item, h5py.Dataset)
                                 and not h5py.h5ds.is_scale(item.id) else None)
        lost = [name for name in stored
                if not {name.split("/")[-1], name.split("/")[-1] + "_curve"} & set(data.variables)]
        assert lost, "all cases have equal shapes: nothing is tried here"
        for name in lost:
            assert re.search(rf"[ ,:]{name}[,.]", words), (name, words)
        check_equal("weights/W" in words, "weights/W" in lost, "a warning of what is there")
    check_equal(said(path, curves=False)[1], "", "warnings where nothing is asked for")


def test_failed_instances_are_warned_of(path, folder):
    data, words = said(run_sweep(DIVERGING, folder, code=3))
    failed = int((data.status == toysweep.FAILED).sum())
    assert failed and f"of 4 instances {failed} failed and 0 are not done" in words, words
    check_equal(int(np.isnan(data.final_loss.values).sum()), failed, "final losses that are NaN")


def elsewhere(folder):
    """{what the refusal says: [functions that put, in place of file[name], what HDF5 would open another file for]}."""
    secret, raw = os.path.join(folder, "secret.h5"), os.path.join(folder, "secret.raw")
    pipe = os.path.join(folder, "pipe")
    with h5py.File(secret, "w") as file:
        file["x"] = np.full(8, 0.0424242)
    np.full(8, 0.0424242).tofile(raw)
    os.mkfifo(pipe)

    def virtual(source):
        layout = h5py.VirtualLayout((8,), "f8")
        layout[...] = h5py.VirtualSource(source, "x", (8,))
        return lambda file, name: file.create_virtual_dataset(name, layout)

    def link(made):
        return lambda file, name: file.__setitem__(name, made)

    return {
        "a link to another file, and those are not followed": [
            link(h5py.ExternalLink(at, "/x")) for at in (pipe, secret)],
        "a soft link, which is not followed": [link(h5py.SoftLink("/loop")), link(h5py.SoftLink("/name"))],
        "keeps its data in other files": [virtual(pipe), virtual(secret)] + [
            lambda file, name, at=at: file.create_dataset(name, (8,), "f8", external=[(at, 0, 64)])
            for at in (pipe, raw)]}


def test_files_that_point_elsewhere_are_refused(path, folder):
    """By every way to read them, in a sentence, without waiting at a pipe."""
    kinds = [(words, put) for words, every in elsewhere(folder).items() for put in every]
    with toysweep.Results(path) as results:
        case = f"cases/{list(results.cases)[-1]}"
    files, expected = [], []
    for words, put in kinds:
        for place in "exact_loss", "sweep/resolved", "cases", case, f"{case}/train_loss", f"{case}/step", "W":
            files.append(os.path.join(folder, f"{len(files)}.h5"))
            expected.append((place, words))
            if place != "W":
                shutil.copy(path, files[-1])
            with h5py.File(files[-1], "a") as file:  # W: of an exported instance
                if place in file:
                    del file[place]
                put(file, place)
    done = subprocess.run([sys.executable, "-c", READ, *files], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": TOOLS})
    said_of = done.stdout.splitlines()
    check_equal((done.returncode, len(said_of)), (0, len(files)), f"exit code and lines: {done.stderr}")
    for (place, words), line in zip(expected, said_of):
        assert words in line and place in line, (place, words, line)
    for file in files[0], files[4]:
        done = subprocess.run([sys.executable, os.path.join(TOOLS, "plot.py"), file], capture_output=True, text=True,
                              timeout=300)
        check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"exit code and lines: {done.stderr}")
        assert "a link to another file" in done.stderr, done.stderr


def test_a_thousand_cases_are_loaded_as_fast_as_they_open(path, folder):
    out = run_sweep(MANY, folder)
    begin = time.process_time()
    with h5py.File(out, "r") as file:
        groups = list(file["cases"].values())
        count = sum(len(group) for group in groups)
        for group in groups:
            for name in toysweep.links(group):
                group[name]
    opened, calls = time.process_time(), []
    open_one, toysweep._open = toysweep._open, lambda group, name: calls.append(name) or open_one(group, name)
    try:
        data, _ = said(out)
    finally:
        toysweep._open = open_one
    loaded = time.process_time()
    assert len(calls) <= count, f"{len(calls)} datasets are opened, and there are {count}"
    check_equal(data.sizes["features"] * data.sizes["hidden"], 1000, "points")
    ratio = (loaded - opened) / (opened - begin)
    assert ratio < 4, f"load() takes {ratio:.1f} times as long as opening every dataset"  # about once as long


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


def draw(path, out):
    """(pictures, page) of the figures that are made; checks that the page shows them all."""
    done = plot(path, "-o", out)
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr of plot.py")
    pictures = sorted(name for name in os.listdir(out) if name.endswith(".png"))
    with open(os.path.join(out, "index.html"), encoding="utf-8") as page:
        page = page.read()
    for picture in pictures:
        assert f'src="{picture}"' in page, f"{picture} is not in index.html"
        assert os.path.getsize(os.path.join(out, picture)) > 5000, f"{picture} is empty"
    return pictures, page


def names_of(pictures):
    return [picture[3:-4] for picture in pictures]


def run_sweep(text, folder, *arguments, code=0):
    """Results file of a sweep that ends with the exit code; skips the test where there is no program."""
    program = os.environ.get("TOYSWEEP")
    if not program:
        raise Skipped("$TOYSWEEP does not say where the program is")
    sweep, out = os.path.join(folder, "sweep.yaml"), os.path.join(folder, "out.h5")
    with open(sweep, "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run([program, "run", sweep, "-o", out, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return out


def has_task(name):
    program = os.environ.get("TOYSWEEP", "")
    done = subprocess.run([program, "help", "keys"], capture_output=True, text=True) if program else None
    return bool(done) and re.search(rf"\b{name}\b", done.stdout) is not None


def export(path, folder, instance, form):
    out = os.path.join(folder, f"instance-{instance}.{form}")
    done = subprocess.run([os.environ["TOYSWEEP"], "export", path, "--instance", str(instance), "--format", form, "-o",
                           out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_figures_and_index_are_made(path, folder):
    pictures, page = draw(path, os.path.join(folder, "the figures"))
    assert len(pictures) >= 4, pictures
    with toysweep.Results(path) as results:
        assert f"{results.count} of {results.count} instances done" in page, page[:800]


def test_titles_fit_their_pictures(path, folder):
    import plot as program
    for words in 2, 8, 40:
        picture = program.plt.figure(figsize=(4, 3), constrained_layout=True)
        title = picture.suptitle(" ".join(["representation"] * words))
        program.save(picture, os.path.join(folder, f"{words}.png"))
        extent = title.get_window_extent(picture.canvas.get_renderer())
        assert extent.x0 >= 0 and extent.x1 <= picture.bbox.width, (words, extent)
        check_equal(" ".join(title.get_text().split()), " ".join(["representation"] * words), "the title's words")


def copy_with_status(path, copy, keep):
    """A copy in which only instances with keep(i) are done, the others as the store leaves what is not known."""
    with open(path, "rb") as source, open(copy, "wb") as target:
        target.write(source.read())
    with h5py.File(copy, "r+") as file:
        count = len(file["instance"])
        for i in range(count):
            if not keep(i):
                file["status"][i] = toysweep.PENDING
                for name in ("exact_loss", "final_loss", "train_loss", "test_loss", "train_accuracy", "test_accuracy"):
                    if name in file:
                        file[name][i] = np.nan
        for case in file["cases"].values():
            for name in ("exact_loss", *TABLE_CURVES):
                if name in case:
                    for row in [row for row, i in enumerate(case["instance"][...]) if not keep(i)]:
                        case[name][row] = np.nan
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


def grokking_rows(page):
    """Lines of the page's table as texts: case, instances, grokked, median step."""
    rows = [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", page)]
    return [row for row in rows if row]


def expected_rows(path):
    """The same from the file, an instance at a time."""
    with toysweep.Results(path) as results:
        check_equal(results.varying, ["group", "seed"], "keys that vary")
        rows = []
        for name in dict.fromkeys(results.table["group"]):
            first, count = [], 0
            for instance in np.flatnonzero(results.table["group"] == name):
                group, row = results.case_of(int(instance))
                last, count = group["step"][-1], count + 1
                if results.table["status"][instance] == toysweep.DONE:
                    known = np.flatnonzero(group["test_accuracy"][row] >= 0.99)
                    first.append(float(group["step"][known[0]]) if len(known) else np.inf)
            done, grokked = len(first), int(np.isfinite(first).sum())
            middle = "-" if not done else f"&gt; {last}" if 2 * grokked < done else \
                f"{sorted(first)[(done - 1) // 2]:.0f}"
            rows.append([name, f"{done}" if done == count else f"{done} of {count}", f"{grokked}" if done else "-",
                         middle])
        return rows


def test_table_figures_and_index_are_made(path, folder):
    pictures, page = draw(path, os.path.join(folder, "figures"))
    missing = set(TABLE_FIGURES) - set(names_of(pictures))
    assert not missing, f"figures that are missing: {sorted(missing)}"
    check_equal(grokking_rows(page), expected_rows(path), "table of grokking steps")


def test_table_unfinished_files_are_drawn(path, folder):
    copy, path = os.path.join(folder, "part.h5"), run_sweep(GROUPS, folder)
    for every in (2, 5):  # one group is done and the other not, or parts of both are
        count = copy_with_status(path, copy, lambda i: i % every == 0)
        pictures, page = draw(copy, os.path.join(folder, f"figures-{every}"))
        check_equal(names_of(pictures)[:4], TRAINING_FIGURES, "pictures")
        assert f"{len(range(0, count, every))} of {count} instances done" in page, page[:800]
        check_equal(grokking_rows(page), expected_rows(copy), "table of grokking steps")


def test_table_instances_that_never_generalise_are_shown(path, folder):
    copy = run_sweep(GROUPS, folder)
    with h5py.File(copy, "r+") as file:
        for case in file["cases"].values():
            case["test_accuracy"][...] = 0.98
    pictures, page = draw(copy, os.path.join(folder, "figures"))
    check_equal(names_of(pictures)[:4], TRAINING_FIGURES, "pictures")
    for row in grokking_rows(page):
        assert row[2] == "0" and row[3].startswith("&gt; "), row


def test_table_without_test_pairs_is_drawn(path, folder):
    copy = run_sweep(GROUPS, folder)
    with h5py.File(copy, "r+") as file:
        for case in file["cases"].values():
            case["test_accuracy"][...] = case["test_loss"][...] = np.nan
    pictures, _ = draw(copy, os.path.join(folder, "figures"))
    check_equal(names_of(pictures)[:3], TRAINING_FIGURES[:3], "pictures")
    assert "grokking-steps" not in names_of(pictures), pictures


def test_table_is_loaded_on_its_own_axes(path, folder):
    data = toysweep.load(path)
    with toysweep.Results(path) as results:
        check_equal(data.test_accuracy.dims, ("group", "seed"), "dimensions of test_accuracy")
        group, row = results.case_of(results.count - 1)
        at = {axis: results.resolved(results.count - 1)[axis] for axis in ("group", "seed")}
        found = data.weight_norm2_curve.sel(at).values
        assert np.array_equal(found, group["weight_norm2"][row]), (found, group["weight_norm2"][row])


def test_mixed_files_get_the_figures_of_both_families(path, folder):
    with open(os.path.join(folder, "table.csv"), "w", encoding="utf-8") as file:
        file.writelines(",".join(str((2 * a + 3 * b) % 7) for b in range(7)) + "\n" for a in range(7))
    out = run_sweep(MIXED, folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    for name in ("training-curves", "weight-geometry", "loss-curves", "accuracy-curves", "weight-norm",
                 "grokking-steps"):
        assert name in names_of(pictures), (name, pictures)
    cases = [row[0] for row in grokking_rows(page) if len(row) == 4]
    check_equal(cases[:4], [f"{group}, weight decay {decay}" for group in ("C5", "S3") for decay in ("0.5", "1")],
                "cases of groups")
    assert len(cases) == 5 and cases[4].startswith("table.csv"), cases


def check_irreps(path):
    """Projectors made in Python give the fractions that the program measured; networks in numpy its losses."""
    from figures import symmetry
    import networks

    with toysweep.Results(path) as results:
        for group, rows in results.cases.values():
            names = [toysweep.text(name) for name in group["irrep"][...]]
            irreps = symmetry.irreps_of(results, int(rows[0]), names)
            check_equal(len(irreps), len(names), "irreps")
            network = networks.network(results.weights(int(rows[0])))
            for measure, matrix in (("embed_left_fraction", network.left), ("embed_right_fraction", network.right),
                                    ("unembed_fraction", network.unembedding.T)):
                found = np.array([((i.projector @ matrix) ** 2).sum() for i in irreps]) / (matrix ** 2).sum()
                stored = group[measure][0, -1]
                assert np.abs(found - stored).max() < 1e-6, f"{measure}: {found}, the program measured {stored}"


def test_table_irreps_in_python_are_those_of_the_program(path, folder):
    check_irreps(path)


def test_table_networks_in_numpy_have_the_losses_of_the_program(path, folder):
    from figures import symmetry
    import networks

    with toysweep.Results(path) as results:
        for group, rows in results.cases.values():
            network = networks.network(results.weights(int(rows[0])))
            table = symmetry.group_of(results, int(rows[0])).table
            logits = network.logits(np.arange(network.tokens)[:, None], np.arange(network.tokens))
            logits -= logits.max(axis=-1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            found, stored = -np.take_along_axis(logits, table[..., None], -1).mean(), group["all_loss"][0, -1]
            assert abs(found - stored) < 1e-6 * stored, f"all_loss: {found}, the program measured {stored}"


def test_permutations_show_the_standard_representation(path, folder):
    out = run_sweep(PERMUTATIONS, folder)
    check_irreps(out)
    pictures, _ = draw(out, os.path.join(folder, "figures"))
    assert "standard-representation" in names_of(pictures), pictures


def test_element_orders_are_read_from_the_results(path, folder):
    rows = [[2, 0, 1], [0, 1, 2], [1, 2, 0], [1, 0, 2], [2, 1, 0], [0, 2, 1]]
    with open(os.path.join(folder, "order.txt"), "w", encoding="utf-8") as file:
        file.writelines(" ".join(map(str, row)) + "\n" for row in rows)
    with open(os.path.join(folder, "table.csv"), "w", encoding="utf-8") as file:  # Q8: 1, i, j, k, -1, ...
        signed = [[0, 1, 2, 3], [1, 4, 3, 6], [2, 7, 4, 1], [3, 2, 5, 4]]
        file.writelines(",".join(str((signed[a % 4][b % 4] + 4 * (a // 4 + b // 4)) % 8) for b in range(8)) + "\n"
                        for a in range(8))
    check_irreps(run_sweep(FILES, folder))


def test_files_in_any_form_are_read_as_the_program_does(path, folder):
    from figures import symmetry

    forms = ("0,1,2\n1,2,0\n2,0,1\n", "0;1;2\r\n1;2;0\r\n2;0;1\r\n", "0\t1 2\n1 2 0\n2 0 1",
             "\ufeff0,1,2\n1,2,0\n2,0,1", '"0","1","2"\n"1","2","0"\n"2","0","1"\n',
             "# 7\n0.0 1e+00 2.\n\n1 2 0 # 8\n2 0 1\n", "1,2,3\n2,3,1\n3,1,2",
             "t3 := [ [ 1, 2, 3 ],\n [ 2, 3, 1 ], [ 3, 1, 2 ] ];\n", "array([[0, 1, 2],\n [1, 2, 0],\n [2, 0, 1]])",
             "[(0, 1, 2), (1, 2, 0), (2, 0, 1)]", "{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}}")
    for i, form in enumerate(forms):
        with open(os.path.join(folder, f"form{i}.txt"), "w", encoding="utf-8", newline="") as file:
            file.write(form)
        assert symmetry.rows_of(form).tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]], form
        assert symmetry.rows_of(form, 3).tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]], form
    names = ", ".join(f"form{i}.txt" for i in range(len(forms)))
    check_irreps(run_sweep(f"{{task: cayley, cayley: [{names}], embed: 16, hidden: 16, train_fraction: 1, steps: 1}}",
                           folder))


def test_files_go_by_their_names(path, folder):
    """With digits of their digests where two have one name, in load() and in figures."""
    a, b, c = ("a" * 64, "aaaaa" + "b" * 59, "c" * 64)
    files = (a, "x/t.csv"), (b, "t.csv"), (c, "y/t c.csv"), (c, "again.csv")
    names = toysweep.file_names("".join(f"{digest}  {name}\n" for digest, name in files))
    check_equal(names, {f"sha256:{a}": "t.csv@aaaaaa", f"sha256:{b}": "t.csv@aaaaab", f"sha256:{c}": "t c.csv"}, "names")
    out = run_sweep("{task: cayley, cayley: [p/t.csv, q/t.csv], embed: 4, hidden: 4, train_fraction: 0.5, steps: 1}",
                    folder_of_two_tables(folder))
    names = ["t.csv@adb9", "t.csv@27e3"]
    check_equal(list(said(out)[0].cayley.values), names, "tables of load()")
    _, page = draw(out, os.path.join(folder, "figures"))
    check_equal([row[0] for row in grokking_rows(page)][:2], names, "cases")
    with h5py.File(out, "r+") as file:
        del file["sweep/paths"]
    assert all(name.startswith("sha256:") for name in said(out)[0].cayley.values)


def folder_of_two_tables(folder):
    for place, sign in ("p", 1), ("q", -1):
        os.mkdir(os.path.join(folder, place))
        with open(os.path.join(folder, place, "t.csv"), "w", encoding="utf-8") as file:
            file.writelines(",".join(str((a + sign * b) % 5) for b in range(5)) + "\n" for a in range(5))
    return folder


def test_cases_say_what_they_learn(path, folder):
    """By kind and label; files from before there were any are drawn all the same."""
    out = run_sweep(EVERY_TASK, folder_of_two_tables(folder))
    labels = ["binary tree of depth 2", "4 features, P(on) = 0.05", "S3", "(a^2 + b^3) mod 7", "t.csv@adb9", "t.csv@27e3"]
    with toysweep.Results(out) as results:
        check_equal(list(results.kinds), ["features"] * 2 + ["table"] * 4, "kinds")
        check_equal(list(results.labels), labels, "labels")
    pictures, page = draw(out, os.path.join(folder, "figures"))
    check_equal([row[0] for row in grokking_rows(page) if len(row) == 4], labels[2:], "cases")
    with h5py.File(out, "r+") as file:
        file.attrs.modify("format", np.int32(1))
        file.attrs.modify("version", "0.2.0")
        for group in file["cases"].values():
            del group.attrs["kind"], group.attrs["label"]
    with toysweep.Results(out) as results:
        check_equal(list(results.kinds), ["features"] * 2 + ["table"] * 4, "kinds of the version before")
        check_equal(list(results.labels[2:]), labels[2:], "labels of the version before")
    check_equal(draw(out, os.path.join(folder, "before"))[0], pictures, "figures of the version before")


def test_standard_matrices_multiply_as_permutations_do(path, folder):
    from figures import symmetry

    for name in ("S4", "A5"):
        group = symmetry.make_group(name, None, None)
        matrices = symmetry.standard_matrices(group.permutations)
        products = np.einsum("xij,yjk->xyik", matrices, matrices)
        assert np.abs(products - matrices[group.table]).max() < 1e-12, name


def test_a_group_of_one_element_is_drawn(path, folder):
    out = run_sweep("{task: group, group: C1, embed: 16, hidden: 16, train_fraction: 1, steps: 5}", folder)
    pictures, _ = draw(out, os.path.join(folder, "figures"))
    assert "loss-curves" in names_of(pictures), pictures


def test_powers_get_their_figures(path, folder):
    if not has_task("power"):
        raise Skipped("the program has no task power")
    out = run_sweep(POWERS, folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    for name in TRAINING_FIGURES + ["by-exponents", "logit-similarity", "value-logit-similarity", "attention-over-time",
                                    "attention-by-pair", "neurons-in-two-dimensions", "value-neurons-in-two-dimensions",
                                    "value-neuron-clusters", "logit-slices", "singular-values",
                                    "embedding-fourier-norms", "value-embedding-fourier-norms-over-time",
                                    "value-logit-cosines", "value-key-frequency-losses", "value-neuron-frequencies"]:
        assert name in names_of(pictures), (name, pictures)
    for clause in "owns the neuron", "on the training pairs", "for each frequency k":
        assert clause in page and f"{clause}, in terms of" not in page, f"what is in terms of powers: {clause}"
    assert page.count(" in terms of a^m and b^n mod p") >= 10, page
    check_loaded(out)


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


def test_table_dimensions_are_loaded(path, folder):
    check_loaded(path)


def test_exported_instances_become_torch_modules(path, folder):
    tool = os.path.join(TOOLS, "to_transformer_lens.py")
    python = next((python for python in dict.fromkeys((sys.executable, "/usr/bin/python3"))
                   if subprocess.run([python, "-c", "import torch, numpy"], capture_output=True).returncode == 0), None)
    if not python:
        raise Skipped("no Python here has torch")
    files = []
    for sweep in [PERMUTATIONS.replace("3000", "50")] + ([POWERS] if has_task("power") else []):
        own = tempfile.mkdtemp(dir=folder)
        out = run_sweep(sweep, own)
        files += [shutil.move(export(out, own, 0, form), os.path.join(own, f"{form}.{form}"))
                  for form in ("safetensors", "h5")]
    done = subprocess.run([python, "-c", CONVERT, *files], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": TOOLS})
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr of to_transformer_lens.py")
    for file in files:
        assert re.search(re.escape(file) + r": logits up to \S+ differ by at most \S+", done.stdout), done.stdout
        assert os.path.getsize(os.path.splitext(file)[0] + ".pt") > 1000, file
    done = subprocess.run([sys.executable, tool, out], capture_output=True, text=True)
    check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"a results file: {done.stderr}")


def test_what_is_missing_for_torch_models_is_named(path, folder):
    out = run_sweep(POWERS.replace("steps: 300", "steps: 2").replace("{log: 20}", "[0, 2]"), folder)
    for module, form, call, package in (("torch", "safetensors", "module", "torch"), ("torch", "safetensors", "hooked",
                                        "torch"), ("h5py", "h5", "read", "h5py")):
        done = subprocess.run([sys.executable, "-c", LACKING, module, export(out, folder, 0, form), call],
                              capture_output=True, text=True, env={**os.environ, "PYTHONPATH": TOOLS})
        assert re.search(rf"in Python: needs {module}: \S+ -m pip install {package} ", done.stdout), done
        if module == "torch":
            check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"exit code and lines: {done.stderr}")
            assert re.search(r"has no torch: install it with \S+ -m pip install torch", done.stderr), done.stderr


def test_what_is_missing_for_the_library_is_named(path, folder):
    for missing, call in (("h5py",), "import toysweep"), (("h5py", "numpy"), "import toysweep"), \
            (("xarray",), f"import toysweep; toysweep.load({path!r})"), \
            (("xarray",), f"import toysweep; toysweep.instances({path!r})"):
        lacking = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); "
        done = subprocess.run([sys.executable, "-c", lacking + call], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": TOOLS})
        words = f"ModuleNotFoundError: toysweep needs {' and '.join(missing)}, which {sys.executable} lacks: "
        last = done.stderr.splitlines()[-1]
        assert last.startswith(words) and last.endswith(f" -m pip install {' '.join(missing)}"), done.stderr


def test_other_pythons_draw_and_convert(path, folder):
    """Packages of other versions than these: figures with warnings as errors, logits in TransformerLens."""
    pythons = [python for python in os.environ.get("TOYSWEEP_PYTHONS", "").split(":") if python]
    if not pythons:
        raise Skipped("$TOYSWEEP_PYTHONS names no other Python")
    out = run_sweep(POWERS, folder)
    exported = export(out, folder, 0, "safetensors")
    for python in pythons:
        def has(*modules):
            return not subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True).returncode

        assert has("numpy"), f"{python} has no numpy: nothing can be tried"
        if has("matplotlib", "h5py"):
            done = subprocess.run([python, "-W", "error", os.path.join(TOOLS, "plot.py"), out, "-o", folder],
                                  capture_output=True, text=True)
            check_equal((done.returncode, done.stderr), (0, ""), f"exit code and stderr of plot.py in {python}")
        if has("torch"):
            done = subprocess.run([python, os.path.join(TOOLS, "to_transformer_lens.py"), exported, "--check"],
                                  capture_output=True, text=True)
            check_equal(done.returncode, 0, f"{python}: {done.stderr}")
            check_equal("TransformerLens" in done.stdout, has("transformer_lens"), f"{python}: {done.stdout}")


def run_test(name, test, files):
    """False if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            if name.startswith("test_table_") and len(files) < 2:
                raise Skipped("no TABLE.h5")
            test(files[name.startswith("test_table_")], folder)
            print(f"ok - {name}")
        except Skipped as reason:
            print(f"ok - {name} # skipped: {reason}")
        except Exception as fault:  # every test runs, whatever the one before did
            print(f"not ok - {name}: {type(fault).__name__}: {fault}")
            return False
    return True


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    files = [os.path.abspath(path) for path in sys.argv[1:]]
    results = [run_test(name, test, files) for name, test in list(globals().items()) if name.startswith("test_")]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
