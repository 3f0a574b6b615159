"""Networks on cyclic and dihedral groups and on sums of powers, in Fourier components of the tokens' circle.

Of sums of powers there are two circles: tokens in their own order, and ("value") in that of a^m and b^n mod p.
"""

import re

import numpy as np
from matplotlib.lines import Line2D

from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import (TEST, TRAIN, draw_named, grid_of, label_steps, left_out, log_losses, name_lines,
                                    note_grey, says_twice, step_scale, title_of)
from toysweep.figures.chosen import chosen
from toysweep.figures.phases import PHASES_TEXT, phase_handles, shade_phases
from toysweep.figures.irreps import ALL_IN_VALUES, IN_VALUES
from toysweep.figures.symmetry import is_other
from toysweep.figures.terms import terms_of
from toysweep.figures.view import TINY, Figure, panels, regular, some

MOST_NEURONS, MOST_TOKENS, OWNS = 4, 40, 0.85  # share of a neuron's variation from which a frequency owns it


# --- Norms of the embedding ----------------------------------------------------------------------------------------

SIDES = (("embed_fourier_norm", "left embedding", "#31688e"),
         ("embed_right_fourier_norm", "right embedding", "#c8553d"))
HALVES = (("embed_rotation_fourier_norm", "left, rotations", "#31688e"),
          ("embed_reflection_fourier_norm", "left, reflections", "#8fb6d2"),
          ("embed_right_rotation_fourier_norm", "right, rotations", "#c8553d"),
          ("embed_right_reflection_fourier_norm", "right, reflections", "#e8ab9d"),
          ("unembed_rotation_fourier_norm", "unembedding, rotations", "#3f7f3f"),
          ("unembed_reflection_fourier_norm", "unembedding, reflections", "#a5cfa5"))


def norms(view, measures, where, what):
    """Norm per frequency (of its cosine and sine together) at the end, a line a measure."""
    samples = view.samples(measures[0][0], most=6)
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, sharey=True)
    drawn = []
    for axis, sample in zip(flat, samples):
        own = []
        for name, words, colour in measures:
            if sample.has(name):
                if any(np.array_equal(sample.get(name), one, equal_nan=True) for one in own):
                    continue  # a transformer has one embedding for both sides
                own.append(sample.get(name))
                values = per_frequency(sample.last(name), sample.names("component"))
                axis.plot(np.arange(1, len(values) + 1), values, "-o", color=colour, markersize=3, linewidth=1)
                drawn.append((words, colour))
        axis.set_xlabel("frequency")
        axis.xaxis.get_major_locator().set_params(integer=True)
    flat[0].set_ylim(bottom=0)  # shared, and fixed from here on: only now are all lines drawn
    for axis in axes[:, 0]:
        axis.set_ylabel("norm")
    if all(sample.has_one_embedding() for sample in samples):
        both = len({words for words, _ in drawn if "embedding" in words}) > 1
        drawn = [(words.replace("left embedding", "embedding, of a" if both else "embedding")
                  .replace("right embedding", "embedding, of b").replace("left", "embedding"), colour)
                 for words, colour in drawn]
    words_of = dict.fromkeys(drawn)
    if len(words_of) > 1:
        legend_beside(axes, [Line2D([], [], color=colour, marker="o", markersize=3, label=words)
                             for words, colour in words_of])
    picture.suptitle(what + where)
    return Figure(picture, f"{what}{where}: the norm of the cosine and sine components together, after training. A "
                           "network that has learned the task keeps a few frequencies.")


def per_frequency(norm, components):
    """Cosine and sine of a frequency together, by their names "cos 3", "sin 3"; the constant is left out."""
    totals = {}
    for value, component in zip(norm, components):
        if component != "constant":
            number = int(component.split()[-1])
            totals[number] = totals.get(number, 0.0) + float(value) ** 2
    return np.sqrt([totals[number] for number in sorted(totals)])


