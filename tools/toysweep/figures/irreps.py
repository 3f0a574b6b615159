"""Measures per irrep of table tasks over time: which irreps a network uses, and in which order it learns them.

Of sums of powers mod p there are two sets: in terms of a and b, and ("value") of a^m and b^n mod p.
"""

import numpy as np
from matplotlib.lines import Line2D

import toysweep
from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import (TEST, TRAIN, draw_named, grid_of, is_linear, label_steps, left_out, log_losses,
                                    name_lines, note_grey, step_scale, strip_scale, title_of)
from toysweep.figures.phases import PHASES_TEXT, phase_handles, shade_phases
from toysweep.figures.view import TINY, Figure, panels, some

MOST_COLUMNS, MOST_BARS = 4, 24
IN_VALUES = {"": "", "value_": ", in terms of a^m and b^n mod p"}  # behind a title
ALL_IN_VALUES = {"": "", "value_": " All of it is in terms of a^m and b^n mod p."}  # behind a caption's sentences


def key_irreps(sample, prefix):
    """Numbers of the sample's key irreps, the most similar one first; none where they were not measured."""
    if not sample.has(prefix + "logit_similarity"):
        return np.empty(0, int)
    final = sample.last(prefix + "logit_similarity")
    keys = np.flatnonzero(sample.get(prefix + "key_irrep") > 0) if sample.has(prefix + "key_irrep") else \
        np.flatnonzero(final > 0.005)
    return keys[np.argsort(-np.nan_to_num(final[keys]), kind="stable")]


# --- Over time -----------------------------------------------------------------------------------------------------

def similarity(view, prefix):
    samples = view.samples(prefix + "logit_similarity")
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, sharex=True, sharey=True)
    for axis, sample in zip(flat, samples):
        draw_named(axis, *sample.curve(prefix + "logit_similarity"), sample.names("irrep"),
                   key_irreps(sample, prefix))
    step_scale(flat[0])
    flat[0].set_ylim(-0.05, 1.02)
    shade_all(flat, samples)
    label_steps(axes, len(samples))
    for axis in axes[:, 0]:
        axis.set_ylabel("cosine similarity")
    name_lines(flat, axes, phase_handles(), loc="upper left")
    picture.suptitle("Similarity of the logits and the irreps' characters" + IN_VALUES[prefix])
    return Figure(picture, "The cosine between the centred logits and chi(a b c^-1) of each irrep, an instance a "
                           "panel." + ALL_IN_VALUES[prefix] + note_grey("irreps") + PHASES_TEXT)


def shade_all(axes, samples):
    for axis, sample in zip(axes, samples):
        shade_phases(axis, sample.group, [sample.row])


def is_shown_as(name, samples, names):
    """Is the right embedding the left one in all of them, as in a transformer?"""
    left = name.replace("right", "left")
    return name.endswith("embed_right_fraction") and left in names and all(
        np.array_equal(sample.get(name), sample.get(left), equal_nan=True) for sample in samples)


def measure_rows(view, measures, wanted, scale, draw):
    """Panels: a measure a row, an instance a column. (picture, axes, samples), or None."""
    samples = view.samples(wanted, most=MOST_COLUMNS)
    measures = [one for one in measures if all(sample.has(one[0]) for sample in samples)]
    measures = [one for one in measures if not is_shown_as(one[0], samples, [name for name, _ in measures])]
    if not samples or not measures:
        return None
    picture, axes = panels(len(measures), len(samples), 3.2, 2.0, sharex=True, sharey="row")
    for j, sample in enumerate(samples):
        axes[0][j].set_title(title_of(sample), fontsize=9)
        if all(one.has_one_embedding() for one in samples):  # of a and b where it is in terms of a^m and b^n
            both = any(words == "right embedding" for _, words in measures)
            measures = [(name, words.replace("left embedding", "embedding, of a" if both else "embedding")
                         .replace("right embedding", "embedding, of b")) for name, words in measures]
        for axis, (name, words) in zip(axes[:, j], measures):
            draw(axis, sample, name)
            axis.set_ylabel(words if j == 0 else "")
    for line in axes:
        if scale == "log":
            log_losses(line)
        else:
            line[0].set_ylim(bottom=0)
    step_scale(axes[0][0])
    for line in axes:
        shade_all(line, samples)
    for axis in axes[-1]:
        axis.set_xlabel("training step")
    return picture, axes, samples


def draw_keys(prefix):
    def draw(axis, sample, name):
        steps, values = sample.curve(name)
        draw_named(axis, steps, np.maximum(values, TINY), sample.names("irrep"),
                   key_irreps(sample, prefix))
    return draw


