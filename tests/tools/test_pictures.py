"""tools/plot.py: what can be asked for, what single figures show, and instances that are still in training."""

import glob
import os
import re
import signal
import subprocess
import time
from types import SimpleNamespace

from support import POWERS, TOOLS, Skipped, check_equal, main, plot, run_sweep, write

import h5py
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

import toysweep
from toysweep.figures import (cells, elements, embedding, families, feature, fourier, groups, hypotheses, irreps, page,
                              symmetry)
from toysweep.figures.chosen import Chosen, chosen
from toysweep.figures.page import STYLE, lay_out
from toysweep.figures.view import panels

S3 = """
task: group
group: S3
model: mlp
embed: 16
hidden: 32
train_fraction: 1
steps: 300
checkpoints: {every: 100}
save: checkpoints
instances: 2
"""


def drawn(out):
    return [name[3:] for name in sorted(os.listdir(out)) if name != "index.html"]


def choose(**what):
    for name, value in {**vars(Chosen()), **what}.items():
        setattr(chosen, name, value)


def view_of(results):
    view, = families.table.views(results, np.arange(results.count), None)
    return view


# --- What is asked for ---------------------------------------------------------------------------------------------

def test_irreps_learned_by_one_checkpoint_share_a_place(path, folder):
    nan = np.nan
    steps = np.array([[100, 100, 300, nan, 100], [200, 100, 300, 400, 100]], dtype=float)
    order = np.array([[1, 2, 3, nan, nan], [2, 1, 3, 4, nan]])  # the last is not a key irrep
    assert np.array_equal(irreps.shared_places(steps, order), [[1, 1, 3, nan, nan], [2, 1, 3, 4, nan]], equal_nan=True)


def test_steps_are_linear_where_checkpoints_are_at_equal_distances(path, folder):
    for steps, even in (([0, 500, 1000], True), ([0, 500, 1000, 1200], True), ([0, 1, 2, 4, 8], False), ([0, 10], True),
                        ([0, 500, 1000, 1900], False)):
        check_equal(bool(cells.is_even(np.array(steps))), even, f"{steps} are at equal distances")
    logs, even = np.array([0, 1, 10, 100, 1000]), np.arange(0, 1001, 250)
    for axis, steps, scale in (("auto", [even, even], "linear"), ("auto", [even, logs], "symlog"),
                               ("linear", [logs, logs], "linear"), ("log", [even, even], "symlog")):
        choose(axis=axis)
        picture, axes = panels(1, 2, 3, 3, sharex=True)
        for one, values in zip(axes[0], steps):
            one.plot(values, values)
        cells.step_scale(axes[0][0])
        check_equal(axes[0][1].get_xscale(), scale, f"scale with --axis {axis}")
        plt.close(picture)
    choose()


def test_every_figure_says_what_it_shows(path, folder):
    """--help lists them."""
    done = plot("--help")
    for make in families.figures_of(families.table) + families.figures_of(families.feature):
        assert families.about(make), f"{make.__name__} does not say"
        assert f"  {families.name_of(make)}\n      {families.about(make)}\n" in done.stdout + "\n", make.__name__


def test_table_only_what_is_asked_for_is_drawn(path, folder):
    out = os.path.join(folder, "figures")
    done = plot(path, "-o", out, "--figures", "loss-curves,accuracy-*", "--format", "svg", "--instance", "1,3")
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr")
    check_equal(drawn(out), ["loss-curves.svg", "accuracy-curves.svg"], "figures")
    with open(os.path.join(out, "index.html"), encoding="utf-8") as page:
        assert 'src="01-loss-curves.svg"' in page.read()
    done = plot(path, "-o", out + "2", "--figures", "weight-norm", "--format", "pdf")
    check_equal((done.returncode, drawn(out + "2")), (0, ["weight-norm.pdf"]), "a figure as PDF")


