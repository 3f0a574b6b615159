"""toysweep.load and xarray on results files: what they load, on which axes, and what they refuse."""

import os
import re
import shutil
import sys
import tempfile
import time

from support import MIXED, check_equal, check_loaded, main, plot, python, run_sweep, said

import h5py
import numpy as np

from toysweep import networks
import toysweep

OPEN_BOTH = """
import sys, xarray
root = xarray.open_dataset(sys.argv[2], engine=sys.argv[1]).load()
case = xarray.open_dataset(sys.argv[2], engine=sys.argv[1], group="/cases/" + sys.argv[3]).load()
assert "instance" in root.sizes and "exact_loss" in root, root
assert case.exact_loss.dims == ("row", "step"), case
assert len(root.identity.values[0]) == 64, root.identity
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

CHECKPOINTS = """
{task: group, group: S3, embed: 4, hidden: 6, train_fraction: 0.6, steps: 20, checkpoints: [0, 5, 20],
 cases: [{save: checkpoints}, {save: final}, {save: none}]}
"""

BASE = "{task: tree, depth: 2, hidden: [2, 3], instances: 2, steps: 20, checkpoints: [0, 20], save: checkpoints}"

MANY = """
task: independent
steps: 1
checkpoints: [0, 1]
grid: {features: 2..51, hidden: 1..20}
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


def test_weights_to_begin_with_are_an_axis(path, folder):
    base = run_sweep(BASE, folder)
    text = BASE.replace("save: checkpoints", f"init_from: [{{file: {base}, step: [0, 20]}}, '']")
    data, _ = said(run_sweep(text, tempfile.mkdtemp(dir=folder)))
    check_equal(data.exact_loss.dims, ("hidden", "init_from", "seed"), "axes")
    names = [f"{os.path.basename(base)} @0", f"{os.path.basename(base)} @20", ""]
    check_equal(list(data.init_from.values), names, "weights to begin with")
    begun = toysweep.load(base).exact_loss_curve
    found = data.exact_loss_curve.sel(init_from=names[1], step=0)
    assert np.array_equal(found, begun.sel(step=20)), (found, begun)
    assert np.array_equal(data.exact_loss_curve.sel(init_from=""), begun), "those that are drawn are as ever"


def test_keys_of_two_models_have_one_axis(path, folder):
    """`bias` is true or false of one and a place of the other, in whatever order they stand."""
    for models in "transformer, mlp", "mlp, transformer":
        out = run_sweep(f"{{task: group, group: C5, model: [{models}], d_mlp: 16, hidden: 8, bias: [false, true], "
                        "steps: 3}", tempfile.mkdtemp(dir=folder))
        data, _ = said(out)
        check_equal(sorted(data.bias.values), ["both", "false", "none", "true"], "bias")
        for model, biases in (("mlp", ("none", "both")), ("transformer", ("false", "true"))):
            found = data.test_loss.sel(model=model, bias=list(biases)).values
            assert np.isfinite(found).all() and len(np.unique(found)) == 2, (model, found)


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
    done = python("-c", READ, *files)
    said_of = done.stdout.splitlines()
    check_equal((done.returncode, len(said_of)), (0, len(files)), f"exit code and lines: {done.stderr}")
    for (place, words), line in zip(expected, said_of):
        assert words in line and place in line, (place, words, line)
    for file in files[0], files[4]:
        done = plot(file)
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
    open_one, toysweep.results._open = toysweep.results._open, lambda group, name: calls.append(name) or open_one(group, name)
    try:
        data, _ = said(out)
    finally:
        toysweep.results._open = open_one
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


def test_weights_of_any_checkpoint(path, folder):
    """Those of the end unless a step is named; one that there is not, or no such weights, is an error that says what
    there is."""
    out = run_sweep(CHECKPOINTS, folder)
    with toysweep.Results(out) as results:
        for i, save in enumerate(["checkpoints", "final", "none"]):
            check_equal(results.resolved(i)["save"], save, "save")
        stored = results.cases["save=checkpoints"][0]["weights/W_U"][0]
        for k, step in enumerate([0, 5, 20]):
            assert np.array_equal(results.weights(0, step=step)["W_U"], stored[k]), step
        assert not np.array_equal(stored[0], stored[2])
        for i in 0, 1:
            at_end = results.weights(i)
            assert np.array_equal(at_end["W_U"], stored[2]) and np.array_equal(results.weights(i, 20)["W_U"], stored[2])
            assert networks.network(at_end).logits(0, np.arange(6)).shape == (6, 6)
        check_equal(results.weights(2), {}, "weights of save: none")
        for i, step, words in ((0, 7, "no weights of step 7; there are those of steps 0, 5, 20"),
                               (1, 5, "only those of its last step, 20; run its sweep again with `save: checkpoints`"),
                               (2, 20, "keeps no weights; run its sweep again with `save: checkpoints`")):
            try:
                results.weights(i, step)
                raise AssertionError(f"instance {i} has weights of step {step}")
            except toysweep.ResultsError as fault:
                assert words in str(fault) and out in str(fault), fault


