"""toysweep from Python: sweeps of thousands of small models, trained, read on the axes of their sweep, and drawn.

    import toysweep as ts
    sweep = ts.sweep(task="tree", grid={"depth": range(2, 4), "hidden": range(2, 5)}, instances=5)
    results = ts.run(sweep, "tree.h5")              # toysweep.Results; run again, it continues
    data = results.load()                           # or ts.load("tree.h5"): xarray, on axes depth, hidden, seed, ...
    ts.figures.heatmap(data.exact_loss.min("seed"))
    ts.figures.training_curves(results)             # each figure of toysweep-plot is a function
    results.weights(17)                             # {"W": ..., "b": ...} of instance 17; step=100: at that checkpoint

Needs h5py and numpy; what needs more says so when it is called. Only run, plan, status and the check of sweep need the
program: see toysweep.program.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from toysweep.dataset import instances, load
from toysweep.results import (DONE, FAILED, PENDING, Results, ResultsError, dimensions, distinct, file_names, links,
                              open_file, text)

if TYPE_CHECKING:
    from toysweep import figures, groups, networks, program, transformer_lens
    from toysweep.bridges import to_mlflow, to_tensorboard, to_wandb
    from toysweep.exports import to_pytorch, to_safetensors, to_transformer_lens
    from toysweep.program import ProgramError, SweepError, plan, run, status
    from toysweep.sweeps import Sweep, sweep
    from toysweep.tables import to_dataframe
    from toysweep.tree import open

__version__ = "0.10.0"  # as CMakeLists.txt and CITATION.cff have it, which a test compares

# What is imported when it is asked for, with what it needs: modules, and names of modules.
_MODULES = ("figures", "groups", "networks", "program", "transformer_lens")
_NAMES = {
    "open": "tree", "sweep": "sweeps", "Sweep": "sweeps", "to_dataframe": "tables",
    **dict.fromkeys(("run", "plan", "status", "ProgramError", "SweepError"), "program"),
    **dict.fromkeys(("to_wandb", "to_mlflow", "to_tensorboard"), "bridges"),
    **dict.fromkeys(("to_pytorch", "to_safetensors", "to_transformer_lens"), "exports"),
}

__all__ = ["DONE", "FAILED", "PENDING", "Results", "ResultsError", "instances", "load", *_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"toysweep.{name}")
    if name in _NAMES:
        found = globals()[name] = getattr(importlib.import_module(f"toysweep.{_NAMES[name]}"), name)
        return found
    raise AttributeError(f"module 'toysweep' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