def test_table_what_the_file_does_not_have_is_refused(path, folder):
    for options, words in ((["--figures", "los-curves"], "did you mean loss-curves"),
                           (["--instance", "99"], "no instance 99"),
                           (["--step", "7777"], "no checkpoint at it"), (["--irrep", "freq_99"], "has no irrep freq_99"),
                           (["--frequency", "98"], "has no irrep freq_98"), (["--neuron", "x"], "whole numbers"),
                           (["--neuron", "0,9999"], "--neuron 9999: there is none; the largest network has "),
                           (["--output-c", "2,9999"], "--output-c 9999: there is none; the largest network has ")):
        done = plot(path, "-o", os.path.join(folder, "figures"), *options)
        assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not os.path.exists(os.path.join(folder, "figures")), f"something was drawn with {options}"


def reasons_of(done):
    """{figure: why it is not drawn}."""
    return dict(re.findall(r"^plot.py: ([a-z-]+) is not drawn: (.+)$", done.stderr, re.MULTILINE))


def test_what_is_asked_for_by_name_and_not_drawn_is_named(path, folder):
    out = os.path.join(folder, "figures")
    done = plot(path, "-o", out, "--figures", "loss-heatmap,phase-diagram,loss-curves,*-exponents,loss-heatmap")
    check_equal((done.returncode, drawn(out)), (0, ["loss-heatmap.png"]), "exit code and figures")
    found = reasons_of(done)
    check_equal(list(found), ["phase-diagram", "loss-curves"], "those that are named, not those of a pattern")
    assert "loss-heatmap shows what there is" in found["phase-diagram"], found
    check_equal(found["loss-curves"], "it is of tables, and the file has none", "reason")
    file = run_sweep(S3.replace("save: checkpoints", "save: final") + "grid: {weight_decay: [0, 1]}\n", folder)
    for figure, options, words in (("phase-diagram", [], "two keys that the sweep varies, beside seeds, and it varies "
                                                         "weight_decay alone"),
                                   ("logit-slices", ["--step", "100"], "no finished instance has weights of step 100"),
                                   ("attention-over-time", [], "no finished instance has attention"),
                                   ("weight-geometry", [], "it is of feature tasks, and the file has none")):
        done = plot(file, "-o", os.path.join(folder, figure), "--figures", figure, *options)
        assert done.returncode == 1 and words in reasons_of(done)[figure], (done.returncode, done.stderr)
        assert "there are no figures for its data by those names" in done.stderr, done.stderr


def test_weights_and_measures_are_those_of_the_chosen_step(path, folder):
    out = run_sweep(S3, folder)
    with toysweep.Results(out) as results:
        for step in None, 100:
            choose(step=step)
            sample = view_of(results).cells[0].sample(1)
            k = 3 if step is None else 1
            check_equal(sample.place(), k, f"checkpoint of step {step}")
            check_equal(sample.last("train_loss"), sample.group["train_loss"][1, k], "loss there")
            assert np.array_equal(sample.network().weights["W_x"], sample.group["weights/W_x"][1, k]), step
    choose()


def test_irreps_that_are_asked_for_are_the_coloured_ones(path, folder):
    names = [f"freq_{k}" for k in range(30)]
    check_equal(list(cells.coloured(names, np.array([4, 2]))), [4, 2], "key irreps of many")
    check_equal(list(cells.coloured(names[:12], np.array([4, 2]))), list(range(12)), "all of a dozen")
    choose(irreps=("freq_7",))
    check_equal(list(cells.coloured(names, np.array([4, 2]))), [7], "what was asked for")
    choose()


def test_the_basis_of_powers_is_named(path, folder):
    """Of what is there in two bases each title says which."""
    out = os.path.join(folder, "figures")
    done = plot(run_sweep(POWERS, folder), "-o", out, "--format", "svg", "--figures",
                "*logit-similarity,*attention-rows,loss-curves,*principal*,*fourier-basis")
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr")
    with open(os.path.join(out, "index.html"), encoding="utf-8") as page:
        captions = [line for line in page.read().splitlines() if "<figcaption>" in line]
    check_equal(len(captions), 9, "figures")
    for name, caption in zip(drawn(out), captions):
        two = not name.startswith("loss-curves")
        words = "in terms of a^m and b^n mod p" if name.startswith("value-") else "in terms of a and b"
        assert not two or f" All of it is {words}." in caption, (name, caption)


