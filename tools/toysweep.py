"""Reads results files of toysweep in Python.

    import toysweep
    data = toysweep.load("tree.h5")            # xarray Dataset on the sweep's own axes: depth, hidden, seed, ...
    data.exact_loss.min("seed").plot()
    runs = toysweep.instances("tree.h5")       # one row per instance; .to_dataframe() for pandas
    toysweep.Results("tree.h5").weights(17)    # {"W": ..., "b": ...} of instance 17

Put this folder on PYTHONPATH, or copy the file. Needs h5py and numpy; load() and instances() need xarray too.
"""

import json
import os

import h5py
import numpy as np

FORMAT = 1
PENDING, DONE, FAILED = 0, 1, 2


class ResultsError(Exception):
    """Says in one line why a file cannot be used."""


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def links(group):
    """Names in a group in the order in which they were made, which is the order of the sweep's keys."""
    tracked = group.id.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
    names = []
    group.id.links.iterate(names.append, idx_type=h5py.h5.INDEX_CRT_ORDER if tracked else h5py.h5.INDEX_NAME)
    return [text(name) for name in names]


def dimensions(dataset):
    """Names of a dataset's dimensions, from its dimension scales."""
    return [dim[0].name.rsplit("/", 1)[-1] if len(dim) else f"dim_{i}" for i, dim in enumerate(dataset.dims)]


def numbers_if_all(words):
    """Numbers, where a key that may be a list or a name (and so is stored as text) is a number in all instances."""
    try:
        return np.array([float(word) if word else np.nan for word in words])
    except ValueError:
        return words


def distinct(values):
    """Different values: numbers sorted, names in the order in which they first appear. Where instances lack the key
    (the sweep mixes tasks), that is a value too: -1, NaN, an empty name, or 255 among flags."""
    if values.dtype.kind in "biuf":
        return np.unique(values)
    return np.array(list(dict.fromkeys(values)), dtype=object)


class Results:
    """An open results file. `table`: the root's columns, one value per instance; `varying`: those of them that the
    sweep varies, slowest first, `seed` last; `cases`: label -> (group, instances of its rows)."""

    def __init__(self, path):
        self.path = str(path)
        if not os.path.isfile(self.path):
            raise ResultsError(f"{self.path}: no such file")
        try:
            self.file = self._open()
        except OSError as fault:
            raise ResultsError(f"{self.path}: not a results file of toysweep (not HDF5, or broken: {fault})")
        if text(self.file.attrs.get("program", "")) != "toysweep":
            raise ResultsError(f"{self.path}: an HDF5 file, but not a results file of toysweep")
        found = int(self.file.attrs.get("format", 0))
        if found != FORMAT:
            raise ResultsError(f"{self.path}: its format is {found}, this tool reads format {FORMAT}; "
                               "use the tools of the version that wrote it")
        self.count = len(self.file["instance"])
        self.table = {name: self._column(name) for name in links(self.file)
                      if isinstance(self.file[name], h5py.Dataset) and self.file[name].shape == (self.count,)
                      and name != "instance"}
        self.cases = {label: (group, group["instance"][...]) for label, group in
                      ((label, self.file["cases"][label]) for label in links(self.file["cases"]))}
        self.parameters = [name for name in self.table if name in self._keys() and name != "seed"]
        self.varying = [name for name in self.parameters if len(distinct(self.table[name])) > 1]
        if "seed" in self.table and len(distinct(self.table["seed"])) > 1:
            self.varying.append("seed")

    def _open(self):
        try:
            return h5py.File(self.path, "r")
        except OSError:  # a run is writing and holds HDF5's own lock
            os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
            return h5py.File(self.path, "r")

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.file.close()

    def _column(self, name):
        values = self.file[name][...]
        if values.dtype.kind not in "SO":
            return values
        values = np.array([text(v) for v in values], dtype=object)
        return values if name == "identity" else numbers_if_all(values)

    def _keys(self):
        """Names of every parameter of the sweep: those of one instance of each case."""
        return {key for _, rows in self.cases.values() for key in self.resolved(int(rows[0]))}

    def resolved(self, instance):
        """All parameters of an instance, defaults included."""
        stored = self.file["sweep/resolved"]
        line = stored[instance] if stored.ndim else text(stored[()]).splitlines()[instance]
        return json.loads(text(line))

    def attribute(self, name):
        return text(self.file.attrs.get(name, ""))

    def case_of(self, instance):
        """(group, row) of an instance."""
        for group, rows in self.cases.values():
            row = np.searchsorted(rows, instance)
            if row < len(rows) and rows[row] == instance:
                return group, int(row)
        raise ResultsError(f"{self.path}: there is no instance {instance}")

    def weights(self, instance):
        """Trained parameters of an instance by name; empty if the sweep keeps none."""
        group, row = self.case_of(instance)
        return {name: group["weights"][name][row] for name in links(group["weights"])} if "weights" in group else {}


