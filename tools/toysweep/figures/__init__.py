"""Figures of results files, a function each: toysweep.figures.loss_curves("groups.h5") draws it and returns its axes.

    ts.figures.names("groups.h5")            # those that the file has something for; without a file: all there are
    ts.figures.logit_slices(results, instance=3, output=[0, 5])
    ts.figures.heatmap(ts.load("grid.h5").test_accuracy.median("seed"), x="lr", y="weight_decay")

They are those of toysweep-plot, by the same names and with its options as keywords (`draw` lists them). What is drawn is
the path of a results file, toysweep.Results, or what toysweep.load() gives. The axes' figure has a `caption`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toysweep.figures.notebook import draw as draw, heatmap as heatmap, names as names

_OWN = ("draw", "heatmap", "names")


def __getattr__(name: str) -> Any:
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}"):
        raise AttributeError(name)  # a module of this package: the import goes on to find it
    notebook = importlib.import_module("toysweep.figures.notebook")
    if name in _OWN:
        return getattr(notebook, name)
    found = notebook.functions().get(name)
    if found is None:
        raise AttributeError(f"toysweep.figures has no figure '{name}'{notebook.nearest(name)}")
    return found


def __dir__() -> list[str]:
    return sorted([*_OWN, *importlib.import_module("toysweep.figures.notebook").functions()])
