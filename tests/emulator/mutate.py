#!/usr/bin/env python3
"""Takes every barrier out of every kernel, one at a time; some test must notice each time.

    tests/emulator/mutate.py BUILD-DIRECTORY... [--only FILE:LINE]

The builds are those of the presets `emulate` and `emulate-thread`: what values and the address sanitizer do not show,
the thread sanitizer does. Kernels are found as kernels/cuda/*.cu and *.h, tests as test_cuda_*. Also plants
accesses out of bounds: shared memory is made smaller than what a kernel asked for.
"""

import argparse
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


def tests(builds):
    """(program, order), the fast ones first. A build with the thread sanitizer needs one order only."""
    for index, build in enumerate(builds):
        for order in ORDERS if index == 0 else ORDERS[:1]:
            for program in sorted((pathlib.Path(build) / "tests").glob("test_cuda_*")):
                if program.is_file() and os.access(program, os.X_OK):
                    yield program, order


def passes(program, order, **settings):
    environment = {
        **os.environ,
        "TSAN_OPTIONS": "halt_on_error=1",
        "ASAN_OPTIONS": "detect_leaks=0",
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
    survivors, count, start = [], 0, time.monotonic()
    for barrier in barriers():
        if options.only and barrier != options.only:
            continue
        by = noticed(all_tests, TOYSWEEP_EMULATE_WITHOUT=barrier)
        count += 1
        print(f"{barrier:30} {by or 'NOT NOTICED'}", flush=True)
        if not by:
            survivors.append(barrier)
    if not options.only:
        for program, order in [each for each in all_tests if each[1] == "forward" and each[0].parent.parent.samefile(options.builds[0])]:
            if passes(program, order, TOYSWEEP_EMULATE_LESS_SHARED="16"):
                survivors.append(f"{program.name} with 16 bytes of shared memory less")
    print(f"{count} barriers taken out, {len(survivors)} mutants not noticed, {time.monotonic() - start:.0f} s")
    for each in survivors:
        print(f"NOT NOTICED: {each}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
