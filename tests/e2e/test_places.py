"""Names, places and clocks as bad as they come: the same file, or a sentence and nothing touched."""

import os
import shutil
import signal
import subprocess
import time

from processes import finish
from support import ENDLESS, SMALL, TOYSWEEP, Case, is_sanitized, long_sweep, main, needs_mpi, read_bytes, sha256

NOBODY = 65534
NAMES = ["with space.h5", "it's \"quoted\".h5", "two\nlines.h5", "tab\tand\\n.h5", "%s%n%d.h5", "$(touch owned);`id`.h5", "ünïcödé.h5",
         "-o.h5", "~.h5", "*.h5", "no-suffix", ".hidden", "x" * 200 + ".h5"]


class Places(Case):
    def setUp(self):
        super().setUp()
        self.sweep = self.write("small.yaml", SMALL)

    def test_any_name_gives_the_same_file(self):
        expected = self.finished(self.sweep, "plain.h5")
        for name in NAMES:
            with self.subTest(name):
                self.assertEqual(self.finished(self.sweep, name), expected)
                self.assertIn("21", self.run_program("status", "--", name))
                self.assertIn("nothing to do", self.run_program("run", self.sweep, "--output=" + name))
        self.assertNotIn("owned", self.files())
        # Nothing but each file and its log is left.
        left = set(self.files()) - {"small.yaml", "plain.h5", "plain.h5.log.jsonl"}
        self.assertEqual(left, {name + suffix for name in NAMES for suffix in ("", ".log.jsonl")})

    def test_a_name_that_leaves_no_room_for_its_neighbours_is_refused(self):
        for length in 246, 250, 255:
            output = self.run_program("run", self.sweep, "-o", "y" * length, expect=1)
            self.assertIn("File name too long", output)
            self.assertEqual(self.files(), ["small.yaml"])

    def test_any_directory(self):
        expected = self.finished(self.sweep, "plain.h5")
        for directory in "a b", "new\nline", "quo'te", "deep/er/..":
            os.makedirs(self.path(directory), exist_ok=True)
            with self.subTest(directory):
                self.assertEqual(self.finished(self.sweep, directory + "/file.h5"), expected)
        os.symlink("a b", self.path("link"))
        self.assertEqual(self.finished(self.sweep, "link/through.h5"), expected)
        self.assertEqual(self.finished(self.sweep, "link/../a b/./dots.h5"), expected)
        os.symlink("../a b/target.h5", self.path("deep/points.h5"))
        self.assertEqual(self.finished(self.sweep, "deep/points.h5"), expected)
        self.assertTrue(os.path.islink(self.path("deep/points.h5")))
        self.assertIn("target.h5", os.listdir(self.path("a b")))

    def test_a_name_in_the_sweep_cannot_lead_elsewhere(self):
        for name in "../outside", "/tmp/toysweep-outside", "a/b", "..", ".", "":
            with self.subTest(name):
                text = SMALL.replace("name: small", f"name: '{name}'")
                output = self.run_program("run", self.write("named.yaml", text), expect=2)
                self.assertIn("named.yaml:1", output)
        self.assertEqual(self.files(), ["named.yaml", "small.yaml"])

    def test_a_sweep_file_with_an_odd_name(self):
        for name in "new\nline.yaml", "it's.yaml", "%s.yaml", "-x.yaml":
            self.write(name, SMALL.replace("steps: 3000", "steps: many"))
            with self.subTest(name):
                self.assertIn("many", self.run_program("run", "--", name, expect=2))

    def test_an_output_that_cannot_be_one(self):
        os.mkdir(self.path("directory"))
        os.mkfifo(self.path("pipe"))
        os.symlink("loop", self.path("loop"))
        os.symlink("nowhere/file.h5", self.path("dangling"))
        before = self.files()
        for output in ("directory", "directory/", "pipe", "loop", "dangling", "nowhere/file.h5", "small.yaml/file.h5",
                       "/dev/null"):
            with self.subTest(output):
                said = self.run_program("run", self.sweep, "-o", output, expect=1)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertIn("nowhere" if output == "dangling" else output.rstrip("/"), said)
        for command in ["status"], ["export", "--instance", "0"]:
            with self.subTest(command):
                self.assertIn("pipe", self.run_program(*command, "pipe", expect=1))
        self.assertEqual([name for name in self.files() if not name.endswith(".lock")], before)


    def test_what_is_no_file_of_data_is_refused_as_input_without_waiting(self):
        os.mkfifo(self.path("pipe"))
        os.symlink("/proc/kmsg", self.path("link"))
        self.run_program("run", self.sweep)
        self.write("table.yaml", "task: cayley\nembed: 8\nhidden: 8\nsteps: 5\ncayley: none.csv\n")
        self.write("order.yaml", "task: group\ngroup: S3\nelement_order: none.txt\nembed: 8\nhidden: 8\nsteps: 5\n")
        paths = [self.path("pipe"), self.path("link"), self.directory, "/proc/kmsg", "/proc/self/status", "/dev/null",
                 "/dev/zero", "/dev/tty", "/sys/kernel/mm/transparent_hugepage/enabled"]
        commands = [["run"], ["plan"], ["status"], ["measure"], ["export", "--instance=0"], ["run", self.sweep, "--reuse"],
                    ["plan", "order.yaml", "--set", "element_order="], ["plan", "table.yaml", "--set", "cayley="]]
        for path in filter(os.path.exists, paths):
            for *words, last in commands:
                with self.subTest(path=path, command=words + [last]):
                    arguments = [last + path] if last.endswith("=") else [last, path]
                    output, code = self.run_to_any_end(*words, *arguments)
                    self.assertIn(code, (1, 2), output)
                    self.assertIn("is not a regular file", output)
                    self.assertIn(path, output)

    def test_a_shells_pipe_is_read_as_sweep(self):
        done = subprocess.run(["bash", "-c", '"$0" plan <(cat small.yaml) && "$0" plan /dev/stdin < small.yaml && '
                               'cat small.yaml | "$0" plan /dev/stdin', TOYSWEEP], cwd=self.directory, text=True,
                              capture_output=True)
        self.assertEqual(done.stdout.count("21 instances in 7 cases"), 3, done.stderr)


