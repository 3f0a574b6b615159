"""toysweep from Python: results files on the axes of their sweep, and every figure of them.

    import toysweep as ts
    data = ts.load("tree.h5")             # xarray Dataset on the sweep's own axes: depth, hidden, seed, ...
    data.exact_loss.min("seed").plot()
    runs = ts.instances("tree.h5")        # one row per instance; .to_dataframe() for pandas
    ts.Results("tree.h5").weights(17)     # {"W": ..., "b": ...} of instance 17; step=100: at that checkpoint

Needs h5py and numpy; what needs more says so when it is called.
"""

import importlib

from toysweep.results import (DONE, FAILED, PENDING, Results, ResultsError, dimensions, distinct, file_names, instances,
                              links, load, open_file, text)

__version__ = "0.10.0"  # as CMakeLists.txt and CITATION.cff have it, which a test compares

__all__ = ["DONE", "FAILED", "PENDING", "Results", "ResultsError", "figures", "instances", "load", "networks",
           "transformer_lens"]

_MODULES = {"figures", "networks", "transformer_lens"}  # imported when they are asked for, with what they need


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"toysweep.{name}")
    raise AttributeError(f"module 'toysweep' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_MODULES})
