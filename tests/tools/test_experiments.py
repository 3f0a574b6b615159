"""Figures of published experiments: phase diagrams over any two keys, clock and pizza, cosets and interventions,
concentration, losses and neurons over the width, steps over the train fraction. What is drawn is what the file has."""

import argparse
import os

from support import check_equal, main, plot, run_sweep, write

import h5py
import matplotlib.pyplot as plt
import numpy as np

import toysweep
from toysweep.figures import cosets, curves, diagrams, families, pizza, published, scaling, swept
from toysweep.figures.chosen import Chosen, check_axes, chosen
from toysweep.figures.page import STYLE, lay_out

OPTIONS = argparse.Namespace(threshold=1e-5)

# Over two keys and a third one; where lr is 1e30 instances are lost, and easy ones stop early.
DIAGRAM = """
task: group
model: mlp
group: C5
embed: 16
hidden: 16
steps: 200
checkpoints: {every: 20}
delay: 60
keys: none
save: none
stop: {test_loss: 0.5}
instances: 2
grid:
  lr: [0.001, 0.01, 1.0e+30]
  weight_decay: [0, 1]
  train_fraction: [0.5, 0.8]
"""


def choose(**what):
    for name, value in {**vars(Chosen()), **what}.items():
        setattr(chosen, name, value)


def view_of(results):
    """Of tables the view, of features that of the whole sweep; with nothing asked for."""
    choose()
    rows = np.arange(results.count)
    if results.kinds[0] == "features":
        return families.feature.whole(results, rows, None)
    return families.table.views(results, rows, None)[0]


def panels_of(figure):
    return {axis.get_title(): axis for axis in figure.picture.axes if axis.get_visible() and axis.get_title()}


def colours_of(axis):
    return np.ma.filled(axis.images[0].get_array().astype(float), np.nan)


def cells(figure):
    """Rows of cells of an HTML table, without its head."""
    rows = [row.split("</td>")[:-1] for row in figure.table.split("<tr>")[2:]]
    return [[cell.split("<td>")[-1] for cell in row] for row in rows]


# --- Phase diagrams ------------------------------------------------------------------------------------------------

