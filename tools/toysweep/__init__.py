"""toysweep from Python: sweeps of thousands of small models, trained, read on the axes of their sweep, and drawn.

    import toysweep as ts
    sweep = ts.sweep(task="tree", grid={"depth": range(2, 4), "hidden": range(2, 5)}, instances=5)
    results = ts.run(sweep, "tree.h5")              # toysweep.Results; run again, it continues
    data = results.load()                           # or ts.load("tree.h5"): xarray, on axes depth, hidden, seed, ...
    ts.figures.heatmap(data.exact_loss.min("seed"))
    ts.figures.training_curves(results)             # each figure of toysweep-plot is a function
    results.weights(17)                             # {"W": ..., "b": ...} of instance 17; step=100: at that checkpoint

Needs h5py and numpy; what needs more, or lacks them, says so when it is asked for. Only run, plan, status and the check of
sweep need the program: see toysweep.program.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toysweep import figures, groups, networks, program, transformer_lens
    from toysweep.bridges import to_mlflow, to_tensorboard, to_wandb
    from toysweep.dataset import instances, load
    from toysweep.exports import to_pytorch, to_safetensors, to_transformer_lens
    from toysweep.program import ProgramError, SweepError, plan, run, status
    from toysweep.results import DONE, FAILED, PENDING, Results, ResultsError
    from toysweep.sweeps import Sweep, sweep
    from toysweep.tables import to_dataframe
    from toysweep.tree import open

__version__ = "0.10.0"  # as CMakeLists.txt and CITATION.cff have it, which a test compares

# All is imported when it is asked for, with what it needs: modules, and names of modules.
_MODULES = ("figures", "groups", "networks", "program", "transformer_lens")
_NAMES = {
    **dict.fromkeys(("Results", "ResultsError", "DONE", "FAILED", "PENDING"), "results"),
    **dict.fromkeys(("load", "instances"), "dataset"),
    "open": "tree", "sweep": "sweeps", "Sweep": "sweeps", "to_dataframe": "tables",
    **dict.fromkeys(("run", "plan", "status", "ProgramError", "SweepError"), "program"),
    **dict.fromkeys(("to_wandb", "to_mlflow", "to_tensorboard"), "bridges"),
    **dict.fromkeys(("to_pytorch", "to_safetensors", "to_transformer_lens"), "exports"),
}
_OTHERS = dict.fromkeys(("dimensions", "distinct", "file_names", "links", "open_file", "text"), "results")  # of tools

__all__ = [  # _MODULES and _NAMES, as type checkers read it
    "figures", "groups", "networks", "program", "transformer_lens",
    "Results", "ResultsError", "DONE", "FAILED", "PENDING", "load", "instances", "open", "sweep", "Sweep", "to_dataframe",
    "run", "plan", "status", "ProgramError", "SweepError", "to_wandb", "to_mlflow", "to_tensorboard",
    "to_pytorch", "to_safetensors", "to_transformer_lens"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"toysweep.{name}")
    module = _NAMES.get(name) or _OTHERS.get(name)
    if module:
        found = globals()[name] = getattr(importlib.import_module(f"toysweep.{module}"), name)
        return found
    raise AttributeError(f"module 'toysweep' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
