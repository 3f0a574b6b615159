"""What single neurons do: the clusters that they form by irrep, and what they write to the outputs."""

import numpy as np

from matplotlib.patches import Patch

from toysweep.figures import symmetry
from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import grid_of, left_out
from toysweep.figures.irreps import ALL_IN_VALUES, IN_VALUES
from toysweep.figures.view import Figure, html_table, some

MOST_BARS = 24
OFF = "off"


def clusters(sample, prefix=""):
    """{irrep (number; -1: off): its neurons}, irreps in order, the neurons that are off last."""
    owner = np.nan_to_num(sample.get(prefix + "neuron_irrep"), nan=-1).astype(int)
    found = {i: np.flatnonzero(owner == i) for i in np.unique(owner)}
    return {i: found[i] for i in sorted(found, key=lambda i: (i < 0, i))}


def cluster_counts(view, prefix):
    """How many neurons each irrep owns: the median over instances, an instance a dot."""
    cells = some(view.has(prefix + "neuron_irrep"), 9)
    if not cells:
        return None
    picture, flat, axes = grid_of(cells, 3.8, 2.8, (5.6, 3.6))
    for axis, cell in zip(flat, cells):
        draw_counts(axis, cell, prefix)
    for axis in axes[:, 0]:
        axis.set_ylabel("neurons")
    picture.suptitle("Neurons by irrep" + IN_VALUES[prefix])
    return Figure(picture, "How many neurons have most of the energy of their embeddings in an irrep: median over "
                           f"instances (bar), an instance a dot. {OFF}: energy under 1. The "
                           f"{MOST_BARS} with most neurons are shown." + ALL_IN_VALUES[prefix] + left_out(view, cells))


def neuron_clusters(view, options):
    """How many neurons belong to each irrep"""
    return cluster_counts(view, "")


def value_neuron_clusters(view, options):
    """The same in terms of a^m and b^n mod p"""
    return cluster_counts(view, "value_")


def draw_counts(axis, cell, prefix):
    owners = np.nan_to_num(cell.final(prefix + "neuron_irrep"), nan=-1).astype(int)
    names = cell.names("irrep") + [OFF]  # -1 is the last
    counts = np.array([np.bincount(row % len(names), minlength=len(names)) for row in owners])
    most = np.argsort(-counts.sum(axis=0), kind="stable")[:MOST_BARS]
    shown = np.sort(most[counts.sum(axis=0)[most] > 0])
    axis.bar(range(len(shown)), np.median(counts[:, shown], axis=0), width=0.7,
             color=["#bbbbbb" if i == len(names) - 1 else "#9cc3d5" for i in shown])
    for row in some(range(len(counts)), 50):
        spread = 0.5 * (row + 0.5) / len(counts) - 0.25
        axis.plot(np.arange(len(shown)) + spread, counts[row, shown], "o", color="#31688e", markersize=3, alpha=0.7,
                  markeredgewidth=0)
    turned = len(shown) > 8
    axis.set_xticks(range(len(shown)), [names[i] for i in shown], fontsize=8, rotation=90 if turned else 40,
                    ha="center" if turned else "right", rotation_mode="default" if turned else "anchor")
    axis.grid(axis="x", visible=False)


# --- What clusters hold --------------------------------------------------------------------------------------------

SHARES = (("left", "of a", "#31688e"), ("right", "of b", "#8fb6d2"), ("product", "of a b", "#c8553d"),
          ("constant", "constant", "#bbbbbb"))
TABLE_HEAD = ("instance", "irrep", "neurons", "active", "energy before", "after", *(words for _, words, _ in SHARES),
              "hidden basis", "unembedding's")


def cluster_shares(view, prefix):
    """What the activations of each irrep's neurons are functions of."""
    samples = view.best(prefix + "cluster_size", 6)
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, 3.9, 3.0, (5.6, 3.8), sharey=True)
    table = []
    for axis, sample in zip(flat, samples):
        size = sample.get(prefix + "cluster_size")
        owned = np.flatnonzero(size > 0)
        shown = np.sort(owned[np.argsort(-size[owned], kind="stable")[:MOST_BARS]])
        names, bottom = sample.names("irrep"), np.zeros(len(shown))
        for name, _, colour in SHARES:
            share = np.nan_to_num(sample.get(f"{prefix}cluster_{name}_fraction")[shown])
            axis.bar(range(len(shown)), share, bottom=bottom, color=colour, width=0.75)
            bottom += share
        axis.set_xticks(range(len(shown)), [f"{names[i]}: {size[i]:.0f}" for i in shown], fontsize=8,
                        rotation=90 if len(shown) > 3 else 0)
        axis.set_ylim(0, 1)
        axis.set_axisbelow(True)
        axis.grid(axis="x", visible=False)
        table += cluster_rows(sample, prefix, owned, names)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of the activations' energy")
    legend_beside(axes, [Patch(facecolor=colour, label=words) for _, words, colour in reversed(SHARES)])
    picture.suptitle("What the neurons of each irrep are functions of" + IN_VALUES[prefix])
    return Figure(picture, "Of the activations of each irrep's neurons (their number stands at its name) the share of "
                           "the energy over all pairs that lies in the irrep's functions of a, of b and of a b, and "
                           "that is constant; the rest is white. Below, energies before and after the activation; "
                           "active: with an energy of 100 in functions of a b; and how near the change of basis from "
                           "the hidden layer to the irrep's functions of a b is to an orthogonal one, and the "
                           "unembedding in that basis to a multiple of 1 (cosines)." + ALL_IN_VALUES[prefix],
                  html_table(TABLE_HEAD, table))