def norms_over_time(view, prefix):
    """Heatmap: frequency against step."""
    name = prefix + "embed_fourier_norm"
    samples = view.samples(name, most=6)
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, 3.8, 2.9, (6.4, 4.2))
    curves = [sample.curve(name) for sample in samples]
    maps = [np.array([per_frequency(norm, sample.names("component")) for norm in norms])
            for sample, (_, norms) in zip(samples, curves)]
    most = max(np.nanmax(values) for values in maps)
    for axis, sample, values, (steps, _) in zip(flat, samples, maps, curves):
        steps = np.append(steps, 2 * steps[-1] - steps[-2] if len(steps) > 1 else 1)
        axis.grid(False)
        image = axis.pcolormesh(steps, np.arange(0.5, values.shape[1] + 1), values.T, cmap="viridis", shading="flat",
                                vmin=0, vmax=most)
        step_scale(axis, [sample.steps()])
        axis.yaxis.get_major_locator().set_params(integer=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("frequency")
    label_steps(axes, len(samples))
    picture.colorbar(image, ax=axes, label="norm", shrink=0.8)
    which = "embedding" if all(sample.has_one_embedding() for sample in samples) else "left embedding"
    picture.suptitle(f"Fourier norms of the {which} over time" + IN_VALUES[prefix])
    return Figure(picture, f"The norm of each frequency's components of the {which} at every "
                           "checkpoint." + ALL_IN_VALUES[prefix])


# --- The logits ----------------------------------------------------------------------------------------------------

def cosines(view, prefix):
    """Similarity of the logits and cos(2 pi k (a + b - c) / p) over time, and what all of them leave."""
    name = prefix + "logit_cos_similarity"
    samples = view.samples(name, most=6)
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, sharex=True, sharey=True)
    for axis, sample in zip(flat, samples):
        keys = key_frequencies(sample, prefix)
        draw_named(axis, *sample.curve(name), sample.names("frequency"), keys)
        if sample.has(prefix + "logit_residual_fraction"):
            axis.plot(*sample.curve(prefix + "logit_residual_fraction"), "k--", linewidth=1.2)
    step_scale(flat[0])
    flat[0].set_ylim(-0.05, 1.05)
    for axis, sample in zip(flat, samples):
        shade_phases(axis, sample.group, [sample.row])
    label_steps(axes, len(samples))
    for axis in axes[:, 0]:
        axis.set_ylabel("cosine similarity")
    name_lines(flat, axes, [Line2D([], [], color="black", linestyle="--", label="residual")] + phase_handles(),
               loc="center left")
    picture.suptitle("Similarity of the logits and cosines of a + b - c" + IN_VALUES[prefix])
    return Figure(picture, "The cosine between the centred logits and cos(2 pi k (a + b - c) / p) for each frequency "
                           "k; dashed: the norm of what is left of the logits without all of them, over their own." +
                  ALL_IN_VALUES[prefix] + note_grey("frequencies") + PHASES_TEXT)


def key_frequencies(sample, prefix):
    """Places of the key frequencies, the most similar one first; where none owns a neuron, the most similar ones."""
    final = np.nan_to_num(sample.last(prefix + "logit_cos_similarity"))
    keys = np.flatnonzero(sample.get(prefix + "key_frequency") > 0) if sample.has(prefix + "key_frequency") else []
    if len(keys) == 0:
        keys = np.flatnonzero(final > 0.05)
    return keys[np.argsort(-final[keys], kind="stable")]


LOSSES = (("train_loss", "training pairs", TRAIN, ":"), ("test_loss", "test pairs", TEST, ":"),
          ("final_key_restricted_loss[all, mean]", "final keys only", "#2a788e", "-"),
          ("final_key_excluded_loss[train, mean]", "without final keys", "#d95f02", "-"),
          ("key_restricted_loss", "each step's own keys only", "#2a788e", "--"),
          ("key_excluded_loss", "without each step's own", "#d95f02", "--"),
          ("reflection_corrected_loss", "without what the reflection rules out", "#7b4ea3", "-"))


