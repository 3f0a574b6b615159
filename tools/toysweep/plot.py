"""Draws the figures that fit a results file of toysweep, and an index.html that shows them.

Works on unfinished files too: what is not done yet is left blank, or shown so far with --live. A figure that cannot be
drawn is named on the page and on stderr, the others are drawn, and the exit code is 1.
"""

import argparse
import difflib
import fnmatch
import os
import subprocess
import sys
import tempfile

if __name__ == "__main__" or "matplotlib" not in sys.modules:  # not in a notebook
    for library in "OPENBLAS", "MKL", "OMP":
        os.environ.setdefault(library + "_NUM_THREADS", "1")  # matrices are small: threads would wait for each other

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import toysweep
from toysweep.figures import phases, published
from toysweep.figures.chosen import AXES, check, chosen, complain
from toysweep.figures.families import KINDS, about, figures_and_terms, figures_of, name_of, views_of
from toysweep.figures.page import FORMATS, STYLE, Page, Task, reason
from toysweep.figures.symmetry import ORDERS
from toysweep.program import ProgramError, find

# Where the phases end that are shaded (toysweep.figures.phases.Thresholds).
PHASE_OPTIONS = {
    "memorised": "memorisation ends at this accuracy on the training pairs",
    "cleanup": "clean-up begins when the test loss stays under this share of its peak",
    "grokked": "clean-up ends at this accuracy on the test pairs",
}


KIND_WORDS = {"features": "feature tasks", "table": "tables"}


