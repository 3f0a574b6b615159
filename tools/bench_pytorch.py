#!/usr/bin/env python3
"""Times training in PyTorch and JAX beside toysweep: the same networks and data, the same cores or the same GPU, in
turns, medians of one run.

PyTorch (tools/pytorch_models.py) and JAX (tools/jax_models.py) train the published way, and of table tasks also with
the algebra that toysweep uses, compiled for several instances at once. toysweep trains a small sweep: 5 instances of a tree, stacked as in the notebook; 2 of a table task, one a core;
with --gpu as many as an H100 trains at once.
Two runs of different length, so that starting up, measuring and writing the file cancel out. Times are those of a step
of one instance: wall-clock time over the number of instances, and the processor time of all cores. On a machine that
does other work, compare processor time, with --cores 1: threads that wait for each other lose much more by it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORKLOADS = ["tree:3x5", "tree:6x10", "mlp:S5", "transformer:113"]
SWEEPS = {
    "tree": "task: tree\ndepth: {0}\nhidden: {1}\nearly_stopping: true\n",
    "mlp": "task: group\nmodel: mlp\ngroup: {0}\ntrain_fraction: 0.4\n",
    "transformer": "task: power\nmodel: transformer\np: {0}\ntrain_fraction: 0.3\n",
}
INSTANCES = {"tree": 5, "mlp": 2, "transformer": 2}
GPU_INSTANCES = {"tree": 1056, "mlp": 132, "transformer": 132}
STEPS = {"tree": 20000, "mlp": 300, "transformer": 100}
GPU_STEPS = {"tree": 50000, "mlp": 1000, "transformer": 400}
PEER_SECONDS = 0.5  # of a repetition
SWEEP = "name: bench\n{task}instances: {instances}\nsteps: {steps}\ncheckpoints: [{steps}]\nsave: none\n"


def arguments():
    parser = argparse.ArgumentParser(prog="bench_pytorch.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=WORKLOADS, metavar="WORKLOAD",
                        help="tree:DEPTHxHIDDEN, mlp:S5, transformer:P (default: " + " ".join(WORKLOADS) + ")")
    parser.add_argument("--toysweep", default=os.path.join(HERE, "../build/release/toysweep"), help="the program")
    parser.add_argument("--python", action="append", metavar="PYTHON",
                        help="a Python with PyTorch; may be given more than once (default: this one)")
    parser.add_argument("--jax", action="append", default=[], metavar="PYTHON", help="a Python with JAX and optax")
    parser.add_argument("--cores", type=int, default=2, help="cores, and threads of all (default: 2)")
    parser.add_argument("--gpu", action="store_true", help="train on a GPU")
    parser.add_argument("--repeat", type=int, default=7, help="repetitions, of which the median counts (default: 7)")
    parser.add_argument("--steps", type=int, help="more steps of the longer toysweep run (default: by workload)")
    options = parser.parse_args()
    options.toysweep = os.path.abspath(options.toysweep)
    options.python = options.python or [sys.executable]
    if not os.access(options.toysweep, os.X_OK):
        sys.exit(f"bench_pytorch.py: no program at {options.toysweep}: build it, or give --toysweep")
    for workload in options.workloads:
        if workload.partition(":")[0] not in SWEEPS or not workload.partition(":")[2]:
            parser.error(f"{workload}: give one such as {', '.join(WORKLOADS)}")
    return options


class Peer:
    """A process that trains one model one way, as often as it is told to."""

    def __init__(self, name, python, workload, way, options):
        script = os.path.join(HERE, f"{name.lower()}_models.py")
        command = [python, script, workload, way, str(options.cores), "cuda" if options.gpu else "cpu"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = f"{name} {self.answer()} {way}"
        self.steps = 1
        self.steps = max(1, round(PEER_SECONDS / min(self.time() for _ in range(2))[0]))

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench_pytorch.py: {' '.join(self.process.args)} ended")
        return line.strip()

    def time(self):
        """Seconds for a step of one instance: (wall-clock, processors)."""
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        return tuple(float(word) for word in self.answer().split())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Toysweep:
    name = "toysweep"

    def __init__(self, options, workload):
        self.kind, _, size = workload.partition(":")
        self.options, self.task = options, SWEEPS[self.kind].format(*size.split("x"))
        self.instances = (GPU_INSTANCES if options.gpu else INSTANCES)[self.kind]
        self.steps = options.steps or (GPU_STEPS if options.gpu else STEPS)[self.kind]

    def run(self, folder, steps):
        sweep = os.path.join(folder, f"bench-{steps}.yaml")
        with open(sweep, "w", encoding="utf-8") as file:
            file.write(SWEEP.format(task=self.task, instances=self.instances, steps=steps))
        command = [self.options.toysweep, "run", sweep, "-o", os.path.join(folder, f"bench-{steps}.h5"), "--threads",
                   str(self.options.cores), "--progress", "none", "--backend", "cuda" if self.options.gpu else "cpu"]
        begin, used = time.perf_counter(), os.times()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench_pytorch.py: {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        now = os.times()
        return (time.perf_counter() - begin,
                now.children_user + now.children_system - used.children_user - used.children_system)

    def time(self):
        """Seconds for a step of one instance: (wall-clock, processors)."""
        with tempfile.TemporaryDirectory() as folder:
            short = max(1, self.steps // 10)
            runs = self.run(folder, short + self.steps), self.run(folder, short)
            return tuple((longer - shorter) / self.steps / self.instances for longer, shorter in zip(*runs))


def bench(options, workload):
    kind = workload.partition(":")[0]
    table = kind != "tree"
    ways = {"PyTorch": ["published"] + ["algebra", "compiled"] * table, "JAX": ["published"] + ["algebra"] * table}
    entries = [Peer(name, python, workload, way, options)
               for name, pythons in (("PyTorch", options.python), ("JAX", options.jax))
               for python in pythons for way in ways[name]]
    entries.append(Toysweep(options, workload))
    times = [[entry.time() for entry in entries] for _ in range(options.repeat)]
    for entry in entries[:-1]:
        entry.close()
    own = [statistics.median(time[i] for time in list(zip(*times))[-1]) for i in (0, 1)]
    for entry, column in zip(entries, zip(*times)):
        line = f"{workload:<16}{entry.name:<33}"
        for kind, clock in enumerate(zip(*column)):
            middle = statistics.median(clock)
            spread = f"{1e6 * min(clock):.4g}..{1e6 * max(clock):.4g}"
            line += f"{1e6 * middle:>10.1f}{middle / own[kind]:>7.1f}x  {spread:<19}"
        print(line.rstrip(), flush=True)


def main():
    options = arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cores])  # all that is started inherits it
    print(f"{options.cores} cores; microseconds for a step of one instance, median of {options.repeat}, in turns")
    clock = f"{'median':>10}{'ratio':>8}  smallest..largest"
    print(f"{'':<49}{'wall-clock time':<38}processor time\n{'workload':<49}{clock:<38}{clock}")
    for workload in options.workloads:
        bench(options, workload)


if __name__ == "__main__":
    main()
