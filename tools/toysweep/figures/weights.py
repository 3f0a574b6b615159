"""Figures from trained weights: the logits themselves, and singular values."""

import matplotlib.pyplot as plt
import numpy as np

from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import grid_of, left_out
from toysweep.figures.chosen import chosen
from toysweep.figures.view import Figure, panels, some

MOST_SLICES = 3
LEFT, RIGHT, RANDOM = "#31688e", "#c8553d", "#555555"


def trained(view, most):
    """(sample, network) of instances whose weights are kept, those that generalise first; read one by one."""
    samples, found = view.best("train_loss", most), False
    for sample in samples:
        network = sample.network()
        if network is not None:
            found = True
            yield sample, network
    if samples and not found:
        view.lacks(why_untrained(samples))


def why_untrained(samples):
    """Why none of them has a network."""
    if not any("weights" in sample.group for sample in samples):
        return "no weights are saved (`save: final` or `save: checkpoints` keeps them)"
    if not any(sample.has_network() for sample in samples):
        return "it takes networks apart, and can do so with none of these (with none that have `layer_norm`)"
    if chosen.step is None:
        return "no finished instance has weights"
    return f"no finished instance has weights of step {chosen.step} (`save: checkpoints` keeps those of every one)"


def logit_slices(view, options):
    """The cube of logits over (a, b, c), cut at a few c and a few a"""
    pairs = list(trained(view, 4))
    if not pairs:
        return None
    picture, axes = panels(len(pairs), 2 * MOST_SLICES, 2.1, 2.5)
    for line, (sample, network) in zip(axes, pairs):
        n = network.tokens
        fixed = [c for c in chosen.outputs if 0 <= c < n][:MOST_SLICES] or [0, n // 3, n - 1]
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
    every, n = np.arange(network.tokens), network.unembedding.shape[1]
    readout = np.eye(n)[:, outputs] - 1 / n
    return np.concatenate([network.logits(every[begin:begin + block, None], every[None], readout)
                           for begin in range(0, network.tokens, block)])


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


# --- Singular values -----------------------------------------------------------------------------------------------

def with_networks(cell):
    """Of a few instances of the cell, those whose weights are known."""
    return [network for network in (sample.network() for sample in cell.samples(10)) if network is not None]


def singular_values(view, options):
    """Singular values of the embeddings, beside those of a random matrix"""
    cells = view.has("train_loss")
    shown = some([cell for cell in cells if with_networks(cell)], 12)
    if not shown:
        return view.lacks(why_untrained([sample for cell in cells for sample in cell.samples(1)])) if cells else None
    picture, flat, axes = grid_of(shown, sharey=True)
    names = {}
    for axis, cell in zip(flat, shown):
        for network in with_networks(cell):
            sides = [(network.left, LEFT, "left embedding"), (network.right, RIGHT, "right embedding")]
            if network.right is network.left:
                sides = [(network.left, LEFT, "embedding")]
            for matrix, colour, name in sides:
                draw_values(axis, matrix, colour, "-")
                names[name] = colour, "-"
        draw_values(axis, random_like(network.left), RANDOM, "--")
    names["random matrix"] = RANDOM, "--"
    for axis in axes[:, 0]:
        axis.set_ylabel("singular value")
    columns = axes.shape[1]
    for axis in axes.flat[max(0, len(shown) - columns):len(shown)]:
        axis.set_xlabel("number")
    flat[0].set_ylim(bottom=0)
    legend_beside(axes, [plt.Line2D([], [], color=colour, linestyle=style, label=name)
                         for name, (colour, style) in names.items()])
    picture.suptitle("Singular values of the embedding")
    return Figure(picture, "Singular values of the trained embeddings (of an mlp: into its hidden layer), a line for "
                           "each instance. A network that uses few irreps has few large ones. Dashed: of a matrix "
                           "of normal random numbers of the same shape and norm." + left_out(view, shown))


def draw_values(axis, matrix, colour, style):
    values = np.linalg.svd(matrix, compute_uv=False)
    axis.plot(np.arange(1, len(values) + 1), np.maximum(values, 1e-6 * values[0]), style, color=colour, linewidth=1,
              alpha=0.7)


def random_like(matrix):
    random = np.random.default_rng(0).standard_normal(matrix.shape)
    return random * (np.linalg.norm(matrix) / np.linalg.norm(random))
