"""Results files as datasets of xarray: on the axes of their sweep, or a row for each instance."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from toysweep import results as files
from toysweep.results import (FAILED, PENDING, Path, Results, ResultsError, _need, dimensions, distinct, level_of_caller, links,
                              path_of, text)

import h5py  # after these, which say what is missing
import numpy as np

if TYPE_CHECKING:
    import xarray


def instances(path: Path | Results) -> "xarray.Dataset":
    """xarray Dataset with one row per instance: every parameter that varies and every final measure."""
    _need("xarray")
    import xarray as xr

    with Results(path_of(path)) as results:
        columns = {name: ("instance", values) for name, values in results.table.items()}
        data = xr.Dataset(columns, coords={"instance": np.arange(results.count)}, attrs=_attributes(results))
        return data.set_coords([name for name in results.parameters + results.derived + ["seed"] if name in data])


def load(path: Path | Results, curves: bool = True, weights: bool = False) -> "xarray.Dataset":
    """xarray Dataset on the sweep's own axes: every column of the file, one value for each point.

    Points that the sweep leaves out, or that are not done yet, are NaN (-1 in columns of integers, empty in texts).
    Keys that advance together share an axis; what the task derives of its keys (gcd_m, relation, ...) is a coordinate
    along those. Curves (named as in the file, with `_curve` behind where a final measure has the name) and weights
    are included where all cases have equal shapes. A warning names what is not, and counts instances that failed or
    are not done: medians and means pass over their NaN.
    """
    _need("xarray")
    import xarray as xr

    path = path_of(path)
    with Results(path) as results:
        values = {name: distinct(results.table[name]) for name in results.varying}
        codes = {name: _positions(results.table[name], values[name]) for name in results.varying}
        axes, riders = _axes(results, values, codes)
        sizes = [len(values[axis]) for axis in axes]
        if np.prod(sizes, dtype=float) > 20 * results.count + 1e6:
            raise ResultsError(f"{path}: the axes {', '.join(axes)} span {np.prod(sizes, dtype=float):.0f} points "
                               f"for {results.count} instances; use instances() instead")
        at = tuple(codes[axis] for axis in axes)
        _check_apart(results, axes, at, sizes)
        data = xr.Dataset(coords={axis: _plain(values[axis]) for axis in axes}, attrs=_attributes(results))
        for name, axis in riders.items():
            first = np.unique(codes[axis], return_index=True)[1]
            data.coords[name] = axis, _plain(results.table[name][first])
        for name in results.derived + results.parameters + ["seed"]:
            if name in results.table and name not in data.coords:
                along = _axes_of(results.table[name], at, sizes)
                data.coords[name] = ([axes[i] for i in along], _plain(_scatter(
                    results.table[name], tuple(at[i] for i in along), [sizes[i] for i in along])))
        data["instance"] = axes, _scatter(np.arange(results.count), at, sizes)
        for name, column in results.table.items():
            if name not in data.coords:
                data[name] = axes, _scatter(column, at, sizes), _help(results.file[name])
        left_out = _add_curves(results, data, axes, sizes, at, curves, weights) if curves or weights else []
        data.encoding["source"] = os.path.abspath(path)  # where figures look for the rest
        _warn(results, left_out, weights)
        return data


def _check_apart(results, axes, at, sizes):
    """No two instances on one point: in columns of files by versions before 0.10 values of two models might be one."""
    point = np.ravel_multi_index(at, sizes)
    points, counts = np.unique(point, return_counts=True)
    if counts.max(initial=0) > 1:
        both = np.flatnonzero(point == points[counts.argmax()])[:2]
        raise ResultsError(f"{results.path}: instances {both[0]} and {both[1]} are one point of the axes "
                           f"{', '.join(axes)}; use instances(), and Results.resolved(i) for all keys of one")


def _warn(results, left_out, weights):
    """Of what load() cannot show on the axes, and of what reductions over them would hide."""
    status = results.table["status"]
    failed, pending = int((status == FAILED).sum()), int((status == PENDING).sum())
    if failed or pending:
        warnings.warn(f"{results.path}: of {results.count} instances {failed} failed and {pending} are not done; their "
                      "measures are NaN, which min, mean and median pass over (skipna=False does not). `status` says "
                      "which", stacklevel=level_of_caller())
    if left_out:
        warnings.warn(f"{results.path}: left out, since shapes or labels are not the same in all cases: "
                      f"{', '.join(left_out)}. toysweep.open(path) has them, under cases", stacklevel=level_of_caller())
    if weights and not any("weights" in group for group, _ in results.cases.values()):
        warnings.warn(f"{results.path}: the sweep keeps no weights (save: none)", stacklevel=level_of_caller())


def _axes(results, values, codes):
    """Axes, and the keys that ride on one: two keys whose values determine each other advance together."""
    axes, riders = [], {}
    for name in results.varying:
        size = len(values[name])
        for axis in axes:
            pairs = len(np.unique(codes[axis] * size + codes[name]))
            if pairs == size == len(values[axis]):
                riders[name] = axis
                break
        else:
            axes.append(name)
    if not axes:  # one instance
        axes = [name for name in results.parameters + ["seed"] if name in results.table][-1:]
        values[axes[0]], codes[axes[0]] = results.table[axes[0]][:1], np.zeros(results.count, dtype=int)
    return axes, riders


def _axes_of(column, at, sizes):
    """Numbers of the axes that a column depends on: of the others, the last ones first, it does not."""
    along = list(range(len(sizes)))
    value = _positions(column, distinct(column))
    for i in reversed(range(len(sizes))):
        rest = [j for j in along if j != i]
        point = np.zeros(len(column), dtype=int)
        for j in rest:
            point = np.unique(point * sizes[j] + at[j], return_inverse=True)[1].reshape(-1)
        known = np.zeros(point.max() + 1, dtype=int)
        known[point] = value
        if (known[point] == value).all():
            along = rest
    return along


def _positions(column, values):
    if column.dtype.kind in "biuf":
        return np.searchsorted(values, column)
    index = {value: i for i, value in enumerate(values)}
    return np.array([index[value] for value in column])


def _plain(values):
    return values.astype(str) if values.dtype == object else values


def _scatter(column, at, sizes):
    """[instance, ...] onto [axis, axis, ..., ...]."""
    kind = column.dtype.kind
    unknown, dtype = {"f": (np.nan, column.dtype), "O": ("", object)}.get(kind, (-1, np.int64))
    out = np.full(tuple(sizes) + column.shape[1:], unknown, dtype=dtype)
    out[at] = column if at else column[0]
    return out


def _help(dataset):
    return {name: text(dataset.attrs[name]) for name in ("long_name", "units") if name in dataset.attrs}


def _attributes(results):
    return {name: results.attribute(name) for name in ("program", "version", "name", "backend", "sweep_sha256")}


class _Place:
    """The same group of every case (itself, or its weights), read by h5py's lower layer: in a file of a thousand cases
    it is the opening of datasets that takes the time."""

    def __init__(self, results, place):
        every = [group for group, _ in results.cases.values()]
        self.groups = [group.get(place) if place else group for group in every]
        self.has = [{} if group is None else dict.fromkeys(links(group)) for group in self.groups]
        self.scales = [(group.id, dict.fromkeys(links(group)) if place else has)
                       for group, has in zip(every, self.has)]
        self.known, self.labels_of = {}, {}

    def names(self):
        """Of all cases' datasets of instances: what lies along something else only (scales, aliases) is left aside."""
        every = dict.fromkeys(name for has in self.has for name in has)
        return [name for name in every if isinstance(item := self.example(name), h5py.Dataset)
                and not h5py.h5ds.is_scale(item.id) and name != "instance" and dimensions(item)[:1] == ["row"]]

    def example(self, name):
        return next(group for group, has in zip(self.groups, self.has) if name in has)[name]

    def labels(self, dim):
        """Values of each case's scale; equal ones are one object. None: it has no such scale."""
        if dim not in self.labels_of:
            self.labels_of[dim] = [self._scale(group, dim) if dim in has else None for group, has in self.scales]
        return self.labels_of[dim]

    def _scale(self, group, dim):
        found = files._read(group, dim)
        return self.known.setdefault((found.dtype.str, found.tobytes()), found)

    def are_labelled_alike(self, dims):
        return all(labels is self.labels(dim)[0] for dim in dims for labels in self.labels(dim))

    def columns(self, names, results):
        """{name: values of all instances} of those that have equal shapes. Case by case, and each dataset closed before
        the next is opened, which is what HDF5 is quick at."""
        examples = {name: self.example(name) for name in names if all(name in has for has in self.has)}
        found = {name: np.full((results.count,) + example.shape[1:], np.nan, dtype=example.dtype)
                 for name, example in examples.items()}
        types = {name: h5py.h5t.py_create(column.dtype) for name, column in found.items()}
        for group, (_, rows) in zip(self.groups, results.cases.values()):
            for name, column in list(found.items()):
                dataset = files._open(group.id, name)
                shape = dataset.shape
                if shape[1:] == column.shape[1:]:
                    column[rows] = files._values(dataset, shape, column.dtype, types[name])
                else:
                    del found[name]
        return found


