"""Figures from trained weights: the logits themselves, the standard representation, singular values."""

import matplotlib.pyplot as plt
import numpy as np

from figures import symmetry
from figures.cells import grid_of, left_out
from figures.neurons import clusters
from figures.view import Figure, panels, some

MOST_SLICES = 3
LEFT, RIGHT = "#31688e", "#c8553d"


def trained(view, most):
    """(sample, network) of a few instances whose weights are kept, those that generalise first."""
    pairs = [(sample, sample.network()) for sample in view.best("train_loss", most)]
    return [(sample, network) for sample, network in pairs if network is not None]


def logit_slices(view, options):
    """The cube of logits over (a, b, c), cut at a few c and a few a."""
    pairs = trained(view, 4)
    if not pairs:
        return None
    picture, axes = panels(len(pairs), 2 * MOST_SLICES, 2.1, 2.5)
    for line, (sample, network) in zip(axes, pairs):
        n = network.tokens
        fixed = [0, n // 3, n - 1]
        over_c = np.moveaxis(centred(network, block_of(n), fixed), -1, 0)
        over_a = [centred_row(network, at) for at in fixed]
        most = max(np.abs(values).max() for values in (*over_c, *over_a))
        for axis, at, values in zip(line, fixed, over_c):
            image = draw_slice(axis, values, most, f"c = {at}", "b", "a")
        for axis, at, values in zip(line[MOST_SLICES:], fixed, over_a):
            draw_slice(axis, values, most, f"a = {at}", "c", "b")
        line[0].set_ylabel(f"{sample.name}\n\na", fontsize=9)
        picture.colorbar(image, ax=line, shrink=0.8, pad=0.01)
    picture.suptitle("Slices of the logits")
    return Figure(picture, "The trained logits, centred over the outputs c: left for one c over all pairs (a, b), "
                           "right for one a over b and c. Elements are in the order of the table.")


def block_of(n):
    """Rows of pairs at a time, so that a group of 720 elements fits."""
    return max(1, 200000 // n)


def centred(network, block, outputs):
    """(n, n, outputs): the logits of these outputs, centred over all."""
    every = np.arange(network.tokens)
    parts = []
    for begin in range(0, network.tokens, block):
        logits = network.logits(every[begin:begin + block, None], every[None])
        parts.append(logits[..., outputs] - logits.mean(axis=-1, keepdims=True))
    return np.concatenate(parts)


def centred_row(network, a):
    logits = network.logits(a, np.arange(network.tokens))
    return logits - logits.mean(axis=-1, keepdims=True)


def draw_slice(axis, values, most, title, x, y):
    image = axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    return image


# --- The standard representation -----------------------------------------------------------------------------------

def standard_representation(view, options):
    """S_n, A_n: the embedding of the neurons of `standard`, rotated so that its matrix entries show."""
    samples = [sample for sample in view.samples("neuron_irrep") if "standard" in sample.names("irrep")]
    made = [(sample, *found) for sample in samples if (found := in_standard_basis(sample))]
    return draw_standard(*max(made, key=lambda one: one[3])) if made else None


def in_standard_basis(sample):
    """(entries (n, d, d), the embeddings' own, cosine, permutations, neurons): the d^2 largest directions of the
    neurons' left and right embeddings, turned and scaled to fit the matrix entries best."""
    group, network = symmetry.group_of(sample.results, sample.instance), sample.network()
    if group is None or network is None or group.permutations is None:
        return None
    neurons = clusters(sample).get(sample.names("irrep").index("standard"), [])
    entries = symmetry.standard_matrices(group.permutations)
    n, d, _ = entries.shape
    if len(neurons) < d * d or network.left.shape[1] != len(sample.get("neuron_irrep")):
        return None
    columns = np.concatenate([network.left[:, neurons], network.right[:, neurons]], axis=1)
    directions = np.linalg.svd(columns, full_matrices=False)[0][:, :d * d]
    wanted = entries.reshape(n, d * d) * np.sqrt(d / n)  # orthonormal columns
    u, cosines, v = np.linalg.svd(directions.T @ wanted)
    found = directions @ (u @ v)
    return entries, (found / np.sqrt(d / n)).reshape(n, d, d), cosines.mean(), group.permutations, len(neurons)


def draw_standard(sample, entries, found, cosine, permutations, neurons):
    n, d, _ = entries.shape
    picture = plt.figure(figsize=(10, 7.4))
    wide, small = picture.subfigures(2, 1, height_ratios=[4, 3])
    axes = wide.subplots(2, 1, sharex=True)
    order = sorted(range(n), key=lambda g: cycle_type(permutations[g]))
    for axis, values, words in zip(axes, (entries, found), ("standard representation", "embedding")):
        image = axis.imshow(values[order].reshape(n, d * d).T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto",
                            interpolation="nearest")
        axis.set_title(words, fontsize=9)
        axis.set_ylabel("matrix entry")
        axis.set_yticks(range(0, d * d, d), [f"{i + 1},1" for i in range(d)], fontsize=8)
        axis.grid(False)
    axes[1].set_xlabel("element, sorted by cycle type")
    shown = one_of_each(permutations)[:6]
    axes = small.subplots(2, len(shown), squeeze=False)
    for column, g in zip(axes.T, shown):
        for axis, values in zip(column, (entries, found)):
            axis.imshow(values[g], cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
        column[0].set_title(" ".join(map(str, permutations[g])), fontsize=9)
    axes[0][0].set_ylabel("matrix", fontsize=8)
    axes[1][0].set_ylabel("embedding", fontsize=8)
    wide.colorbar(image, ax=wide.axes, shrink=0.8)
    picture.suptitle(f"{sample.name}: the standard representation in the embedding (mean cosine {cosine:.4f})")
    return Figure(picture, f"{sample.name}: the {d * d} largest directions of the left and right embeddings of the "
                           f"{neurons} neurons that belong to the irrep `standard`, after one rotation to the basis in "
                           f"which they fit the {d * d} matrix entries of the standard representation best. Above: all "
                           "elements; below: the matrices of one permutation of each cycle type. Mean cosine of the "
                           f"two sets of functions: {cosine:.4f}.")


def cycle_type(permutation):
    """Lengths of cycles, longest first."""
    lengths, left = [], set(range(len(permutation)))
    while left:
        start = at = left.pop()
        length = 1
        while (at := int(permutation[at])) != start:
            left.remove(at)
            length += 1
        lengths.append(length)
    return tuple(sorted(lengths, reverse=True))


def one_of_each(permutations):
    """The first permutation of every cycle type, those that move least first."""
    first = {}
    for g, permutation in enumerate(permutations):
        first.setdefault(cycle_type(permutation), g)
    return [first[kind] for kind in sorted(first)]


# --- Singular values -----------------------------------------------------------------------------------------------

def singular_values(view, options):
    """Of the embeddings into the hidden layer, or into the residual stream."""
    cells = [cell for cell in view.has("train_loss") if cell.samples(1)[0].has_network()]
    shown = some(cells, 12)
    if not shown:
        return None
    picture, flat, axes = grid_of(shown, sharey=True)
    several = False
    for axis, cell in zip(flat, shown):
        for sample in cell.samples(10):
            network = sample.network()
            sides = [(network.left, LEFT)]
            if network.right is not network.left:
                sides.append((network.right, RIGHT))
                several = True
            for matrix, colour in sides:
                values = np.linalg.svd(matrix, compute_uv=False)
                axis.plot(np.arange(1, len(values) + 1), np.maximum(values, 1e-6 * values[0]), color=colour,
                          linewidth=1, alpha=0.7)
    for axis in axes[:, 0]:
        axis.set_ylabel("singular value")
    columns = axes.shape[1]
    for axis in axes.flat[max(0, len(shown) - columns):len(shown)]:
        axis.set_xlabel("number")
    flat[0].set_ylim(bottom=0)
    if several:
        handles = [plt.Line2D([], [], color=colour, label=f"{name} embedding")
                   for name, colour in (("left", LEFT), ("right", RIGHT))]
        axes[0][-1].legend(handles=handles, loc="upper right")
    picture.suptitle("Singular values of the embedding")
    return Figure(picture, "Singular values of the trained embeddings (of an mlp: into its hidden layer), a line for "
                           "each instance. A network that uses few irreps has few large ones." + left_out(view, shown))