CLUSTERS = """
{task: group, group: S3, embed: 16, hidden: 24, train_fraction: 1, steps: 300, checkpoints: [0, 300],
 cases: [{save: final}, {save: none}]}
"""


def test_clusters_follow_their_thresholds(path, folder):
    """With the program's thresholds they are the file's; with others they are those of the neurons that are left; where
    no weights are kept there are none."""
    out = run_sweep(CLUSTERS, folder)
    with toysweep.Results(out) as results:
        group, row = results.case_of(0)
        names = [toysweep.text(name) for name in group["irrep"][...]]
        found, active = results.clusters(0, hidden=0), results.clusters(0)
        check_equal(list(found), names, "irreps")
        for i, name in enumerate(names):
            own = found[name]
            check_equal(own["neurons"].tolist(), np.flatnonzero(group["neuron_irrep"][row] == i).tolist(), name)
            check_equal(len(active[name]["neurons"]), group["cluster_active_size"][row, i], f"active neurons of {name}")
            for key, measure in (("embed_energy", "cluster_embed_energy"), ("hidden_energy", "cluster_hidden_energy"),
                                 ("left", "cluster_left_fraction"), ("right", "cluster_right_fraction"),
                                 ("product", "cluster_product_fraction"), ("constant", "cluster_constant_fraction")):
                assert np.isclose(own[key], group[measure][row, i], rtol=1e-5, equal_nan=True), (name, key)
        assert sum(len(own["neurons"]) for own in found.values()) > 3
        high = max(own["embed_energy"] for own in found.values())
        assert all(len(own["neurons"]) == 0 and np.isnan(own["left"])
                   for own in results.clusters(0, embed=2 * high).values())
        try:
            results.clusters(1)
            raise AssertionError("a file without matrices has clusters")
        except toysweep.ResultsError as fault:
            assert "instance 1 has no neuron_irrep_energy" in str(fault), fault


def test_xarray_opens_it_with_both_engines(path, folder):
    with toysweep.Results(path) as results:
        label = list(results.cases)[-1]
    for engine in ("h5netcdf", "netcdf4"):  # in a process of its own: netCDF4 and h5py do not always share one HDF5
        done = python("-c", OPEN_BOTH, engine, path, label)
        assert done.returncode == 0, f"engine {engine}: exit code {done.returncode}\n{done.stderr}"


def test_table_is_loaded_on_its_own_axes(path, folder):
    data = toysweep.load(path)
    with toysweep.Results(path) as results:
        check_equal(data.test_accuracy.dims, ("group", "seed"), "dimensions of test_accuracy")
        group, row = results.case_of(results.count - 1)
        at = {axis: results.resolved(results.count - 1)[axis] for axis in ("group", "seed")}
        found = data.weight_norm2_curve.sel(at).values
        assert np.array_equal(found, group["weight_norm2"][row]), (found, group["weight_norm2"][row])


def test_table_dimensions_are_loaded(path, folder):
    check_loaded(path)


def test_what_is_missing_for_the_library_is_named(path, folder):
    for missing, call in (("h5py",), "import toysweep; toysweep.load"), \
            (("h5py", "numpy"), "import toysweep; toysweep.Results"), \
            (("xarray",), f"import toysweep; toysweep.load({path!r})"), \
            (("xarray",), f"import toysweep; toysweep.instances({path!r})"):
        lacking = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); "
        done = python("-c", lacking + call)
        words = f"ModuleNotFoundError: toysweep needs {' and '.join(missing)}, which {sys.executable} lacks: "
        last = done.stderr.splitlines()[-1]
        assert last.startswith(words) and last.endswith(f" -m pip install {' '.join(missing)}"), done.stderr


def test_a_key_that_came_later_is_an_axis(path, folder):
    """Resolved parameters have it only where it is not its default."""
    out = run_sweep("{task: group, group: C5, embed: 8, hidden: 8, steps: 5, train_fraction: 0.8, "
                    "grid: {split: [torch, python], seed: 1..2}}", folder)
    loss = toysweep.load(out, curves=False).test_loss
    check_equal((loss.dims, loss.shape), (("split", "seed"), (2, 2)), "axes")
    check_equal(loss.split.values.tolist(), ["torch", "python"], "values")


def test_aliases_of_irreps_are_no_columns(path, folder):
    """S4 has published names for its irreps; they lie along the irreps alone."""
    out = run_sweep("{task: group, group: S4, embed: 4, hidden: 4, steps: 1, checkpoints: [1], instances: 3}", folder)
    loss = toysweep.load(out).restricted_loss
    check_equal((loss.dims, loss.irrep_alias.dims), (("seed", "step", "irrep"), ("irrep",)), "dimensions")


if __name__ == "__main__":
    main(globals())