def cluster_rows(sample, prefix, owned, names):
    def of(name, irrep):
        return sample.get(prefix + name)[irrep] if sample.has(prefix + name) else np.nan
    rows = [(sample.name, names[i], f"{of('cluster_size', i):.0f}", f"{of('cluster_active_size', i):.0f}",
             f"{of('cluster_embed_energy', i):.4g}", f"{of('cluster_hidden_energy', i):.4g}",
             *(f"{of(f'cluster_{name}_fraction', i):.3f}" for name, _, _ in SHARES),
             f"{of('hidden_basis_similarity', i):.4f}", f"{of('unembed_basis_similarity', i):.4f}") for i in owned]
    off = int((sample.get(prefix + "neuron_irrep") < 0).sum()) if sample.has(prefix + "neuron_irrep") else 0
    return rows + [(sample.name, OFF, off) + ("",) * (len(TABLE_HEAD) - 3)] * (off > 0)


def shares_of_clusters(view, options):
    """What each irrep's neurons are functions of, with a table of the clusters"""
    return cluster_shares(view, "")


def value_shares_of_clusters(view, options):
    """The same in terms of a^m and b^n mod p"""
    return cluster_shares(view, "value_")


def unembedding_by_irrep(view, options):
    """What each neuron writes to the outputs, beside the irrep that it reads"""
    pairs = []
    for sample in view.best("neuron_irrep", 6):
        network = sample.network()
        irreps = symmetry.irreps_of(sample.results, sample.instance, sample.names("irrep")) if network else []
        if irreps:
            pairs.append((sample, shares(irreps, network.unembedding.T)))
    if not pairs:
        return None
    picture, flat, axes = grid_of([sample for sample, _ in pairs], 3.9, 3.9, (5.6, 5.4))
    for axis, (sample, share) in zip(flat, pairs):
        owned = clusters(sample, "value_" if sample.has("value_neuron_irrep") else "")
        shown = np.sort(np.argsort(-share.mean(axis=1), kind="stable")[:MOST_BARS])
        image = axis.imshow(share[shown][:, np.concatenate(list(owned.values()))].T, cmap="magma_r", vmin=0, vmax=1,
                            aspect="auto", interpolation="nearest")
        names = sample.names("irrep")
        axis.set_xticks(range(len(shown)), [names[i] for i in shown], rotation=90, fontsize=7)
        mark_clusters(axis, owned, names)
        axis.grid(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("neurons, by the irrep they read")
    picture.colorbar(image, ax=axes, label="share of the neuron's output", shrink=0.8)
    picture.suptitle("Unembedding in the basis of the irreps")
    return Figure(picture, "The share of each neuron's unembedding that lies in an irrep's functions of the output; "
                           "neurons are sorted by the irrep that holds most of their embeddings, named at the left. A "
                           "neuron of a clean network writes what it reads.")


def shares(irreps, vectors):
    """(irreps, columns): share of each column's energy in each irrep. vectors (n, columns)."""
    energy = np.maximum((vectors ** 2).sum(axis=0), 1e-30)
    return np.array([((irrep.projector @ vectors) ** 2).sum(axis=0) / energy for irrep in irreps])


def mark_clusters(axis, owned, names):
    """Names clusters at their middle, with lines between them; those of fewer than 1 in 60 neurons go without."""
    at, total, ticks = 0, sum(len(neurons) for neurons in owned.values()), []
    for i, neurons in owned.items():
        if len(neurons) >= total / 60:
            ticks.append((at + (len(neurons) - 1) / 2, names[i] if i >= 0 else OFF))
        at += len(neurons)
        axis.axhline(at - 0.5, color="#666666", linewidth=0.5)
    axis.set_yticks([y for y, _ in ticks], [name for _, name in ticks], fontsize=7)