def test_exponents_are_compared_by_relation_and_gcd(path, folder):
    from toysweep.figures.power import by_relation
    sweep = POWERS[:POWERS.index("cases:")].replace("steps: 300", "steps: 3") + "grid: {m: [1, 2, 3], n: [1, 2, 3]}\n"
    with toysweep.Results(run_sweep(sweep, folder)) as results:
        axes = by_relation(view_of(results), None).picture.axes
        names = [[label.get_text() for label in axis.get_xticklabels()] for axis in axes[:2]]
        check_equal(names, [["m = n", "one divides\nthe other", "neither"], ["1, 1", "1, 2", "2, 2"]], "groups")
        dots = [sum(len(line.get_xdata()) for line in axis.lines if line.get_marker() == "o") for axis in axes[:2]]
        check_equal(dots, [results.count] * 2, "instances that are drawn")


# --- Groups --------------------------------------------------------------------------------------------------------

def irreps_of(name):
    group = symmetry.make_group(name, None, None)
    found = symmetry.irreps_of_table(group.table.tobytes(), len(group.table))
    return group, [symmetry.Irrep(str(i), *irrep) for i, irrep in enumerate(found)]


def test_matrices_are_representations(path, folder):
    for name in "S4", "A5", "D10", "C7", "S3xC2", "Q8", "C7:C3", "SL(2,3)":
        group, irreps = irreps_of(name)
        for irrep in irreps:
            twice = 1 + (irrep.space.shape[1] > np.round(irrep.character.max()))  # of quaternionic ones
            matrices = irrep.matrices(group.table)
            products = np.einsum("gij,hjk->ghik", matrices, matrices)
            assert np.abs(products - matrices[group.table]).max() < 1e-8, (name, irrep.name)
            assert np.abs(np.trace(matrices, axis1=1, axis2=2) - twice * irrep.character).max() < 1e-8, (name, irrep.name)


def test_only_irreps_of_real_type_have_independent_entries(path, folder):
    names = [irrep.name for name in ("Q8", "C7:C3", "SL(2,3)") for irrep in irreps_of(name)[1] if irrep.is_real()]
    check_equal(names, ["0", "1", "2", "3", "0", "0", "4"], "irreps of real type of Q8, C7:C3 and SL(2,3)")


def test_elements_are_shown_in_blocks(path, folder):
    group, irreps = irreps_of("S4")
    blocks = {"parity": [(0, "even"), (12, "odd")], "coset": [(6 * i, f"3 to {i}") for i in range(4)],
              "class": [(0, "1 1 1 1"), (1, "2 2"), (4, "2 1 1"), (10, "3 1"), (18, "4")], "table": []}
    for order in symmetry.ORDERS:
        choose(order=order)
        found = elements.order_of(group, "S4", irreps)
        check_equal(sorted(found.elements.tolist()), list(range(24)), "elements")
        check_equal(found.blocks, blocks["parity" if order == "auto" else order], f"blocks by {order}")
    choose()
    parity = [sum(a > b for i, a in enumerate(p) for b in p[i + 1:]) % 2 for p in group.permutations.tolist()]
    check_equal([parity[g] for g in elements.order_of(group, "S4", irreps).elements], [0] * 12 + [1] * 12, "parities")
    check_equal(elements.order_of(*irreps_of("D5")[:1], "D5", irreps_of("D5")[1]).blocks,
                [(0, "rotations"), (5, "reflections")], "blocks of D5")
    check_equal(elements.order_of(*irreps_of("Dic3")[:1], "Dic3", irreps_of("Dic3")[1]).blocks,
                [(0, "$x^r$"), (6, "$x^r y$")], "blocks of Dic3")
    classes = elements.order_of(*irreps_of("SL(2,3)")[:1], "SL(2,3)", irreps_of("SL(2,3)")[1]).blocks
    check_equal([words for _, words in classes], [f"order {k}" for k in (1, 2, 3, 3, 4, 6, 6)], "blocks of SL(2,3)")


