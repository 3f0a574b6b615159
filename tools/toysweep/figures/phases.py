"""The phases of a table task that is memorised first and generalises later: where they end, and how they are shaded.

Definitions are those of the columns memorised_step, circuit_formation_step, cleanup_step and grokked_step
(docs/workloads.md); what counts as known, or as having come down, can be set."""

from dataclasses import dataclass

import numpy as np
from matplotlib.patches import Patch

KNOWN = 0.99  # accuracy from which pairs count as known
PHASES = (("memorisation", "#fbf1d9"), ("circuit formation", "#e1ecf7"), ("clean-up", "#f3e1ee"),
          ("generalised", "#dff0df"))


@dataclass
class Thresholds:
    memorised: float = KNOWN  # accuracy on the training pairs
    cleanup: float = 0.5      # of the test loss's peak
    grokked: float = KNOWN    # accuracy on the test pairs


THRESHOLDS = Thresholds()  # set by plot.py's options


class PhasesText:
    """A caption's sentences on the phases, put together when they are added to it: thresholds are options."""

    def __str__(self):
        return (f" Shaded: memorisation, until {THRESHOLDS.memorised:.4g} of the training pairs are right; circuit "
                f"formation, until the test loss stays under {THRESHOLDS.cleanup:.4g} of its peak, if it ever does; "
                f"clean-up, until {THRESHOLDS.grokked:.4g} of the test pairs are right; generalised. Of several "
                "instances a boundary is the step by which half of them are there.")

    def __radd__(self, before):
        return before + str(self)

    def __add__(self, after):
        return str(self) + after


PHASES_TEXT = PhasesText()


def first_step(steps, values, threshold=KNOWN):
    """Step at which each instance's accuracy, of (instances, steps), first was at the threshold; infinite where it
    never was, or where only the end is known (weights trained elsewhere)."""
    happened = (values >= threshold) & np.isfinite(values[:, :1])
    return np.where(happened.any(axis=1), steps[happened.argmax(axis=1)], np.inf)


def median_step(steps):
    """The lower median of those that get there, so that a step is one that was reached; infinite if none does."""
    did = steps[np.isfinite(steps)]
    return half_step(did) if len(did) else np.inf


def half_step(steps):
    """Step by which half of all are there, at least; infinite if fewer ever are."""
    return np.sort(steps)[(len(steps) - 1) // 2]


def reached_words(steps):
    """How many get there, and when: "1 of 2, at 900"."""
    did = int(np.isfinite(steps).sum())
    return f"{did} of {len(steps)}" + (f", at {median_step(steps):.0f}" if did else "")


def down_from(steps, losses):
    """First step from which on each instance's loss stays down; infinite where it ends high."""
    known = np.isfinite(losses)
    peak = np.where(known, losses, 0).max(axis=1, keepdims=True)
    high = known & ~(losses <= THRESHOLDS.cleanup * peak)
    places = np.arange(len(steps))
    after_high = np.where(high, places, -1).max(axis=1) + 1
    last = np.where(known, places, -1).max(axis=1)
    return np.where(after_high <= last, steps[np.minimum(after_high, len(steps) - 1)], np.inf)


def boundaries(group, rows):
    """Of each instance (memorised, circuit formation, clean-up, grokked), infinite where there is none."""
    steps, curves = group["step"][...], {}
    for name in ("train_accuracy", "test_accuracy", "test_loss"):
        curves[name] = group[name][rows] if name in group else np.full((len(rows), len(steps)), np.nan)
    memorised = first_step(steps, curves["train_accuracy"], THRESHOLDS.memorised)
    cleanup = np.maximum(memorised, down_from(steps, curves["test_loss"]))
    return (memorised, np.where(np.isfinite(cleanup), memorised, np.inf), cleanup,
            first_step(steps, curves["test_accuracy"], THRESHOLDS.grokked))


def bands(group, rows):
    """Steps from which to which each of PHASES is; none after memorisation where no test loss comes down."""
    memorised, circuits, cleanup, grokked = (half_step(found) for found in boundaries(group, rows))
    begins = [-np.inf, memorised if np.isfinite(circuits) else np.inf, cleanup, grokked]
    return [(begin, min([memorised if i == 0 else np.inf, *begins[i + 1:]])) for i, begin in enumerate(begins)]


def shade_phases(axis, group, rows):
    if not np.isfinite(group["train_loss"][rows][:, 0]).any():
        return  # only the end is known
    left, right = axis.get_xlim()
    for (begin, end), (_, colour) in zip(bands(group, rows), PHASES):
        if max(begin, left) < min(end, right):
            axis.axvspan(max(begin, left), min(end, right), color=colour, zorder=0, linewidth=0)
            if begin > left:
                axis.axvline(begin, color="#888888", linewidth=0.6, linestyle=":", zorder=1)


def phase_handles():
    return [Patch(facecolor=colour, edgecolor="#bbbbbb", linewidth=0.5, label=name) for name, colour in PHASES]