def instances(path):
    """xarray Dataset with one row per instance: every parameter that varies and every final measure."""
    import xarray as xr

    with Results(path) as results:
        columns = {name: ("instance", values) for name, values in results.table.items() if name != "checksum"}
        data = xr.Dataset(columns, coords={"instance": np.arange(results.count)}, attrs=_attributes(results))
        return data.set_coords([name for name in results.parameters + ["seed"] if name in data])


def load(path, curves=True, weights=False):
    """xarray Dataset on the sweep's own axes. Points that the sweep leaves out, or that are not done yet, are NaN
    (-1 in columns of integers). Keys that advance together share an axis. Curves (named as in the file, with
    `_curve` behind where a final measure has the name) and weights are included where all cases have equal shapes.
    """
    import xarray as xr

    with Results(path) as results:
        axes, riders = _axes(results)
        values = {axis: distinct(results.table[axis]) for axis in axes}
        sizes = [len(values[axis]) for axis in axes]
        if np.prod(sizes, dtype=float) > 20 * results.count + 1e6:
            raise ResultsError(f"{path}: the axes {', '.join(axes)} span {np.prod(sizes, dtype=float):.0f} points "
                               f"for {results.count} instances; use instances() instead")
        at = tuple(_positions(results.table[axis], values[axis]) for axis in axes)
        data = xr.Dataset(coords={axis: _plain(values[axis]) for axis in axes}, attrs=_attributes(results))
        for name, axis in riders.items():
            first = [int(np.flatnonzero(results.table[axis] == value)[0]) for value in values[axis]]
            data = data.assign_coords({name: (axis, _plain(results.table[name][first]))})
        for name, column in results.table.items():
            if name in results.parameters or name in ("seed", "checksum") or column.dtype == object:
                continue
            data[name] = (axes, _scatter(column, at, sizes), _help(results.file[name]))
        if curves or weights:
            _add_curves(results, data, axes, sizes, at, curves, weights)
        return data


def _axes(results):
    """Axes, and the keys that ride on one: two keys whose values determine each other advance together."""
    axes, riders = [], {}
    for name in results.varying:
        column = results.table[name]
        for axis in axes:
            pairs = len(set(zip(column.tolist(), results.table[axis].tolist())))
            if pairs == len(distinct(column)) == len(distinct(results.table[axis])):
                riders[name] = axis
                break
        else:
            axes.append(name)
    return axes or [name for name in results.parameters + ["seed"] if name in results.table][-1:], riders


def _positions(column, values):
    if column.dtype.kind in "biuf":
        return np.searchsorted(values, column)
    index = {value: i for i, value in enumerate(values)}
    return np.array([index[value] for value in column])


def _plain(values):
    return values.astype(str) if values.dtype == object else values


def _scatter(column, at, sizes):
    """[instance, ...] onto [axis, axis, ..., ...]."""
    kind = column.dtype if column.dtype.kind == "f" else np.int64
    out = np.full(tuple(sizes) + column.shape[1:], np.nan if column.dtype.kind == "f" else -1, dtype=kind)
    out[at] = column
    return out


def _help(dataset):
    return {name: text(dataset.attrs[name]) for name in ("long_name", "units") if name in dataset.attrs}


def _attributes(results):
    return {name: results.attribute(name) for name in ("program", "version", "name", "backend", "sweep_sha256")}


def _add_curves(results, data, axes, sizes, at, curves, weights):
    groups = [group for group, _ in results.cases.values()]
    places = ([""] if curves else []) + (["weights/"] if weights and "weights" in groups[0] else [])
    names = [place + name for place in places for name in links(groups[0][place or "."])]
    for name in names:
        stored = [group.get(name) for group in groups]
        first = stored[0]
        if not isinstance(first, h5py.Dataset) or h5py.h5ds.is_scale(first.id) or name == "instance":
            continue
        dims = dimensions(first)[1:]
        if not dims or any(s is None or s.shape[1:] != first.shape[1:] for s in stored) or not all(
                np.array_equal(_scale(s, i), _scale(first, i)) for s in stored for i in range(1, first.ndim)):
            continue
        column = np.full((results.count,) + first.shape[1:], np.nan, dtype=first.dtype)
        for source, (_, rows) in zip(stored, results.cases.values()):
            column[rows] = source[...]
        name = name.rsplit("/", 1)[-1]
        dims_out = [f"{dim}_index" if dim in axes else dim for dim in dims]
        data[f"{name}_curve" if name in data else name] = (
            axes + dims_out, _scatter(column, at, sizes), _help(first))
        for i, dim in enumerate(dims_out):
            scale = _scale(first, i + 1)
            if scale is not None and dim not in data.coords:
                data.coords[dim] = scale


def _scale(dataset, i):
    if not len(dataset.dims[i]):
        return None
    values = dataset.dims[i][0][...]
    return np.array([text(v) for v in values]) if values.dtype.kind in "SO" else values
