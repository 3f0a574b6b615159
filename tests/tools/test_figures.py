"""tools/plot.py on results files: which figures there are, of finished files and others, and what the page says."""

import os
import re
import shutil

from support import (MIXED, POWERS, check_equal, check_loaded, draw, main, plot, python, run_sweep, said, write,
                     write_table)

import h5py
import numpy as np

import toysweep
from figures import feature

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
  features: [6, 14]
  hidden: [2, 4]
"""


def test_losses_that_only_some_cases_have_are_drawn(path, folder):
    """The exact loss is known of 6 features, not of 14; so is its curve."""
    out = run_sweep(INDEPENDENT, folder)
    for loss in [], ["--loss", "exact_loss"], ["--loss", "final_loss"], ["--loss", "train_loss"]:
        figures = os.path.join(folder, "-".join(["figures", *loss]))
        done = plot(out, "-o", figures, *loss)
        check_equal((done.returncode, done.stderr), (0, ""), f"exit code and stderr with {loss}")
        names = [name[3:-4] for name in sorted(os.listdir(figures)) if name.endswith(".png")]
        assert "training-curves" in names and "weight-geometry" in names, (loss, names)
    with toysweep.Results(out) as results:
        view, = feature.views(results, np.arange(results.count), None)
        check_equal((view.loss, feature.curves_of(view)[0]), ("final_loss", "train_loss"), "losses of all that are drawn")
    os.mkdir(os.path.join(folder, "alone"))
    done = plot(run_sweep(INDEPENDENT.replace("[6, 14]", "14"), os.path.join(folder, "alone")), "--loss", "exact_loss")
    assert done.returncode == 1 and "Error" not in done.stderr and ("has no exact_loss" in done.stderr or
        "no finished instance has the expected loss" in done.stderr), done.stderr


# plot.py where figures fail: sys.argv[1] names them.
FAILING = """
import sys
import plot
names = sys.argv.pop(1).split(",")
def failing(view, options):
    plot.plt.subplots()
    raise TypeError("two\\nlines")
for family in plot.KINDS.values():
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
    import plot as program
    for words in 2, 8, 40:
        picture, _ = program.plt.subplots(figsize=(4, 3), constrained_layout=True)
        title = picture.suptitle(" ".join(["representation"] * words))
        program.lay_out(picture)
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
        assert row[2] == "0" and row[3].startswith("&gt; "), row


def titles_of(path, figure):
    """Titles of a figure's panels."""
    import plot as program
    with toysweep.Results(path) as results:
        view, = program.table.views(results, np.arange(results.count), None)
        picture = figure(view, None).picture
        return [axis.get_title() for axis in picture.axes if axis.get_title()]


def test_table_where_only_the_end_is_known_tells_of_no_grokking(path, folder):
    """As of networks that were trained elsewhere: they may know their table, but nobody knows since when."""
    from figures.irreps import key_irreps_across_seeds
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
    cases = [row[0] for row in grokking_rows(page) if len(row) == 4]
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


def test_nothing_is_drawn_twice(path, folder):
    """Of a + b the terms a^m, b^n are a and b; a transformer has one embedding for both sides."""
    import plot as program
    from figures.fourier import embedding_fourier_norms
    out = run_sweep(POWERS.replace("  - {m: 1, n: 3}\n", "").replace("{m: 3, n: 1}", "{m: 1, n: [1, 11]}"), folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    check_equal([name for name in pictures if name.startswith("value-")], [], "figures in terms of a^m, b^n")
    assert "embedding-fourier-norms" in pictures and "attention-over-time" in pictures, pictures
    with toysweep.Results(out) as results:
        view, = program.table.views(results, np.arange(results.count), None)
        panels = [axis for axis in embedding_fourier_norms(view, None).picture.axes if axis.get_visible()]
        check_equal({len(axis.lines) for axis in panels}, {1}, "curves in a panel of norms")


def test_headings_and_titles_say_what_is_shown(path, folder):
    """No JSON; of a dihedral group without key frequencies no losses of these; counts that do not overlap."""
    from figures.fourier import key_frequency_losses, neuron_frequencies
    from figures.view import number
    check_equal(number('{"base":0.25,"branching":2}'), "base 0.25, branching 2", "a mapping")
    check_equal((number({"base": 0.25}), number([1, 0.5]), number("{x")), ("base 0.25", "1, 0.5", "{x"), "others")
    out = run_sweep("{task: group, model: mlp, group: D31, embed: 32, hidden: 128, train_fraction: 0.5, steps: 5}", folder)
    with toysweep.Results(out) as results:
        import plot as program
        view, = program.table.views(results, np.arange(results.count), None)
        check_equal(any(cell.is_known("key_restricted_loss") for cell in view.cells), False, "key frequencies")
        title = key_frequency_losses(view, None).picture._suptitle.get_text()
        check_equal(title, "Loss without what the reflection rules out", "the title")
        with program.plt.rc_context(program.STYLE):
            picture = neuron_frequencies(view, None).picture
            program.lay_out(picture)
        extents = sorted(text.get_window_extent(picture.canvas.get_renderer()).extents.tolist()
                         for text in picture.axes[0].texts)
        assert len(extents) > 5 and all(a[2] < b[0] for a, b in zip(extents, extents[1:])), extents


def test_a_group_of_one_element_is_drawn(path, folder):
    out = run_sweep("{task: group, group: C1, embed: 16, hidden: 16, train_fraction: 1, steps: 5}", folder)
    pictures, _ = draw(out, os.path.join(folder, "figures"))
    assert "loss-curves" in pictures, pictures


def test_powers_get_their_figures(path, folder):
    out = run_sweep(POWERS, folder)
    pictures, page = draw(out, os.path.join(folder, "figures"))
    for name in TRAINING_FIGURES + ["by-exponents", "logit-similarity", "value-logit-similarity", "attention-over-time",
                                    "attention-by-pair", "neurons-in-two-dimensions", "value-neurons-in-two-dimensions",
                                    "value-neuron-clusters", "logit-slices", "singular-values",
                                    "embedding-fourier-norms", "value-embedding-fourier-norms-over-time",
                                    "value-logit-cosines", "value-key-frequency-losses", "value-neuron-frequencies"]:
        assert name in pictures, (name, pictures)
    for clause in "owns the neuron", "on the training pairs", "for each frequency k":
        assert clause in page and f"{clause}, in terms of" not in page, f"what is in terms of powers: {clause}"
    assert page.count(" in terms of a^m and b^n mod p") >= 10, page
    check_loaded(out)


if __name__ == "__main__":
    main(globals())
