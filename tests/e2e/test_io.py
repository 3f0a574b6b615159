"""How ranks write rows: through HDF5's MPI driver, or each for itself. The same file, and no fault of one keeps another
waiting."""

import json
import os
import re

from support import SMALL, Case, long_sweep, main, needs_mpi, sha256
from system_calls import SHORT, SystemCalls

import h5py


class Ways(Case):
    def setUp(self):
        super().setUp()
        self.sweep = self.write("small.yaml", SMALL)

    def way_of(self, name):
        """The way, and the reason for it, that the last start of a run says in its log."""
        starts = [line for line in map(json.loads, self.log(name + ".log.jsonl").splitlines())
                  if line["event"] == "start"]
        return starts[-1]["io"], starts[-1]["io_reason"]

    def test_one_process_writes_by_itself(self):
        self.run_program("run", self.sweep)
        self.assertEqual(self.way_of("small.h5"), ("posix", "one process"))
        self.assert_says(self.run_program("info"), "io        posix (one process")

    @needs_mpi
    def test_several_ranks_write_through_mpi(self):
        expected = self.finished(self.sweep, "alone.h5")
        for options, way in (([], "mpio"), (["--io", "auto"], "mpio"), (["--io", "mpio"], "mpio"),
                             (["--io", "posix"], "posix")):
            with self.subTest(options=options):
                self.assertEqual(self.finished(self.sweep, "ranks.h5", *options, ranks=2), expected)
                self.assertEqual(self.way_of("ranks.h5")[0], way)
                self.check_nothing_else()
                os.unlink(self.path("ranks.h5"))
        self.assertEqual(self.finished(self.sweep, "one.h5", "--io", "mpio", ranks=1), expected)
        self.assertEqual(self.way_of("one.h5")[0], "mpio")
        self.assert_says(self.run_program("info", ranks=2), "io        mpio (2 ranks, on ")

    @needs_mpi
    def test_names_that_mpi_would_read_otherwise(self):
        """Before a colon MPI-IO looks for the name of a kind of file system, and drops it from the name."""
        expected = self.finished(self.sweep, "alone.h5")
        os.mkdir(self.path("nfs:"))
        for name in "ufs:small.h5", "a:b.h5", "nfs:/small.h5", self.path("nfs:/a b:c.h5"):
            self.write("small.h5", "somebody else's")
            self.write("b.h5", "somebody else's")
            self.assertEqual(self.finished(self.sweep, name, "--io", "mpio", ranks=2), expected)
            for other in "small.h5", "b.h5":
                with open(self.path(other)) as file:
                    self.assertEqual(file.read(), "somebody else's")

    @needs_mpi
    def test_the_way_may_change_between_runs(self):
        sweep = self.write("long.yaml", long_sweep(2))
        expected = self.finished(sweep, "whole.h5")
        for first, then in ("mpio", "posix"), ("posix", "mpio"):
            options = ["--threads", 1, "--io"]
            self.stop_halfway(sweep, "parts.h5", *options, first, ranks=2)
            self.assertEqual(self.finished(sweep, "parts.h5", *options, then, ranks=2), expected)
            os.unlink(self.path("parts.h5"))
            os.unlink(self.path("parts.h5.log.jsonl"))

    def test_what_cannot_be_is_refused_before_anything_is_made(self):
        before = self.files()
        output = self.run_program("run", self.sweep, "--io", "mpio", expect=2)  # alone, or built without MPI
        self.assert_says(output, "--io mpio", "leave the option out")
        self.assertEqual(output.count("\n"), 1, output)
        for text in "fast", "", "mpi":
            self.assert_says(self.run_program("run", self.sweep, "--io", text, expect=2), "auto, mpio or posix")
        self.assertEqual(self.files(), before)


