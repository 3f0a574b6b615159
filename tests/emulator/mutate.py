#!/usr/bin/env python3
"""Takes every barrier out of every kernel, one at a time; some test must notice each time.

    tests/emulator/mutate.py BUILD-DIRECTORY... [--only FILE:LINE | --every N]

Builds are tried in their order, `emulate-thread` best first: the thread sanitizer stops at the first race, while
values - and votes, which are more than barriers - take a test to its end. Of each the tests run that come to the
barrier at all. Kernels are found as kernels/cuda/*.cu and *.h; tests are the programs
that take a backend (PROGRAMS). Also makes shared memory smaller
than what a kernel asked for, which the last build has to notice.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARRIER = re.compile(r"\b__sync(threads|warp)(_or|_and|_count)?\s*\(")
ORDERS = "forward", "backward"
TIMEOUT = 300
# The fast ones first.
PROGRAMS = ("test_any_network", "test_kernels", "test_engine", "test_engine_units", "test_optimiser_engines",
            "test_divergence")


def barriers():
    """FILE:LINE of every barrier."""
    for path in sorted((ROOT / "kernels" / "cuda").glob("*.[ch]*")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if BARRIER.search(line.split("//")[0]):
                yield f"{path.name}:{number}"


def orders(build):
    """The thread sanitizer sees every order in one."""
    cache = (pathlib.Path(build) / "CMakeCache.txt").read_text()
    return ORDERS[:1] if re.search(r"^TOYSWEEP_SANITIZE:\w+=thread$", cache, re.MULTILINE) else ORDERS


def programs(build):
    paths = [pathlib.Path(build) / "tests" / name for name in PROGRAMS]
    return [path for path in paths if path.is_file() and os.access(path, os.X_OK)]


def reached(program):
    """The barriers that it comes to, as its test has noted them. It has to pass as long as all are in place."""
    noted = program.with_suffix(".barriers")
    if noted.is_file() and noted.stat().st_mtime > program.stat().st_mtime:
        return set(noted.read_text().split())
    with tempfile.NamedTemporaryFile("r") as file:
        if not passes(program, ORDERS[0], TOYSWEEP_EMULATE_BARRIERS=file.name):
            sys.exit(f"{program} fails with every barrier in place")
        return set(file.read().split())


def passes(program, order, **settings):
    environment = {
        **os.environ,
        "TSAN_OPTIONS": "halt_on_error=1",
        "ASAN_OPTIONS": "detect_leaks=0",
        "CMOCKA_TEST_ABORT": "1",  # at the first that fails
        "TOYSWEEP_EMULATE_ORDER": order,
        **settings,
    }
    try:
        done = subprocess.run([program, "cuda"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def noticed(tests, **settings):
    """The first test that fails, or None."""
    for program, order in tests:
        if not passes(program, order, **settings):
            return f"{program.parent.parent.name}/{program.name}, {order}"
    return None


def mutants(builds, pool):
    """What is changed, how, and the tests of which one has to notice."""
    last = programs(builds[-1])
    reach = dict(zip((program.name for program in last), pool.map(reached, last)))
    for barrier in barriers():
        tests = [(program, order) for build in builds for order in orders(build) for program in programs(build)
                 if barrier in reach.get(program.name, ())]
        yield barrier, {"TOYSWEEP_EMULATE_WITHOUT": barrier}, tests
    for program in last:
        yield f"{program.name}, 16 bytes too few", {"TOYSWEEP_EMULATE_LESS_SHARED": "16"}, [(program, ORDERS[0])]


def run(mutant):
    what, settings, tests = mutant
    start = time.monotonic()
    return what, noticed(tests, **settings), time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", metavar="BUILD-DIRECTORY")
    parser.add_argument("--only", metavar="FILE:LINE")
    parser.add_argument("--every", metavar="N", type=int, default=1, help="only every N-th")
    options = parser.parse_args()
    if any(len(programs(build)) < len(PROGRAMS) for build in options.builds):
        sys.exit(f"no {', '.join(PROGRAMS)} there: build them first")
    start, survivors = time.monotonic(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        chosen = [each for each in mutants(options.builds, pool) if options.only in (None, each[0])][::options.every]
        for what, by, seconds in pool.map(run, chosen):
            print(f"{what:40} {by or 'NOT NOTICED'} ({seconds:.1f} s)", flush=True)
            survivors += not by
    print(f"{len(chosen)} mutants, {survivors} not noticed, {time.monotonic() - start:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
