#!/usr/bin/env python3
"""Seconds that whole runs take with two builds, in turns: medians, as a table in Markdown, with the commands.

  tests/bench/compare.py OLD NEW [--rounds N] [--cpu] [WORD ...]

OLD and NEW are build folders. Of the runs below those are made whose names contain one of the WORDs, all without any.
Old and new program take turns, so that what else happens on the machine meets both. A run starts without a results file,
unless it shall find that there is nothing to do. `same` says that both wrote the same bytes.
"""

import argparse
import collections
import filecmp
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LAUNCHER = ["mpirun", "--oversubscribe", "-n", "2"]
ONE = ("--threads", "1")

Run = collections.namedtuple("Run", "name sweep options ranks again plan", defaults=((), False, False, False))


def trees(depth, hidden):
    return f"task: tree\ndepth: {depth}\nhidden: {hidden}\nsteps: 20000\ncheckpoints: [0, 20000]\ninstances: 64\n"


def transformers(of):
    return f"{of}\nmodel: transformer\ntrain_fraction: 0.3\nsteps: 1\ncheckpoints: [0, 1]\ninstances: 10\n"


def pairs(highest):
    return f"task: power\np: 1021\nm: 1..{highest}\nn: 1..{highest}\nsteps: 10\n"


TINY = "task: tree\ndepth: 1\nhidden: 2\nsteps: 100\ncheckpoints: [0, 10, 100]\ninstances: 20000\n"
MILLION = "task: tree\ndepth: 1\nhidden: 1..10\nsteps: 1\ncheckpoints: [1]\ninstances: 100000\n"
CASES = "task: tree\ndepth: 1\nhidden: 1..5\nbatch: 1..1000\nsteps: 10\ncheckpoints: [0, 10]\n"

RUNS = [
    *(Run(f"64 trees of depth {depth}", trees(depth, hidden), ONE) for depth, hidden in ((1, 2), (2, 3), (3, 5), (4, 7))),
    Run("20000 tiny instances", TINY, ONE),
    *(Run(f"{name}.yaml", name) for name in ("quickstart", "tree", "group-quick", "power-quick")),
    Run("transformers, C113", transformers("task: group\ngroup: C113"), ONE),
    Run("transformers, D59", transformers("task: group\ngroup: D59"), ONE),
    Run("transformers, p = 113", transformers("task: power\np: 113\nm: 3\nn: 3"), ONE),
    Run("5000 cases", CASES),
    Run("5000 cases, again", CASES, again=True),
    Run("10^6 instances", MILLION),
    Run("10^6 instances, again", MILLION, again=True),
    Run("10^6 instances, again, two ranks", MILLION, ranks=True, again=True),
    Run("plan, p = 1021, 9 pairs", pairs(3), plan=True),
    Run("plan, p = 1021, 81 pairs", pairs(9), plan=True),
]


def command(run, build, sweep, output):
    """Argument list."""
    options = () if run.plan else ("-o", output, "--progress", "none")
    return [*(LAUNCHER if run.ranks else ()), os.path.join(build, "toysweep"), "plan" if run.plan else "run", sweep,
            *options, *run.options]


def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), used.ru_utime + used.ru_stime


def execute(words):
    """(seconds that passed, seconds of processors)"""
    begin = spent()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"compare.py: {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return tuple(after - before for before, after in zip(begin, spent()))


def sweep_file(run, folder):
    """Those that are no name in sweeps/ are written."""
    if "\n" not in run.sweep:
        return os.path.join(ROOT, "sweeps", run.sweep + ".yaml")
    path = os.path.join(folder, "sweep.yaml")
    with open(path, "w") as file:
        file.write("name: bench\n" + run.sweep)
    return path


def compare(run, builds, rounds, folder):
    """[old, new] lists of what execute() found, and whether their files are the same."""
    sweep = sweep_file(run, folder)
    outputs = [os.path.join(folder, f"{place}.h5") for place in ("old", "new")]
    words = [command(run, build, sweep, output) for build, output in zip(builds, outputs)]
    found = [[], []]

    def clear():
        for output in outputs:
            for path in (output, output + ".log.jsonl"):
                if os.path.exists(path):
                    os.unlink(path)

    clear()
    if run.again:
        for one in words:
            execute(one)
    for _ in range(rounds):
        if not run.again:
            clear()
        for times, one in zip(found, words):
            times.append(execute(one))
    same = not run.plan and filecmp.cmp(*outputs, shallow=False)
    clear()
    print(f"{run.name}: {' '.join(words[1])}", file=sys.stderr)
    return found, same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="seconds of processors, not those that pass")
    given = parser.parse_intermixed_args()
    if os.geteuid() == 0:  # else mpirun refuses
        os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    print("| run | old | new | old / new | files |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for run in RUNS:
            if given.words and not any(word in run.name for word in given.words):
                continue
            found, same = compare(run, (given.old, given.new), given.rounds, folder)
            old, new = (statistics.median(times[given.cpu] for times in one) for one in found)
            print(f"| {run.name} | {old:.3g} | {new:.3g} | {old / new:.2f} | {'same' if same else ''} |", flush=True)


if __name__ == "__main__":
    main()
