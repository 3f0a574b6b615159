"""The Python package: sweeps built, checked and run, groups of one's own, figures as functions, other programs' formats,
doctests, and that all places say the same version. Needs the program. What needs more packages than Debian's is skipped,
by name, where they are missing: xarray 2024.10, TensorBoard, Weights & Biases, MLflow, safetensors, SymPy."""

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import struct
import subprocess
import sys
import time
import warnings

from support import POWERS, TOOLS, Skipped, check_equal, main, run_sweep

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import toysweep as ts
from toysweep import groups
from toysweep.figures.chosen import Chosen, chosen

ROOT = os.path.dirname(TOOLS)
TREE = {"task": "tree", "depth": 1, "hidden": [2, 3], "steps": 20, "checkpoints": [0, 10, 20], "instances": 2}
LONG = {**TREE, "hidden": 8, "depth": 5, "steps": 10 ** 9, "instances": 1}  # never over by itself


def need(*modules):
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            raise Skipped(f"{sys.executable} has no {name}") from None


def need_program():
    if not os.environ.get("TOYSWEEP"):
        raise Skipped("$TOYSWEEP does not say where the program is")


def refusal(kind, call):
    try:
        call()
    except kind as fault:
        return str(fault)
    raise AssertionError(f"not refused with {kind.__name__}")


