"""Results as tables of pandas, and as the curves of one instance."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Iterator, Sequence, Union

import h5py
import numpy as np

from toysweep.dataset import instances
from toysweep.results import Results, _need, dimensions, links, path_of, text

if TYPE_CHECKING:
    import pandas

Source = Union[str, "os.PathLike[str]", Results]


def to_dataframe(results: Source, curves: bool = False) -> "pandas.DataFrame":
    """A row for each instance: parameters that vary, and final measures. curves: a row for each instance and checkpoint
    instead, with the parameters that vary and what is one number at each checkpoint."""
    _need("pandas", "xarray")
    import pandas

    path = path_of(results)
    table = instances(path).to_dataframe()
    if not curves:
        return table
    with Results(path) as opened:
        parts = []
        for i in range(opened.count):
            found = curves_of(opened, i)
            keys = {name: table[name].iloc[i] for name in opened.varying}
            parts.append(pandas.DataFrame({"instance": i, **keys, "step": steps_of(opened, i), **found}))
    return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame()


def steps_of(results: Results, instance: int) -> np.ndarray:
    group, _ = results.case_of(instance)
    return group["step"][...]


def curves_of(results: Results, instance: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """{name: values at each checkpoint} of measures of one number; of `names`, which may have a number for each label
    (irreps, frequencies, ...), under "name/label"."""
    group, row = results.case_of(instance)
    found = {}
    for name in links(group) if names is None else names:
        dataset = group.get(name)
        if dataset is None:
            raise KeyError(f"{results.path}: instance {instance} has no curve {name}")
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf":
            continue
        along = dimensions(dataset)
        if along == ["row", "step"]:
            found[name] = dataset[row]
        elif names is not None and along[:2] == ["row", "step"]:
            found.update(_labelled(group, name, dataset[row], along[2:]))
        elif names is not None:
            raise ValueError(f"{results.path}: {name} is no curve: it lies along {', '.join(along)}")
    return found


def _labelled(group: Any, name: str, values: np.ndarray, along: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    labels = [[text(one) for one in group[dim][...]] if dim in group else range(size)
              for dim, size in zip(along, values.shape[1:])]
    for place in np.ndindex(values.shape[1:]):
        yield "/".join([name, *(str(labels[i][at]) for i, at in enumerate(place))]), values[(slice(None), *place)]


def finals_of(results: Results, instance: int) -> dict[str, float]:
    """Final measures that are known of an instance."""
    columns = list(results.table)
    measures = columns[columns.index("status") + 1:]
    found = {name: results.table[name][instance] for name in measures
             if name != "checksum" and results.table[name].dtype.kind in "iuf"}
    return {name: value.item() for name, value in found.items() if np.isfinite(value)}
