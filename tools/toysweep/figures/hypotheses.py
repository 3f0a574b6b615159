"""The trained logits beside what they are thought to be: multiples of characters of a b c^-1."""

import numpy as np

from toysweep.figures.cells import title_of
from toysweep.figures.chosen import chosen
from toysweep.figures.elements import elements_of, inverses, mark
from toysweep.figures.irreps import key_irreps
from toysweep.figures.view import Figure, panels
from toysweep.figures.weights import centred, draw_slice, trained

MOST_KEYS = 3


def logit_hypotheses(view, options):
    """True logits of one output over all pairs, beside the key irreps' characters that they are thought to be"""
    made = [(sample, *one) for sample, network in trained(view, 4) if (one := slices_of(sample, network))]
    if not made:
        return None
    columns = 2 + max(len(parts) for *_, parts in made)
    picture, axes = panels(len(made), columns, 2.75, 2.9)
    for line, (sample, elements, output, true, parts) in zip(axes, made):
        total = sum(values for _, values in parts)
        most = max(np.abs(true).max(), np.abs(total).max())
        shown = [(f"logits of c = {output}", true), (f"all of these: cosine {cosine(true, total):.3f}", total)] + \
            [(f"{name}: cosine {cosine(true, values):.3f}", values) for name, values in parts]
        for j, axis in enumerate(line):
            axis.set_visible(j < len(shown))
            if j < len(shown):
                image = draw_slice(axis, shown[j][1][np.ix_(elements.rows.elements, elements.columns.elements)], most,
                                   shown[j][0], "b", "a" if j else f"{title_of(sample)}\n\na")
                mark(axis, elements.rows if j == 0 else None, elements.columns)
        picture.colorbar(image, ax=line, shrink=0.8, pad=0.01)
    picture.suptitle("Logits and what they are thought to be")
    orders = "; ".join(dict.fromkeys(f"{sample.name}: {elements.rows.words}" for sample, elements, *_ in made))
    return Figure(picture, "Left: the logits of one output c over all pairs (a, b), centred over the outputs. Right of "
                           "it: chi(a b c^-1) of the key irreps times the coefficients of the least-squares fit to all "
                           f"logits, at most {MOST_KEYS} of them, together and each alone, and the cosine of each and "
                           f"the slice. Elements: {orders}.")


def slices_of(sample, network):
    """(elements, output, its logits (a, b), [(irrep's name, its part of the fit)]); None: no group, no key irreps."""
    elements = elements_of(sample)
    if elements is None:
        return None
    prefix = elements.prefix
    keys = chosen.places(sample.names("irrep")) or list(key_irreps(sample, prefix))
    keys = [k for k in keys if sample.has(prefix + "fit_coefficient")][:MOST_KEYS]
    if not keys:
        return None
    n = network.tokens
    table, one = elements.group.table, 1 if prefix else 0
    result = int(table[elements.left[one], elements.right[one]])  # of powers, c = 0 may have no pairs
    output = next((c for c in chosen.outputs if 0 <= c < n), result)
    true = centred(network, max(1, 200000 // n), [output])[..., 0]
    at = table[table[elements.left[:, None], elements.right], inverses(table)[output]]  # a b c^-1
    coefficient = np.nan_to_num(sample.last(prefix + "fit_coefficient"))
    return elements, output, true, [(elements.irreps[k].name, coefficient[k] * elements.irreps[k].character[at])
                                    for k in keys]


def cosine(one, other):
    return float((one * other).sum() / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-30))