@contextlib.contextmanager
def within(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# --- The package ---------------------------------------------------------------------------------------------------

def test_all_places_say_the_same_version(path, folder):
    found = {}
    for name, pattern in (("CMakeLists.txt", r"project\(toysweep VERSION ([0-9.]+)"), ("CITATION.cff", r"^version: (\S+)$")):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            found[name] = re.search(pattern, file.read(), re.MULTILINE)[1]
    check_equal(found, dict.fromkeys(found, ts.__version__), "versions beside that of the package")


def test_doctests_run(path, folder):
    need_program()
    tried = 0
    with within(folder):
        for _, name, _ in pkgutil.walk_packages(ts.__path__, "toysweep."):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                result = doctest.testmod(importlib.import_module(name))
            check_equal(result.failed, 0, f"doctests of {name} that fail:\n{said.getvalue()}")
            tried += result.attempted
    assert tried > 12, f"{tried} doctests only"


def test_every_name_is_there_and_says_what_it_is(path, folder):
    check_equal(ts.__all__, [*ts._MODULES, *ts._NAMES], "names")
    for name in ts.__all__:
        assert getattr(ts, name) is not None and name in dir(ts), name
        assert name.isupper() or getattr(ts, name).__doc__, f"{name} has no docstring"
    for name in dir(ts.figures):
        assert getattr(ts.figures, name).__doc__.strip()[0].isupper(), name
    assert "did you mean loss_curves" in refusal(AttributeError, lambda: ts.figures.los_curves)
    refusal(AttributeError, lambda: ts.lod)


def test_importing_it_takes_no_matplotlib_nor_xarray(path, folder):
    heavy = "matplotlib", "xarray", "pandas", "yaml", "torch"
    done = subprocess.run([sys.executable, "-c", f"import sys, toysweep; print([m for m in {heavy!r} if m in sys.modules])"],
                          env={**os.environ, "PYTHONPATH": TOOLS}, capture_output=True, text=True)
    check_equal(done.stdout, "[]\n", f"modules: {done.stderr}")


# --- Sweeps --------------------------------------------------------------------------------------------------------

def test_values_of_python_and_numpy_are_written_as_the_program_reads_them(path, folder):
    need_program()
    made = ts.sweep({"task": "tree", "lr": np.float64(1e-5), "grid": {"hidden": np.arange(2, 5), "depth": range(1, 3)}},
                    instances=np.int64(3), where="hidden <= depth + 1", steps=20)
    with within(folder):
        made.save("made.yaml")
        for sweep, instances, count in ((made, 3, 9), ("made.yaml", 4, 12)):
            with ts.run(sweep, f"{count}.h5", set={"instances": instances}, progress=False) as results:
                check_equal((results.count, results.resolved(0)["lr"]), (count, 1e-5), "instances, lr")
                check_equal(sorted(set(results.table["hidden"].tolist())), [2, 3], "hidden, where")
        before = sorted(os.listdir("."))
        assert "a sweep's values are" in refusal(TypeError, lambda: ts.sweep(TREE, lr=object()))
        check_equal(sorted(os.listdir(".")), before, "files")


def test_a_sweep_is_checked_by_the_program(path, folder):
    need_program()
    with within(folder):
        words = refusal(ts.SweepError, lambda: ts.sweep(TREE, hiden=3))
        check_equal(words, "sweep: key 'hiden': unknown; did you mean 'hidden'?", "refusal")
        assert isinstance(ts.sweep(TREE, hiden=3, check=False), dict)
        assert "/no.csv: No such file" in refusal(ts.SweepError, lambda: ts.run(
            {"task": "cayley", "cayley": "no.csv", "hidden": 3, "embed": 2}, progress=False))
        check_equal(os.listdir("."), [], "files")
    assert "no program that can be run" in refusal(ts.ProgramError, lambda: ts.sweep(TREE, program="/no/such"))
    for ask in (ts.sweep, ts.plan, ts.run):
        assert "/bin/true is another program" in refusal(ts.ProgramError, lambda ask=ask: ask(TREE, program="/bin/true"))


def test_run_trains_continues_and_gives_results(path, folder):
    need_program()
    with within(folder):
        with ts.run(TREE, "a.h5", progress=False) as results:
            check_equal((results.count, results.varying), (4, ["hidden", "seed"]), "instances, what varies")
            check_equal(results.load().final_loss.dims, ("hidden", "seed"), "axes")
            check_equal(results.table["final_loss"][results.best("final_loss")], results.table["final_loss"].min(), "best")
            assert "4 of 4 instances done" in repr(results)
        before = os.stat("a.h5").st_mtime_ns
        ts.run(TREE, "a.h5", progress=False).file.close()
        check_equal(os.stat("a.h5").st_mtime_ns, before, "a run with nothing to do")
        ts.run({**TREE, "name": "named"}, set={"instances": 1}, reuse="a.h5", threads=1, progress=False).file.close()
        check_equal(ts.status("named.h5")["done"], 2, "done")
        words = refusal(ts.ProgramError, lambda: ts.run({**TREE, "lr": 0.5}, "a.h5", progress=False))
        assert "a.h5" in words and ".toysweep-" not in words, words
        check_equal([name for name in os.listdir(".") if name.endswith(".yaml")], [], "sweeps left behind")


def test_failures_and_what_is_left_are_warned_of(path, folder):
    need_program()
    with within(folder), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = ts.run({**TREE, "lr": [1e-3, 1e30]}, "failed.h5", progress=False)
        assert (results.table["status"] == ts.FAILED).any()
        results = ts.run(LONG, "left.h5", time_limit=0.5, progress=False)
        check_equal(results.table["status"].tolist(), [ts.PENDING], "status")
        said = [str(warning.message) for warning in caught if "toysweep" in str(warning.message)]
    check_equal(len(said), 2, f"warnings: {said}")
    assert "failed" in said[0], said


INTERRUPTED = """
import os, signal, sys, threading, time
import toysweep as ts
def interrupt():
    while not (os.path.isdir("long.h5.state") and any(name.endswith(".bin") for name in os.listdir("long.h5.state"))):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    ts.run(%r, "long.h5", checkpoint_interval=0.1)
except KeyboardInterrupt:
    print("interrupted", ts.status("long.h5")["pending"], ts.status("long.h5")["running"], os.listdir("long.h5.state") != [])
"""


def test_an_interrupt_stops_the_program_cleanly(path, folder):
    need_program()
    with within(folder):
        done = subprocess.run([sys.executable, "-c", INTERRUPTED % LONG], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PYTHONPATH": TOOLS})
    check_equal(done.stdout, "interrupted 1 False True\n", f"what is said: {done.stderr}")
    assert "unfinished ones go on when it is run again" in done.stderr, done.stderr


def test_progress_is_told_apart_from_messages(path, folder):
    from toysweep.progress import Bar

    reader, writer = os.pipe()
    for chunk in (b"a warning\n\r\x1b[K[##..]  12.5%  1/8 inst", b"ances  3 s elapsed\r\x1b", b"[K[###.]  50.0%  4/8 instances",
                  b"\r\x1b[Kfailed: b\n", b"\r\x1b[K[####] 100.0%  8/8 instances"):
        os.write(writer, chunk)
    os.close(writer)
    with open(reader, "rb") as stream:
        check_equal(Bar(False).follow(stream), "a warning\nfailed: b", "messages")


def test_what_is_no_sweep_nor_file_is_refused_with_what_is_wanted(path, folder):
    for call in (lambda: ts.load(3), lambda: ts.Results(None), lambda: ts.status(TREE), lambda: ts.to_dataframe(TREE)):
        assert "a results file is wanted" in refusal(TypeError, call)
    assert "A sweep file goes to" in refusal(TypeError, lambda: ts.sweep("tree.yaml"))
    with ts.Results(path) as results:
        assert "there is no instance" in refusal(ts.ResultsError, lambda: results.resolved(results.count))
        assert "exact_loss" in refusal(ts.ResultsError, lambda: results.best("exactloss"))
        for data in (ts.load(results, curves=False), ts.instances(results)):
            assert "exact_loss" in data
    need_program()
    assert "a sweep is wanted" in refusal(TypeError, lambda: ts.run(3))
    assert "a mapping of keys is wanted" in refusal(TypeError, lambda: ts.plan(TREE, set="steps=3"))
    for ranks in (0, "two"):
        assert "a number of processes is wanted" in refusal(ValueError, lambda ranks=ranks: ts.run(TREE, ranks=ranks))


def test_warnings_name_the_line_that_asked(path, folder):
    need_program()
    with within(folder), ts.run({**TREE, "depth": [1, 2]}, "a.h5", progress=False) as results, \
            warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results.load()
        ts.load("a.h5")
    check_equal({warning.filename for warning in caught if "left out" in str(warning.message)}, {__file__}, "files")


# --- Groups --------------------------------------------------------------------------------------------------------

Q8 = """[ [ 1, 2, 3, 4, 5, 6, 7, 8 ], [ 2, 4, 5, 6, 7, 1, 8, 3 ],
  [ 3, 8, 4, 7, 2, 5, 1, 6 ], [ 4, 6, 7, 1, 8, 2, 3, 5 ],
  [ 5, 3, 6, 8, 4, 7, 2, 1 ], [ 6, 1, 8, 2, 3, 4, 5, 7 ],
  [ 7, 5, 1, 3, 6, 8, 4, 2 ], [ 8, 7, 2, 5, 1, 3, 6, 4 ] ]"""


def test_groups_of_ones_own_are_trained(path, folder):
    """Made from GAP's words and from a function; the program finds their irreps."""
    need_program()
    permutations = groups.from_gap("Group([ (1,2,3,4), (1,3) ])")
    check_equal((len(permutations), permutations.is_group()), (8, True), "D4")
    assert not np.array_equal(permutations.table, permutations.table.T)
    heisenberg = groups.from_function([(a, b, c) for a in range(3) for b in range(3) for c in range(3)], lambda x, y: (
        (x[0] + y[0]) % 3, (x[1] + y[1]) % 3, (x[2] + y[2] + x[0] * y[1]) % 3))
    check_equal((len(heisenberg), heisenberg.is_group()), (27, True), "the Heisenberg group")
    with within(folder):
        for table, dimensions in ((permutations, [1, 1, 1, 1, 2]), (heisenberg, None)):
            keys = {"task": "cayley", "cayley": table.save("own.csv"), "model": "mlp", "embed": 4, "hidden": 4, "steps": 1,
                    "checkpoints": [1], "train_fraction": 0.8}
            with ts.run(keys, f"{len(table)}.h5", progress=False) as results:
                group, _ = results.case_of(0)
                if dimensions:
                    check_equal(len(group["irrep"]), len(dimensions), "irreps")


def test_tables_are_gaps_own(path, folder):
    """The left permutation acts first; a table keeps its order, and what is none is refused."""
    table = groups.from_gap("(1,2,3),(1,2)")
    place = {one: i for i, one in enumerate(table.elements)}
    check_equal(table.elements[0], (0, 1, 2), "the first element")
    check_equal(table.elements[table.table[place[1, 2, 0], place[1, 0, 2]]], (0, 2, 1), "(1,2,3)(1,2) = (2,3)")
    check_equal(groups.from_gap(Q8.replace("],\n", "],\\\n")).table[1].tolist(), [1, 3, 4, 5, 6, 0, 7, 2], "second row")
    for words, said in (("SymmetricGroup(3)", "let GAP print the table"), ("[[1,2],[2]]", "not all of as many"),
                        ("[[1,2],[2,3]]", "they count the 2 elements"), ("(1,2,1)", "twice"),
                        ("Group([(1,2),(1,2,3,4,5,6,7)])", "more than 1024")):
        assert said in refusal(ValueError, lambda words=words: groups.from_gap(words)), words
    for none in ([[0, 1], [1]], "x", [], [[0.5]]):
        assert "n rows of n whole numbers are wanted" in refusal(ValueError, lambda none=none: groups.Table(none))
    check_equal(len(groups.from_function([[0], [1]], lambda a, b: [(a[0] + b[0]) % 2])), 2, "elements that are lists")


def test_groups_of_sympy(path, folder):
    need("sympy")
    from sympy.combinatorics import AlternatingGroup, Permutation
    from sympy.combinatorics.fp_groups import FpGroup
    from sympy.combinatorics.free_groups import free_group

    alternating = groups.from_sympy(AlternatingGroup(4))
    check_equal((len(alternating), alternating.is_group()), (12, True), "A4")
    for a, b in ((1, 2), (5, 3)):
        product = (Permutation(list(alternating.elements[a])) * Permutation(list(alternating.elements[b]))).array_form
        check_equal(list(alternating.elements[alternating.table[a, b]]), product, "SymPy's product")
    _, x, y = free_group("x,y")
    quaternions = groups.from_sympy(FpGroup(x.group, [x ** 4, x ** 2 * y ** -2, y ** -1 * x * y * x]))
    square = np.diagonal(quaternions.table)
    check_equal((len(quaternions), quaternions.is_group(), (square == 0).sum()), (8, True, 2), "Q8, elements of order 2")
    assert "no group of SymPy" in refusal(TypeError, lambda: groups.from_sympy(3))


# --- Figures -------------------------------------------------------------------------------------------------------

def test_figures_are_functions_of_results(path, folder):
    """Of a path, of results, of what load() gives; options leave nothing behind; what is wrong is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = ts.load(path)
    with ts.Results(path) as results:
        for one in (path, results, data):
            axes = ts.figures.loss_heatmap(one)
            check_equal([axis.get_title() for axis in axes], ["mean over instances", "best instance"], "panels")
            assert "mean over the instances" in axes[0].figure.caption
            plt.close("all")
        ts.figures.training_curves(results, threshold=1e-2, axis="log")
        check_equal(chosen, Chosen(), "what is chosen afterwards")
        assert "has no checkpoint" in refusal(ts.ResultsError, lambda: ts.figures.weight_geometry(results, instance=0, step=9999))
        assert "nothing for the figure loss_curves" in refusal(ts.ResultsError, lambda: ts.figures.loss_curves(results))
        assert "there is no figure 'x'" in refusal(ValueError, lambda: ts.figures.draw("x", results))
        refusal(TypeError, lambda: ts.figures.loss_heatmap(data.exact_loss))
        assert "no option 'instanc'; there are view, axis" in refusal(TypeError, lambda: ts.figures.loss_heatmap(path, instanc=0))
        assert "one of auto, linear, log" in refusal(ValueError, lambda: ts.figures.training_curves(path, axis="cubic"))
    plt.close("all")


def test_table_figures_take_their_options(path, folder):
    axes = ts.figures.loss_curves(path)
    check_equal(len(axes), len(ts.load(path, curves=False).group), "a panel for each group")
    one = ts.figures.logit_similarity(path, instance=1, irrep="sign")
    assert hasattr(one, "plot"), "one panel is its axes"
    plt.close("all")


def test_heatmaps_are_of_arrays_or_files(path, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = ts.load(path)
    axis = ts.figures.heatmap(data.exact_loss.min("seed"), x="hidden", y="depth")
    check_equal((axis.get_xlabel(), axis.get_ylabel()), ("hidden width (dimensions)", "tree depth (levels below the root)"),
                "labels")
    image, best = axis.images[0].get_array(), data.exact_loss.min("seed").transpose("depth", "hidden").values
    assert np.allclose(image.filled(np.nan), best, equal_nan=True)
    whole = ts.figures.heatmap(path, "exact_loss", reduce="min")
    assert np.allclose(np.sort(whole.images[0].get_array().filled(np.nan).ravel()), np.sort(best.ravel()), equal_nan=True)
    assert "did you mean exact_loss" in refusal(ValueError, lambda: ts.figures.heatmap(path, "exactloss"))
    assert "there are depth, hidden" in refusal(ValueError, lambda: ts.figures.heatmap(data.exact_loss, x="width"))
    assert "one of median, min" in refusal(ValueError, lambda: ts.figures.heatmap(data.exact_loss, reduce="mode"))
    refusal(TypeError, lambda: ts.figures.heatmap(np.zeros((2, 2))))
    plt.close("all")


# --- Other forms ---------------------------------------------------------------------------------------------------

def test_table_is_a_dataframe(path, folder):
    table, curves = ts.to_dataframe(path), ts.to_dataframe(path, curves=True)
    with ts.Results(path) as results:
        check_equal(len(table), results.count, "rows")
        group, row = results.case_of(results.count - 1)
        last = curves[curves.instance == results.count - 1]
        check_equal(last.step.tolist(), group["step"][...].tolist(), "steps")
        assert np.array_equal(last.test_loss.values, group["test_loss"][row], equal_nan=True)
        check_equal(sorted(set(last.seed)), [results.resolved(results.count - 1)["seed"]], "seed")


def test_table_is_a_lazy_tree(path, folder):
    import xarray

    if not hasattr(xarray, "open_datatree"):
        assert "needs xarray 2024.10 or later" in refusal(ImportError, lambda: ts.open(path))
        raise Skipped(f"xarray {xarray.__version__} has no open_datatree")
    with ts.open(path) as tree, ts.Results(path) as results:
        name, (group, _) = list(results.cases.items())[-1]
        case = tree[f"cases/{name}"]
        assert not case["test_loss"].variable._in_memory and not case["weights/W"].variable._in_memory
        assert np.array_equal(case["test_loss"].values, group["test_loss"][...], equal_nan=True)
        assert np.array_equal(case["weights/W"].isel(row=1).values, group["weights/W"][1])
        check_equal(tree["cases"].children.keys(), results.cases.keys(), "cases")


def test_a_tree_that_points_elsewhere_is_refused(path, folder):
    import h5py
    import xarray

    if not hasattr(xarray, "open_datatree"):
        raise Skipped(f"xarray {xarray.__version__} has no open_datatree")
    for i, put in enumerate((lambda file: file.create_dataset("x", (8,), "f8", external=[("raw", 0, 64)]),
                             lambda file: file.__setitem__("x", h5py.ExternalLink("other.h5", "/x")))):
        other = os.path.join(folder, f"{i}.h5")
        with h5py.File(other, "w") as file:
            put(file)
        assert "other file" in refusal(ts.ResultsError, lambda other=other: ts.open(other))


def trained(folder):
    return run_sweep(POWERS.replace("steps: 300", "steps: 30"), folder)


def test_safetensors_are_those_of_export(path, folder):
    need("safetensors")
    from safetensors.numpy import load_file

    out = trained(folder)
    ours, theirs = ts.to_safetensors(out, os.path.join(folder, "a.safetensors"), 1), os.path.join(folder, "b.safetensors")
    subprocess.run([os.environ["TOYSWEEP"], "export", out, "--instance", "1", "-o", theirs], check=True, capture_output=True)
    ours, theirs = load_file(ours), load_file(theirs)
    check_equal(sorted(ours), sorted(theirs), "names")
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_published_names_are_the_other_way_round(path, folder):
    from toysweep import networks

    for name in ("W_E", "W_U", "W_Q_1", "W_in", "b_in_2", "ln1_w", "ln1_w_1", "ln_final_b", "b_U", "W_x", "U"):
        layered = name[-2:-1] == "_" and name[-1].isdigit()
        found = networks.own_name(networks.published_name(name))
        check_equal(found, name if not layered or name[-1] != "0" else name[:-2], name)


def test_an_instance_is_read_as_its_exported_file(path, folder):
    """For modules of torch and TransformerLens, which are made of either."""
    from toysweep import transformer_lens

    out, exported = trained(folder), os.path.join(folder, "one.h5")
    subprocess.run([os.environ["TOYSWEEP"], "export", out, "--instance", "2", "--format", "h5", "-o", exported], check=True,
                   capture_output=True)
    with ts.Results(out) as results:
        found = transformer_lens.state_dict(transformer_lens.Instance.of(results, 2))
    expected = transformer_lens.state_dict(exported)
    check_equal(sorted(found), sorted(expected), "names")
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def finals(results, instance):
    return {name: float(results.table[name][instance]) for name in ("test_loss", "test_accuracy")}


def test_tensorboard_has_curves_and_finals(path, folder):
    need("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, logs = trained(folder), os.path.join(folder, "logs")
    check_equal(ts.to_tensorboard(out, logs, curves=["logit_similarity"]), 4, "runs")
    with ts.Results(out) as results:
        for i, name in enumerate(sorted(os.listdir(logs))):
            events = EventAccumulator(os.path.join(logs, name), size_guidance={"scalars": 0})
            events.Reload()
            group, row = results.case_of(i)
            found = events.Scalars("test_loss")
            check_equal([point.step for point in found], group["step"][...].tolist(), "steps")
            assert np.allclose([point.value for point in found], group["test_loss"][row])
            for measure, value in finals(results, i).items():
                assert np.isclose(events.Scalars(f"final/{measure}")[0].value, value), measure
            assert any(tag.startswith("logit_similarity/") for tag in events.Tags()["scalars"])


def test_mlflow_has_curves_and_finals(path, folder):
    need("mlflow")
    import mlflow

    out, store = trained(folder), f"sqlite:///{folder}/runs.db"
    check_equal(ts.to_mlflow(out, "powers", instances=[0, 3], tracking_uri=store), 2, "runs")
    client = mlflow.MlflowClient(tracking_uri=store)
    runs = client.search_runs([client.get_experiment_by_name("powers").experiment_id])
    with ts.Results(out) as results:
        for run in runs:
            i = 0 if run.data.params["seed"] == "0" and run.data.params["m"] == "1" else 3
            for measure, value in finals(results, i).items():
                assert np.isclose(run.data.metrics[f"final/{measure}"], value), measure
            group, row = results.case_of(i)
            found = client.get_metric_history(run.info.run_id, "test_loss")
            check_equal([point.step for point in found], group["step"][...].tolist(), "steps")
            assert np.allclose([point.value for point in found], group["test_loss"][row])


def records_of(path):
    """What Weights & Biases keeps of a run, in LevelDB's log format behind 7 bytes of its own."""
    from wandb.proto.wandb_internal_pb2 import Record

    with open(path, "rb") as file:
        data = file.read()
    at, record = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no header fits into the block
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at:at + 7])
        if at + 7 + length > len(data):  # it is being written
            return
        record = (b"" if kind in (1, 2) else record) + data[at + 7:at + 7 + length]  # 1: whole; 2, 3, 4: first to last
        at += 7 + length
        if kind in (1, 4):
            yield Record.FromString(record)


