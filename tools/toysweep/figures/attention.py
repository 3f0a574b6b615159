"""Where the last position of a transformer looks."""

import numpy as np
from matplotlib.lines import Line2D

from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import grid_of, label_steps, step_scale
from toysweep.figures.phases import PHASES_TEXT, phase_handles, shade_phases
from toysweep.figures.view import Figure, panels
from toysweep.figures.weights import trained

SOURCES = ("#31688e", "#c8553d", "#7a7a7a")  # a, b, "="
STYLES = ("-", "--", ":", "-.")


def attention_over_time(view, options):
    """Mean attention of every head to a, b and the last position itself"""
    samples = view.samples("attention", most=6)
    if not samples:
        return None
    picture, flat, axes = grid_of(samples, sharex=True, sharey=True)
    for axis, sample in zip(flat, samples):
        steps, values = sample.curve("attention")  # (step, head, source)
        for head in range(values.shape[1]):
            for source, colour in enumerate(SOURCES):
                axis.plot(steps, values[:, head, source], STYLES[head % len(STYLES)], color=colour,
                          linewidth=1.2)
    flat[0].set_ylim(-0.02, 1.02)
    step_scale(flat[0])
    for axis, sample in zip(flat, samples):
        shade_phases(axis, sample.group, [sample.row])
    label_steps(axes, len(samples))
    for axis in axes[:, 0]:
        axis.set_ylabel("attention, mean over pairs")
    heads = max(sample.get("attention").shape[1] for sample in samples)
    legend_beside(axes, [Line2D([], [], color=colour, label=f"to {name}")
                         for name, colour in zip(samples[0].names("source"), SOURCES)] +
                  [Line2D([], [], color="black", linestyle=STYLES[head % len(STYLES)], label=f"head {head}")
                   for head in range(min(heads, len(STYLES)))] + phase_handles())
    picture.suptitle("Attention of the last position")
    return Figure(picture, "How much each head of the last position attends to a, b and \"=\" at every checkpoint, "
                           "mean over all pairs." + PHASES_TEXT)


def attention_by_pair(view, options):
    """Attention to a of every head, over all pairs"""
    pairs = [(sample, network) for sample, network in trained(view, 4) if hasattr(network, "attention")]
    if not pairs:
        return view.lacks(view.lack or "no network has attention")
    heads = min(8, max(network.heads for _, network in pairs))
    picture, axes = panels(len(pairs), heads, 2.6 + 0.8 / heads, 2.7)
    for line, (sample, network) in zip(axes, pairs):
        every = np.arange(network.tokens)
        attention = network.attention(every[:, None], every)[..., 0]  # (a, b, head)
        for head, axis in enumerate(line):
            axis.set_visible(head < network.heads)
            if head < network.heads:
                image = axis.imshow(attention[..., head], cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(f"head {head}", fontsize=9)
            axis.set_xlabel("b")
            axis.set_ylabel("a" if head else f"{sample.name}\n\na", fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
    picture.colorbar(image, ax=axes, label="attention to a", shrink=0.6, aspect=30)
    picture.suptitle("Attention to a")
    return Figure(picture, "The weight with which each head of the last position attends to the first token, a, after "
                           "training, for every pair (a, b). Where it is 0.5, a and b count alike.")