class State(Case):
    """The folder of unfinished units in places where it cannot be written, or not found where it was."""

    def setUp(self):
        super().setUp()
        self.sweep = self.write("long.yaml", long_sweep())
        self.expected = self.finished(self.sweep, "whole.h5")

    def test_states_under_odd_names_are_found_again(self):
        for name in "a b.h5", "two\nlines.h5", "it's.h5", "%s.h5":
            with self.subTest(name):
                self.interrupt_a_unit(self.sweep, name, "--threads", 1)
                self.assertEqual(self.finished(self.sweep, name), self.expected)
                self.assertFalse(os.path.exists(self.path(name + ".state")))

    def test_states_behind_a_link(self):
        os.mkdir(self.path("scratch"))
        os.symlink("scratch", self.path("linked.h5.state"))
        self.interrupt_a_unit(self.sweep, "linked.h5", "--threads", 1)
        self.assertTrue(os.listdir(self.path("scratch")))
        self.assertEqual(self.finished(self.sweep, "linked.h5"), self.expected)
        self.assertEqual(os.listdir(self.path("scratch")), [])

    def test_a_file_where_states_should_go_is_said_and_left_alone(self):
        self.write("parts.h5.state", "mine")
        output = self.run_program("run", self.sweep, "-o", "parts.h5", expect=1)
        self.assertIn("parts.h5.state", output)
        self.assertEqual(read_bytes(self.path("parts.h5.state")), b"mine")

    def test_states_that_vanish_during_the_run(self):
        process = self.start("run", self.sweep, "-o", "parts.h5", "--threads", 1, "--checkpoint-interval", "0.05s")
        while process.poll() is None:
            shutil.rmtree(self.path("parts.h5.state"), ignore_errors=True)
            time.sleep(0.02)
        output = finish(process)
        self.assertEqual(process.returncode, 0, output)
        self.assertEqual(sha256(self.path("parts.h5")), self.expected)


class ReadOnly(Case):
    """As a user without rights; root may write everywhere."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("needs root, to become nobody")
        self.sweep = self.write("small.yaml", SMALL)
        self.run_program("run", self.sweep)
        self.before = sha256(self.path("small.h5"))

    def as_nobody(self, *arguments, expect):
        output = self.run_program(*arguments, expect=expect, user=NOBODY, extra_groups=[])
        self.assertEqual(sha256(self.path("small.h5")), self.before)
        return output

    def unfinished(self):
        """Marks the results file's first instance as not trained yet."""
        import h5py

        with h5py.File(self.path("small.h5"), "r+") as file:
            file["status"][0] = 0
        self.before = sha256(self.path("small.h5"))

    def test_a_read_only_file_is_not_touched(self):
        self.unfinished()
        os.chmod(self.directory, 0o777)
        os.chmod(self.path("small.h5"), 0o444)
        output = self.as_nobody("run", self.sweep, expect=1)
        self.assertIn("small.h5", output)
        self.assertIn("ermission", output)
        self.assertFalse([name for name in self.files() if name.endswith((".lock", ".state", ".tmp"))])

    def test_a_read_only_directory_can_be_looked_at(self):
        os.chmod(self.directory, 0o555)
        self.assertIn("21", self.as_nobody("status", "small.h5", expect=0))
        self.assertIn("ermission", self.as_nobody("run", self.sweep, expect=1))
        self.assertIn("ermission", self.as_nobody("run", self.sweep, "-o", "new.h5", expect=1))
        self.assertEqual(self.files(), ["small.h5", "small.h5.log.jsonl", "small.yaml"])

    def test_a_directory_that_may_be_written_and_not_read_will_do(self):
        os.mkdir(self.path("drop"))
        os.chmod(self.directory, 0o755)
        os.chmod(self.path("drop"), 0o333)
        self.as_nobody("run", self.sweep, "-o", "drop/small.h5", expect=0)
        self.assertEqual(sha256(self.path("drop/small.h5")), self.before)
        self.as_nobody("measure", "drop/small.h5", "-o", "drop/new.h5", expect=0)
        self.as_nobody("export", "drop/small.h5", "--instance", "0", "-o", "drop/0.safetensors", expect=0)
        self.as_nobody("run", self.sweep, "-o", "drop/parts.h5", "--time-limit", "0.001s", expect=75)
        self.as_nobody("run", self.sweep, "-o", "drop/parts.h5", expect=0)
        self.assertEqual(sha256(self.path("drop/parts.h5")), self.before)

    def test_an_unreadable_file_is_said(self):
        os.chmod(self.directory, 0o777)
        os.chmod(self.path("small.h5"), 0o000)
        for arguments in (["run", self.sweep], ["status", "small.h5"], ["export", "small.h5", "--instance", "0"]):
            with self.subTest(arguments[0]):
                self.assertIn("small.h5", self.as_nobody(*arguments, expect=1))


