"""Neurons and embeddings of networks on any group, in the order of its elements: maps of activations, neurons of
one-dimensional irreps, and an irrep's matrices in the embedding.
"""

import numpy as np
import matplotlib.pyplot as plt

from toysweep.figures.cells import COLOURS, grid_of, title_of
from toysweep.figures.chosen import chosen
from toysweep.figures.elements import Order, classes_of, elements_of, mark
from toysweep.figures.irreps import key_irreps
from toysweep.figures.neurons import clusters
from toysweep.figures import symmetry
from toysweep.figures.view import Figure, panels
from toysweep.figures.weights import trained

MOST_MAPS, MOST_CLUSTERS, MOST_PAIRS, LEAST = 4, 3, 200, 0.02  # of the largest singular value: less is noise


def groups(view, most):
    """(sample, network, elements) of trained networks on groups, those that generalise first."""
    found = False
    for sample, network in trained(view, most):
        elements = elements_of(sample)
        if elements is not None:
            found = True
            yield sample, network, elements
    if not found and not view.lack:
        view.lacks("no network learns a group whose irreps are measured")


def owners(sample, prefix):
    """{irrep: its neurons}, those that are off left out, most neurons first."""
    name = prefix + "neuron_irrep"
    owned = {i: neurons for i, neurons in clusters(sample, prefix).items() if i >= 0} if sample.has(name) else {}
    return dict(sorted(owned.items(), key=lambda one: -len(one[1])))


# --- Maps of activations -------------------------------------------------------------------------------------------

def neuron_maps(view, options):
    """Activations of neurons over all pairs (a, b), by irrep, elements in their blocks"""
    lines = []
    for sample, network, elements in groups(view, 8):
        if elements.prefix == "" and not symmetry.is_sum(sample) and not is_circle(sample):
            lines += [(sample, network, elements, *one) for one in loud_neurons(sample, network, elements)]
        if len(lines) >= 6:
            break
    if not lines:
        return None
    picture, axes = panels(len(lines), MOST_MAPS, 2.7, 2.5)
    for i, (line, (sample, network, elements, words, neurons)) in enumerate(zip(axes, lines)):
        n = network.tokens
        activations = network.hidden(np.arange(n)[:, None], np.arange(n), neurons)
        order = turned(sample, elements, words)
        for j, axis in enumerate(line):
            axis.set_visible(j < len(neurons))
            if j < len(neurons):
                axis.imshow(activations[..., j][np.ix_(order.elements, order.elements)], cmap="viridis",
                            interpolation="nearest")
                axis.set_title(f"neuron {neurons[j]}", fontsize=9)
                mark(axis, order if j == 0 else None, order, 6)
                axis.set_xlabel("b")
        new = i == 0 or lines[i - 1][0] is not sample
        line[0].set_ylabel(f"{title_of(sample)}\n{words}\n\na" if new else f"{words}\n\na", fontsize=9)
    picture.suptitle("Activations of neurons over all pairs")
    orders = "; ".join(dict.fromkeys(f"{sample.name}: {elements.rows.words}" for sample, _, elements, *_ in lines))
    return Figure(picture, "Activations over all pairs (a, b) of the neurons that vary most among those of an irrep, "
                           f"of the {MOST_CLUSTERS} irreps with most neurons. Elements: {orders}; turns of a dihedral "
                           "group in the order of the irrep's own circle.")


def turned(sample, elements, words):
    """Rotations of D_n in the order of the irrep freq_k's own circle, r k^-1, so that its waves are long."""
    name, k = sample.keys().get("group", ""), words.removeprefix("freq_")
    order, n = elements.rows, len(elements.rows.elements) // 2
    is_wave = name[:1] == "D" and name[1:].isdigit() and k.isdigit() and np.gcd(int(k), n) == 1
    if chosen.order != "auto" or not is_wave:
        return order
    rotations = np.argsort(np.arange(n) * int(k) % n)
    return Order(np.concatenate([rotations, n + rotations]), order.blocks, order.words)


def is_circle(sample):
    group = sample.keys().get("group", "")
    return group[:1] == "C" and group[1:].isdigit()


