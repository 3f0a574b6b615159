#!/usr/bin/env python3
"""Times tree training the published PyTorch way beside toysweep: the same grid points, the same cores, in turns.

PyTorch, each step: draw 1024 samples of the tree for each of the 5 instances, x_hat = relu(W^T W x + b) by einsum over
the stacked instances, weighted squared error, autograd, Adam. toysweep: the 5 instances as a sweep of one point; two
runs of different length, so that starting up and writing the file cancel out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from needs import need

need("torch")
import torch

INSTANCES, BATCH = 5, 1024
SWEEP = """\
name: bench
task: tree
depth: {depth}
hidden: {hidden}
early_stopping: true
instances: {instances}
steps: {steps}
checkpoints: [{steps}]
save: none
"""


def arguments():
    parser = argparse.ArgumentParser(prog="bench_pytorch.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    parser.add_argument("--toysweep", default=os.path.join(root, "build/release/toysweep"), help="the program")
    parser.add_argument("--points", nargs="+", default=["3x5", "6x10"], metavar="DEPTHxHIDDEN", help="grid points")
    parser.add_argument("--cores", type=int, default=2, help="cores, and threads of both (default: 2)")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions, of which the median counts (default: 5)")
    parser.add_argument("--torch-steps", type=int, default=200, help="steps of a PyTorch repetition (default: 200)")
    parser.add_argument("--steps", type=int, default=20000, help="more steps of the longer toysweep run (default: 20000)")
    options = parser.parse_args()
    options.toysweep = os.path.abspath(options.toysweep)
    if not os.access(options.toysweep, os.X_OK):
        sys.exit(f"bench_pytorch.py: no program at {options.toysweep}: build it, or give --toysweep")
    return options


# --- The published way ---------------------------------------------------------------------------------------------

def draw_samples(depth, instances):
    """(batch, instances, features): features that are on, level by level; a child is on if its parent is, its own coin
    shows 1 and its sibling's 0."""
    levels, on = [], torch.ones(BATCH, instances, 1, dtype=torch.bool)
    for _ in range(depth):
        coins = torch.rand(BATCH, instances, on.shape[2], 2) < 0.5
        children = on[..., None] & coins & ~coins.flip(-1)
        on = children.flatten(2)
        levels.append(on)
    return torch.cat(levels, dim=2).float()


class Published:
    def __init__(self, depth, hidden):
        features = 2 ** (depth + 1) - 2
        self.depth = depth
        self.W = torch.nn.Parameter(torch.empty(INSTANCES, hidden, features))
        torch.nn.init.xavier_normal_(self.W)
        self.b = torch.nn.Parameter(torch.zeros(INSTANCES, features))
        self.importance = torch.ones(features)
        self.adam = torch.optim.Adam([self.W, self.b], lr=1e-3)

    def step(self):
        x = draw_samples(self.depth, INSTANCES)
        hidden = torch.einsum("bif,ihf->bih", x, self.W)
        x_hat = torch.relu(torch.einsum("bih,ihf->bif", hidden, self.W) + self.b)
        loss = (self.importance * (x - x_hat) ** 2).mean(dim=(0, 2)).sum()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def seconds_per_step(self, steps):
        begin = time.perf_counter()
        for _ in range(steps):
            self.step()
        return (time.perf_counter() - begin) / steps


# --- toysweep ------------------------------------------------------------------------------------------------------

def run_seconds(options, depth, hidden, steps):
    with tempfile.TemporaryDirectory() as folder:
        sweep = os.path.join(folder, "bench.yaml")
        with open(sweep, "w", encoding="utf-8") as file:
            file.write(SWEEP.format(depth=depth, hidden=hidden, instances=INSTANCES, steps=steps))
        command = [options.toysweep, "run", sweep, "-o", os.path.join(folder, "bench.h5"), "--threads",
                   str(options.cores), "--progress", "none"]
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench_pytorch.py: {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return time.perf_counter() - begin


def toysweep_seconds_per_step(options, depth, hidden):
    short = options.steps // 10
    longer = run_seconds(options, depth, hidden, short + options.steps)
    return (longer - run_seconds(options, depth, hidden, short)) / options.steps


def main():
    options = arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cores])  # toysweep inherits it
    torch.set_num_threads(options.cores)
    print(f"PyTorch {torch.__version__}; {options.cores} cores; median of {options.repeat}; microseconds for one step of "
          f"{INSTANCES} instances")
    print(f"{'depth':>6}{'hidden':>8}{'PyTorch':>12}{'toysweep':>12}{'ratio':>10}   spread (PyTorch; toysweep)")
    for point in options.points:
        depth, hidden = (int(number) for number in point.split("x"))
        published = Published(depth, hidden)
        published.seconds_per_step(20)  # warm
        times = ([], [])
        for _ in range(options.repeat):
            times[0].append(1e6 * published.seconds_per_step(options.torch_steps))
            times[1].append(1e6 * toysweep_seconds_per_step(options, depth, hidden))
        a, b = (statistics.median(t) for t in times)
        spread = "; ".join(f"{min(t):.1f}..{max(t):.1f}" for t in times)
        print(f"{depth:>6}{hidden:>8}{a:>12.1f}{b:>12.2f}{a / b:>9.0f}x   {spread}", flush=True)


if __name__ == "__main__":
    main()