def whole_records_of(path):
    """The same of a run that is over, once the process that writes the file has come to its end."""
    end = time.monotonic() + 600
    while True:
        records = list(records_of(path))
        if any(record.HasField("exit") for record in records):
            return records
        assert time.monotonic() < end, f"{path}: {len(records)} records, and none of the run's end"
        time.sleep(0.1)


def test_wandb_has_curves_and_finals(path, folder):
    """Offline: what it would send lies in a file, which is read back."""
    need("wandb")

    out = trained(folder)
    with within(folder), contextlib.redirect_stdout(io.StringIO()):
        check_equal(ts.to_wandb(out, "powers", instances=[1], mode="offline", dir=folder), 1, "runs")
    logged, = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(".wandb")]
    steps, summary = {}, {}
    for record in whole_records_of(logged):
        line = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        if "test_loss" in line:
            steps[int(line["_step"])] = float(line["test_loss"])
        summary.update({item.key or item.nested_key[0]: item.value_json for item in record.summary.update})
    with ts.Results(out) as results:
        group, row = results.case_of(1)
        check_equal(list(steps), group["step"][...].tolist(), "steps")
        assert np.allclose(list(steps.values()), group["test_loss"][row])
        for measure, value in finals(results, 1).items():
            assert np.isclose(float(summary[f"final/{measure}"]), value), measure


def test_modules_of_torch_need_no_exported_file(path, folder):
    need("torch")
    import torch

    from toysweep import networks

    out = trained(folder)
    with ts.Results(out) as results:
        network = networks.network(results.weights(2), results.resolved(2))
    with torch.no_grad():
        found = ts.to_pytorch(out, 2)(torch.tensor([[3, b] for b in range(11)])).numpy()
    assert np.allclose(found, network.logits(3, np.arange(11)), atol=1e-4)
    need("transformer_lens")
    with torch.no_grad():
        found = ts.to_transformer_lens(out, 2)(torch.tensor([[3, b, 11] for b in range(11)]))[:, -1].numpy()
    assert np.allclose(found, network.logits(3, np.arange(11)), atol=1e-4)


if __name__ == "__main__":
    main(globals())
