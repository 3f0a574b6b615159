"""The embedding of networks on cyclic tables and sums of powers: principal components, the Fourier basis, key
frequencies; and what single inputs do. Of sums of powers there are two orders of tokens, as in fourier.py.
"""

import numpy as np

from toysweep.figures.cells import COLOURS, grid_of, says_twice, title_of
from toysweep.figures.chosen import chosen
from toysweep.figures.fourier import key_frequencies, loudest, real_basis
from toysweep.figures.irreps import ALL_IN_VALUES, IN_VALUES
from toysweep.figures.symmetry import is_sum
from toysweep.figures.terms import terms_of
from toysweep.figures.view import Figure, panels, regular, some
from toysweep.figures.weights import trained

MOST_SAMPLES, MOST_PARTS, MOST_ROWS = 3, 4, 3


class Tokens:
    """What tokens a and b stand for on the circle of p places: themselves, or ("value") a^m and b^n mod p."""

    def __init__(self, keys, prefix):
        self.p = keys.get("p") or int(keys["group"][1:])
        terms = terms_of(keys) if prefix else [(np.arange(self.p), "")] * 2
        self.places = [places for places, _ in terms]
        self.order = [np.argsort(places, kind="stable") for places in self.places]
        self.words = [token if not prefix else f"{token}, sorted by {words} mod {self.p}"
                      for token, (_, words) in zip("ab", terms)]

    def basis(self, side=0):
        """(components, tokens): constant, cos 1, sin 1, ... of the places; each of length 1, or 0 where it vanishes."""
        rows = real_basis(self.p)[:, self.places[side]]
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.where(lengths > 1e-9, rows / np.maximum(lengths, 1e-9), 0)


def circles(view, prefix, most=MOST_SAMPLES):
    """(sample, network, Tokens) of trained networks on a circle."""
    found = []
    for sample, network in trained(view, 100):
        keys = sample.keys()
        cyclic = keys.get("group", "")[:1] == "C" and keys["group"][1:].isdigit()
        if (is_sum(sample) or cyclic and not prefix) and not says_twice(prefix, keys) and network.tokens > 2:
            found.append((sample, network, Tokens(keys, prefix)))
        if len(found) == most:
            break
    if not found and not view.lack:
        view.lacks("no network adds on a circle" + " in terms of anything but a and b" * bool(prefix))
    return found


