#!/usr/bin/env python3
"""Milliseconds of one core for a training step of one network, optimizer included: the engines of toysweep beside
PyTorch and JAX, with one thread each, in turns; prints medians of one run as a table in Markdown.

  tests/bench/table.py --python PYTHON --jax PYTHON [--repeat N] [NETWORK ...]

PyTorch by torch.compile and vmap and JAX by jit, vmap and scan train a few instances at once, with the network as it is
published and with the algebra that toysweep uses (tools/pytorch_models.py, tools/jax_models.py); PyTorch `as published`
is what the notebooks do, test loss included. Engines of toysweep are timed by build/release/tests/bench/bench_step.
Times are those of the processor, so that other work on the machine counts for less.
"""

import argparse
import os
import statistics
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SECONDS = 0.3  # of a repetition
HEADINGS = ("network", "general", "fused", "PyTorch, as published", "compiled", "JAX", "PyTorch, our algebra",
            "JAX, our algebra", "general / fused", "best algebra / toysweep", "published / toysweep")
MLP = "task: group\nmodel: mlp\ntrain_fraction: 0.4\n"
NETWORKS = {  # as the peers know it: what the table says, a sweep, a network of bench_networks.h, instances at once
    "mlp:S5": ("mlp, S5", MLP + "group: S5\n", None, 2),
    "mlp:C31:32x64": ("mlp, C31, 32 and 64 wide", MLP + "group: C31\nembed: 32\nhidden: 64\n", None, 8),
    "mlp:C113": ("mlp, C113", MLP + "group: C113\n", None, 2),
    "quadratic:S5:128": ("quadratic, S5, 128 wide", MLP + "group: S5\nhidden: 128\n", "quadratic", 2),
    "quadratic:S5:512": ("quadratic, S5, 512 wide", MLP + "group: S5\nhidden: 512\n", "quadratic", 2),
    "mlp2:S5": ("mlp of two hidden layers, S5", MLP + "group: S5\n", "mlp2", 2),
    "transformer:23": ("transformer, p = 23", "task: power\np: 23\ntrain_fraction: 0.3\n", None, 2),
    "transformer:113": ("transformer, p = 113", "task: power\np: 113\ntrain_fraction: 0.3\n", None, 2),
    "transformer:S5": ("transformer, S5", "task: group\nmodel: transformer\ngroup: S5\ntrain_fraction: 0.3\n", None, 2),
}


class Way:
    """A process that trains one network in one way on one core, as often as it is told to."""

    def __init__(self, *command, late=False):
        """late: it may use all cores until it is ready to be timed, to compile."""
        self.core = {min(os.sched_getaffinity(0))}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True,
                                        # JAX has as many threads as it finds cores when it starts
                                        preexec_fn=None if late else lambda: os.sched_setaffinity(0, self.core))
        self.command, self.times, self.steps = command, [], 1

    def answer(self):
        line = self.process.stdout.readline().strip()
        if not line:
            sys.exit(f"table.py: {' '.join(self.command)} ended")
        return line

    def prepare(self):
        """Whether there is such a way."""
        self.version = self.answer()
        if self.version == "none":
            return False
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), self.core)
        self.steps = max(1, round(SECONDS / self.time()))
        return True

    def time(self):
        """Seconds of the processor for a step of one instance."""
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        return float(self.answer().split()[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ways(options, workload):
    _, sweep, own, instances = NETWORKS[workload]
    engine = [os.path.join(ROOT, "build/release/tests/bench/bench_step")]
    torch = [options.python, os.path.join(ROOT, "tools/pytorch_models.py"), workload]
    jax = [options.jax, os.path.join(ROOT, "tools/jax_models.py"), workload]
    last = ["1", "cpu", str(instances)]
    return {"general": Way(*engine, "general", sweep, *[own] * bool(own)),
            "fused": Way(*engine, "fused", sweep, *[own] * bool(own)),
            "published": Way(*torch, "published", *last, late=True),
            "torch": Way(*torch, "compiled-published", *last, late=True),
            "torch algebra": Way(*torch, "compiled", *last, late=True),
            "jax": Way(*jax, "published", *last),
            "jax algebra": Way(*jax, "algebra", *last)}


def measure(options, workload):
    """Seconds for a step, by way."""
    every = ways(options, workload)
    there = {name: way for name, way in every.items() if way.prepare()}
    for _ in range(options.repeat):
        for way in there.values():
            way.times.append(way.time())
    for way in every.values():
        way.close()
    return {name: statistics.median(way.times) for name, way in there.items()}


def row(workload, seconds):
    own = seconds.get("fused", seconds["general"])  # as toysweep chooses
    best = min(seconds["torch algebra"], seconds["jax algebra"])
    cells = [f"{1e3 * seconds[name]:.3g}" if name in seconds else "-"
             for name in ("general", "fused", "published", "torch", "jax", "torch algebra", "jax algebra")]
    cells += [f"{seconds['general'] / seconds['fused']:.2f}" if "fused" in seconds else "-", f"{best / own:.1f}",
              f"{seconds['published'] / own:.1f}"]
    return f"| {NETWORKS[workload][0]} | {' | '.join(cells)} |"


def arguments():
    parser = argparse.ArgumentParser(prog="table.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK",
                        help=" ".join(NETWORKS) + " (default: all)")
    parser.add_argument("--python", required=True, help="a Python with PyTorch 2.4 or later")
    parser.add_argument("--jax", required=True, help="a Python with JAX and optax")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions, of which the median counts (default: 5)")
    options = parser.parse_args()
    for workload in options.networks:
        if workload not in NETWORKS:
            parser.error(f"{workload}: give one of {', '.join(NETWORKS)}")
    return options


def main():
    options = arguments()
    print(f"| {' | '.join(HEADINGS)} |\n{'|---' * len(HEADINGS)}|", flush=True)
    for workload in options.networks:
        print(row(workload, measure(options, workload)), flush=True)


if __name__ == "__main__":
    main()