def figures_help():
    lines = []
    for kind, family in KINDS.items():
        lines.append(f"\nfigures of {KIND_WORDS[kind]}:")
        for make in figures_of(family):
            lines.append(f"  {name_of(make)}\n      {about(make)}")
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(prog=os.path.basename(sys.argv[0]), description=__doc__, epilog=figures_help(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.h5", help="results file of `toysweep run`")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for the figures (default: FILE-figures)")
    parser.add_argument("--live", action="store_true",
                        help="also curves of instances that are still in training, up to their last saved state; asks "
                             "`toysweep status -o`, of $TOYSWEEP, this install or the PATH")
    parser.add_argument("--format", choices=FORMATS, default="png", help="of the pictures (default: png)")
    parser.add_argument("--figures", type=names, metavar="NAME,...",
                        help="which figures, by the names below; * stands for any letters (default: all there are)")
    parser.add_argument("--axis", choices=AXES, default="auto",
                        help="of steps (default: linear where checkpoints are at equal distances, else logarithmic)")
    parser.add_argument("--instance", type=numbers, metavar="I,...", help="only these instances (default: all)")
    parser.add_argument("--step", type=int, metavar="S",
                        help="checkpoint of what is drawn of one (default: the last); weights of others are there "
                             "with `save: checkpoints`")
    parser.add_argument("--neuron", type=numbers, metavar="N,...",
                        help="neurons to draw (default: those that vary most)")
    parser.add_argument("--irrep", type=names, metavar="NAME,...",
                        help="irreps to colour and to draw (default: the key irreps)")
    parser.add_argument("--frequency", type=numbers, metavar="K,...", help="the same: frequencies, irreps freq_K")
    parser.add_argument("--output-c", type=numbers, metavar="C,...", dest="outputs",
                        help="outputs c of slices of logits")
    parser.add_argument("--order", choices=ORDERS, default="auto",
                        help="of a group's elements: as in the table, by conjugacy class, by coset of the largest "
                             "cyclic subgroup (of S_n, A_n: of a point's stabiliser), by parity (default: parity where "
                             "there is one, else class; of C_n, D_n and abelian groups the table's)")
    parser.add_argument("--axes", type=names, metavar="X,Y",
                        help="keys along a phase diagram (default: the two that the sweep gives most values)")
    parser.add_argument("--panels", type=names, metavar="KEY,...",
                        help="keys with a row of a phase diagram's panels for each value; over others go medians; none: "
                             "over all (default: as many as fit)")
    parser.add_argument("--quantity", type=names, metavar="NAME,...",
                        help="columns of the file as a phase diagram's colours (default: phase, grokked_step, "
                             "test_loss; of features what becomes of them)")
    parser.add_argument("--bound", type=float, metavar="LOSS",
                        help="test loss whose first step is drawn over the train fraction (default: that of the sweep's "
                             "`stop`, else 0.01)")
    parser.add_argument("--published", metavar="RUNS.csv",
                        help="runs to draw behind those of the file in figures of clock and pizza: columns "
                             "attention_rate, gradient_symmetricity, distance_irrelevance, circularity")
    parser.add_argument("--loss", choices=["exact_loss", "estimated_loss", "final_loss", "train_loss"],
                        help="loss to show for feature tasks (default: of each instance the best that is known)")
    parser.add_argument("--threshold", type=float, default=1e-5, metavar="LOSS",
                        help="loss below which a width of a feature task counts as enough (default: 1e-5)")
    for name, of in PHASE_OPTIONS.items():
        parser.add_argument(f"--{name}", type=float, metavar="SHARE", default=getattr(phases.THRESHOLDS, name),
                            help=f"{of} (default: {getattr(phases.THRESHOLDS, name)})")
    options = parser.parse_args()
    for name in PHASE_OPTIONS:
        share = getattr(options, name)
        if not 0 < share <= 1:
            parser.error(f"--{name} {share:g}: must be above 0, and at most 1")
        setattr(phases.THRESHOLDS, name, share)
    if not options.threshold > 0:
        parser.error(f"--threshold {options.threshold:g}: must be above 0")
    if options.bound is not None and not options.bound > 0:
        parser.error(f"--bound {options.bound:g}: must be above 0")
    return options


def names(text):
    return tuple(name.strip() for name in text.split(",") if name.strip())


def numbers(text):
    try:
        found = tuple(int(part) for part in names(text))
        if min(found) < 0:
            raise ValueError
        return found
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': whole numbers with commas between are wanted, such as 0,3")


def choose(options, results):
    """Enters what was asked for, and refuses what the file does not have."""
    chosen.axis, chosen.order, chosen.step = options.axis, options.order, options.step
    chosen.instances, chosen.neurons = options.instance or (), options.neuron or ()
    chosen.irreps = (options.irrep or ()) + tuple(f"freq_{k}" for k in options.frequency or ())
    chosen.outputs = options.outputs or ()
    chosen.bound = options.bound
    chosen.published = published.read_runs(options.published) if options.published else None
    chosen.axes, chosen.quantities = options.axes or (), options.quantity or ()
    chosen.panels = None if options.panels is None else () if options.panels == ("none",) else options.panels
    check(results)


def wanted(options):
    """Names of the figures that are asked for; all if none is."""
    every = [name_of(make) for family in KINDS.values() for make in figures_of(family)]
    if not options.figures:
        return set(every)
    found = set()
    for pattern in options.figures:
        here = fnmatch.filter(every, pattern)
        if not here:
            near = difflib.get_close_matches(pattern, every, 3)
            raise toysweep.ResultsError(f"--figures {pattern}: there is no such figure" +
                                        (f"; did you mean {' or '.join(near)}?" if near else "; --help lists them"))
        found.update(here)
    return found


def ask_states(path, folder):
    """A results file with the curves of unfinished instances, in the folder."""
    if not os.path.isfile(path):
        raise toysweep.ResultsError(f"{path}: {'not a file' if os.path.exists(path) else 'no such file'}")
    now = os.path.join(folder, "now.h5")
    try:
        program = find()
    except ProgramError as fault:
        raise toysweep.ResultsError(f"--live asks the program what unfinished instances have come to, but {fault}") from fault
    asked = subprocess.run([program, "status", path, "-o", now], capture_output=True, text=True)
    if asked.returncode:
        lines = asked.stderr.strip().splitlines() or [f"{program} status -o failed"]
        raise toysweep.ResultsError(lines[-1].removeprefix("toysweep: "))
    return now


def take_unfinished(results):
    """Instances that are not done and have curves count as done from here on, with the last points of their curves as
    what they came to. Returns how many there are."""
    table, count = results.table, 0
    for instance in np.flatnonzero((table["status"] == toysweep.PENDING) & (table["steps_done"] > 0)):
        group, row = results.case_of(int(instance))
        if not np.isfinite(group["train_loss"][row]).any():
            continue
        count += 1
        table["status"][instance] = toysweep.DONE
        for name, column in table.items():
            if name in group and column.dtype.kind == "f" and group[name].ndim == 2:
                known = group[name][row]
                known = known[np.isfinite(known)]
                column[instance] = known[-1] if len(known) else np.nan
    return count


def summary(results, unfinished=0):
    status = results.table["status"]
    done, failed = (status == toysweep.DONE).sum() - unfinished, (status == toysweep.FAILED).sum()
    line = f"{done} of {results.count} instances done"
    if failed:
        line += f", {failed} failed"
    if unfinished:
        line += f", {unfinished} in training and shown up to their last saved state"
    done += unfinished
    if done + failed < results.count:
        line += f", {results.count - done - failed} still to come"
    return line


def tasks_of(page, results, options):
    shown, tasks = wanted(options), []
    for kind in dict.fromkeys(results.kinds):
        if kind not in KINDS:
            complain(f"no figures for data of kind '{kind}' yet; left out")
    for kind in KINDS:
        for view in views_or_fault(page, results, kind, options):
            tasks += [Task(make, view, terms) for make, terms in figures_and_terms(kind, view) if name_of(make) in shown]
    return tasks


def name_missing(page, results, options):
    """Figures that were asked for by themselves, of which nothing is to be seen, with the reason."""
    every = {name_of(make) for family in KINDS.values() for make in figures_of(family)}
    for name in dict.fromkeys(options.figures or ()):
        if name in every and name not in page.seen:
            complain(f"{name} is not drawn: {why_missing(name, page, results)}")


def why_missing(name, page, results):
    if name in page.reasons:
        return "; ".join(filter(None, page.reasons[name])) or "the file has nothing for it to show"
    kinds = [kind for kind, family in KINDS.items() if name in map(name_of, figures_of(family))]
    if not set(kinds) & set(results.kinds):
        return f"it is of {' or '.join(KIND_WORDS[kind] for kind in kinds)}, and the file has none"
    return "the sweep has no parts that it could compare"


def views_or_fault(page, results, kind, options):
    try:
        return views_of(results, kind, options.loss)
    except toysweep.ResultsError:
        raise
    except Exception as fault:
        page.fail(f"data of kind '{kind}'", reason(fault))
        return []


def draw(results, options, folder):
    """Draws every figure, and prints where they are; returns how many cannot be drawn."""
    unfinished = take_unfinished(results)
    about = summary(results, unfinished)
    if not (results.table["status"] == toysweep.DONE).any():
        cure = "no state of what is in training is saved yet" if options.live else "--live shows what is in training"
        raise toysweep.ResultsError(f"{options.file}: nothing is finished yet ({about}); {cure}")
    choose(options, results)
    wanted(options)
    os.makedirs(folder, exist_ok=True)
    plt.rcParams.update(STYLE)
    page = Page(folder)
    page.draw(tasks_of(page, results, options), options)
    name_missing(page, results, options)
    if not page.body:
        raise toysweep.ResultsError(f"{options.file}: there are no figures for its data" +
                                    " by those names" * bool(options.figures))
    index = page.write(results.attribute("name"), f"{about}. toysweep {results.attribute('version')}, backend "
                       f"{results.attribute('backend')}, sweep {results.attribute('sweep_sha256')[:12]}.")
    failed = f", but {page.failed} of {page.drawn + page.failed} cannot be drawn" if page.failed else ""
    print(f"{about}; figures in {index}{failed}")
    return page.failed


def main():
    matplotlib.use("Agg")
    chosen.command = os.path.basename(sys.argv[0])
    options = arguments()
    folder = options.output or os.path.splitext(options.file)[0] + "-figures"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            path = ask_states(options.file, scratch) if options.live else options.file
            with toysweep.Results(path) as results:
                results.path = options.file  # in what is said of it
                failed = draw(results, options, folder)
    except (toysweep.ResultsError, OSError) as fault:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {fault}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