def losses(view, prefix):
    """Restricted and excluded loss of the key frequencies."""
    measures = [(name if i < 2 else prefix + name, words, colour, style)
                for i, (name, words, colour, style) in enumerate(LOSSES)]
    samples = view.samples(prefix + "key_restricted_loss", most=6)
    what = "Losses with the key frequencies alone, and without them"
    text = ("Key frequencies own neurons. Restricted: only their components of the logits, with the mean logits. "
            "Excluded: all but these, on the training pairs. Solid: throughout with the keys of the end, or those that "
            "the sweep names; dashed: with those of the checkpoint.")
    if not samples and not prefix:
        samples = view.samples("reflection_corrected_loss", most=6)
        what = "Loss without what the reflection rules out"
        text = "The loss after removing from the logits what the parity of the group's elements rules out."
    if not samples:
        return None
    measures = [one for one in measures if any(sample.has(one[0]) for sample in samples)]
    picture, flat, axes = grid_of(samples, sharex=True, sharey=True)
    for axis, sample in zip(flat, samples):
        for name, _, colour, style in measures:
            if sample.has(name):
                steps, values = sample.curve(name)
                axis.plot(steps, np.maximum(values, TINY), style, color=colour,
                          linewidth=0.9 if style == "--" else 1.5)
    log_losses(flat)
    step_scale(flat[0])
    for axis, sample in zip(flat, samples):
        shade_phases(axis, sample.group, [sample.row])
    label_steps(axes, len(samples))
    for axis in axes[:, 0]:
        axis.set_ylabel("cross-entropy (nat)")
    legend_beside(axes, [Line2D([], [], color=colour, linestyle=style, label=words)
                         for _, words, colour, style in measures] + phase_handles())
    picture.suptitle(what + IN_VALUES[prefix])
    return Figure(picture, text + ALL_IN_VALUES[prefix] + PHASES_TEXT)


# --- Neurons -------------------------------------------------------------------------------------------------------