def _add_curves(results, data, axes, sizes, at, curves, weights):
    """Adds what all cases have in equal shapes; returns the names of the rest."""
    left_out, taken = [], set(data.variables)
    for place in ([""] if curves else []) + (["weights"] if weights else []):
        cases = _Place(results, place)
        names = cases.names()
        dims_of = {name: dimensions(cases.example(name))[1:] for name in names}
        columns = cases.columns([name for name in names if cases.are_labelled_alike(dims_of[name])], results)
        left_out += [f"{place}/{name}".lstrip("/") for name in names if name not in columns]
        for name, column in columns.items():
            dims = dims_of[name]
            dims_out = [f"{dim}_index" if dim in taken else dim for dim in dims]
            data[f"{name}_curve" if name in data.variables else name] = (
                axes + dims_out, _scatter(column, at, sizes), _help(cases.example(name)))
            for dim, dim_out in zip(dims, dims_out):
                _add_labels(data, cases, dim, dim_out)
    return left_out


def _add_labels(data, cases, dim, dim_out):
    labels, alias = cases.labels(dim)[0], cases.labels(f"{dim}_alias")[0]
    if labels is not None and dim_out not in data.coords:
        data.coords[dim_out] = labels
        if alias is not None and alias.shape == labels.shape:
            data.coords[f"{dim_out}_alias"] = dim_out, alias