def name_columns(axes):
    """The irreps' names beside the panels, or in the first of each column where key irreps differ."""
    bottom, top = axes[0][0].get_ylim()
    is_log = axes[0][0].get_yscale() == "log"
    name_lines(axes[0], axes, phase_handles(), loc="upper left")
    if axes[0][0].get_legend() and len(axes[0]) > 1:
        axes[0][0].set_ylim(top=top * (top / bottom) ** 0.5 if is_log else 1.5 * top)


def fractions(view, prefix):
    measures = [("embed_left_fraction", "left embedding"), ("embed_right_fraction", "right embedding"),
                ("unembed_fraction", "unembedding"), ("hidden_left_fraction", "hidden: of a"),
                ("hidden_right_fraction", "hidden: of b"), ("hidden_product_fraction", "hidden: of a b")]
    made = measure_rows(view, [(prefix + name, words) for name, words in measures], prefix + "logit_similarity",
                        "linear", draw_keys(prefix))
    if made is None:
        return None
    picture, axes, samples = made
    name_columns(axes)
    picture.suptitle("Share of each irrep in embeddings, unembedding and hidden layer" + IN_VALUES[prefix])
    return Figure(picture, "The share of the squared norm that lies in functions of each irrep: of both embeddings "
                           "into the hidden layer, of the unembedding out of it, and of the hidden activations on all "
                           "pairs in functions of a, of b and of the product a b alone." + ALL_IN_VALUES[prefix] +
                  note_grey("irreps") + PHASES_TEXT)


TOTALS = (("total_restricted_loss", "hidden, key irreps only", "#2a788e"),
          ("total_excluded_loss", "hidden, without key irreps", "#d95f02"),
          ("total_logit_restricted_loss", "logits, key irreps only", "#7ad151"),
          ("total_logit_excluded_loss", "logits, without key irreps", "#e7298a"))


def total_losses(view, prefix):
    """Restricted and excluded loss of all key irreps together, beside training and test loss."""
    samples = view.samples(prefix + "total_restricted_loss", most=6)
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, sharex=True, sharey=True)
    lines = [("train_loss", "training pairs", TRAIN, ":"), ("test_loss", "test pairs", TEST, ":")] + \
            [(f"{prefix}final_{name}[{'train' if 'excluded' in name else 'all'}, none]", words, colour, "-")
             for name, words, colour in TOTALS] + \
            [(prefix + name, "the same, each step's own keys", colour, "--") for name, _, colour in TOTALS]
    lines = [line for line in lines if any(sample.has(line[0]) for sample in samples)]
    for axis, sample in zip(flat, samples):
        for name, _, colour, style in lines:
            if sample.has(name):
                steps, values = sample.curve(name)
                axis.plot(steps, np.maximum(values, TINY), style, color=colour,
                          linewidth=0.9 if style == "--" else 1.5)
    log_losses(flat)
    step_scale(flat[0])
    shade_all(flat, samples)
    label_steps(axes, len(samples))
    for axis in axes[:, 0]:
        axis.set_ylabel("cross-entropy (nat)")
    named = {words: (colour if style != "--" else "black", style) for _, words, colour, style in lines}
    legend_beside(axes, [Line2D([], [], color=colour, linestyle=style, label=words)
                         for words, (colour, style) in named.items()] + phase_handles())
    picture.suptitle("Restricted and excluded loss of the key irreps" + IN_VALUES[prefix])
    return Figure(picture, "Restricted: the loss on all pairs with only the key irreps' functions of a b in the hidden "
                           "layer, or in the logits. Excluded: the loss on the training pairs without them. Once the "
                           "excluded loss rises, the network relies on them. Solid: throughout with the keys of the "
                           "end, or those that the sweep names; dashed: with those of the checkpoint." +
                  ALL_IN_VALUES[prefix] + PHASES_TEXT)


def irrep_losses(view, prefix):
    measures = [("restricted_loss", "restricted (hidden)"), ("excluded_loss", "excluded (hidden)"),
                ("logit_restricted_loss", "restricted (logits)"), ("logit_excluded_loss", "excluded (logits)"),
                ("ablation_left_loss", "without its\nfunctions of a"),
                ("ablation_right_loss", "without its\nfunctions of b"),
                ("ablation_product_loss", "without its\nfunctions of a b")]
    made = measure_rows(view, [(prefix + name, words) for name, words in measures], prefix + "logit_similarity",
                        "log", draw_keys(prefix))
    if made is None:
        return None
    picture, axes, samples = made
    name_columns(axes)
    picture.suptitle("Losses with one irrep alone, or without it (nat)" + IN_VALUES[prefix])
    return Figure(picture, "Restricted: the loss on all pairs with only this irrep's functions of a b in the hidden "
                           "layer, or only its component of the logits. Excluded: the loss on the training pairs "
                           "without them. Below: the loss on all pairs after removing the irrep's functions of a, of b "
                           "or of the product from the hidden layer." + ALL_IN_VALUES[prefix] +
                  note_grey("irreps") + PHASES_TEXT)


