"""Runs over three hosts, and what becomes of them when the network is cut: toysweep-mpirun ends them, with the exit
code of a run that stopped early, and the same command continues."""

import os
import signal
import time
import unittest

from hosts import Hosts
from processes import MPIRUN, end_all, finish, to_all
from support import NIGHTLY, TOYSWEEP, Case, long_sweep, main

LAUNCHER = os.path.join(os.path.dirname(os.path.realpath(TOYSWEEP)), "toysweep-mpirun")
# By default mpirun notices a lost host after 25 s; here after 5 s, or never.
SOON = {f"OMPI_MCA_oob_tcp_keepalive_{name}": value for name, value in (("time", "2"), ("intvl", "1"), ("probes", "3"))}
NEVER = {"OMPI_MCA_oob_tcp_keepalive_time": "0"}

at_night = unittest.skipUnless(NIGHTLY, "at night only")


def setUpModule():
    if not MPIRUN:
        raise unittest.SkipTest("built without MPI")
    Hosts(1).stop()


class SeveralHosts(Case):
    def setUp(self):
        super().setUp()
        self.hosts = Hosts(3)
        self.addCleanup(self.hosts.stop)
        self.first, self.second, self.third = self.hosts.hosts
        self.write("long.yaml", long_sweep(4))
        self.variables = SOON

    def start(self, *arguments, ranks=0, environment=None, **options):
        """From the first host, over all of them; ranks=0: alone."""
        words = [LAUNCHER, "-n", str(ranks)] if ranks else []
        variables = {**self.hosts.environment(), "TOYSWEEP_MPIRUN": MPIRUN, **self.variables, **(environment or {})}
        return self.start_command(self.first.enter(*words, TOYSWEEP, *map(str, arguments)), environment=variables, **options)

    def begin(self, *options):
        """Starts a run and waits until it trains on all hosts. One that is over before begins anew."""
        for _ in range(10):
            process = self.start_training("long.yaml", "long.h5", *options, ranks=3)
            self.wait_for(lambda: all(map(self.first_work, range(3))) or process.poll() is not None, "work for every rank")
            if process.poll() is None:
                break
            self.forget("long.h5")
        return process

    def first_work(self, rank):
        return f'"rank":{rank}' in self.log("long.h5.log.jsonl")

    def end_of(self, process, what, code=75):
        """Waits for it; returns what was said. How long it took is printed: no promise of a test, but worth to know."""
        begin = time.monotonic()
        output = finish(process)
        print(f"{what}: {process.returncode} after {time.monotonic() - begin:.1f} s", flush=True)
        self.assertEqual(process.returncode, code, output)
        return output

    def check_continued(self):
        """The same command goes on, as soon as no rank of before is left, and ends with the file of one host."""
        self.wait_for(lambda: not any(host.ranks() for host in self.hosts.hosts), "the ranks that were left to end")
        digest = self.finished("long.yaml", "alone.h5")
        self.assertEqual(self.finished("long.yaml", "long.h5", ranks=3), digest)
        self.check_nothing_else()

    def test_three_hosts_make_the_file_of_one(self):
        process = self.begin()
        ranks = [len(host.ranks()) for host in self.hosts.hosts]
        self.assertTrue(ranks == [1, 1, 1] or process.poll() is not None, ranks)
        self.end_of(process, "three hosts", 0)
        self.check_continued()

    def test_a_run_that_loses_a_host_ends_and_the_same_command_continues(self):
        process = self.begin()
        self.hosts.cut(self.third)
        self.end_of(process, "a cut link")
        self.hosts.heal(self.third)
        self.check_continued()

    def stop_while(self, what, fault, mend, *options, ask=lambda process: process.send_signal(signal.SIGTERM)):
        """Of a run with a fault that mpirun does not notice: it is asked to stop, and does."""
        self.variables = NEVER
        process = self.begin(*options)
        fault()
        ask(process)
        self.end_of(process, what)
        mend()
        self.check_continued()

    def stop_while_cut_off(self, what, *options, **more):
        def mend():  # whoever cannot reach it any more has it restarted
            end_all(self.third.processes)
            self.hosts.heal(self.third)

        self.stop_while(f"a cut link and {what}", lambda: self.hosts.cut(self.third), mend, *options, **more)

    def stop_while_stopped(self, what, find):
        pids = []
        self.stop_while(f"{what} and a signal", lambda: (pids.extend(find()), to_all(pids, signal.SIGSTOP)),
                        lambda: to_all(pids, signal.SIGCONT))

    def test_a_signal_stops_a_run_whose_host_is_cut_off(self):
        self.stop_while_cut_off("a signal")

    @at_night
    def test_a_time_limit_stops_a_run_whose_host_is_cut_off(self):
        self.stop_while_cut_off("a time limit", "--time-limit", "20s", ask=lambda process: None)

    @at_night
    def test_a_signal_stops_a_run_with_a_rank_that_stands_still(self):
        self.stop_while_stopped("a stopped rank", self.third.ranks)

    @at_night
    def test_a_signal_stops_a_run_whose_daemon_stands_still(self):
        self.stop_while_stopped("a stopped daemon", lambda: self.third.named(b"orted"))


if __name__ == "__main__":
    main()
