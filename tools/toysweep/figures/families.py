"""Which figures there are of each kind of data, by name."""

import numpy as np

from toysweep.figures import feature, table
from toysweep.figures.chosen import chosen
from toysweep.figures.view import rows_of_kind

# views(results, rows, loss) cuts instances into views; FIGURES are functions (view, options) -> figures.view.Figure, or
# None where a view has nothing to show. Their names, and the first lines of what they say of themselves, are what
# plot.py's --figures takes and --help lists, and what toysweep.figures has as functions.
KINDS = {"features": feature, "table": table}


def figures_of(family):
    """All of them; some are of views that have figures of their own."""
    return [*family.FIGURES, *getattr(family, "OF_OTHER_VIEWS", ())]


def name_of(make):
    """Of a figure, from that of its function."""
    return make.__name__.replace("_", "-")


def about(make):
    """What it shows, in a line."""
    return (make.__doc__ or "").strip().split("\n")[0]


def views_of(results, kind, loss):
    """What figures of a kind of data are drawn from: the chosen instances of it, whole and in parts."""
    rows = rows_of_kind(results, kind)
    if chosen.instances:
        rows = rows[np.isin(rows, chosen.instances)]
    family = KINDS[kind]
    made = family.views(results, rows, loss) if len(rows) else []
    whole = [family.whole(results, rows, loss)] if made and hasattr(family, "whole") else []
    return whole + made


def figures_and_terms(kind, view):
    """[(figure, terms)] of a view; of figures in two bases terms say which this one is in, else they are empty."""
    family = KINDS[kind]
    every = {make.__name__ for make in family.FIGURES}
    return [(make, "in terms of a and b" if "value_" + make.__name__ in every and getattr(view, "has_powers", False)
             else "") for make in getattr(view, "figures", family.FIGURES)]
