"""tools/plot.py on results files: which figures there are, of finished files and others, and what the page says."""

import argparse
import os
import re
import shutil

from support import (MIXED, POWERS, check_equal, check_loaded, draw, main, plot, python, run_sweep, said, write,
                     write_table)

import h5py
import matplotlib.pyplot as plt
import numpy as np

import toysweep
from toysweep.figures import comparison, families, feature, geometry
from toysweep.figures.page import STYLE, lay_out

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
    "neuron-frequencies", "neurons-in-two-dimensions", "mean-fourier-norms", "region-mean-fourier-norms",
    "neuron-clusters", "shares-of-clusters", "unembedding-by-irrep", "neuron-maps", "sign-neurons", "logit-slices",
    "logit-hypotheses", "singular-values", "principal-components", "neuron-rows", "embedding-in-the-fourier-basis",
    "key-frequency-products"]

# A group in another order, a table with pairs that are not there, a sum; without pairs to test.
EXPRESSIONS = """
task: expression
p: 7
split: python
embed: 16
hidden: 16
steps: 100
checkpoints: {log: 10}
cases:
  - {expression: a*b, nonzero: true, train_fraction: 0.8}
  - {expression: a/b}
  - {expression: a**2 + b, train_fraction: 1, model: [mlp, transformer]}
  - {expression: a + b, nonzero: true}
"""

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


def test_figures_and_index_are_made(path, folder):
    pictures, page = draw(path, os.path.join(folder, "the figures"))
    assert len(pictures) >= 4, pictures
    with toysweep.Results(path) as results:
        assert f"{results.count} of {results.count} instances done" in page, page[:800]


INDEPENDENT = """
task: independent
binary: true
steps: 20
checkpoints: {log: 5}
grid:
  features: [6, 14, 40]
  hidden: [2, 4]
"""

OPTIONS = argparse.Namespace(threshold=1e-5)


def test_losses_that_only_some_cases_have_are_drawn(path, folder):
    """The exact loss is known of 6 features, with its curve, and of 14 at the end, not of 40."""
    out = run_sweep(INDEPENDENT, folder)
    for loss in [], *(["--loss", f"{kind}_loss"] for kind in ("exact", "estimated", "final", "train")):
        figures = os.path.join(folder, "-".join(["figures", *loss]))
        done = plot(out, "-o", figures, *loss)
        check_equal((done.returncode, done.stderr), (0, ""), f"exit code and stderr with {loss}")
        names = [name[3:-4] for name in sorted(os.listdir(figures)) if name.endswith(".png")]
        assert "training-curves" in names and "weight-geometry" in names, (loss, names)
    with toysweep.Results(out) as results:
        view, = feature.views(results, np.arange(results.count), None)
        check_equal((view.loss, feature.curves_of(view)[0]), ("loss", "train_loss"), "losses of all that are drawn")
        check_equal([view.judged_by[view.cell(2, features)].tolist() for features in (6, 14, 40)],
                    [["exact_loss"], ["exact_loss"], ["estimated_loss"]], "what cells are judged by")
        about = [text.get_text()[0] == "~" for text in feature.loss_heatmap(view, OPTIONS).picture.axes[1].texts]
        check_equal(about, [False] * 4 + [True] * 2, "numbers that are said to be estimates")
    os.mkdir(os.path.join(folder, "alone"))
    out = run_sweep(INDEPENDENT.replace("[6, 14, 40]", "40"), os.path.join(folder, "alone"))
    done = plot(out, "--loss", "exact_loss")
    assert done.returncode == 1 and "Error" not in done.stderr and ("has no exact_loss" in done.stderr or
        "no finished instance has the expected loss" in done.stderr), done.stderr


def only_view(results):
    view, = feature.views(results, np.arange(results.count), None)
    return view


def panels_of(figure):
    """Visible panels by their titles, colour bars aside."""
    return {axis.get_title(): axis for axis in figure.picture.axes if axis.get_visible() and axis.get_title()}