def loud_neurons(sample, network, elements):
    """[(words, neurons)]: those that were asked for, else of each irrep those that vary most."""
    some = np.random.default_rng(0).permutation(network.tokens)[:MOST_PAIRS]
    if chosen.neurons:
        there = chosen.neurons_of(len(network.unembedding))
        return [("as asked for", there[at:at + MOST_MAPS]) for at in range(0, len(there), MOST_MAPS)]
    energy = network.hidden(some[:, None], some).var(axis=(0, 1))
    owned = owners(sample, elements.prefix)
    wanted = chosen.places(sample.names("irrep")) or list(owned)[:MOST_CLUSTERS]
    return [(sample.names("irrep")[i], owned[i][np.argsort(-energy[owned[i]], kind="stable")][:MOST_MAPS])
            for i in wanted if i in owned]


# --- One-dimensional irreps ----------------------------------------------------------------------------------------

def sign_neurons(view, options):
    """What neurons of a one-dimensional irrep write to each output, against its +1 and -1"""
    made = []
    for sample, network, elements in groups(view, 12):
        owned = owners(sample, elements.prefix)
        signs = [i for i in owned if elements.irreps[i].is_sign() and (not chosen.irreps or elements.irreps[i].name
                                                                        in chosen.irreps)]
        made += [(sample, network, elements.irreps[i], owned[i]) for i in signs]
    if not made:
        return None
    made = made[:6]
    picture, flat, axes = grid_of([sample for sample, *_ in made], 4.6, 3.0, (6.4, 4.2))
    for axis, (sample, network, irrep, neurons) in zip(flat, made):
        order = np.argsort(-irrep.character, kind="stable")
        energy = (network.unembedding[neurons] ** 2).sum(axis=1)
        for k, colour in zip(neurons[np.argsort(-energy, kind="stable")][:8], COLOURS):
            written = network.unembedding[k] - network.unembedding[k].mean()
            fit = written @ irrep.character / max(np.linalg.norm(written) * np.linalg.norm(irrep.character), 1e-30)
            axis.plot(network.unembedding[k][order], ".", markersize=3, color=colour, label=f"{k}: {fit:+.4f}")
        axis.axvline((irrep.character > 0).sum() - 0.5, color="black", linewidth=0.6)
        axis.set_title(f"{title_of(sample)}\n{irrep.name}: {len(neurons)} neurons", fontsize=9)
        axis.legend(fontsize=7, title="neuron: cosine", title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axis.set_xticks([(irrep.character > 0).sum() / 2, (3 * (irrep.character > 0).sum()) / 2], ["+1", "-1"])
        axis.set_xlabel(f"output c, by its {irrep.name}")
    for axis in axes[:, 0]:
        axis.set_ylabel("W_U")
    picture.suptitle("Unembedding of neurons that read a one-dimensional irrep")
    return Figure(picture, "What each neuron of an irrep with the values +1 and -1 adds to the logit of each output c; "
                           "outputs where it is +1 come first. Cosine: of that, centred, and the irrep. At most 8 "
                           "neurons, the largest first.")


# --- An irrep's matrices -------------------------------------------------------------------------------------------

def representation(view, options):
    """An irrep's matrix entries in the embedding of its neurons, in directions that are not zero"""
    made = [(sample, elements, one) for sample, network, elements in groups(view, 6)
            for one in in_its_basis(sample, network, elements)]
    return draw_matrices(*max(made, key=lambda one: one[2].rank * one[2].cosine)) if made else None


class Matrices:
    """An irrep's matrices (n, d, d) and, in the same shape, the embedding's largest `rank` directions turned to fit
    them best; mean cosine of the two. Entries that these directions do not hold are zero in both."""

    def __init__(self, irrep, neurons, matrices, directions):
        n, d, _ = matrices.shape
        self.irrep, self.neurons, self.rank = irrep, neurons, directions.shape[1]
        matrices = self.turned(matrices, directions) if self.rank < d * d else matrices
        wanted = matrices.reshape(n, d * d) * np.sqrt(d / n)  # orthonormal columns
        u, cosines, v = np.linalg.svd(directions.T @ wanted, full_matrices=False)
        self.held = (v ** 2).sum(axis=0).reshape(d, d)  # share of each entry that the directions hold
        self.matrices = (wanted @ v.T @ v / np.sqrt(d / n)).reshape(n, d, d)
        self.found = (directions @ u @ v / np.sqrt(d / n)).reshape(n, d, d)
        self.cosine = float(cosines.mean())

    @staticmethod
    def turned(matrices, directions):
        """In the bases in which whole rows and columns are missing: rho(a) w has columns only, w rho(b) rows."""
        held = np.einsum("gr,gij->rij", directions, matrices)
        rows, columns = (np.linalg.eigh(np.einsum(pairs, held, held))[1][:, ::-1] for pairs in ("rij,rkj->ik",
                                                                                                 "rij,rik->jk"))
        return np.einsum("ki,gij,jl->gkl", rows.T, matrices, columns)


def in_its_basis(sample, network, elements):
    """Matrices of each irrep of real type, of two dimensions and more, that owns enough neurons."""
    group, found = elements.group, []
    if network.left.shape[1] != network.unembedding.shape[0] or symmetry.is_sum(sample):
        return found  # neurons do not read the embedding itself
    for i, neurons in owners(sample, elements.prefix).items():
        irrep = elements.irreps[i]
        asked = irrep.name in chosen.irreps if chosen.irreps else i in key_irreps(sample, elements.prefix)
        if not asked or irrep.character.max() < 1.5 or not irrep.is_real():
            continue  # its matrices' entries are not independent functions
        matrices = symmetry.standard_matrices(group.permutations) if irrep.name == "standard" and \
            group.permutations is not None else irrep.matrices(group.table)
        columns = np.concatenate([network.left[:, neurons], network.right[:, neurons]], axis=1)
        # What is not the irrep's is noise, and must not count.
        values = np.linalg.svd(irrep.projector @ columns, compute_uv=False)
        u = np.linalg.svd(columns, full_matrices=False)[0]
        found.append(Matrices(irrep, len(neurons), matrices, u[:, :int((values > LEAST * values[0]).sum())]))
    return found


def draw_matrices(sample, elements, one):
    n, d, _ = one.matrices.shape
    held = np.argwhere(one.held > 0.5)
    picture = plt.figure(figsize=(10, 7.4))
    wide, small = picture.subfigures(2, 1, height_ratios=[4, 3])
    axes = wide.subplots(2, 1, sharex=True)
    most = np.abs(one.matrices).max()
    for axis, values, words in zip(axes, (one.matrices, one.found), (f"irrep {one.irrep.name}", "embedding")):
        rows = values[elements.rows.elements][:, held[:, 0], held[:, 1]].T
        image = axis.imshow(rows, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        mark(axis, None, elements.rows, 8)
        axis.set_title(words, fontsize=9)
        axis.set_ylabel("matrix entry")
        shown = range(0, len(held), max(1, len(held) // 6))
        axis.set_yticks(shown, [f"{held[at][0] + 1},{held[at][1] + 1}" for at in shown], fontsize=8)
    axes[1].set_xlabel(f"element, {elements.rows.words}")
    classes, names = classes_of(elements.group)
    first = [int(np.flatnonzero(classes == i)[0]) for i in range(len(names))][:6]
    axes = small.subplots(2, len(first), squeeze=False)
    for column, g in zip(axes.T, first):
        for axis, values in zip(column, (one.matrices, one.found)):
            axis.imshow(values[g], cmap="RdBu_r", vmin=-most, vmax=most)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
        permutations = elements.group.permutations
        column[0].set_title(f"element {g}" if permutations is None else " ".join(map(str, permutations[g])), fontsize=9)
    axes[0][0].set_ylabel("matrix", fontsize=8)
    axes[1][0].set_ylabel("embedding", fontsize=8)
    wide.colorbar(image, ax=wide.axes, shrink=0.8)
    whole = "" if one.rank == d * d else f", of the matrices' {d * d}; entries that they do not hold are left out"
    picture.suptitle(f"{sample.name}: irrep {one.irrep.name} in the embedding, rank {one.rank} of {d * d}, mean cosine "
                     f"{one.cosine:.4f}")
    return Figure(picture, f"{sample.name}: the embeddings of the {one.neurons} neurons that belong to the irrep "
                           f"{one.irrep.name} have {one.rank} directions in its functions that are not zero (singular "
                           f"values over {LEAST:.0%} of the largest){whole}. After one rotation to the basis in which they fit "
                           "the irrep's matrix entries best. Above: all elements; below: the matrices of one element of "
                           f"each conjugacy class. Mean cosine of the two sets of functions: {one.cosine:.4f}.")
