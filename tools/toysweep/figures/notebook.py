"""Figures as functions that take data and return matplotlib's axes, a line each in a notebook."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import os
import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Callable, Iterator, Sequence, Union

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

import toysweep
from toysweep.figures import phases, published as published_runs
from toysweep.figures.chosen import AXES, check, chosen
from toysweep.figures.families import KINDS, about, figures_and_terms, figures_of, views_of
from toysweep.figures.page import STYLE, lay_out, name_basis
from toysweep.figures.symmetry import ORDERS
from toysweep.figures.view import label, number, short
from toysweep.results import level_of_caller

REDUCTIONS = "median", "min", "max", "mean", "std", "sum"
Panels = Union[Axes, np.ndarray]  # one, or all in the order in which they are read


@functools.cache
def makers() -> dict[str, Callable]:
    return {make.__name__: make for family in KINDS.values() for make in figures_of(family)}


@functools.cache
def functions() -> dict[str, Callable[..., Panels]]:
    return {name: _function(name) for name in makers()}


def _function(name: str) -> Callable[..., Panels]:
    def figure(data, *, view=None, **options):
        return draw(name, data, view=view, **options)

    figure.__name__ = figure.__qualname__ = name
    figure.__module__ = "toysweep.figures"
    figure.__doc__ = f"{about(makers()[name]).rstrip('.')}. Options are those of toysweep.figures.draw."
    return figure


def nearest(name: str) -> str:
    near = difflib.get_close_matches(name, makers(), 3)
    return f"; did you mean {' or '.join(near)}?" if near else "; toysweep.figures.names() lists them"


def names(data: Any = None) -> list[str]:
    """Names of all figures, or of those for which a results file has something to show (they are drawn to find out)."""
    if data is None:
        return list(makers())
    with _results(data) as results, _asked(results) as options, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [make.__name__ for kind in KINDS for view in views_of(results, kind, None)
                 for make, _ in figures_and_terms(kind, view) if _is_made(make, view, options)]
    return list(dict.fromkeys(found))


def _is_made(make: Callable, view: Any, options: SimpleNamespace) -> bool:
    figure = view.make(make, options)
    if figure is not None:
        plt.close(figure.picture)
    return figure is not None


def draw(name: str, data: Any, *, view: int | str | None = None, **options: Any) -> Panels:
    """Draws a figure by its name (`names()`); returns its axes, an array of them where there are several panels.

    view: of a sweep that is drawn in several parts, which of them, by number or by its title's words. Options: axis
    ("linear", "log") of steps; instance, neuron, irrep, frequency, output: one or several to show; step: the checkpoint
    of weights; order of a group's elements ("class", "coset", "parity", "table"); axes, panels, quantity of a phase
    diagram; bound of the test loss; threshold of the loss of features; loss to show for them; memorised, cleanup, grokked:
    where phases end; published: a file of runs to draw behind these. What each is: docs/figures.md.
    """
    make = makers().get(name.replace("-", "_"))
    if make is None:
        raise ValueError(f"there is no figure '{name}'{nearest(name)}")
    for option in options:
        if option not in OPTIONS:
            raise TypeError(f"{name} has no option '{option}'; there are view, {', '.join(OPTIONS)}")
    with _results(data) as results, _asked(results, **options) as wanted:
        found = [(part, terms) for kind in KINDS for part in views_of(results, kind, wanted.loss)
                 for one, terms in figures_and_terms(kind, part) if one is make]
        found = [(part, terms) for part, terms in found if view is None or isinstance(view, int) or view in part.title]
        if isinstance(view, int):
            found = found[view:view + 1]
        with _styled():
            drawn = ((part, figure, terms) for part, terms in found if (figure := part.make(make, wanted)) is not None)
            first = next(drawn, None)
            if first is None:
                raise toysweep.ResultsError(f"{results.path}: there is nothing for the figure {name} to show" +
                                            f" in view={view!r}" * (view is not None) + _reasons(found))
            part, figure, terms = first
            if terms:
                name_basis(figure, terms)
            lay_out(figure.picture)
    if len(found) > 1 and view is None:
        others = ", ".join(repr(other.title) for other, _ in found if other is not part and other.title)
        warnings.warn(f"{results.path}: drawn in {len(found)} parts, of which this is {part.title or 'the whole'!r}; view= "
                      f"shows the others: {others}", stacklevel=level_of_caller())
    figure.picture.caption = figure.caption
    return _panels(figure.picture)


def _reasons(found: list) -> str:
    """Why parts of a sweep have nothing to show."""
    reasons = dict.fromkeys(part.lack for part, _ in found if part.lack)
    return f": {'; '.join(reasons)}" if reasons else ""


def heatmap(data: Any, quantity: str | None = None, *, x: str | None = None, y: str | None = None,
            reduce: str = "median", log: bool | None = None, ax: Axes | None = None) -> Axes:
    """Values over two keys of a sweep, as numbers on colours.

    data: an array of what toysweep.load() gives, or all of it (or a results file) and the quantity: a name of it. x and
    y: the keys, by default the last two that have several values; over all others the values are reduced ("median",
    "min", "max", "mean", "std", "sum"). log: colours on a logarithmic scale; by default where values span three decades.
    """
    values = _array(data, quantity)
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce={reduce!r}: it is one of {', '.join(REDUCTIONS)}")
    keys = [str(key) for key in values.dims]
    for name in (x, y):
        if name is not None and name not in keys:
            raise ValueError(f"'{name}' is no axis of {values.name}; there are {', '.join(keys)}")
    rest = [key for key in keys if key not in (x, y) and key != "seed" and values.sizes[key] > 1]
    x = x or (rest.pop() if rest else keys[-1])
    y = y or next((key for key in reversed(rest) if key != x), None)
    values = getattr(values, reduce)([key for key in keys if key not in (x, y)])
    values = values.transpose(y, x) if y else values.expand_dims("")
    if ax is None:
        _, ax = plt.subplots(figsize=(1.6 + 0.8 * values.shape[1], 1.4 + 0.5 * values.shape[0]),
                             layout="constrained")
    shown = np.asarray(values, dtype=float)
    known = shown[np.isfinite(shown)]
    if log is None:
        log = len(known) > 0 and known.min() > 0 and known.max() > 1000 * known.min()
    image = ax.imshow(shown, norm=LogNorm() if log else None, cmap="viridis", aspect="auto", origin="lower")
    for (i, j), value in np.ndenumerate(shown):
        if np.isfinite(value) and shown.size <= 240:
            dark = float(np.asarray(image.norm(value))) < 0.6
            ax.text(j, i, short(value) if 0 < value < 1e-2 else f"{value:.3g}", ha="center", va="center", fontsize=8,
                    color="white" if dark else "black")
    ax.set_xticks(range(shown.shape[1]), [number(one) for one in values[x].values])
    ax.set_yticks(range(shown.shape[0]) if y else [], [number(one) for one in values[y].values] if y else [])
    ax.set(xlabel=label(x), ylabel=label(y) if y else "")
    ax.grid(False)
    ax.figure.colorbar(image, ax=ax, label=label(str(values.name or "")))
    return ax


# --- What is drawn -------------------------------------------------------------------------------------------------

def _array(data: Any, quantity: str | None) -> Any:
    if isinstance(data, (str, os.PathLike, toysweep.Results)):
        data = toysweep.load(data, curves=False)
    if not hasattr(data, "dims"):
        raise TypeError("a heatmap is drawn of an array of what toysweep.load() gives, or of a results file and a quantity; "
                        f"this is a {type(data).__name__}")
    if quantity is None:
        if hasattr(data, "data_vars"):
            raise ValueError(f"which of {', '.join(list(map(str, data.data_vars))[:20])}, ... ? Give it as the second "
                             "argument")
        return data
    if quantity not in data:
        near = difflib.get_close_matches(quantity, list(map(str, data.data_vars)), 3)
        raise ValueError(f"there is no '{quantity}'" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    return data[quantity]


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """(rc_context would also put back that a notebook shows figures, if that came with the first of them.)"""
    settings: Any = plt.rcParams
    before = {name: settings[name] for name in STYLE}
    settings.update(STYLE)
    try:
        yield
    finally:
        settings.update(before)


@contextlib.contextmanager
def _results(data: Any) -> Iterator[toysweep.Results]:
    if isinstance(data, toysweep.Results):
        yield data
        return
    path = data if isinstance(data, (str, os.PathLike)) else getattr(data, "encoding", {}).get("source")
    if path is None:
        raise TypeError("a figure is drawn of a results file: its path, toysweep.Results, or what toysweep.load() gives, "
                        f"as it gives it; this {type(data).__name__} does not say of which file it is")
    with toysweep.Results(path) as results:
        yield results


def _names(value: Any) -> tuple:
    """One or several, or a text with commas between, as on the command line."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return _several(value)