@needs_mpi
class Faults(SystemCalls):
    """Of one of two ranks, which write through MPI."""
    SWEEP = SHORT
    SECONDS = 0.4  # so that each gets a unit, mostly
    OPTIONS = ["--threads", "1", "--progress", "none", "--io", "mpio"]
    RANKS = 2

    def setUp(self):
        super().setUp()
        self.known = {}

    def numbers(self, call, rank):
        """Which of the rank's calls of this kind are on the results file, once that has its name. Asked once."""
        if (call, rank) not in self.known:
            self.known[call, rank] = sorted(self.census(calls=[call], ranks=2, rank=rank)[call]["results"])
        return self.known[call, rank]

    def first(self, call, rank):
        """The first of them, of a kind that only filling in the file needs. A worker does nothing else, but may get no
        unit."""
        return min(self.numbers(call, rank)) if rank == 0 else 1

    def run_with_fault(self, call, fault, rank):
        """A run in which it comes about."""
        for _ in range(10):
            result = self.run_traced([call], f"{call}:error={fault}", ranks=2, rank=rank)
            if "INJECTED" in result.trace:
                return result
            self.forget("run.h5")
        self.fail(f"in no run does rank {rank} {call}")

    def test_a_status_is_written_after_what_it_vouches_for(self):
        """Rows through one descriptor, MPI-IO's; made durable by another, the program's; and no byte after that."""
        with h5py.File(self.path("whole.h5")) as file:
            first = file["status"].id.get_offset()
            statuses = range(first, first + len(file["status"]))
        for rank in range(2):
            result = self.run_traced(["pwrite64", "fdatasync"], ranks=2, rank=rank)
            self.forget("run.h5")
            call = r"(\w+)\((\d+)<" + re.escape(self.path("run.h5")) + r">.*?(?:, (\d+))?\) += "
            done = re.findall(call, result.trace)
            if not done:
                continue  # the other rank took all units
            written, synced = ({at for call, at, _ in done if call == name} for name in ("pwrite64", "fdatasync"))
            self.assertEqual((len(written), len(synced), len(written | synced)), (1, 1, 2), done)
            kinds = "".join("|" if call == "fdatasync" else "s" if int(place) in statuses else "r"
                            for call, _, place in done)
            self.assertRegex(kinds, r"^(r+[|]s+[|])*(r[|])?$", "rows, sync, statuses, sync; sums at the end")

    def test_a_rank_that_cannot_open_or_read_the_file(self):
        for rank in range(2):
            for n, fault in zip(self.numbers("openat", rank), ["EMFILE", "EACCES", "EIO"]):
                with self.subTest(rank=rank, opening=n, fault=fault):
                    self.inject("openat", n, fault, ranks=2, rank=rank)
            reads = self.numbers("pread64", rank)
            for n in {*reads[:2], reads[len(reads) // 2], reads[-1]}:
                with self.subTest(rank=rank, read=n):
                    self.inject("pread64", n, "EIO", ranks=2, rank=rank)

    def test_ranks_that_choose_do_without_what_fails_to_open(self):
        self.OPTIONS = self.OPTIONS[:-1] + ["auto"]
        for rank in range(2):
            n = self.numbers("pread64", rank)[1]
            result = self.run_with_fault("pread64", f"EIO:when={n}", rank)
            self.assertEqual(result.code, 0, result)
            self.assertEqual(sha256(self.path("run.h5")), self.expected)
            self.assert_says(result.output, "warning: ", "it is written without")
            self.assert_says(self.log("run.h5.log.jsonl"), '"io":"posix"', "MPI-IO cannot open it")
            self.forget("run.h5")

    def test_one_write_that_fails_is_made_without_mpi(self):
        for rank, error in (0, "EIO"), (1, "EINTR"):
            result = self.run_with_fault("pwrite64", f"{error}:when={self.first('pwrite64', rank)}", rank)
            self.assertEqual(result.code, 0, result)
            self.assert_says(result.output, "warning: MPI-IO failed")
            self.assertEqual(sha256(self.path("run.h5")), self.expected)
            self.forget("run.h5")

    def test_writes_that_go_on_failing_end_the_run(self):
        for call, rank, fault in (("pwrite64", 0, "ENOSPC"), ("pwrite64", 1, "EIO"), ("pwrite64", 1, "EDQUOT"),
                                  ("fdatasync", 0, "EIO"), ("fdatasync", 1, "ENOSPC")):
            with self.subTest(call=call, rank=rank, fault=fault):
                n = f"{self.first(call, rank)}+"
                self.assertTrue(any(self.inject(call, n, fault, ranks=2, rank=rank) for _ in range(10)))


if __name__ == "__main__":
    main()