def names_of(p):
    return ["constant"] + [f"{wave} {k}" for k in range(1, p // 2 + 1) for wave in ("cos", "sin")][:p - 1]


def sides_of(network):
    """(words, embedding, side): one where both sides have the same."""
    both = [("left embedding", network.left, 0), ("right embedding", network.right, 1)]
    return both if network.right is not network.left else [("embedding", network.left, 0)]


def parts_of(view, prefix):
    made = circles(view, prefix)
    if not made:
        return None
    picture, axes = panels(len(made), MOST_PARTS, 3.0, 2.2)
    for line, (sample, network, tokens) in zip(axes, made):
        u, values, _ = np.linalg.svd(network.left - network.left.mean(axis=0), full_matrices=False)
        for i, axis in enumerate(line):
            axis.set_visible(i < len(values))
            if i < len(values):
                axis.plot(u[tokens.order[0], i] * values[i], "-", marker=".", markersize=3, linewidth=0.6,
                          color="#31688e")
                axis.set_title(f"component {i + 1}: {values[i] ** 2 / (values ** 2).sum():.1%}", fontsize=9)
                axis.set_xlabel(tokens.words[0])
        line[0].set_ylabel(title_of(sample), fontsize=9)
    picture.suptitle("Principal components of the embedding" + IN_VALUES[prefix])
    return Figure(picture, "The first principal components of the embedding of a, a token a dot, and their share of "
                           "the variance." + ALL_IN_VALUES[prefix])


def heatmap(view, prefix):
    made = [(*one, side) for one in circles(view, prefix, 2) for side in sides_of(one[1])]
    if not made:
        return None
    tall = [max(3.0, min(8.0, 0.075 * network.tokens)) for _, network, _, _ in made]
    picture, axes = panels(len(made), 2, 5.0, sum(tall) / len(tall),
                           gridspec_kw={"width_ratios": [3, 1.3], "height_ratios": tall})
    for line, (sample, network, tokens, (words, matrix, side)) in zip(axes, made):
        found = tokens.basis(side) @ matrix
        order = np.argsort(-(found[1:] ** 2).max(axis=0), kind="stable")
        most = np.abs(found[1:]).max()
        image = line[0].imshow(found[:, order], cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto",
                               interpolation="nearest")
        line[0].set_title(f"{sample.name}: {words}", fontsize=9)
        line[0].set_xlabel("dimension, largest component first")
        line[0].grid(False)
        picture.colorbar(image, ax=line[0], shrink=0.6, pad=0.01)
        names, norms = names_of(tokens.p), np.linalg.norm(found, axis=1)
        for wave, colour in (("cos", "#31688e"), ("sin", "#c8553d")):
            at = [i for i, name in enumerate(names) if name.startswith(wave)]
            line[1].barh(at, norms[at], height=0.9, color=colour, label=wave)
        line[1].set_ylim(len(names) - 0.5, -0.5)
        line[1].set_xlabel("norm over dimensions")
        line[1].legend(fontsize=8, ncol=2, loc="lower right", bbox_to_anchor=(1, 1))
        shown = rows_to_name(names)
        for axis in line:
            axis.set_yticks(shown, [names[i] for i in shown], fontsize=7)
    picture.suptitle("Embedding in the Fourier basis" + IN_VALUES[prefix])
    return Figure(picture, "The embedding times each component of the Fourier basis (rows), for each of its "
                           "dimensions, and at the right the norm of each component, cosine and sine apart." +
                  ALL_IN_VALUES[prefix])


def rows_to_name(names):
    """All components, or of many the constant and sines, which are at equal distances."""
    return range(len(names)) if len(names) <= 16 else regular(range(0, len(names), 2), 16)


def products(view, prefix):
    made = []
    for sample, network, tokens in circles(view, prefix, 6):
        if sample.has(prefix + "logit_cos_similarity"):
            keys = [sample.names("frequency")[k] for k in key_frequencies(sample, prefix)][:6]
            asked = [name for name in chosen.irreps if name in sample.names("frequency")]
            keys = asked or sorted(keys, key=lambda name: int(name.split("_")[-1]))
            if keys:
                made.append((sample, network, tokens, [int(name.split("_")[-1]) for name in keys]))
    if not made:
        return None
    picture, flat, axes = grid_of([sample for sample, *_ in made], 4.0, 3.6, (5.6, 4.8))
    for axis, (sample, network, tokens, keys) in zip(flat, made):
        names = names_of(tokens.p)
        at = [i for i, name in enumerate(names) if name != "constant" and int(name.split()[1]) in keys]
        directions = tokens.basis()[at] @ network.left
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-30)
        image = axis.imshow(directions @ directions.T, cmap="RdBu_r", vmin=-1, vmax=1)
        axis.set_xticks(range(len(at)), [names[i] for i in at], rotation=90, fontsize=8)
        axis.set_yticks(range(len(at)), [names[i] for i in at], fontsize=8)
        axis.grid(False)
    picture.colorbar(image, ax=axes, label="cosine", shrink=0.8)
    picture.suptitle("Dot products of the key frequencies' directions" + IN_VALUES[prefix])
    return Figure(picture, "Cosines between the directions in which the embedding (of a) holds cosine and sine of the "
                           "key frequencies." + ALL_IN_VALUES[prefix])


# --- Single inputs -------------------------------------------------------------------------------------------------

def rows_of(view, prefix, what, values_of, names, caption):
    """A line of panels an instance: values_of(sample, network, a, b) (a, b, lines) over b, for a few a."""
    made = [(sample, tokens, values) for sample, network, tokens in circles(view, prefix)
            if (values := values_of(sample, network, tokens)) is not None]
    if not made:
        return None
    picture, axes = panels(len(made), MOST_ROWS, 4.0, 2.4, sharey="row")
    for line, (sample, tokens, (fixed, lines)) in zip(axes, made):
        for axis, a, values in zip(line, fixed, lines):
            for i in range(values.shape[-1]):
                axis.plot(values[:, i], linewidth=1, color=COLOURS[i % len(COLOURS)], label=names(sample, i))
            axis.set_title(f"a = {a}", fontsize=9)
            axis.set_xlabel(tokens.words[1])
        line[0].set_ylabel(title_of(sample), fontsize=9)
        line[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    picture.suptitle(what + IN_VALUES[prefix])
    return Figure(picture, caption + ALL_IN_VALUES[prefix])


def few(tokens):
    """Inputs a at the ends and in the middle of their order."""
    return [int(tokens.order[0][at]) for at in some(range(1, tokens.p), MOST_ROWS)]


def attentions(view, prefix):
    def values_of(sample, network, tokens):
        if not hasattr(network, "attention"):
            return None
        fixed = few(tokens)
        return fixed, [network.attention(a, tokens.order[1])[..., 0] for a in fixed]
    return rows_of(view, prefix, "Attention to a, for single inputs a", values_of, lambda sample, head: f"head {head}",
                   "The weight with which each head of the last position attends to a, over all b, for three inputs a.")


def activations(view, prefix):
    shown = {}

    def values_of(sample, network, tokens):
        every = np.arange(network.tokens)
        shown[sample.instance] = chosen.neurons_of(len(network.unembedding))[:6] or loudest(sample, network, prefix, every, every)
        fixed, neurons = few(tokens), shown[sample.instance]
        return fixed, [network.hidden(a, tokens.order[1], neurons) for a in fixed]
    return rows_of(view, prefix, "Activations of neurons, for single inputs a", values_of,
                   lambda sample, i: f"neuron {shown[sample.instance][i]}",
                   "Activations over all b for three inputs a, of neurons that vary most, each of another frequency "
                   "where possible.")


# --- The figures ---------------------------------------------------------------------------------------------------

def principal_components(view, options):
    """The first principal components of the embedding, token by token"""
    return parts_of(view, "")


def value_principal_components(view, options):
    """The same, with tokens in the order of a^m mod p"""
    return parts_of(view, "value_")


def embedding_in_the_fourier_basis(view, options):
    """The embedding's dimensions times every component of the Fourier basis, and cosine and sine norms"""
    return heatmap(view, "")


def value_embedding_in_the_fourier_basis(view, options):
    """The same in terms of a^m and b^n mod p"""
    return heatmap(view, "value_")


def key_frequency_products(view, options):
    """Cosines between the embedding's directions of the key frequencies"""
    return products(view, "")


def value_key_frequency_products(view, options):
    """The same in terms of a^m and b^n mod p"""
    return products(view, "value_")


def attention_rows(view, options):
    """Attention of each head to a over all b, for a few single inputs a"""
    return attentions(view, "")


def value_attention_rows(view, options):
    """The same, with b in the order of b^n mod p"""
    return attentions(view, "value_")


def neuron_rows(view, options):
    """Activations of a few neurons over all b, for a few single inputs a"""
    return activations(view, "")


def value_neuron_rows(view, options):
    """The same, with b in the order of b^n mod p"""
    return activations(view, "value_")
