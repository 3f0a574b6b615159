"""What was asked for on the command line: which instances, neurons, irreps, ... figures show. Empty: the figure's own
choice. Also what is not asked for is said here, once: a figure asks `chosen` and takes what it finds.
"""

from dataclasses import dataclass

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
    panels: tuple = None  # keys with a row of panels for each value; None: as many as fit
    quantities: tuple = ()  # columns to show as colours
    bound: float = None  # of the test loss; None: the sweep's own
    published: dict = None  # {column: values} of published runs
    step: int = None     # of weights, and of measures of a single checkpoint; None: the last

    def neurons_of(self, count):
        """Of a network with so many neurons, those that were asked for."""
        return [k for k in self.neurons if k < count]

    def places(self, names):
        """Of the names, those that were asked for, as numbers, in the order in which they were."""
        return [names.index(name) for name in self.irreps if name in names]


chosen = Chosen()
