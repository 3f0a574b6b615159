#!/usr/bin/env python3
"""Takes every barrier out of every kernel, one at a time; some test must notice each time.

    tests/emulator/mutate.py BUILD-DIRECTORY... [--only FILE:LINE]

The builds are those of the presets `emulate` and `emulate-thread`: what values and the address sanitizer do not show,
the thread sanitizer does. Kernels are found as kernels/cuda/*.cu and *.h, tests as test_cuda_*. Also plants
accesses out of bounds: shared memory is made smaller than what a kernel asked for.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARRIER = re.compile(r"\b__sync(threads|warp)(_or|_and|_count)?\s*\(")
ORDERS = "forward", "backward"
TIMEOUT = 300


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


def tests(builds):
    """(program, order), in the order in which they are tried."""
    for build in builds:
        for order in orders(build):
            for program in sorted((pathlib.Path(build) / "tests").glob("test_cuda_*")):
                if program.is_file() and os.access(program, os.X_OK):
                    yield program, order


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
        done = subprocess.run([program], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def noticed(all_tests, **settings):
    """The first test that fails, or None."""
    for program, order in all_tests:
        if not passes(program, order, **settings):
            return f"{program.parent.parent.name}/{program.name}, {order}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", metavar="BUILD-DIRECTORY")
    parser.add_argument("--only", metavar="FILE:LINE")
    options = parser.parse_args()
    all_tests = list(tests(options.builds))
    if not all_tests:
        sys.exit("no test_cuda_* programs there: build them first")
    start = time.monotonic()
    # What is changed, how, and the tests of which one has to notice.
    mutants = [(barrier, {"TOYSWEEP_EMULATE_WITHOUT": barrier}, all_tests) for barrier in barriers()
               if options.only in (None, barrier)]
    if not options.only:
        mutants += [(f"{program.name} with 16 bytes of shared memory less", {"TOYSWEEP_EMULATE_LESS_SHARED": "16"},
                     [(program, "forward")]) for program in sorted({program for program, order in all_tests if order == "backward"})]
    survivors = 0

    def run(mutant):
        what, settings, tries = mutant
        begin = time.monotonic()
        return what, noticed(tries, **settings), time.monotonic() - begin

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for what, by, seconds in pool.map(run, mutants):
            print(f"{what:50} {by or 'NOT NOTICED'} ({seconds:.1f} s)", flush=True)
            survivors += not by
    print(f"{len(mutants)} mutants, {survivors} not noticed, {time.monotonic() - start:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