# --- Over seeds ----------------------------------------------------------------------------------------------------

def used(cell, prefix):
    """(numbers, names, number of instances that have it as a key irrep) of the irreps that any has."""
    counts = (cell.final(prefix + "key_irrep") > 0).sum(axis=0)
    most = np.argsort(-counts, kind="stable")[:MOST_BARS]
    numbers = np.sort(most[counts[most] > 0])
    return numbers, [cell.names("irrep")[i] for i in numbers], counts[numbers]


def cells_with_keys(view, prefix):
    cells = [cell for cell in view.has(prefix + "key_irrep") if len(used(cell, prefix)[0])]
    return some(cells, 9)


def key_bars(view, prefix):
    """How many of the instances have an irrep among their key irreps."""
    cells = [cell for cell in cells_with_keys(view, prefix) if len(cell.at[1]) > 1]
    if not cells:
        return None
    picture, flat, axes = grid_of(cells, 3.8, 2.8, (5.6, 3.6))
    for axis, cell in zip(flat, cells):
        _, names, counts = used(cell, prefix)
        grokked = cell.grokked()
        axis.bar(range(len(names)), counts, color="#31688e", width=0.7)
        if len(names) <= 12:
            for x, count in enumerate(counts):
                axis.text(x, count, count, ha="center", va="bottom", fontsize=8)
        axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 8 else 40, fontsize=8,
                        ha="center" if len(names) > 8 else "right", rotation_mode="default" if len(names) > 8 else
                        "anchor")
        axis.axhline(len(cell.at[1]), color="gray", linewidth=0.8, linestyle=":")
        axis.set_ylim(0, 1.12 * len(cell.at[1]))
        of_all = "" if grokked is None else f" ({grokked} of {len(cell.at[1])} grokked)"
        axis.set_title(title_of(cell) + of_all, fontsize=9)
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.grid(axis="x", visible=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("instances")
    picture.suptitle("Key irreps across seeds" + IN_VALUES[prefix])
    return Figure(picture, "In how many of the instances an irrep is a key irrep: final similarity of the logits over "
                           f"0.005. Dotted: all instances. At most {MOST_BARS} irreps are shown." +
                  ALL_IN_VALUES[prefix] + left_out(view, cells))


def order_learned(view, prefix):
    """When each irrep is learned, and how often it is the first, second, ... one."""
    cells = [cell for cell in cells_with_keys(view, prefix)
             if np.isfinite(cell.final(prefix + "irrep_order")).any()][:6]
    if not cells:
        return None
    heights = [0.9 + 0.22 * max(len(used(cell, prefix)[0]), 3) for cell in cells]
    picture, axes = panels(len(cells), 2, 4.6, sum(heights) / len(cells),
                           gridspec_kw={"width_ratios": [3, 2], "height_ratios": heights})
    for line, cell in zip(axes, cells):
        numbers, names, _ = used(cell, prefix)
        draw_steps(line[0], cell.final(prefix + "irrep_step")[:, numbers], names, cell.at[0]["step"][...])
        line[0].set_title(title_of(cell), fontsize=9)
        places = shared_places(cell.final(prefix + "irrep_step"), cell.final(prefix + "irrep_order"))
        draw_places(line[1], places[:, numbers], names)
    axes[-1][0].set_xlabel("first step with a similarity over 0.05")
    axes[-1][1].set_xlabel("place in the order")
    picture.suptitle("Order in which irreps are learned" + IN_VALUES[prefix])
    return Figure(picture, "Left: the first checkpoint at which the logits' similarity with an irrep is over 0.05, an "
                           "instance a dot, bar: median. Right: how many instances learn it as their first, second "
                           "... key irrep; those learned by the same checkpoint share a place." +
                  ALL_IN_VALUES[prefix] + left_out(view, cells))


def draw_steps(axis, steps, names, checkpoints):
    for y in range(len(names)):
        found = steps[np.isfinite(steps[:, y]), y]
        spread = np.linspace(-0.2, 0.2, len(found)) if len(found) > 1 else np.zeros(len(found))
        axis.plot(found, y + spread, "o", color="#31688e", markersize=4, alpha=0.7, markeredgewidth=0)
        if len(found):
            axis.plot([np.median(found)] * 2, [y - 0.34, y + 0.34], color="black", linewidth=1.2)
    seen = steps[np.isfinite(steps)]
    strip_scale(axis, seen.min(), max(1, seen.max()), [checkpoints])
    axis.set_xlim(right=(1.06 if is_linear([checkpoints]) else 1.3) * max(1, seen.max()))
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)


