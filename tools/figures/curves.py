"""Curves of table tasks: how instances first memorise the training pairs and later generalise, and when they do."""

import matplotlib.pyplot as plt
import numpy as np

from figures.cells import NORM, TEST, TRAIN, curve_panels, is_linear, left_out, strip_scale
from figures.phases import KNOWN, PHASES_TEXT, median_step, reached_words
from figures.view import Figure, html_table, some

MOST_STRIPS, MOST_ROWS = 40, 400
THIN = " Thin: instances; thick: their median."


def loss_curves(view, options):
    """Loss on training and test pairs"""
    made = curve_panels(view, [("train_loss", "training pairs", TRAIN), ("test_loss", "test pairs", TEST)], "log",
                        "Loss on training and test pairs")
    if made is None:
        return None
    picture, axes, rest = made
    for axis in axes[:, 0]:
        axis.set_ylabel("cross-entropy (nat)")
    return Figure(picture, "The mean cross-entropy at every checkpoint." + THIN + PHASES_TEXT + rest)


def accuracy_curves(view, options):
    """Accuracy on training and test pairs"""
    made = curve_panels(view, [("train_accuracy", "training pairs", TRAIN), ("test_accuracy", "test pairs", TEST)],
                        "linear", "Accuracy on training and test pairs")
    if made is None:
        return None
    picture, axes, rest = made
    axes[0][0].set_ylim(-0.03, 1.03)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    return Figure(picture, "The share of pairs whose most likely output is right, at every checkpoint." + THIN +
                  PHASES_TEXT + rest)


def weight_norm(view, options):
    """Sum of squared weights"""
    made = curve_panels(view, [("weight_norm2", "sum of squared weights", NORM)], "log", "Sum of squared weights")
    if made is None:
        return None
    picture, axes, rest = made
    for axis in axes[:, 0]:
        axis.set_ylabel("sum of squares")
    return Figure(picture, "The sum of squares of all weights at every checkpoint." + THIN + PHASES_TEXT + rest)


# --- When it generalises -------------------------------------------------------------------------------------------

def grokking_steps(view, options):
    """When 99 % of the test pairs are right, with a table"""
    cells = [cell for cell in view.has("train_accuracy", "test_accuracy") if cell.is_followed("test_accuracy")]
    if not cells:
        return None
    shown = some(cells, MOST_STRIPS)
    width = 5.6 + 0.08 * max(len(cell.name) for cell in shown)
    picture, axis = plt.subplots(figsize=(width, 1.5 + 0.34 * max(len(shown), 2)))
    steps = [cell.reached("test_accuracy") for cell in shown]
    last = max(1, *(cell.curves("test_accuracy")[0][-1] for cell in shown))
    every = [cell.curves("test_accuracy")[0] for cell in shown]
    edge, never, right = (1.04, 1.09, 1.14) if is_linear(every) else (1.4, 2, 3)
    never *= last
    for y, found in enumerate(steps):
        draw_strip(axis, y, found, never)
        if y:
            axis.axhline(y - 0.5, color="#e4e4e4", linewidth=0.6, zorder=0)
    strip_scale(axis, min(last / 10, *(found.min() for found in steps)), last, every)
    axis.set_xlim(right=right * last)
    axis.axvline(edge * last, color="gray", linewidth=0.8)
    axis.text(never, -0.55, "never", ha="center", va="bottom", fontsize=9, color="#666666")
    axis.set(ylim=(len(shown) - 0.5, -0.5), xlabel="training step")
    axis.set_title(f"First checkpoint with {KNOWN:.0%} of the test pairs right", pad=18)
    axis.set_yticks(range(len(shown)), [cell.name for cell in shown])
    axis.grid(axis="y", visible=False)
    return Figure(picture, f"The step at which each instance first gets {KNOWN:.0%} of its test pairs right (dots, "
                           "one below the other), and the lower median of those that do (bar). "
                           "Crosses: instances that never do." + left_out(view, shown), grokking_table(view))


def draw_strip(axis, y, steps, never):
    """Instances of a cell one below the other, in the order of their seeds, and their median."""
    at = y + (np.linspace(-0.24, 0.24, len(steps)) if len(steps) > 1 else np.zeros(1))
    did = np.isfinite(steps)
    axis.plot(steps[did], at[did], "o", color=TEST, markersize=4.5, alpha=0.75, markeredgewidth=0, clip_on=False)
    axis.plot(np.full((~did).sum(), never), at[~did], "x", color="#888888", markersize=4)
    middle = median_step(steps)
    if np.isfinite(middle):
        axis.plot([middle, middle], [y - 0.38, y + 0.38], color="black", linewidth=1.4, zorder=1)


def grokking_table(view):
    rows = []
    for cell in view.cells[:MOST_ROWS]:
        done = len(cell.at[1])
        count = f"{done}" if done == cell.count else f"{done} of {cell.count}"
        if cell.grokked() is not None:
            rows.append((cell.name, count, reached_words(cell.reached("test_accuracy"))))
        else:
            rows.append((cell.name, count, "-"))
    if len(view.cells) > MOST_ROWS:
        rows.append((f"and {len(view.cells) - MOST_ROWS} more", "", ""))
    return html_table(("case", "instances", "grokked, at the lower median"), rows)