def _several(value: Any) -> tuple:
    return () if value is None else (value,) if isinstance(value, (str, int, np.integer)) else tuple(value)


@contextlib.contextmanager
def _asked(results: toysweep.Results, *, axis: str = "auto", order: str = "auto", instance: int | Sequence[int] = (),
           neuron: int | Sequence[int] = (), irrep: str | Sequence[str] = (), frequency: int | Sequence[int] = (),
           output: int | Sequence[int] = (), axes: str | Sequence[str] = (), panels: str | Sequence[str] | None = None,
           quantity: str | Sequence[str] = (), bound: float | None = None, step: int | None = None,
           published: str | os.PathLike[str] | None = None, threshold: float = 1e-5, loss: str | None = None,
           memorised: float | None = None, cleanup: float | None = None, grokked: float | None = None
           ) -> Iterator[SimpleNamespace]:
    """Enters what was asked for while a figure is drawn."""
    for option, value, known in (("axis", axis, AXES), ("order", order, ORDERS)):
        if value not in known:
            raise ValueError(f"{option}={value!r}: it is one of {', '.join(known)}")
    before, ends = replace(chosen), replace(phases.THRESHOLDS)
    irreps = (*_several(irrep), *(f"freq_{k}" for k in _several(frequency)))
    new = replace(chosen, axis=axis, order=order, instances=_several(instance), neurons=_several(neuron), irreps=irreps,
                  outputs=_several(output), axes=_names(axes), panels=None if panels is None else _names(panels),
                  quantities=_names(quantity), bound=bound, step=step, command="",
                  published=published_runs.read_runs(os.fspath(published)) if published else None)
    for name, end in (("memorised", memorised), ("cleanup", cleanup), ("grokked", grokked)):
        if end is not None:
            setattr(phases.THRESHOLDS, name, end)
    try:
        vars(chosen).update(vars(new))
        check(results)
        yield SimpleNamespace(threshold=threshold, loss=loss, format="png")
    finally:
        vars(chosen).update(vars(before))
        vars(phases.THRESHOLDS).update(vars(ends))


OPTIONS = tuple(inspect.signature(_asked).parameters)[1:]


def _panels(picture: Any) -> Panels:
    """Without colour bars, and what is left empty."""
    shown = [axes for axes in picture.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]
    return shown[0] if len(shown) == 1 else np.array(shown, dtype=object)