def shared_places(steps, order):
    """Places (instance, irrep) of those that have one in the order: the number of others learned before, and 1."""
    known = np.isfinite(order)
    before = (steps[:, np.newaxis, :] < steps[:, :, np.newaxis]) & known[:, np.newaxis, :]
    return np.where(known, 1 + before.sum(axis=-1), np.nan)


def draw_places(axis, order, names):
    last = int(np.nanmax(order)) if np.isfinite(order).any() else 1
    counts = np.array([[(order[:, i] == place).sum() for place in range(1, last + 1)] for i in range(len(names))])
    axis.imshow(counts, cmap="Blues", aspect="auto", vmin=0, vmax=max(1, counts.max()))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axis.text(j, i, count, ha="center", va="center", fontsize=8,
                      color="white" if count > 0.6 * counts.max() else "black")
    axis.set_xticks(range(last), range(1, last + 1))
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.grid(False)


# --- Regions of dihedral groups ------------------------------------------------------------------------------------

def region_measures(view, options):
    """Key irreps on rotations and reflections of a and b (dihedral groups)"""
    samples = [sample for name in ("region_logit_similarity", "region_hidden_fraction")
               for sample in view.samples(name, most=MOST_COLUMNS)]
    samples = list({sample.instance: sample for sample in samples}.values())
    if not samples:
        return None
    names = [name for name in samples[0].group
             if name.startswith("region_") and "step" in toysweep.dimensions(samples[0].group[name]) and
             all(sample.has(name) for sample in samples)]
    picture, axes = panels(len(names), len(samples), 4.4, 2.4)
    for j, sample in enumerate(samples):
        keys = key_irreps(sample, "")[:MOST_BARS]
        for i, name in enumerate(names):
            values = sample.last(name)[:, keys]
            image = axes[i][j].imshow(values, cmap="viridis", aspect="auto")
            axes[i][j].set_yticks(range(len(values)), [name.replace("_", ", ") for name in sample.names("region")],
                                  fontsize=8)
            axes[i][j].set_xticks(range(len(keys)), [sample.names("irrep")[k] for k in keys], fontsize=8, rotation=90)
            axes[i][j].set_title(f"{title_of(sample)}\n{name[7:].replace('_', ' ')}", fontsize=9)
            axes[i][j].grid(False)
            picture.colorbar(image, ax=axes[i][j])
    picture.suptitle("Key irreps by region: rotation or reflection of a and of b")
    return Figure(picture, "Final measures of the key irreps, on each of the four regions of pairs by itself.")


# --- The figures ---------------------------------------------------------------------------------------------------

def logit_similarity(view, options):
    """Cosine of the logits and each irrep's character"""
    return similarity(view, "")


def irrep_fractions(view, options):
    """Share of each irrep in embeddings, unembedding and hidden layer"""
    return fractions(view, "")


def restricted_and_excluded_loss(view, options):
    """Losses with the key irreps alone, and without them"""
    return total_losses(view, "")


def losses_per_irrep(view, options):
    """Losses with one irrep alone, without it, and without its functions of a, b, a b"""
    return irrep_losses(view, "")


def key_irreps_across_seeds(view, options):
    """How many instances use each irrep"""
    return key_bars(view, "")


def order_of_irreps(view, options):
    """When each irrep is learned, and which comes first"""
    return order_learned(view, "")


def value_logit_similarity(view, options):
    """The same in terms of a^m and b^n mod p"""
    return similarity(view, "value_")


def value_irrep_fractions(view, options):
    """The same in terms of a^m and b^n mod p"""
    return fractions(view, "value_")


def value_restricted_and_excluded_loss(view, options):
    """The same in terms of a^m and b^n mod p"""
    return total_losses(view, "value_")


def value_losses_per_irrep(view, options):
    """The same in terms of a^m and b^n mod p"""
    return irrep_losses(view, "value_")


def value_key_irreps_across_seeds(view, options):
    """The same in terms of a^m and b^n mod p"""
    return key_bars(view, "value_")


def value_order_of_irreps(view, options):
    """The same in terms of a^m and b^n mod p"""
    return order_learned(view, "value_")