def test_a_phase_diagram_is_of_any_two_keys(path, folder):
    """Phases are the most frequent ones, steps lower medians of those that get there, losses medians; over the third
    key panels, or medians that the caption names; instances that are lost or stop early are marked."""
    out = run_sweep(DIAGRAM, folder, code=3)
    with toysweep.Results(out) as results:
        view, table = view_of(results), results.table
        is_done = table["status"] == toysweep.DONE
        check_equal(np.unique(table["lr"][table["status"] == toysweep.FAILED]).tolist(), [1e30], "lost instances")
        choose(axes=("lr", "weight_decay"), panels=(), quantities=("phase", "memorised_step", "test_loss"))
        figure = diagrams.phase_diagram(view, OPTIONS)
        assert "and all values of train fraction" in figure.caption and "crosses" in figure.caption, figure.caption
        found = panels_of(figure)
        check_equal(list(found), ["phase", "memorised step", "final test loss (nat)"], "panels")
        for i, decay in enumerate((0, 1)):
            for j, lr in enumerate((0.001, 0.01)):
                own = is_done & (table["lr"] == lr) & (table["weight_decay"] == decay)
                check_equal(int(own.sum()), 4, "instances of a cell")
                phases, counts = np.unique(table["phase"][own], return_counts=True)
                check_equal(colours_of(found["phase"])[i, j], phases[counts.argmax()], "phase")
                check_equal(colours_of(found["final test loss (nat)"])[i, j], np.median(table["test_loss"][own]),
                            "loss")
                steps = np.sort(table["memorised_step"][own])
                steps = steps[np.isfinite(steps)]
                expected = steps[(len(steps) - 1) // 2] if len(steps) else np.nan
                check_equal(str(colours_of(found["memorised step"])[i, j]), str(float(expected)), "step")
        crosses = [line for line in found["phase"].lines if line.get_marker() == "x"]
        assert len(crosses) == 1 and (np.round(crosses[0].get_xdata()) == 2).all(), "crosses at the largest rate alone"
        assert np.isnan(colours_of(found["phase"])[crosses[0].get_ydata().round().astype(int), 2]).all()
        stopped = diagrams.stopped_early(results)
        check_equal((stopped & ~is_done).any(), np.False_, "lost ones did not stop")
        check_equal(stopped[is_done].tolist(), (table["steps_done"][is_done] < 200).tolist(), "stopped early")
        choose(axes=("lr", "train_fraction"))
        labels = [axis.get_ylabel() for axis in diagrams.phase_diagram(view, OPTIONS).picture.axes]
        check_equal([label.split("\n")[0] for label in labels if "train" in label],
                    ["weight decay 0", "weight decay 1"], "rows of panels")
        choose()


def test_keys_of_a_diagram_are_checked(path, folder):
    out = run_sweep(DIAGRAM.replace("1.0e+30", "0.02").replace("steps: 200", "steps: 2"), folder)
    with toysweep.Results(out) as results:
        for option, value, words in (("axes", ("lr",), "two different keys"), ("axes", ("lr", "seeds"), "does not vary"),
                                     ("axes", ("lr",), "there are " + ", ".join(results.varying)),
                                     ("quantity", ("phases",), "no such column"), ("panels", ("p",), "does not vary")):
            try:
                choose(command="plot.py", **{{"quantity": "quantities"}.get(option, option): value})
                check_axes(results)
                raise AssertionError(f"--{option} {value} is taken")
            except toysweep.ResultsError as refusal:
                assert f"--{option} " in str(refusal) and words in str(refusal), refusal
        choose()
        drawn = [toysweep.figures.phase_diagram(results, axes=axes, panels=[]) for axes in ("lr, seed", ("lr", "seed"))]
        check_equal([[panel.get_xlabel() for panel in panels] for panels in drawn],
                    [["learning rate"] * len(drawn[0])] * 2, "x axes of keys as a text and as two")
        plt.close("all")
    done = plot(out, "--published", "none.csv")
    assert done.returncode == 1 and "--published none.csv" in done.stderr and "Traceback" not in done.stderr, done.stderr
    done = plot(out, "-o", os.path.join(folder, "out"), "--figures", "phase-diagram", "--axes", "lr,seed", "--panels",
                "none", "--quantity", "train_accuracy")
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr")


def test_values_stand_in_order_and_are_written_short(path, folder):
    check_equal(swept.differing(['{"base":0.5}', '{"base":0.1}']), ("base", [0.5, 0.1]), "mappings")
    check_equal(swept.differing(['{"base":0.5}', "1"]), None, "a mapping and a number")
    step = diagrams.Quantity("", np.array([np.nan, 300, 100]), "step")
    check_equal((step.of(step.values), step.share(step.values, 100)), (100, "2 of 3"), "of steps")
    phase = diagrams.Quantity("", np.array([1, 2, 2, np.nan]), "category", diagrams.PHASES)
    check_equal((phase.of(phase.values), phase.share(phase.values, 2)), (2, "2 of 4"), "of phases")


# --- Features ------------------------------------------------------------------------------------------------------

FEATURES = """
task: independent
steps: 60
batch: 64
instances: 2
cases:
  - {features: 2, hidden: 1}
  - {features: 5, hidden: 2}
grid:
  importance: [{base: 2}, {base: 0.5}, {base: 1}]
  feature_probability: [1, 0.1]
"""


def test_what_becomes_of_features_is_that_of_the_best_instances(path, folder):
    """Importance is in order of its base; keys that advance together are named together, and no axes of a view."""
    with toysweep.Results(run_sweep(FEATURES, folder)) as results:
        view, table = view_of(results), results.table
        figure = diagrams.phase_diagram(view, OPTIONS)
        axes = [axis for axis in figure.picture.axes if axis.images and axis.get_title() == "the last feature"]
        check_equal([axis.get_ylabel().split("\n")[0] for axis in axes], ["features 2, hidden width 1",
                                                                          "features 5, hidden width 2"], "panels")
        check_equal([text.get_text() for text in axes[0].get_yticklabels()], ["0.5", "1", "2"], "importance")
        last, count = (one.values for one in diagrams.of_features(view)[:2])
        for hidden, axis in zip((1, 2), axes):
            for i, base in enumerate(('{"base":0.5}', '{"base":1}', '{"base":2}')):
                for j, p in enumerate((0.1, 1)):
                    own = np.flatnonzero((table["hidden"] == hidden) & (table["importance"] == base) &
                                         (table["feature_probability"] == p))
                    best = own[np.argmin(table["exact_loss"][own])]
                    group, row = results.case_of(int(best))
                    norm, share = (group[name][row, -1] for name in ("feature_norm", "dimensionality"))
                    expected = 0 if norm[-1] < 0.5 else 2 if share[-1] >= 0.9 else 1
                    check_equal((colours_of(axis)[i, j], last[best], count[best]),
                                (expected, expected, (norm >= 0.5).sum()), (hidden, base, p))
        views = families.feature.views(results, np.arange(results.count), None)
        check_equal({(one.x, one.y) for one in views if hasattr(one, "x")}, {("hidden", "feature_probability")}, "axes")
        check_equal(views[0].cell_name(2, 0.1), "feature_probability 0.1, features 5, hidden 2", "a cell's name")


def test_the_fitted_power_of_the_width(path, folder):
    check_equal(np.round(scaling.fit_power(np.array([2, 4, 8]), 3.0 * np.array([2, 4, 8.0]) ** -1.5), 9).tolist(),
                [-1.5, 3], "of an exact power")
    out = run_sweep("{task: independent, features: 20, steps: 3, grid: {hidden: [2, 4, 8], weight_decay: [0, 1], "
                    "lr: [0.001, 0.01]}, optimizer: adamw}", folder)
    with h5py.File(out, "r+") as file:
        loss = 3.0 * file["hidden"][...] ** -(1 + file["weight_decay"][...])
        for name in "exact_loss", "estimated_loss":
            file[name][...] = loss if name == "exact_loss" else np.nan
    with toysweep.Results(out) as results:
        figure = scaling.loss_exponents(view_of(results), OPTIONS)
        check_equal(len(panels_of(figure)), 2, "panels")
        decays = {row[0] if "decay" in row[0] else row[1]: row[2] for row in cells(figure)}
        check_equal(decays, {"weight decay 0": "-1.00", "weight decay 1": "-2.00"}, "exponents")
        assert not scaling.geometric([2, 3, 4, 5]) and not scaling.geometric([8, 16]), "widths that are no powers"


def test_neurons_with_several_features_are_counted(path, folder):
    out = run_sweep("{task: one_hot, features: 6, batch: exact, bias: false, l1: 0.02, hidden: [6, 12, 24], steps: 3, "
                    "instances: 2}", folder)
    with h5py.File(out, "r+") as file:
        for case in file["cases"].values():
            w = np.zeros(case["weights/W"].shape)
            w[:, 0, :2], w[:, 1, 3], w[1, 2, 3:5] = (0.5, -0.2), 1, (0.11, 0.09)
            case["weights/W"][...] = w
            w[1, 3, 3:6] = 0.3
            case["weights/W"][...] = w
    with toysweep.Results(out) as results:
        figure = scaling.neurons_with_several_features(view_of(results), OPTIONS)
        check_equal(cells(figure), [["6", "2", "1.50", "1.50"], ["12", "2", "1.50", "0.75"],
                                    ["24", "2", "1.50", "0.38"]], "means beside n^2 / (4 m)")


# --- Tables --------------------------------------------------------------------------------------------------------

PIZZA = """
task: power
model: transformer
p: 7
d_model: 8
heads: 2
d_head: 4
d_mlp: 8
context: none
bias: true
train_fraction: 0.8
steps: 20
checkpoints: {every: 10}
keys: none
stop: {test_loss: 0.000001}
grid:
  attention_rate: [0, 0.5, 1]
  seed: 0..1
"""


def test_clock_and_pizza_are_over_the_attention_rate(path, folder):
    """With medians, beside published medians where the settings are those, and runs of a CSV file."""
    runs = write(folder, "runs.csv", "attn_coeff,gradient_sim,distance_irrelevance,circularity,n_layers,diff_vocab\n"
                 "0.5,0.9,0.2,0.99,1,0\n0.6,0.8,0.3,x,1,False\n0.7,0.1,0.1,0.9,2,0\n0.7,0.1,0.1,0.9,1,1\n")
    with toysweep.Results(run_sweep(PIZZA, folder)) as results:
        view, table = view_of(results), results.table
        choose(published=published.read_runs(runs))
        figure = pizza.clock_and_pizza_medians(view, OPTIONS)
        for k, name in enumerate(("gradient_symmetricity", "distance_irrelevance_wrong", "circularity")):
            lines = figure.picture.axes[k].lines
            check_equal(list(lines[-1].get_ydata()), [np.median(table[name][table["attention_rate"] == rate])
                                                for rate in (0, 0.5, 1)], f"medians of {name}")
            check_equal(len(lines[0].get_xdata()), 1 if name == "circularity" else 2, "published runs of one layer")
        axes = pizza.clock_and_pizza(view, OPTIONS).picture.axes
        points = axes[0].collections[0]
        check_equal(points.get_offsets()[:, 1].tolist(), table["gradient_symmetricity"].tolist(), "points")
        check_equal(points.get_array().tolist(), table["attention_rate"].tolist(), "colours")
        names = [cell.name for cell in view.cells]
        check_equal(names[-1], "(a + b) mod 7, attention rate 1", "the cell of a key at its default")
        check_equal([published.PIZZA.fits({**results.resolved(0), "p": p, "d_model": 128}) for p in (7, 59)],
                    [False, True], "settings")
        choose(published={"attention_rate": np.array([0.5]), "distance_irrelevance": np.array([0.3])})
        check_equal(pizza.clock_and_pizza_medians(view, OPTIONS).picture.axes[1].get_ylabel(), "distance irrelevance",
                    "with runs under our names")
        choose()


def test_concentration_is_drawn_over_steps(path, folder):
    with toysweep.Results(run_sweep(PIZZA, folder)) as results:
        view = view_of(results)
        axis = panels_of(curves.concentration(view, OPTIONS))["(a + b) mod 7,\nattention rate 0"]
        group, row = results.case_of(0)
        drawn = [line.get_ydata().tolist() for line in axis.lines]
        for name in "concentration", "input_concentration", "output_concentration":
            assert group[name][row].tolist() in drawn, name


def test_steps_below_a_bound_are_over_the_train_fraction(path, folder):
    sweep = PIZZA.replace("train_fraction: 0.8\n", "").replace("attention_rate: [0, 0.5, 1]",
                                                               "train_fraction: [0.3, 0.6]")
    with toysweep.Results(run_sweep(sweep, folder)) as results:
        view, group = view_of(results), None
        check_equal(curves.steps_over_train_fraction(view, OPTIONS), None, "where nothing is below the sweep's bound")
        losses = np.concatenate([group["test_loss"][...] for group, _ in results.cases.values()])
        choose(bound=float(losses[:2, 1].max()) * 1.0001)
        figure, expected = curves.steps_over_train_fraction(view, OPTIONS), []
        for fraction in 0.3, 0.6:
            first = []
            for instance in np.flatnonzero(results.table["train_fraction"] == fraction):
                group, row = results.case_of(int(instance))
                below = np.flatnonzero(group["test_loss"][row] <= chosen.bound)
                first += [int(group["step"][below[0]])] if len(below) else []
            when = f", at {max(1, min(first))}" if first else ""
            expected.append([f"{fraction:g}", "2", f"{len(first)} of 2{when}"])
        check_equal(cells(figure), expected, "the table")
        choose()


# An output that one input says is soon known of test pairs, too.
EASY = """
task: expression
expression: a
p: 7
model: mlp
embed: 16
hidden: 16
train_fraction: 0.8
lr: 0.01
steps: 200
checkpoints: {every: 1}
measures_every: 9
keys: none
stop: {test_loss: 0.1}
instances: 4
"""


def test_of_a_run_that_stops_the_last_loss_is_drawn(path, folder):
    """Losses are made at every checkpoint, also where others are not: the last of an instance may be at any."""
    with toysweep.Results(run_sweep(EASY, folder)) as results:
        cell = view_of(results).cells[0]
        steps, losses = cell.curves("test_loss")
        done = results.table["steps_done"]
        assert (done < 200).all() and (done % 9 != 0).any(), f"no instance stopped between: {done}"
        check_equal([float(losses[i][steps == done[i]][0]) for i in range(4)], results.table["test_loss"].tolist(),
                    "last losses")
        steps, _ = cell.curves("logits_explained")
        check_equal(steps.tolist(), [*range(0, 200, 9), 200], "steps of other measures")


COSETS = """
task: group
model: mlp
group: S3
embed: 8
hidden: 12
train_fraction: 0.6
steps: 30
checkpoints: {every: 10}
keys: none
instances: 3
"""


def test_cosets_and_interventions_are_what_the_file_has(path, folder):
    with toysweep.Results(run_sweep(COSETS, folder)) as results:
        view = view_of(results)
        group, _ = results.case_of(0)
        axis = panels_of(cosets.coset_minima(view, OPTIONS))["S3"]
        heights = sum(patch.get_height() for patch in axis.patches) if len(axis.patches) > 2 else \
            sum(np.ptp(np.unique(patch.get_path().vertices[:, 1])) > 0 for patch in axis.patches)
        assert heights > 0, "nothing in the histogram"
        shares = [float(row[3].rstrip("%")) for row in cells(cosets.coset_minima(view, OPTIONS))]
        assert np.allclose(shares, 100 * group["coset_neurons"][...].mean(axis=0), atol=0.051), shares
        table = cells(cosets.interventions(view, OPTIONS))
        check_equal([row[1] for row in table[:4]], ["none", "inputs swapped", "embeddings swapped", "left sign flipped"],
                    "interventions")
        names = [toysweep.text(name) for name in group["intervention"][...]]
        means = dict(zip(names, group["intervention_test_loss"][...].mean(axis=0)))
        means["none"] = results.table["test_loss"].mean()
        words = {cosets.words_of(name).replace("\n", " "): f"{value:.3g}" for name, value in means.items()}
        check_equal({row[1]: row[2] for row in table}, words, "mean losses")
        assert set(published.INTERVENTIONS.values) <= set(means), "interventions that are published"
        counted = sum(sum(count.values()) for count in cosets.counts_of(view.cells[0]))
        near = [(group[f"coset_{side}_minimum"][...] <= 0.1).sum() for side in ("left", "right")]
        check_equal(counted, int(sum(near)), "neurons of subgroups")


def test_labels_of_experiments_are_not_cut(path, folder):
    """Nothing sticks out of the pictures of a diagram with long names."""
    out = run_sweep("{task: expression, p: 5, embed: 8, hidden: 8, steps: 5, checkpoints: [0, 5], grid: {expression: "
                    "[a + b, a**2 + a*b + b**2 + a], train_fraction: [0.4, 0.8]}}", folder)
    with toysweep.Results(out) as results, plt.rc_context(STYLE):
        picture = diagrams.phase_diagram(view_of(results), OPTIONS).picture
        lay_out(picture)
        picture.canvas.draw()
        axis = next(one for one in picture.axes if one.get_ylabel())
        check_equal([text.get_text() for text in axis.get_yticklabels()], ["a + b", "a**2 + a*b + b**2 + a"], "names")
        box = axis.get_tightbbox(picture.canvas.get_renderer())
        assert box.x0 >= 0 and box.y0 >= 0, box


if __name__ == "__main__":
    main(globals())
