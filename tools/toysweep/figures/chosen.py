"""What was asked for, on the command line or by arguments: which instances, neurons, irreps, ... figures show. Empty: the
figure's own choice. Also what is not asked for is said here, once: a figure asks `chosen` and takes what it finds.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import toysweep
from toysweep import networks
from toysweep.results import level_of_caller

AXES = ("auto", "linear", "log")


@dataclass
class Chosen:
    axis: str = "auto"   # of steps
    order: str = "auto"  # of a group's elements (symmetry.ORDERS)
    instances: tuple = ()
    neurons: tuple = ()
    irreps: tuple = ()   # names; a frequency is freq_3
    outputs: tuple = ()
    axes: tuple = ()     # of a phase diagram: keys along x and y
    panels: tuple | None = None  # keys with a row of panels for each value; None: as many as fit
    quantities: tuple = ()  # columns to show as colours
    bound: float | None = None  # of the test loss; None: the sweep's own
    published: dict | None = None  # {column: values} of published runs
    step: int | None = None  # of weights, and of measures of a single checkpoint; None: the last
    command: str = ""    # that asks; empty: a Python program

    def neurons_of(self, count):
        """Of a network with so many neurons, those that were asked for."""
        return [k for k in self.neurons if k < count]

    def places(self, names):
        """Of the names, those that were asked for, as numbers, in the order in which they were."""
        return [names.index(name) for name in self.irreps if name in names]

    def option(self, name, value):
        """As it was given."""
        return f"--{name} {value}" if self.command else f"{name}={value!r}"


chosen = Chosen()


def complain(words):
    """To who asks, of what is left out."""
    if chosen.command:
        print(f"{chosen.command}: {words}", file=sys.stderr)
    else:
        warnings.warn(words, stacklevel=level_of_caller())


def check(results):
    """Refuses what was chosen and the file does not have."""
    check_axes(results)
    for instance in chosen.instances:
        group, _ = results.case_of(instance)
        if results.table["status"][instance] != toysweep.DONE:
            raise toysweep.ResultsError(f"{results.path}: instance {instance} is not done")
        if chosen.step is not None and chosen.step not in group["step"][...]:
            raise toysweep.ResultsError(f"{results.path}: instance {instance} has no checkpoint at step {chosen.step}")
    steps = {int(step) for group, _ in results.cases.values() for step in group["step"][...]}
    if chosen.step is not None and chosen.step not in steps:
        near = sorted(steps, key=lambda step: abs(step - chosen.step))[:3]
        raise toysweep.ResultsError(f"{results.path}: {chosen.option('step', chosen.step)}: there is no checkpoint at it; "
                                    f"near it are {', '.join(map(str, sorted(near)))}")
    known = {name for group, _ in results.cases.values() for name in
             (map(toysweep.text, group["irrep"][...]) if "irrep" in group else ())}
    for name in chosen.irreps:
        if name not in known:
            raise toysweep.ResultsError(f"{results.path}: has no irrep {name}; it has {', '.join(sorted(known)[:12])}")
    check_places(results)


def check_places(results):
    """Neurons and outputs: of some network whose weights are there. (Where none are, figures that draw them say so.)"""
    stored = [group["weights"] for group, _ in results.cases.values() if "weights" in group]
    sizes = [networks.sizes({name: group[name].shape for name in toysweep.links(group)}) for group in stored
             if networks.is_known(toysweep.links(group))]
    for option, asked, counts in (("neuron", chosen.neurons, [neurons for neurons, _ in sizes]),
                                  ("output-c" if chosen.command else "output", chosen.outputs, [n for _, n in sizes])):
        for place in asked:
            if counts and not 0 <= place < max(counts):
                raise toysweep.ResultsError(f"{results.path}: {chosen.option(option, place)}: there is none; the largest "
                                            f"network has {max(counts)}, from 0")


def check_axes(results):
    """Of phase diagrams."""
    if chosen.axes and len(set(chosen.axes)) != 2:
        raise toysweep.ResultsError(f"{chosen.option('axes', ','.join(chosen.axes))}: two different keys are wanted, "
                                    "of those that the sweep varies; there are " +
                                    (", ".join(results.varying) or "none"))
    columns = [name for name, column in results.table.items() if column.dtype.kind in "if" and name != "case"]
    for option, given, known in (("axes", chosen.axes, results.varying), ("quantity", chosen.quantities, columns),
                                 ("panels", chosen.panels or (), results.varying)):
        for name in given:
            if name not in known:
                raise toysweep.ResultsError(f"{results.path}: {chosen.option(option, name)}: " + (
                    "it has no such column" if option == "quantity" else "the sweep does not vary it") +
                    f"; there are {', '.join(known) or 'none'}")