def neuron_shares(view, prefix):
    """Each neuron's frequency and the share of its variation that this frequency holds."""
    cells = some(view.has(prefix + "neuron_frequency"), 9)
    if not cells:
        return None
    picture, flat, axes = grid_of(cells, 3.6, 2.8, (6.4, 3.8), sharey=True)
    for axis, cell in zip(flat, cells):
        sample = cell.samples(1)[0]
        frequency = sample.get(prefix + "neuron_frequency")
        share = sample.get(prefix + "neuron_frequency_fraction")
        for k in np.unique(frequency[frequency >= 0]):
            own = np.sort(share[frequency == k])
            at = k + (np.linspace(-0.3, 0.3, len(own)) if len(own) > 1 else np.zeros(1))
            axis.plot(at, own, "o", markersize=3, color="#31688e" if own.max() > OWNS else "#aaaaaa", alpha=0.7,
                      markeredgewidth=0)
        name_counts(axis, frequency[frequency >= 0], 3.6 if len(cells) > 1 else 6.4)
        axis.axhline(OWNS, color="gray", linewidth=0.8, linestyle=":")
        axis.set_ylim(0, 1.1)
        axis.set_xlabel("frequency")
        axis.set_title(title_of(sample), fontsize=9)
        axis.xaxis.get_major_locator().set_params(integer=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of the neuron's variation")
    picture.suptitle("Neurons by frequency" + IN_VALUES[prefix])
    return Figure(picture, "Each neuron (dot) at the frequency whose terms hold most of the variation of its "
                           "activations over pairs, and their share; numbers: neurons of a frequency, of "
                           "neighbours the most. Dotted: "
                           f"{OWNS:.0%}, over which the frequency owns the neuron. Of each case one instance." +
                  ALL_IN_VALUES[prefix] + left_out(view, cells))


def name_counts(axis, frequency, width):
    """Above each frequency how many neurons it has, most first, where there is room: 0.2 inches each."""
    found, counts = np.unique(frequency, return_counts=True)
    room, shown = 0.2 * max(1, np.ptp(found)) / (0.8 * width) if len(found) else 0, []
    for i in np.argsort(-counts, kind="stable"):
        if all(abs(found[i] - k) >= room for k in shown):
            shown.append(found[i])
            axis.text(found[i], 1.03, counts[i], ha="center", fontsize=7)


def circle_of(keys, prefix):
    """Tokens in the order of their circle, for the left and the right side. None: not one to one, or no circle."""
    cyclic = re.fullmatch(r"C(\d+)", keys.get("group", ""))
    terms = terms_of(keys)
    p = int(cyclic[1]) if cyclic else keys.get("p")
    if p is None or (terms is None and (prefix or not cyclic)):
        return None
    if not prefix:
        return np.arange(p), np.arange(p)
    if any(len(np.unique(values)) < p for values, _ in terms):
        return None
    return tuple(np.argsort(values) for values, _ in terms)


def neuron_plane(activations):
    """2-D Fourier amplitudes (n, n) of activations over (a, b), in the real basis: constant, cos 1, sin 1, cos 2 ..."""
    basis = real_basis(len(activations))
    return np.abs(basis @ (activations - activations.mean()) @ basis.T)


def real_basis(n):
    """(n, n) orthonormal rows."""
    rows, x = [np.full(n, 1 / np.sqrt(n))], 2 * np.pi * np.arange(n) / n
    for k in range(1, n // 2 + 1):
        rows.append(np.cos(k * x))
        if 2 * k != n:
            rows.append(np.sin(k * x))
    return np.array([row / np.linalg.norm(row) for row in rows])


def neuron_planes(view, prefix):
    """Activations of a few neurons over all pairs, and their 2-D Fourier amplitudes."""
    drawn = []
    for sample in view.best("train_loss", 100):
        keys = sample.keys()
        circle = None if says_twice(prefix, keys) or is_other(sample) else circle_of(keys, prefix)
        # On a circle of one place nothing varies.
        network = sample.network() if circle and len(circle[0]) > 1 and len(drawn) < 3 else None
        if network:
            drawn.append((sample, network, circle))
    if not drawn:
        return None
    picture, axes = panels(2 * len(drawn), MOST_NEURONS, 2.7, 2.6)
    for pair, (sample, network, (rows, columns)) in zip(axes.reshape(len(drawn), 2, -1), drawn):
        neurons = chosen.neurons_of(len(network.unembedding))[:MOST_NEURONS] or \
            loudest(sample, network, prefix, rows, columns)
        hidden = network.hidden(rows[:, None], columns, neurons)  # (a, b, those)
        for j, neuron in enumerate(neurons):
            pair[0][j].imshow(hidden[..., j], cmap="viridis", origin="lower", interpolation="nearest")
            pair[0][j].set_title(f"neuron {neuron}", fontsize=9)
            pair[1][j].imshow(neuron_plane(hidden[..., j]), cmap="magma_r", origin="lower",
                              interpolation="nearest")
            name_components(pair[1][j], len(hidden))
        for axis in pair[0]:
            axis.set_xticks([])
            axis.set_yticks([])
        pair[0][0].set_ylabel(f"{sample.name}\n\na", fontsize=9)
        pair[1][0].set_ylabel("component of a", fontsize=9)
        for axis in pair[1]:
            axis.set_xlabel("component of b", fontsize=9)
    for axis in axes.flat:
        axis.grid(False)
    picture.suptitle("Activations of neurons over all pairs, and their 2-D Fourier amplitudes" + IN_VALUES[prefix])
    return Figure(picture, "Neurons that vary most, each of another frequency where possible: their activations over "
                           "the pairs (a, b), and below the size of their components in products of a cosine or sine "
                           "of a and one of b (the constant first, then cosine and sine of frequency 1, of 2, ...)" +
                  (", tokens in the order of a^m and b^n mod p" if prefix else "") + ".")


def mean_norms(view, prefix, of_regions):
    """Heatmaps: mean 2-D Fourier norms of all neurons, and of the logits; of a dihedral group a region a column."""
    of = prefix + ("region_" if of_regions else "")
    names = [of + "neuron_fourier_norm", of + "logit_fourier_norm"]
    samples = view.best(names[0], 2)
    if not samples:
        return None
    regions = [name.replace("_", ", ") for name in samples[0].names("region")] if of_regions else [""]
    columns = len(regions) if of_regions else 2
    picture, axes = panels(2 * len(samples) if of_regions else len(samples), columns, 3.6, 3.3)
    for i, sample in enumerate(samples):
        for j, name in enumerate(names):
            maps = sample.get(name) if of_regions else sample.get(name)[None]
            line = axes[2 * i + j] if of_regions else axes[i, j:j + 1]
            maps = np.where(np.add.outer(np.arange(maps.shape[1]), np.arange(maps.shape[2])) == 0, np.nan, maps)
            for axis, values, region in zip(line, maps, regions):
                image = axis.imshow(values, cmap="magma_r", origin="lower", interpolation="nearest", vmin=0,
                                    vmax=np.nanmax(maps))
                axis.set_title(", ".join(filter(None, [("neurons", "logits")[j], region])), fontsize=9)
                axis.set_xlabel("component of b", fontsize=9)
                name_components(axis, len(values))
                axis.grid(False)
            line[0].set_ylabel(("" if j and not of_regions else sample.name + "\n\n") + "component of a", fontsize=9)
            picture.colorbar(image, ax=line, shrink=0.8)
    picture.suptitle("Mean 2-D Fourier norms of neurons and logits" + IN_VALUES[prefix])
    return Figure(picture, "For each component of a (up) and of b (right), the constant first, then cosine and sine of "
                           "frequency 1, of 2, ...: the mean over all neurons, or all outputs, of the size of the "
                           "activations' or logits' coefficient. That of what is constant in both is left white." +
                  (" A column is a region of pairs: rotation or reflection of a, of b." if of_regions else "") +
                  ALL_IN_VALUES[prefix])


def loudest(sample, network, prefix, rows, columns):
    """Neurons that vary most, each of another largest frequency as far as there are."""
    few = np.random.default_rng(0).permutation(len(rows))[:MOST_TOKENS]
    energy = network.hidden(rows[few][:, None], columns[few]).var(axis=(0, 1))
    order, name = np.argsort(-energy, kind="stable"), prefix + "neuron_frequency"
    if not sample.has(name):
        return list(order[:MOST_NEURONS])
    frequency, chosen_ones, seen = sample.get(name), [], set()
    for neuron in order[:max(1, len(order) // 2)]:
        if frequency[neuron] not in seen and len(chosen_ones) < MOST_NEURONS:
            seen.add(frequency[neuron])
            chosen_ones.append(neuron)
    return (chosen_ones + [neuron for neuron in order if neuron not in chosen_ones])[:MOST_NEURONS]


def name_components(axis, n):
    """Ticks at a few cosines."""
    ticks = [2 * k - 1 for k in range(1, n // 2 + 1)]
    shown = regular(ticks, 6)
    names = [f"cos {(tick + 1) // 2}" for tick in shown]
    axis.set_xticks(shown, names, fontsize=6, rotation=90)
    axis.set_yticks(shown, names, fontsize=6)


# --- The figures ---------------------------------------------------------------------------------------------------

def prefixed(prefix, measures):
    return [(prefix + name, words, colour) for name, words, colour in measures]


def embedding_fourier_norms(view, options):
    """Norm of each frequency in the embedding"""
    return norms(view, SIDES, "", "Fourier norms of the embedding")


def value_embedding_fourier_norms(view, options):
    """The same in terms of a^m and b^n mod p"""
    return norms(view, prefixed("value_", SIDES), IN_VALUES["value_"], "Fourier norms of the embedding")


def dihedral_fourier_norms(view, options):
    """Norm of each frequency in the halves of embeddings and unembedding (dihedral groups)"""
    return norms(view, HALVES, "", "Fourier norms of rotations and reflections")


def embedding_fourier_norms_over_time(view, options):
    """The same norms at every checkpoint"""
    return norms_over_time(view, "")


def value_embedding_fourier_norms_over_time(view, options):
    """The same in terms of a^m and b^n mod p"""
    return norms_over_time(view, "value_")


def logit_cosines(view, options):
    """Similarity of the logits with the cosine of a + b - c of each frequency"""
    return cosines(view, "")


def value_logit_cosines(view, options):
    """The same in terms of a^m and b^n mod p"""
    return cosines(view, "value_")


def key_frequency_losses(view, options):
    """Losses with the key frequencies alone, and without them"""
    return losses(view, "")


def value_key_frequency_losses(view, options):
    """The same in terms of a^m and b^n mod p"""
    return losses(view, "value_")


def neuron_frequencies(view, options):
    """Each neuron's frequency and its share of the variation"""
    return neuron_shares(view, "")


def value_neuron_frequencies(view, options):
    """The same in terms of a^m and b^n mod p"""
    return neuron_shares(view, "value_")


def neurons_in_two_dimensions(view, options):
    """Activations of neurons over all pairs, and their 2-D Fourier amplitudes"""
    return neuron_planes(view, "")


def value_neurons_in_two_dimensions(view, options):
    """The same in terms of a^m and b^n mod p"""
    return neuron_planes(view, "value_")


def mean_fourier_norms(view, options):
    """Mean 2-D Fourier norms over all neurons, and of the logits"""
    return mean_norms(view, "", False)


def value_mean_fourier_norms(view, options):
    """The same in terms of a^m and b^n mod p"""
    return mean_norms(view, "value_", False)


def region_mean_fourier_norms(view, options):
    """The same norms on rotations and reflections of a and b (dihedral groups)"""
    return mean_norms(view, "", True)