def test_directions_that_are_zero_are_not_drawn(path, folder):
    """rho(a) w and w' rho(b) with w and w' of a plane each are two columns and two rows: eight entries of nine."""
    group, _ = irreps_of("S4")
    matrices = symmetry.standard_matrices(group.permutations)
    random = np.random.default_rng(0)
    left = np.einsum("gij,jk->gik", matrices, random.standard_normal((3, 2))).reshape(24, -1)
    right = np.einsum("ki,gij->gkj", random.standard_normal((2, 3)), matrices).reshape(24, -1)
    columns = np.concatenate([left, right], axis=1)
    u, values, _ = np.linalg.svd(columns, full_matrices=False)
    rank = int((values > groups.LEAST * values[0]).sum())
    check_equal(rank, 8, "rank")
    one = groups.Matrices(None, 12, matrices, u[:, :rank])
    assert one.cosine > 1 - 1e-9 and np.abs(one.found - one.matrices).max() < 1e-9, one.cosine
    assert np.abs(np.sort(one.held.ravel()) - ([0] + [1] * 8)).max() < 1e-9, one.held
    assert np.abs(one.found[:, one.held < 0.5]).max() < 1e-9


def test_hypotheses_are_the_fit_of_the_logits(path, folder):
    """On all pairs and outputs, the parts of the key irreps are the fit whose share of the variance the file has."""
    out = run_sweep(S3, folder)
    with toysweep.Results(out) as results:
        view = view_of(results)
        sample = view.cells[0].sample(0)
        network, logits, fit = sample.network(), [], []
        for c in range(6):
            choose(outputs=(c,), irreps=tuple(sample.names("irrep")))
            _, output, true, parts = hypotheses.slices_of(sample, network)
            check_equal(output, c, "output")
            logits.append(true)
            keys = [name for name, key in zip(sample.names("irrep"), sample.get("key_irrep")) if key > 0]
            fit.append(sum(values for name, values in parts if name in keys))
        choose()
        every = np.arange(6)
        true = network.logits(every[:, None], every)
        true -= true.mean(axis=-1, keepdims=True)
        assert np.abs(np.moveaxis(np.array(logits), 0, -1) - true).max() < 1e-9
        assert len(keys) <= hypotheses.MOST_KEYS, keys
        explained = 1 - ((np.array(logits) - fit) ** 2).sum() / (np.array(logits) ** 2).sum()
        assert explained > float(sample.last("fit_explained")) - 0.02, (explained, sample.last("fit_explained"))


def test_one_embedding_has_one_name(path, folder):
    from toysweep.figures.fourier import embedding_fourier_norms_over_time
    with toysweep.Results(run_sweep(POWERS, folder)) as results:
        title = embedding_fourier_norms_over_time(view_of(results), None).picture._suptitle.get_text()
        check_equal(title, "Fourier norms of the embedding over time", "title")


def test_labels_are_within_their_pictures(path, folder):
    """Also where legends make panels smaller while they are laid out, so that ticks change and get longer."""
    with plt.rc_context(STYLE):
        for top in 0.08, 0.13, 0.15:
            picture, axes = panels(6, 2, 4.1, 2.0, sharex=True, sharey="row")
            for axis in axes[:, 0]:
                axis.plot([0, 3000], [0, top])
                axis.set_ylim(0, top)
                axis.set_ylabel("hidden: of a")
            axes[-1][0].set_xlabel("training step")
            cells.legend_beside(axes, [Line2D([], [], label=f"freq_{k}") for k in range(16)])
            lay_out(picture)
            picture.canvas.draw()
            for axis in axes[:, 0]:
                box = axis.yaxis.label.get_window_extent()
                assert box.x0 >= 0, (top, box)
            plt.close(picture)


def test_legends_are_whole_and_leave_panels_their_size(path, folder):
    """In one piece beside however many rows of panels."""
    with plt.rc_context(STYLE):
        for rows, columns, count in ((1, 1, 6), (1, 2, 17), (1, 3, 17), (1, 3, 40), (2, 2, 17), (3, 1, 30), (6, 2, 16)):
            picture, axes = panels(rows, columns, 3.4, 2.8, sharex=True)
            axes[0][0].set_title("a title\non two lines")
            picture.suptitle("of all panels")
            cells.legend_beside(axes, [Line2D([], [], label=f"freq_{k}") for k in range(count)])
            lay_out(picture)
            legend, = (one for one in picture.findobj(Legend) if one.get_texts())
            box, places = legend.get_window_extent(), [axis.get_window_extent() for axis in axes.flat]
            what = (rows, columns, count)
            names = [text.get_text() for text in legend.get_texts()]
            check_equal(names, [f"freq_{k}" for k in range(count)], "entries")
            assert box.y0 >= 0 and box.x1 <= picture.bbox.x1 and box.y1 <= picture.bbox.y1, (what, box)
            assert box.x0 >= max(place.x1 for place in places), (what, box)
            for place in places:
                assert place.width > 0.8 * 3.4 * picture.dpi and place.height > 1.8 * picture.dpi, (what, place)
            plt.close(picture)


