"""All of a results file as a tree that is read when it is used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import h5py

from toysweep.results import Results, ResultsError, _need, check_data, open_file, path_of

if TYPE_CHECKING:
    import xarray


def open(path: str | os.PathLike[str] | Results) -> "xarray.DataTree":
    """xarray DataTree with the file's columns at its root and, under `cases`, a branch for each case with its curves, and
    `weights` below it. Values are read when they are asked for; dask is not needed. Close it, or use it in a `with`.

    For a file of millions of instances, of which a few are wanted, or where cases have other shapes; load() puts what
    has equal shapes on the sweep's own axes.
    """
    _need("xarray", "h5netcdf")
    import xarray

    if not hasattr(xarray, "open_datatree"):
        raise ImportError("toysweep.open() needs xarray 2024.10 or later: pip install -U xarray; load() and Results do "
                          "without")
    path = path_of(path)
    try:
        with open_file(path) as file:  # which xarray would follow to other files
            _check(file.id)
    except OSError as fault:
        raise ResultsError(f"{path}: not a results file of toysweep (not HDF5, or broken: {fault})") from fault
    return xarray.open_datatree(path, engine="h5netcdf")


def _check(place: h5py.h5g.GroupID) -> None:
    """Refuses datasets that have their data elsewhere."""
    def visit(name: bytes) -> None:
        kind = h5py.h5o.get_info(place, name).type
        if kind == h5py.h5o.TYPE_DATASET:
            check_data(h5py.h5d.open(place, name))

    h5py.h5o.visit(place, visit)
