"""Every allocation fails in turn: one message and an exit code, or no harm at all; never half a file or a wrong one.

Needs a build with TOYSWEEP_DEBUG, where the environment variable TOYSWEEP_FAIL_ALLOCATION makes the N-th allocation
fail, and with "N+" all after it too."""

import collections
import os
import shutil
import subprocess

from processes import TIMEOUT
from support import NIGHTLY, TOYSWEEP, Case, flip, main, sha256

import h5py

# Both families of models; as few instances as show every site.
SWEEP = """\
name: tiny
steps: 200
checkpoints: {log: 5}
seed: 0..1
cases:
  - {task: tree, depth: 2, hidden: 3}
  - {task: group, group: S3, train_fraction: 0.5, embed: 16, hidden: 16}
"""
ONE = "name: one\nsteps: 200\ncheckpoints: {log: 5}\ntask: tree\ndepth: 2\nhidden: 3\n"
RUN = ["run", "tiny.yaml", "-o", "run.h5", "--threads", "1", "--checkpoint-interval", "0.01s", "--progress", "none"]

Result = collections.namedtuple("Result", "code output messages failed")


class OutOfMemory(Case):
    def setUp(self):
        super().setUp()
        self.write("tiny.yaml", SWEEP)
        self.write("one.yaml", ONE)
        if not self.attempt("1", "plan", "tiny.yaml").failed:
            self.skipTest("needs a build with TOYSWEEP_DEBUG")
        self.expected = self.finished("tiny.yaml", "whole.h5")
        self.tried = 0

    def attempt(self, which, *arguments):
        """One command with a failing allocation; `failed` says which one that was, None if there were not so many."""
        result = subprocess.run([TOYSWEEP, *map(str, arguments)], cwd=self.directory, capture_output=True, text=True,
                                timeout=TIMEOUT, env={**os.environ, "TOYSWEEP_FAIL_ALLOCATION": which})
        lines = result.stderr.splitlines()
        failed = [line for line in lines if line.startswith("TOYSWEEP_FAIL_ALLOCATION")]
        messages = [line for line in lines if line not in failed and "warning: " not in line]
        return Result(result.returncode, result.stdout, messages, failed[0] if failed else None)

    def attempts(self, check, *arguments, stride=1, prepare=None, first=1, suffixes=("", "+"), end=0):
        """Calls check with each result until a run passes unharmed, with exit code `end`: of every allocation at night,
        of some otherwise."""
        prepare = prepare or self.clear
        for suffix in suffixes:
            n, result = first, None
            while not result or result.failed:
                prepare()
                result = self.attempt(f"{n}{suffix}", *arguments)
                if result.failed:
                    self.tried += 1
                    with self.subTest(result.failed, suffix=suffix, command=arguments[0]):
                        check(result)
                n += 1 if NIGHTLY else stride
            self.assertEqual(result.code, end, result)

    def check_outcome(self, result, codes=(0, 1)):
        self.assertIn(result.code, codes, result)
        self.assertEqual(len(result.messages), 1 if result.code else 0, result)
        self.assertTrue(result.code in (0, 2, 3) or "memory" in result.messages[0], result)

    def tearDown(self):
        print(f"{self.tried} failing allocations", flush=True)
        super().tearDown()

    def check_printed(self, expected):
        """A check: what is printed by a command that ends well."""
        def check(result):
            self.check_outcome(result)
            if result.code == 0:
                self.assertEqual(result.output, expected)
        return check

    def check_made(self, name, expected, again=None, left=()):
        """A check: the file is whole or not there; then the command `again`, with what may be left, makes it."""
        def check(result):
            self.check_outcome(result)
            self.check_nothing_else(name, *left)
            self.assertEqual(os.path.exists(self.path(name)), result.code == 0, result)
            if result.code and again:
                self.run_program(*again)
            if result.code == 0 or again:
                self.assertEqual(sha256(self.path(name)), expected)
                self.check_nothing_else(name)
        return check

    def clear(self):
        for name in self.files():
            if name.startswith(("run.h5", "weights")) and name != "weights.h5":
                path = self.path(name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def test_run(self):
        self.split = 0

        def check(result):
            self.check_outcome(result, (0, 1, 3))  # 3: an instance failed for want of memory, and says so
            self.check_nothing_else("run.h5.state")
            if result.code == 0:
                self.assertEqual(sha256(self.path("run.h5")), self.expected)
                self.split += "unit" in result.failed  # its neighbours' bits did not change either
            self.run_program(*RUN, "--retry-failed")
            self.assertEqual(sha256(self.path("run.h5")), self.expected)
            self.check_nothing_else()

        # Few allocations are a unit's: if the first round meets none of them, the next ones do. Where all that come after
        # fail as well, no unit is split.
        for first in range(1, 12):
            self.attempts(check, *RUN, stride=11, first=first, suffixes=("", "+") if first == 1 else ("",))
            if self.split:
                break
        self.assertGreater(self.split, 0)
        print(f"{self.split} in a unit that was then split", flush=True)

    def test_continuing(self):
        """The same, from a file with a damaged row to put back."""
        shutil.copyfile(self.path("whole.h5"), self.path("damaged.h5"))
        with h5py.File(self.path("damaged.h5")) as file:
            place = file["steps_done"].id.get_offset() + 8
        flip(self.path("damaged.h5"), place)

        def prepare():
            self.clear()
            shutil.copyfile(self.path("damaged.h5"), self.path("run.h5"))

        def check(result):
            self.check_outcome(result, (0, 1, 3))
            self.run_program(*RUN, "--retry-failed")
            self.assertEqual(sha256(self.path("run.h5")), self.expected)

        self.attempts(check, *RUN, stride=23, prepare=prepare)

    def test_plan_and_status(self):
        status = self.run_program("status", "whole.h5", "--json")
        self.attempts(self.check_outcome, "plan", "tiny.yaml", stride=11)
        self.attempts(self.check_outcome, "status", "whole.h5", stride=7)
        self.attempts(self.check_printed(status), "status", "whole.h5", "--json", stride=7)
        self.check_nothing_else()

    def test_export(self):
        for form in "safetensors", "h5":
            export = ["export", "whole.h5", "--instance", 1, "--format", form, "-o", "weights"]
            self.run_program(*export)
            self.attempts(self.check_made("weights", sha256(self.path("weights"))), *export, stride=3)

    def test_export_of_a_checkpoint(self):
        """And a list of those there are is whole, or memory is short."""
        self.write("kept.yaml", ONE.replace("{log: 5}", "[0, 50, 200]") + "save: checkpoints\n")
        self.run_program("run", "kept.yaml", "-o", "kept.h5")
        export = ["export", "kept.h5", "--instance", 0, "-o", "weights", "--step"]
        self.run_program(*export, 50)
        self.attempts(self.check_made("weights", sha256(self.path("weights"))), *export, 50, stride=3)

        def check_refused(result):
            self.check_outcome(result, codes=(1, 2))
            if result.code == 2:
                self.assertIn("there are those of steps 0, 50, 200", result.messages[0])

        self.attempts(check_refused, *export, 51, stride=3, end=2)

    def test_measure(self):
        self.run_program("run", "one.yaml")
        self.run_program("export", "one.h5", "--instance", 0, "--format", "h5", "-o", "weights.h5")
        self.run_program("export", "one.h5", "--instance", 0, "-o", "one.safetensors")
        check = self.check_printed(self.run_program("measure", "one.yaml", "--weights", "weights.h5"))
        for weights in "weights.h5", "one.safetensors":
            self.attempts(check, "measure", "one.yaml", "--weights", weights, stride=7)

    def test_measure_of_results(self):
        """Printed, and as a new file: that is whole or not there, and the same command then makes it."""
        new = ["measure", "whole.h5", "-o", "run.h5"]
        self.attempts(self.check_printed(self.run_program(*new[:2])), *new[:2], stride=17)
        self.attempts(self.check_made("run.h5", self.expected, new, ["run.h5.part"]), *new, stride=29)
        self.assertEqual(sha256(self.path("whole.h5")), self.expected)

    def test_merge(self):
        """As a file that is measured anew. What --where and best choose is chosen, or memory is short."""
        for seed in 0, 1:
            self.run_program("run", "tiny.yaml", "-o", f"part-{seed}.h5", "--set", f"seed={seed}")
        merge = ["merge", "part-0.h5", "part-1.h5", "-o", "run.h5"]
        self.attempts(self.check_made("run.h5", self.expected, merge), *merge, stride=41)
        choose = ["export", "whole.h5", "--where", "model == mlp", "--instance", "best", "-o", "weights"]
        self.run_program(*choose)
        self.attempts(self.check_made("weights", sha256(self.path("weights"))), *choose, stride=13)


if __name__ == "__main__":
    main()
