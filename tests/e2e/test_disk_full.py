"""A full disk: at creation, during the run, while saving. Once there is space again the same command goes on."""

import errno
import os
import signal
import subprocess

from processes import finish
from support import Case, long_sweep, main, needs_mpi, sha256


class DiskFull(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("small-disk"))
        mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", self.path("small-disk")]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            self.skipTest("needs the right to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", self.path("small-disk")], check=False)
        self.sweep = self.write("long.yaml", long_sweep())

    def fill(self, leave):
        free = os.statvfs(self.path("small-disk"))
        try:
            with open(self.path("small-disk/filler"), "wb") as file:
                file.write(b"x" * max(0, free.f_bavail * free.f_bsize - leave))
        except OSError as error:  # a run has taken some of it in the meantime
            self.assertEqual((error.errno, leave), (errno.ENOSPC, 0))

    def empty(self):
        os.unlink(self.path("small-disk/filler"))

    def check_continues(self):
        """There is space again: the same command, to the bits of a run that never lacked it."""
        self.run_program("run", self.sweep, "-o", "whole.h5")
        self.assertEqual(self.finished(self.sweep, "small-disk/long.h5"), sha256(self.path("whole.h5")))
        self.assertEqual(sorted(os.listdir(self.path("small-disk"))), ["long.h5", "long.h5.log.jsonl"])

    def test_at_creation(self):
        for leave in 0, 20000, 120000:
            self.fill(leave)
            output = self.run_program("run", self.sweep, "-o", "small-disk/long.h5", expect=1)
            self.assertIn("No space left", output)
            self.assertIn("small-disk/long.h5", output)
            self.assertIn("-o", output)
            self.assertEqual(output.count("\n") - output.count("warning: "), 1, output)
            self.assertEqual(os.listdir(self.path("small-disk")), ["filler"])
            self.empty()
        self.check_continues()

    def fill_during_run(self, *options, **more):
        """When states have been saved already, and more are still to be."""
        process = self.start_training(self.sweep, "small-disk/long.h5", "--checkpoint-interval", "0.02s", *options,
                                      **more)
        self.wait_for(lambda: self.states("small-disk/long.h5") or process.poll() is not None, "a saved state")
        self.fill(0)
        return process

    def test_during_the_run(self):
        self.check_full_during_run("--threads", 2)

    @needs_mpi
    def test_during_the_run_of_ranks(self):
        for way in "mpio", "posix":
            with self.subTest(way):
                self.check_full_during_run("--threads", 1, "--io", way, ranks=2)
                self.empty()
                self.forget("small-disk/long.h5")

    def check_full_during_run(self, *options, **more):
        for _ in range(10):
            process = self.fill_during_run(*options, **more)
            over = process.poll() is not None
            output = finish(process)
            if not over:
                break
            self.empty()  # it was over before the disk was full
            self.forget("small-disk/long.h5")
        # Rows have their place from the start; only states cannot be saved, which is said.
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("No space left", output)
        self.run_program("run", self.sweep, "-o", "whole.h5")
        self.assertEqual(sha256(self.path("small-disk/long.h5")), sha256(self.path("whole.h5")))

    def test_while_saving_at_a_stop(self):
        for _ in range(10):  # some signal comes in the midst of a unit, whose state does not fit
            process = self.fill_during_run("--threads", 1)
            process.send_signal(signal.SIGTERM)
            output = finish(process)
            self.empty()
            if process.returncode == 75 and "could not be saved" in output:
                break
            self.forget("small-disk/long.h5")
        self.assertEqual(process.returncode, 75, output)
        self.assertIn("could not be saved", output)
        self.assertIn("No space left", output)
        self.check_continues()


if __name__ == "__main__":
    main()