def test_directions_are_drawn_of_every_depth_best_first(path, folder):
    out = run_sweep("{task: tree, depth: 1..3, hidden: 2..4, where: hidden <= features, steps: 200, instances: 3}",
                    folder)
    with toysweep.Results(out) as results:
        view = only_view(results)
        for hidden, depths, make in (2, (1, 2, 3), geometry.directions_in_2d), (3, (2, 3), geometry.directions_in_3d):
            figure, expected = make(view, OPTIONS), []
            for depth in depths:
                cell = sorted(view.cell(hidden, depth), key=lambda i: results.table["exact_loss"][i])
                expected += [f"depth {depth}\nseed {results.table['seed'][i]}, loss "
                             f"{feature.short(results.table['exact_loss'][i])}" for i in cell]
            check_equal(list(panels_of(figure)), expected, f"panels of {hidden} dimensions")
        structure = geometry.Structure({"branching": 3}, 12)  # features 0 to 2, and three children of each
        check_equal([edge[:2] for edge in structure.edges], [((i - 3) // 3, i) for i in range(3, 12)], "edges")
        check_equal(len({structure.edges[i][3] for i in (0, 3, 6)}), 3, "colours of subtrees")


def test_pairs_are_marked(path, folder):
    structure = geometry.Structure({"correlated_pairs": 1, "anticorrelated_pairs": 2}, 8)
    check_equal([edge[:3] for edge in structure.edges], [(0, 1, "-"), (2, 3, "--"), (4, 5, "--")], "pairs")
    check_equal([handle.get_label() for handle in structure.legend],
                ["correlated pair", "anticorrelated pair", "feature by itself"], "legend")
    check_equal((len(set(structure.colors)), structure.colors[6]), (4, structure.colors[7]), "colours")
    out = run_sweep("{task: independent, features: 4, steps: 50, instances: 2, grid: {hidden: [2, 3]}, cases: "
                    "[{correlated_pairs: 1}, {anticorrelated_pairs: 1}]}", folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    check_equal((pictures.count("directions-in-2d"), pictures.count("directions-in-3d")), (2, 2), "pictures")
    check_equal(sorted(re.findall("<h2>(.*?)</h2>", page)), ["correlated pairs: 0, anticorrelated pairs: 1",
                                                             "correlated pairs: 1, anticorrelated pairs: 0"], "headings")


def test_dimensionality_is_drawn_over_sparsity(path, folder):
    out = run_sweep("{task: independent, features: 5, steps: 50, grid: {hidden: [2, 3], "
                    "feature_probability: [1, 0.1, 0.3]}}", folder)
    with toysweep.Results(out) as results:
        view = only_view(results)
        panels = panels_of(geometry.dimensionality_over_sparsity(view, OPTIONS))
        check_equal(list(panels), ["hidden 2", "hidden 3"], "panels")
        for hidden, axis in zip((2, 3), panels.values()):
            lines = [line for line in axis.lines if len(line.get_xdata()) == 3]
            check_equal(len(lines), 5, "lines")
            for feature_number, line in enumerate(lines):
                shares = [view.last("dimensionality", view.best(hidden, p))[feature_number] for p in (1, 0.3, 0.1)]
                check_equal(list(line.get_ydata()), shares, f"dimensionality of feature {feature_number}")
            assert {"1/2", "2/3"} <= {text.get_text() for text in axis.texts}, axis.texts


CONTROLS = """
steps: 300
batch: 256
instances: 2
where: hidden <= features
cases:
  - {task: tree, early_stopping: [true, false], depth: 1..3}
  - {task: independent, binary: true, features: [2, 6, 14], feature_probability: {base: 0.25, branching: 2}}
grid:
  hidden: 2..3
"""


def test_a_tree_and_its_controls_are_side_by_side(path, folder):
    out = run_sweep(CONTROLS, folder)
    _, page = draw(out, os.path.join(folder, "figures"))
    assert page.index("<h2>Side by side</h2>") < page.index("loss-by-features.png"), page
    with toysweep.Results(out) as results:
        *views, together = feature.views(results, np.arange(results.count), None)
        check_equal([part.name for part in together.parts],
                    ["tree", "tree, paths to leaves", "no hierarchy, P(on) = 0.25^level"], "parts")
        check_equal((len(views), together.features), (3, [2, 6, 14]), "counts of features")
        figure = comparison.loss_by_features(together, OPTIONS)
        check_equal(list(panels_of(figure)), ["hidden width 2", "hidden width 3"], "panels")
        for part in together.parts:
            for features, hidden in (2, 2), (6, 2), (14, 2), (6, 3), (14, 3):
                check_equal(part.losses[features, hidden].size, 2, "instances")
                assert np.isfinite(part.stacked[features, hidden]), (part.name, features, hidden)
        losses = sorted({part.losses[14, 3].min() for part in together.parts})
        figure = comparison.smallest_width_by_features(together, argparse.Namespace(threshold=losses[-1] * 1.000001))
        assert not re.search("<td>14</td><td>[^<]*</td><td>&gt; 3</td>", figure.table), figure.table
        check_equal(figure.table.count("<tr><td>2</td>"), 3, "rows of two features")


def test_the_smallest_width_is_also_that_of_the_notebooks_sum(path, folder):
    out = run_sweep("{task: tree, depth: 2, hidden: 2..4, steps: 400, instances: 3}", folder)
    with h5py.File(out, "r+") as file:
        for name, values in ("exact_loss", [1e-3, 9e-6, 1e-7]), ("stacked_loss", [3e-3, 2e-5, 3e-7]):
            for hidden, value in zip((2, 3, 4), values):
                file[name][:] = np.where(file["hidden"][:] == hidden, value, file[name][:])
    with toysweep.Results(out) as results:
        figure = feature.smallest_width(only_view(results), OPTIONS)
        check_equal(re.findall("<td>(.*?)</td>", figure.table), ["all", "3", "3", "4", "1e-7"], "widths")
        check_equal([text.get_text() for text in figure.picture.axes[0].texts], ["3", "3", "4"], "bars")


# plot.py where figures fail: sys.argv[1] names them.
FAILING = """
import sys
from toysweep import plot
from toysweep.figures import families
names = sys.argv.pop(1).split(",")
def failing(view, options):
    plot.plt.subplots()
    raise TypeError("two\\nlines")
for family in families.KINDS.values():
    for i, make in enumerate(family.FIGURES):
        if make.__name__ in names:
            failing.__name__ = make.__name__
            family.FIGURES[i] = failing
    if "views" in names:
        family.views = lambda results, rows, loss: 1 / 0
plot.main()
"""


def test_a_figure_that_fails_is_named_and_the_others_are_drawn(path, folder):
    whole, _ = draw(path, os.path.join(folder, "whole"))
    out = os.path.join(folder, "figures")
    done = python("-c", FAILING, "training_curves", path, "-o", out)
    check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"exit code and lines: {done.stderr}")
    assert "training-curves cannot be drawn: TypeError: two lines (" in done.stderr, done.stderr
    names = [name[3:-4] for name in sorted(os.listdir(out)) if name.endswith(".png")]
    check_equal(names, [name for name in whole if name != "training-curves"], "figures that are drawn")
    with open(os.path.join(out, "index.html"), encoding="utf-8") as page:
        page = page.read()
    assert "training-curves cannot be drawn: TypeError: two lines" in page, page
    done = python("-c", FAILING, "views", path, "-o", out)
    check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"exit code and lines: {done.stderr}")
    assert "ZeroDivisionError" in done.stderr, done.stderr


def test_titles_fit_their_pictures(path, folder):
    for words in 2, 8, 40:
        picture, _ = plt.subplots(figsize=(4, 3), constrained_layout=True)
        title = picture.suptitle(" ".join(["representation"] * words))
        lay_out(picture)
        extent = title.get_window_extent(picture.canvas.get_renderer())
        assert extent.x0 >= 0 and extent.x1 <= picture.bbox.width, (words, extent)
        check_equal(" ".join(title.get_text().split()), " ".join(["representation"] * words), "the title's words")


def copy_with_status(path, copy, keep):
    """A copy in which only instances with keep(i) are done, the others as the store leaves what is not known."""
    shutil.copyfile(path, copy)
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
    copy, text = os.path.join(folder, "none.h5"), write(folder, "text.h5", "not HDF5\n")
    copy_with_status(path, copy, lambda i: False)
    broken = os.path.join(folder, "broken.h5")
    shutil.copyfile(path, broken)
    with h5py.File(path) as file, open(broken, "r+b") as bytes_of:
        bytes_of.seek(h5py.h5o.get_info(file["status"].id).addr)
        bytes_of.write(b"\xff" * 64)  # an object's header
    for file, words in ((copy, "nothing is finished yet"), (text, "not a results file"), ("/none.h5", "no such file"),
                        (broken, "broken.h5 is damaged")):
        done = plot(file)
        check_equal(done.returncode, 1, f"exit code for '{words}'")
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def grokking_rows(page):
    """Lines of the page's table of grokking steps as texts: case, instances, how many grokked and when."""
    tables = re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    table = next((one for one in tables if "<th>grokked, at" in one), "")
    rows = [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", table)]
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
                count += 1
                if results.table["status"][instance] == toysweep.DONE:
                    known = np.flatnonzero(group["test_accuracy"][row] >= 0.99)
                    first.append(float(group["step"][known[0]]) if len(known) else np.inf)
            done, grokked = len(first), int(np.isfinite(first).sum())
            when = f", at {sorted(first)[(grokked - 1) // 2]:.0f}" if grokked else ""
            rows.append([name, f"{done}" if done == count else f"{done} of {count}",
                         f"{grokked} of {done}{when}" if done else "-"])
        return rows


def test_table_figures_and_index_are_made(path, folder):
    pictures, page = draw(path, os.path.join(folder, "figures"))
    missing = set(TABLE_FIGURES) - set(pictures)
    assert not missing, f"figures that are missing: {sorted(missing)}"
    check_equal(grokking_rows(page), expected_rows(path), "table of grokking steps")


def test_table_unfinished_files_are_drawn(path, folder):
    copy, path = os.path.join(folder, "part.h5"), run_sweep(GROUPS, folder)
    for every in (2, 5):  # one group is done and the other not, or parts of both are
        count = copy_with_status(path, copy, lambda i: i % every == 0)
        pictures, page = draw(copy, os.path.join(folder, f"figures-{every}"))
        check_equal(pictures[:4], TRAINING_FIGURES, "pictures")
        assert f"{len(range(0, count, every))} of {count} instances done" in page, page[:800]
        check_equal(grokking_rows(page), expected_rows(copy), "table of grokking steps")


def draw_with(folder, **values):
    """What is drawn of GROUPS with these values in the place of measures."""
    out = run_sweep(GROUPS, folder)
    with h5py.File(out, "r+") as file:
        for case in file["cases"].values():
            for name, value in values.items():
                case[name][...] = value
    return draw(out, os.path.join(folder, "figures"))


def test_table_instances_that_never_generalise_are_shown(path, folder):
    pictures, page = draw_with(folder, test_accuracy=0.98)
    check_equal(pictures[:4], TRAINING_FIGURES, "pictures")
    for row in grokking_rows(page):
        check_equal(row[2], "0 of 3", "who grokked")


def test_phases_are_shaded_where_the_columns_say(path, folder):
    """Each boundary is the file's column, and another one where it is asked for; without a clean-up nothing is called
    circuit formation."""
    from toysweep.figures import phases
    out = run_sweep("{task: group, model: mlp, group: S3xC2, embed: 64, hidden: 64, train_fraction: 0.8, steps: 9000, "
                    "checkpoints: {log: 60}, instances: 3, lr: [0.001, 0.000001]}", folder)
    names = ("memorised_step", "circuit_formation_step", "cleanup_step", "grokked_step")
    with toysweep.Results(out) as results:
        group, _ = results.case_of(0)
        rows = np.arange(results.count)
        instances = group["instance"][...]
        for name, found in zip(names, phases.boundaries(group, rows)):
            column = results.table[name][instances]
            assert np.isnan(column).any() and np.isfinite(column).any(), (name, column)
            check_equal(str(np.where(np.isfinite(found), found, np.nan)), str(column), name)
        slow = results.table["lr"][instances] < 1e-5
        check_equal(phases.bands(group, rows[slow])[1:], [(np.inf, np.inf)] * 3, "phases of what learns nothing")
        begins = [begin for begin, _ in phases.bands(group, rows)]
        thirds = [np.sort(np.nan_to_num(results.table[name], nan=np.inf))[2] for name in
                  ("memorised_step", "cleanup_step", "grokked_step")]
        check_equal(begins[1:], thirds, "phases of all six: the third one's steps")
        assert np.isfinite(thirds[:2]).all(), thirds
        one = np.sort([*rows[slow], rows[~slow][0]])
        begins = [begin for begin, _ in phases.bands(group, one)]
        check_equal(begins[1:], [np.inf] * 3, "phases where one of four gets there")
        phases.THRESHOLDS.cleanup, phases.THRESHOLDS.memorised = 0.05, 0.5
        memorised, _, cleanup, _ = phases.boundaries(group, rows)
        phases.THRESHOLDS = phases.Thresholds()
    fine = np.isfinite(cleanup)
    assert fine.any() and (cleanup[fine] > results.table["cleanup_step"][instances][fine]).all(), cleanup
    assert (memorised[fine] < results.table["memorised_step"][instances][fine]).all(), memorised
    done = plot(out, "--cleanup", "0.1", "-o", os.path.join(folder, "set"))
    assert done.returncode == 0 and "under 0.1 of its peak" in open(os.path.join(folder, "set", "index.html")).read()
    for wrong in "0", "1.5", "half":
        done = plot(out, "--grokked", wrong)
        assert done.returncode == 2 and "--grokked" in done.stderr, done.stderr


def test_steps_are_of_those_that_get_there(path, folder):
    from toysweep.figures.phases import half_step, median_step, reached_words
    inf = np.inf
    for steps, middle, words, half in (([inf, 900], 900, "1 of 2, at 900", 900), ([inf, inf], inf, "0 of 2", inf),
                                       ([30, inf, 10, inf, inf], 10, "2 of 5, at 10", inf),
                                       ([7, 5, 6], 6, "3 of 3, at 6", 6), ([40, inf, 20, inf], 20, "2 of 4, at 20", 40)):
        steps = np.array(steps)
        check_equal((median_step(steps), reached_words(steps), half_step(steps)), (middle, words, half), steps)


def test_losses_of_the_final_keys_are_drawn(path, folder):
    """Solid lines, by the labels of their dimensions, in the figures of restricted and excluded losses."""
    from toysweep.figures.irreps import restricted_and_excluded_loss
    out = run_sweep(GROUPS, folder)
    with toysweep.Results(out) as results:
        view, = families.table.views(results, np.arange(results.count), None)
        axis = restricted_and_excluded_loss(view, None).picture.axes[0]
        drawn = [line.get_ydata() for line in axis.lines if line.get_linestyle() == "-"]
        group, row = results.case_of(0)
        for name, split in (("final_total_restricted_loss", 2), ("final_total_excluded_loss", 0)):
            wanted = group[name][row, :, split, 0]
            assert any(len(y) == len(wanted) and np.allclose(y, wanted) for y in drawn), name


def titles_of(path, figure):
    """Titles of a figure's panels."""
    with toysweep.Results(path) as results:
        view, = families.table.views(results, np.arange(results.count), None)
        picture = figure(view, None).picture
        return [axis.get_title() for axis in picture.axes if axis.get_title()]


def test_table_where_only_the_end_is_known_tells_of_no_grokking(path, folder):
    """As of networks that were trained elsewhere: they may know their table, but nobody knows since when."""
    from toysweep.figures.irreps import key_irreps_across_seeds
    out = run_sweep(GROUPS, folder)
    check_equal(titles_of(out, key_irreps_across_seeds), ["S3 (0 of 3 grokked)", "C7 (0 of 3 grokked)"], "titles")
    with h5py.File(out, "r+") as file:
        for case in file["cases"].values():
            for name in "train_accuracy", "test_accuracy":
                case[name][...] = [np.nan] * (case[name].shape[1] - 1) + [1]
    check_equal(titles_of(out, key_irreps_across_seeds), ["S3", "C7"], "titles")
    pictures, page = draw(out, os.path.join(folder, "figures"))
    assert "grokking-steps" not in pictures and "key-irreps-across-seeds" in pictures, pictures
    check_equal(grokking_rows(page), [], "table of grokking steps")


def test_table_without_test_pairs_is_drawn(path, folder):
    pictures, _ = draw_with(folder, test_accuracy=np.nan, test_loss=np.nan)
    check_equal(pictures[:3], TRAINING_FIGURES[:3], "pictures")
    assert "grokking-steps" not in pictures, pictures


def test_mixed_files_get_the_figures_of_both_families(path, folder):
    write_table(folder, "table.csv", 7, lambda a, b: (2 * a + 3 * b) % 7)
    out = run_sweep(MIXED, folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    for name in ("training-curves", "weight-geometry", "loss-curves", "accuracy-curves", "weight-norm",
                 "grokking-steps"):
        assert name in pictures, (name, pictures)
    cases = [row[0] for row in grokking_rows(page) if len(row) == 3]
    check_equal(cases[:4], [f"{group}, weight decay {decay}" for group in ("C5", "S3") for decay in ("0.5", "1")],
                "cases of groups")
    assert len(cases) == 5 and cases[4].startswith("table.csv"), cases


def folder_of_two_tables(folder):
    for place, sign in ("p", 1), ("q", -1):
        os.mkdir(os.path.join(folder, place))
        write_table(folder, f"{place}/t.csv", 5, lambda a, b: (a + sign * b) % 5)
    return folder


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


def test_cases_say_what_they_learn(path, folder):
    """By kind and label; files from before there were any are drawn all the same."""
    out = run_sweep(EVERY_TASK, folder_of_two_tables(folder))
    labels = ["binary tree of depth 2", "4 features, P(on) = 0.05", "S3", "(a^2 + b^3) mod 7", "t.csv@adb9", "t.csv@27e3"]
    with toysweep.Results(out) as results:
        check_equal(list(results.kinds), ["features"] * 2 + ["table"] * 4, "kinds")
        check_equal(list(results.labels), labels, "labels")
    pictures, page = draw(out, os.path.join(folder, "figures"))
    check_equal([row[0] for row in grokking_rows(page) if len(row) == 3], labels[2:], "cases")
    with h5py.File(out, "r+") as file:
        file.attrs.modify("format", np.int32(1))
        file.attrs.modify("version", "0.2.0")
        for group in file["cases"].values():
            del group.attrs["kind"], group.attrs["label"]
    with toysweep.Results(out) as results:
        check_equal(list(results.kinds), ["features"] * 2 + ["table"] * 4, "kinds of the version before")
        check_equal(list(results.labels[2:]), labels[2:], "labels of the version before")
    check_equal(draw(out, os.path.join(folder, "before"))[0], pictures, "figures of the version before")


def test_nothing_is_drawn_twice(path, folder):
    """Of a + b the terms a^m, b^n are a and b; a transformer has one embedding for both sides."""
    from toysweep.figures.fourier import embedding_fourier_norms
    out = run_sweep(POWERS.replace("  - {m: 1, n: 3}\n", "").replace("{m: 3, n: 1}", "{m: 1, n: [1, 11]}"), folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    check_equal([name for name in pictures if name.startswith("value-")], [], "figures in terms of a^m, b^n")
    assert "embedding-fourier-norms" in pictures and "attention-over-time" in pictures, pictures
    with toysweep.Results(out) as results:
        view, = families.table.views(results, np.arange(results.count), None)
        panels = [axis for axis in embedding_fourier_norms(view, None).picture.axes if axis.get_visible()]
        check_equal({len(axis.lines) for axis in panels}, {1}, "curves in a panel of norms")


def test_headings_and_titles_say_what_is_shown(path, folder):
    """No JSON; of a dihedral group without key frequencies no losses of these; counts that do not overlap."""
    from toysweep.figures.fourier import key_frequency_losses, neuron_frequencies
    from toysweep.figures.view import number
    check_equal(number('{"base":0.25,"branching":2}'), "base 0.25, branching 2", "a mapping")
    check_equal((number({"base": 0.25}), number([1, 0.5]), number("{x")), ("base 0.25", "1, 0.5", "{x"), "others")
    out = run_sweep("{task: group, model: mlp, group: D31, embed: 32, hidden: 128, train_fraction: 0.5, steps: 5}", folder)
    with toysweep.Results(out) as results:
        view, = families.table.views(results, np.arange(results.count), None)
        check_equal(any(cell.is_known("key_restricted_loss") for cell in view.cells), False, "key frequencies")
        title = key_frequency_losses(view, None).picture._suptitle.get_text()
        check_equal(title, "Loss without what the reflection rules out", "the title")
        with plt.rc_context(STYLE):
            picture = neuron_frequencies(view, None).picture
            lay_out(picture)
        extents = sorted(text.get_window_extent(picture.canvas.get_renderer()).extents.tolist()
                         for text in picture.axes[0].texts)
        assert len(extents) > 5 and all(a[2] < b[0] for a, b in zip(extents, extents[1:])), extents


def test_a_group_of_one_element_is_drawn(path, folder):
    out = run_sweep("{task: group, group: C1, embed: 16, hidden: 16, train_fraction: 1, steps: 5}", folder)
    pictures, _ = draw(out, os.path.join(folder, "figures"))
    assert "loss-curves" in pictures, pictures


def test_what_an_expression_adds_up(path, folder):
    from toysweep.figures.terms import terms_of
    terms = terms_of({"expression": "-a**2 + 3*b**(1 + 1)/2 - 4", "p": 11, "nonzero": False})
    half = pow(2, -1, 11)
    check_equal(terms[0][0].tolist(), [-a * a % 11 for a in range(11)], "of a")
    check_equal(terms[1][0].tolist(), [(3 * b * b * half - 4) % 11 for b in range(11)], "of b")
    check_equal(terms_of({"expression": "a/b", "p": 11, "nonzero": False}), None, "of pairs that are not there")
    check_equal(terms_of({"group": "C11"}), None, "of a group")


def test_expressions_are_drawn(path, folder):
    out = run_sweep(EXPRESSIONS, folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    assert "cannot be drawn" not in page, page
    for name in TRAINING_FIGURES + ["logit-similarity", "value-logit-similarity", "embedding-fourier-norms",
                                    "logit-hypotheses", "neurons-in-two-dimensions"]:
        assert name in pictures, (name, pictures)
    data = toysweep.load(out, curves=False)
    check_equal(sorted(set(data.pairs.values.ravel().tolist()) - {-1}), [36, 42, 49], "pairs")


def test_powers_get_their_figures(path, folder):
    out = run_sweep(POWERS, folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    for name in TRAINING_FIGURES + ["by-exponents", "attention-rows", "value-neuron-rows",
                                    "logit-similarity", "value-logit-similarity", "attention-over-time",
                                    "attention-by-pair", "neurons-in-two-dimensions", "value-neurons-in-two-dimensions",
                                    "value-neuron-clusters", "shares-of-clusters", "value-shares-of-clusters",
                                    "mean-fourier-norms", "value-mean-fourier-norms", "logit-slices", "singular-values",
                                    "embedding-fourier-norms", "value-embedding-fourier-norms-over-time",
                                    "value-logit-cosines", "value-key-frequency-losses", "value-neuron-frequencies"]:
        assert name in pictures, (name, pictures)
    for clause in "owns the neuron", "on the training pairs", "for each frequency k":
        assert clause in page and f"{clause}, in terms of" not in page, f"what is in terms of powers: {clause}"
    assert page.count(" in terms of a^m and b^n mod p") >= 10, page
    check_loaded(out)


if __name__ == "__main__":
    main(globals())