def test_legends_make_a_picture_taller_where_its_titles_leave_too_little(path, folder):
    with plt.rc_context(STYLE):
        picture, axes = panels(1, 1, 3.4, 2.8)
        axes[0][0].set_title("\n".join("a title of many lines".split()), fontsize=16)
        cells.legend_beside(axes, [Line2D([], [], label=f"freq_{k}") for k in range(10)])
        lay_out(picture)
        assert picture.get_size_inches()[1] > 3, picture.get_size_inches()
        assert axes[0][0].artists[0].get_window_extent().y0 >= 0
        plt.close(picture)


def test_labels_of_rows_are_no_longer_than_their_panels(path, folder):
    words = "(a^2 + b^2) mod 23, learning rate 0.001, seed 1"
    with plt.rc_context(STYLE):
        picture, axes = panels(2, 2, 2.6, 2.4)
        for axis in axes[:, 0]:
            axis.set_ylabel(f"{words}\n\na")
        lay_out(picture)
        first, second = (axis.yaxis.label.get_window_extent() for axis in axes[:, 0])
        assert first.y0 > second.y1 and second.y0 >= 0 and first.y1 <= picture.bbox.y1, (first, second)
        check_equal(axes[0][0].get_ylabel().replace(",\n", ", "), f"{words}\n\na", "the label, broken after commas")
        plt.close(picture)


def test_ticks_are_dropped_regularly(path, folder):
    for p in 11, 17, 23, 24, 31, 97, 113:
        shown = embedding.rows_to_name(embedding.names_of(p))
        assert len(shown) <= 16 and len(set(np.diff(shown))) == 1, (p, shown)
        picture, axes = panels(1, 1, 3, 3)
        fourier.name_components(axes[0][0], p)
        for ticks in axes[0][0].get_xticks(), axes[0][0].get_yticks():
            assert len(ticks) <= 6 and len(set(np.diff(ticks))) == 1, (p, ticks)
        plt.close(picture)


def test_losses_below_the_scale_are_marked(path, folder):
    """And the legend says what marks and the dotted line are."""
    with toysweep.Results(path) as results:
        options = SimpleNamespace(threshold=1e-5)
        view = feature.views(results, np.arange(results.count), None)[0]
        axes = feature.loss_by_width(view, options).picture.axes[0]
        least = view.grid(np.min)
        assert (least < 1e-9).any() and (least >= 1e-9).any(), least
        triangles = [line for line in axes.lines if line.get_marker() == "v"]
        check_equal(sum(len(line.get_xdata()) for line in triangles), sum((view.grid(reduce) < 1e-9).sum()
                                                                         for reduce in (np.min, np.mean)), "triangles")
        marked = [line.get_ydata()[line.get_markevery()] for line in axes.lines if line.get_marker() in ("o", "s")]
        assert (np.concatenate(marked) >= 1e-9).all(), marked
        names = [text.get_text() for text in axes.artists[0].get_texts()]
        check_equal(names[-4:], ["mean", "best instance", "below 1e-9", "threshold 1e-5"], "entries of the legend")
        plt.close(axes.figure)


def test_the_end_alone_can_be_seen(path, folder):
    """Of weights that were trained elsewhere: as points, and without phases."""
    out = run_sweep(S3, folder)
    with h5py.File(out, "r+") as file:
        for case in file["cases"].values():
            for name in "train_loss", "test_loss", "train_accuracy", "test_accuracy":
                case[name][:, :-1] = np.nan
    from toysweep.figures.curves import loss_curves
    with toysweep.Results(out) as results, plt.rc_context(STYLE):
        picture = loss_curves(view_of(results), None).picture
        lay_out(picture)
        lines, spans = picture.axes[0].lines, picture.axes[0].patches
        check_equal({line.get_marker() for line in lines}, {"o"}, "markers of curves")
        check_equal(len(spans), 0, "phases")


