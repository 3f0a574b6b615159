"""The plug is pulled: the file system stops at once and forgets what it had not written. Nothing acknowledged is lost.

An ext4 file system on a loop device, shut down by an ioctl without flushing its journal, then mounted again. A row is
acknowledged when a reader has seen the line of its unit in the run log, or its status for a second in which no rank
waited for the disk."""

import fcntl
import json
import os
import random
import struct
import subprocess
import time

from processes import finish, kill_family, waits_for_disk
from support import Case, amount, in_creation_order, long_sweep, main, needs_mpi, sha256

import h5py

CUTS = amount(10, 50)
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # FS_IOC_GOINGDOWN
DURABLE_AFTER = 1.0  # seconds: a status can be read a moment before fdatasync is called, and until it returns


class Reader:
    """What a reader sees of a run: finished rows from the log, and from the statuses."""

    def __init__(self, file):
        self.file = file
        self.logged, self.first_seen, self.durable = set(), {}, set()
        self.waited = 0.0  # when a rank was last seen to wait
        self.rows = {}  # case: instance of each row

    def look(self, process):
        try:
            now = time.monotonic()
            if waits_for_disk(process):
                self.waited = now
            self.durable.update(i for i, seen in self.first_seen.items() if now - max(seen, self.waited) > DURABLE_AFTER)
            with h5py.File(self.file) as file:
                self.rows = self.rows or dict(enumerate(self.instances(file)))
                for instance in (file["status"][:] == 1).nonzero()[0]:
                    self.first_seen.setdefault(int(instance), time.monotonic())
            with open(self.file + ".log.jsonl") as log:
                lines = [line for line in log if line.endswith("}\n")]
        except (OSError, KeyError):
            return  # not there yet
        for line in lines:
            event = json.loads(line)
            if event["event"] == "unit":
                first = event["first_row"]
                self.logged.update(map(int, self.rows[event["case"]][first:first + event["rows"]]))

    @staticmethod
    def instances(file):
        return [file["cases"][name]["instance"][:] for name in in_creation_order(file["cases"])]

    def acknowledged(self):
        return self.logged | self.durable


class PulledPlug(Case):
    OPTIONS = ["--checkpoint-interval", "0.1s", "--threads", 1]

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", self.path("disk.image"), self.path("disk")], capture_output=True)
        self.mounted = done.returncode == 0
        return self.mounted

    def unmount(self):
        gone = lambda: subprocess.run(["umount", self.path("disk")], capture_output=True).returncode == 0
        if self.mounted:
            self.wait_for(gone, "dying processes to let go of the disk")
        self.mounted = False

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("disk"))
        with open(self.path("disk.image"), "wb") as image:
            image.truncate(64 << 20)
        make = ["mkfs.ext4", "-q", "-F", self.path("disk.image")]
        self.mounted = False
        self.addCleanup(self.unmount)
        try:
            made = os.geteuid() == 0 and subprocess.run(make, capture_output=True).returncode == 0
        except FileNotFoundError:
            made = False
        if not made or not self.mount():
            self.skipTest("needs root, mkfs.ext4 and loop devices")

    def cut(self):
        """Everything not on the disk is gone."""
        directory = os.open(self.path("disk"), os.O_RDONLY)
        fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(directory)

    def run_until_cut(self, sweep, reader, ranks):
        """False if the run was over before. One that ends well all the same, without a word about its disk, had finished
        just before the cut: then all of the file must be on the disk."""
        self.claimed_whole = False
        process = self.start("run", sweep, "-o", "disk/parts.h5", *self.OPTIONS, ranks=ranks)
        end = time.monotonic() + random.uniform(0.02, 0.33) * self.whole_seconds
        while time.monotonic() < end and process.poll() is None:
            reader.look(process)
            time.sleep(0.01)
        finished = process.poll() == 0
        if finished:
            reader.look(process)
        self.cut()
        if not finished and random.random() < 0.3:  # the machine stays up: the run must see that its disk is gone
            output = finish(process)
            self.assertIn(process.returncode, (0, 1), output)
            self.claimed_whole = process.returncode == 0 and "toysweep: " not in output
            self.assertTrue(self.claimed_whole or "toysweep: " in output, output)
        kill_family(process)
        return not finished

    def check_cuts(self, ranks, cuts):
        sweep = self.write("long.yaml", long_sweep(6))
        expected, whole = self.run_whole(sweep, *self.OPTIONS)
        reader = Reader(self.path("disk/parts.h5"))
        finished = seen = 0
        for cut in range(cuts):
            going_on = self.run_until_cut(sweep, reader, ranks)
            acknowledged = reader.acknowledged()
            self.unmount()
            self.assertTrue(self.mount())
            with self.subTest(cut=cut):
                if self.claimed_whole:
                    self.assertEqual(sha256(reader.file), expected)
                if os.path.exists(reader.file):
                    reader.first_seen, reader.durable = {}, self.check_survivor("disk/parts.h5", whole, acknowledged)
                else:
                    self.assertFalse(acknowledged, "the file is gone")
                seen += len(acknowledged)
            if not going_on:
                self.run_program("run", sweep, "-o", "disk/parts.h5", *self.OPTIONS, ranks=ranks)
                self.assertEqual(sha256(reader.file), expected)
                os.unlink(reader.file)
                os.unlink(reader.file + ".log.jsonl")
                reader = Reader(reader.file)
                finished += 1
        self.run_program("run", sweep, "-o", "disk/parts.h5", *self.OPTIONS, ranks=ranks)
        self.assertEqual(sha256(reader.file), expected)
        self.assertEqual(sorted(set(os.listdir(self.path("disk"))) - {"lost+found"}),
                         ["parts.h5", "parts.h5.log.jsonl"])
        print(f"{cuts} cuts, {finished} runs finished between them, {seen} acknowledged rows looked for", flush=True)

    def test_alone(self):
        self.check_cuts(0, CUTS // 2)

    @needs_mpi
    def test_over_ranks(self):
        self.check_cuts(2, CUTS - CUTS // 2)


if __name__ == "__main__":
    main()
