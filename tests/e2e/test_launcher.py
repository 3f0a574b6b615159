"""toysweep-mpirun with stand-ins for mpirun: whatever mpirun does, it ends when the run has ended, with the run's exit
code, and leaves nothing."""

import os
import signal
import time
import unittest

from processes import MPIRUN, family, finish, kill_family
from support import TOYSWEEP, Case, main

LAUNCHER = os.path.join(os.path.dirname(os.path.realpath(TOYSWEEP)), "toysweep-mpirun")
BETWEEN_WARNINGS = 2  # seconds
KEEPALIVE = "OMPI_MCA_oob_tcp_keepalive_time"

# Stand-ins for mpirun, in bash. `rank` is a process that it has started; `said N` is rank 0's word.
BEGIN = """\
#!/usr/bin/env bash
said() { printf "$1" >"$TOYSWEEP_END_FILE.new"; mv "$TOYSWEEP_END_FILE.new" "$TOYSWEEP_END_FILE"; }
rank() { setsid sleep 10000 & }
trap 'echo TERM >>signals' TERM
trap 'echo USR2 >>signals' USR2
hang() { touch hanging; while :; do sleep 0.1; done; }
"""


def setUpModule():
    if not MPIRUN:
        raise unittest.SkipTest("built without MPI")


class Launcher(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("tmp"))

    def launch(self, body, *arguments, **variables):
        """Starts the launcher with a stand-in for mpirun."""
        self.write("mpirun", BEGIN + body + "\n")
        os.chmod(self.path("mpirun"), 0o755)
        words = [LAUNCHER, "-n", "2", "toysweep", "run", *arguments]
        environment = {"TOYSWEEP_MPIRUN": self.path("mpirun"), "TMPDIR": self.path("tmp"), **variables}
        return self.start_command(words, environment=environment)

    def check_end(self, process, code):
        """Of the launcher: its code, and nothing is left of what it made and started."""
        output = finish(process)
        self.assertEqual(process.returncode, code, output)
        self.assertEqual(family(process), [], output)
        self.assertEqual(os.listdir(self.path("tmp")), [])
        return output

    def signals(self):
        return self.log("signals").split()

    def hanging(self, body, **variables):
        process = self.launch(body, **variables)
        self.wait_for(lambda: os.path.exists(self.path("hanging")), "the stand-in")
        return process

    def test_arguments_and_exit_codes_are_passed_on(self):
        for code in 0, 1, 2, 3, 75, 137:
            process = self.launch(f'printf "%s|" "$@" >arguments; exit {code}', "a b", "--set", "x=$y")
            self.check_end(process, code)
            self.assertEqual(self.log("arguments"), "-n|2|toysweep|run|a b|--set|x=$y|")

    def test_a_lost_host_is_a_run_to_be_continued(self):
        self.assertIn("lost a host", self.check_end(self.launch("exit 205"), 75))

    def test_rank_0_has_the_last_word(self):
        for said, code, expected in ("75", 137, 75), ("0", 1, 0), ("3", 205, 3), ("1", 0, 1):
            self.check_end(self.launch(f"said '{said}\\n'; exit {code}"), expected)

    def test_an_mpirun_that_hangs_after_rank_0_has_ended_is_ended(self):
        process = self.launch("rank; said '75\\n'; hang")
        output = self.check_end(process, 75)
        self.assertIn("rank 0 ended with 75, but mpirun does not", output)
        self.assertEqual(self.signals(), ["TERM", "TERM"])

    def test_what_mpirun_leaves_when_it_is_killed_is_ended(self):
        self.check_end(self.launch("rank; kill -KILL $$"), 137)

    def test_a_signal_without_an_answer_ends_it_as_stopped(self):
        process = self.hanging("rank; hang", TOYSWEEP_STOP_WAIT="4s")
        process.send_signal(signal.SIGTERM)
        output = self.check_end(process, 75)
        self.assertIn("no answer from rank 0 in 4.0s to signal 15 (Terminated)", output)
        self.assertEqual(self.signals()[0], "USR2")
        self.assertEqual(self.signals()[-2:], ["TERM", "TERM"])

    def answer(self, number, asked, before="", code=75, wait="60s"):
        """An mpirun whose rank 0 answers the signal once it has been asked so often, or more often where it is slow."""
        process = self.hanging("trap 'echo USR2 >>signals; n=$((n + 1))' USR2; touch hanging\n"
                               f"while ((n < {asked})); do sleep 0.1; done; {before} said '{code}\\n'",
                               TOYSWEEP_STOP_WAIT=wait)
        begin = time.monotonic()
        process.send_signal(number)
        self.check_end(process, code)
        self.assertEqual(set(self.signals()), {"USR2"})
        self.assertGreaterEqual(len(self.signals()), asked)
        self.assertLessEqual(len(self.signals()), 1 + (time.monotonic() - begin) / BETWEEN_WARNINGS)
        os.unlink(self.path("hanging"))
        os.unlink(self.path("signals"))

    def test_every_warning_is_passed_on_as_usr2(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU:
            self.answer(number, 1)

    def test_signals_that_its_parent_ignores_stay_ignored(self):
        """As under nohup, or in a script's background."""
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            process = self.hanging("hang")
        finally:
            signal.signal(signal.SIGHUP, before)
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        self.assertEqual(self.signals(), [])
        process.send_signal(signal.SIGTERM)
        self.wait_for(self.signals, "the warning to be passed on")
        kill_family(process)

    def test_a_warning_is_repeated_until_there_is_an_answer(self):
        self.answer(signal.SIGTERM, 2)

    def test_a_rank_0_that_says_that_it_saves_is_waited_for(self):
        self.answer(signal.SIGTERM, 1, "said 'saving\\n'; trap '' USR2; sleep 6;", wait="4s")

    def test_a_signal_that_ends_an_mpirun_that_cannot_handle_it_yet_is_a_stop(self):
        process = self.hanging("trap - USR2; hang")
        process.send_signal(signal.SIGTERM)
        self.check_end(process, 75)

    def test_a_second_interrupt_ends_it_at_once(self):
        process = self.hanging("trap 'exit 1' TERM; hang")
        process.send_signal(signal.SIGINT)
        self.wait_for(self.signals, "the first")
        process.send_signal(signal.SIGINT)
        self.assertIn("interrupted again", self.check_end(process, 130))

    def test_a_time_limit_that_nobody_obeys_is_kept(self):
        for limit in ["--time-limit=1s"], ["--time-limit", "1s"], ["--time-limit", "9h", "--time-limit", "1s"]:
            with self.subTest(limit):
                process = self.launch("trap 'exit 1' TERM; hang", *limit, TOYSWEEP_STOP_WAIT="1s")
                self.assertIn("the run has not ended at its time limit of 1.0s", self.check_end(process, 75))

    def test_the_word_of_a_run_before_is_not_taken_for_this_ones(self):
        self.write("end", "0\n")
        self.check_end(self.launch("exit 3", TOYSWEEP_END_FILE=self.path("end")), 3)
        self.check_end(self.launch("said '75\\n'; exit 3", TOYSWEEP_END_FILE=self.path("end")), 75)
        self.assertEqual(self.log("end"), "75\n")

    def test_mpirun_is_told_how_to_notice_a_lost_host_unless_the_user_has(self):
        for variables, expected in ({}, "10 5 3 10"), ({KEEPALIVE: "60"}, "60 5 3 10"):
            body = "m=OMPI_MCA_oob_tcp_keepalive; for name in ${m}_time ${m}_intvl ${m}_probes PRTE${m#OMPI}_time; do\n" \
                   "echo ${!name}; done | paste -sd' ' >variables"
            self.check_end(self.launch(body, **variables), 0)
            self.assertEqual(self.log("variables").strip(), expected)

    def test_an_mpirun_that_is_not_there_is_named(self):
        process = self.start_command([LAUNCHER, "-n", "2", "toysweep"], environment={"TOYSWEEP_MPIRUN": "no-mpirun"})
        self.assert_says(finish(process), "cannot start 'no-mpirun'", "TOYSWEEP_MPIRUN")
        self.assertEqual(process.returncode, 1)

    def test_a_wait_that_is_none_is_refused(self):
        self.assertIn("TOYSWEEP_STOP_WAIT: 'soon' is no duration", self.check_end(self.launch("", TOYSWEEP_STOP_WAIT="soon"), 1))

    def test_help_and_version(self):
        for word, said in ("--help", "Usage: toysweep-mpirun"), ("--version", "toysweep-mpirun 0."):
            process = self.start_command([LAUNCHER, word])
            self.assertIn(said, finish(process))
            self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    main()