# --- In training ---------------------------------------------------------------------------------------------------

ENDLESS = S3.replace("steps: 300", "steps: 1000000000").replace("{every: 100}", "{log: 12}").replace(
    "save: checkpoints", "save: final")


def start_and_stop(folder):
    """A results file whose run was stopped while it trained, and saved states."""
    if not os.environ.get("TOYSWEEP"):
        raise Skipped("$TOYSWEEP does not say where the program is")
    out = os.path.join(folder, "endless.h5")
    run = subprocess.Popen([os.environ["TOYSWEEP"], "run", write(folder, "endless.yaml", ENDLESS), "-o", out,
                            "--checkpoint-interval", "0.2s"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not glob.glob(glob.escape(out) + ".state/*.bin"):
            assert run.poll() is None, "the run has ended"
            time.sleep(0.05)
    finally:
        run.send_signal(signal.SIGTERM)
        check_equal(run.wait(timeout=600), 75, "exit code of the run")
    return out


def test_instances_in_training_are_shown_so_far(path, folder):
    """With --live, or of the file that `status -o` makes."""
    out, figures = start_and_stop(folder), os.path.join(folder, "figures")
    done = plot(out, "-o", figures)
    assert done.returncode == 1 and "nothing is finished yet" in done.stderr and "--live" in done.stderr, done.stderr
    done = plot(out, "-o", figures, "--live", "--figures", "loss-curves,logit-similarity,logit-slices")
    check_equal(done.returncode, 0, "exit code")
    assert "logit-slices is not drawn: no " in done.stderr and done.stderr.count("\n") == 1, done.stderr
    check_equal(drawn(figures), ["loss-curves.png", "logit-similarity.png"], "figures: there are no weights yet")
    assert "0 of 2 instances done, " in done.stdout and "in training and shown up to" in done.stdout, done.stdout
    now = os.path.join(folder, "now.h5")
    subprocess.run([os.environ["TOYSWEEP"], "status", out, "-o", now], check=True, stdout=subprocess.DEVNULL)
    with h5py.File(now) as file:
        group = file["cases/all"]
        for i in np.flatnonzero(file["steps_done"][:]):
            seen = np.isfinite(group["train_loss"][i])
            assert seen.any() and not seen.all() and file["status"][i] == 0 and file["checksum"][i] == 0
            assert (group["step"][seen] <= file["steps_done"][i]).all()
    done = plot(now, "-o", figures + "2", "--figures", "loss-curves")
    check_equal((done.returncode, drawn(figures + "2")), (0, ["loss-curves.png"]), "the figure of such a file")


def test_the_page_of_notebooks_names_what_there_is(path, folder):
    """Every dataset, figure and key in docs/notebooks.md."""
    if not os.environ.get("TOYSWEEP"):
        raise Skipped("$TOYSWEEP does not say where the program is")
    with open(os.path.join(os.path.dirname(TOOLS), "docs", "notebooks.md"), encoding="utf-8") as page:
        named = set(re.findall(r"(?<![\w-])`([a-z][a-z0-9_-]*[a-z0-9])`", page.read()))
    known = {families.name_of(make) for family in families.KINDS.values() for make in families.figures_of(family)}
    for topic in "measures", "keys":
        printed = subprocess.run([os.environ["TOYSWEEP"], "help", topic], capture_output=True, text=True, check=True)
        known |= set(re.findall(r"^ +([a-z][a-z0-9_]*)\b", printed.stdout, re.MULTILINE))
    known |= {prefix + name for name in known for prefix in ("value_", "value-")}
    known |= {"stacked_loss", "step", "independent", "group_of", "irreps_of"}
    check_equal(sorted(named - known), [], "names that there are not")


def test_without_processes_this_one_draws(path, folder):
    """As in a container without /dev/shm."""
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    studio = page.Studio([None] * 3, None, folder)
    studio.processes, studio.one = 2, lambda number: number
    usual, page.ProcessPoolExecutor = page.ProcessPoolExecutor, refuse
    try:
        check_equal(list(studio.results()), [0, 1, 2], "drawn")
    finally:
        page.ProcessPoolExecutor = usual


if __name__ == "__main__":
    main(globals())