# Every look at the wall clock finds it a day earlier or later.
JUMPING_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

static time_t jump(void) {
    static atomic_int looks;
    return (atomic_fetch_add(&looks, 1) % 3 - 1) * 86400;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME)
        now->tv_sec += jump();
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
"""


class Clock(Case):
    def setUp(self):
        super().setUp()
        self.write("jump.c", JUMPING_CLOCK)
        if not shutil.which("cc") or is_sanitized():
            self.skipTest("needs a C compiler, and a program without sanitizers")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "jump.so", "jump.c", "-ldl"], cwd=self.directory, check=True)
        self.jumping = {"LD_PRELOAD": self.path("jump.so")}
        self.sweep = self.write("long.yaml", long_sweep())

    def test_a_jumping_clock_changes_nothing(self):
        self.run_program("run", self.sweep, "-o", "steady.h5")
        self.run_program("run", self.sweep, "-o", "jumping.h5", "--time-limit", "0.3s", "--checkpoint-interval", "0.1s",
                         "--threads", 1, "--progress", "log", expect=75, environment=self.jumping)
        self.run_program("run", self.sweep, "-o", "jumping.h5", "--time-limit", "10h", environment=self.jumping)
        self.assertEqual(sha256(self.path("jumping.h5")), sha256(self.path("steady.h5")))


class AtOnce(Case):
    PAIRS = 4

    def test_of_two_runs_started_at_once_exactly_one_goes_on(self):
        sweep = self.write("long.yaml", ENDLESS)
        os.symlink(self.directory, self.path("link"))
        pairs = []
        for number in range(self.PAIRS):
            names = [f"file{number}.h5", f"link/file{number}.h5" if number % 2 else f"file{number}.h5"]
            pairs.append([self.start("run", sweep, "-o", name, "--threads", 1) for name in names])
        for pair in pairs:
            self.wait_for(lambda: any(process.poll() is not None for process in pair), "one to be refused")
            refused, running = sorted(pair, key=lambda process: process.poll() is None)
            self.assertIsNone(running.poll())
            output = finish(refused)
            self.assertEqual(refused.returncode, 1, output)
            self.assertIn("another run is using this results file", output)
            self.assertIn(f"process {running.pid}", output)
        for _, running in (sorted(pair, key=lambda process: process.poll() is None) for pair in pairs):
            running.send_signal(signal.SIGTERM)
            finish(running)
            self.assertEqual(running.returncode, 75)

    def test_a_second_run_waits_for_a_short_one_and_finds_it_done(self):
        sweep = self.write("small.yaml", SMALL.replace("steps: 3000", "steps: 300"))  # over long before none waits any more
        self.run_program("run", sweep, "-o", "alone.h5")
        runs = [self.start("run", sweep, "-o", "both.h5", "--threads", 1) for _ in range(3)]
        outputs = [finish(process) for process in runs]
        self.assertEqual([process.returncode for process in runs], [0, 0, 0], outputs)
        self.assertEqual(sum("nothing to do" in output for output in outputs), 2, outputs)
        self.assertEqual(sha256(self.path("both.h5")), sha256(self.path("alone.h5")))


class Crowd(Case):
    @needs_mpi
    def test_64_ranks_on_few_cores_give_the_file_of_one(self):
        sweep = self.write("small.yaml", SMALL)
        self.run_program("run", sweep, "-o", "one.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "crowd.h5", "--threads", 1, ranks=64), sha256(self.path("one.h5")))


if __name__ == "__main__":
    main()
