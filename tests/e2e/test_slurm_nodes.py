"""slurm/sweep.sh on a real Slurm of two nodes, each a host of its own (hosts.py): jobs over both, warned, and with a
node's daemons killed, end with the file of one process."""

import concurrent.futures
import time
import unittest

from hosts import NETWORK_VARIABLES, Hosts
from processes import MPIRUN, command_line, end_all
from slurm import LAUNCHERS, PROGRAM, Cluster, Place, Sweep
from support import NIGHTLY, main

cluster = place = None


def setUpModule():
    global cluster, place
    if not MPIRUN:
        raise unittest.SkipTest("built without MPI")
    hosts = Hosts(3)
    unittest.addModuleCleanup(hosts.stop)
    cluster = Cluster(hosts.hosts)
    unittest.addModuleCleanup(cluster.stop)
    place = Place(cluster, {"long": 5})


def begin(name, launcher, *options):
    """A sweep that trains on both nodes."""
    sweep = Sweep(place, name, launcher, slurm=("--nodes=2", "--time=10"),
                  options=("--checkpoint-interval", "0.1s", *options), **NETWORK_VARIABLES)
    go_on_to_train(sweep)
    return sweep


def go_on_to_train(sweep):
    """Waits until it trains on both nodes; begins anew if it was finished before."""
    while True:
        if sweep.reach("training"):
            ranks = sweep.job.ranks(PROGRAM)
            idle = [node.name for node in cluster.nodes if not set(ranks) & set(node.processes())]
            if not idle:
                break
            assert sweep.look() != "RUNNING", f"{sweep.name}: no rank on {idle}"
        sweep.again()


def warn(launcher):
    sweep = begin(f"warned-{launcher}", launcher)
    while (state := sweep.warn()) == "COMPLETED":
        sweep.again()
        go_on_to_train(sweep)
    assert state == "PENDING", f"{sweep.name}: {state}\n{sweep.output()}"
    sweep.go_on(state)
    sweep.finish()


def step_daemons(sweep, node):
    mark = f"slurmstepd: [{sweep.job.number}.".encode()
    return [pid for pid in node.processes() if command_line(pid).startswith(mark)]


def lose(launcher, name, victims, restart, *options):
    """Kills something on the second node. However the job ends, the same command continues."""
    sweep, node = begin(f"{name}-{launcher}", launcher, *options), cluster.nodes[1]
    end_all(lambda: victims(sweep, node))
    began = time.monotonic()
    state = sweep.wait("PENDING", *Sweep.OVER)
    print(f"{sweep.name}: {state} after {time.monotonic() - began:.1f} s", flush=True)
    restart(sweep, node)
    sweep.go_on(state)
    sweep.finish()


def restart_step(sweep, node):
    cluster.clear_node(node, sweep.job.own_number)


def restart_node(sweep, node):  # all jobs' on it
    end_all(node.processes)
    cluster.clear_node(node)
    cluster.start_node(node)


class TwoNodes(unittest.TestCase):
    """All of it at once but for what takes a node away, since most of it is waiting."""

    @classmethod
    def setUpClass(cls):
        cls.pool = concurrent.futures.ThreadPoolExecutor(2 * len(LAUNCHERS))
        cls.addClassCleanup(cls.pool.shutdown)
        cls.warned = [cls.pool.submit(warn, launcher) for launcher in LAUNCHERS]
        cls.lost = [cls.pool.submit(lose, launcher, "step", step_daemons, restart_step, "--patience", "5s")
                    for launcher in LAUNCHERS]

    def all_of(self, outcomes):
        for launcher, outcome in zip(LAUNCHERS, outcomes):
            with self.subTest(launcher):
                outcome.result()

    def test_a_job_over_two_nodes_that_is_warned_requeues_itself_and_goes_on(self):
        self.all_of(self.warned)

    def test_a_job_whose_step_daemon_is_killed_ends_and_goes_on(self):
        self.all_of(self.lost)

    @unittest.skipUnless(NIGHTLY, "at night only")
    def test_a_job_whose_node_is_restarted_ends_and_goes_on(self):
        concurrent.futures.wait(self.warned + self.lost)
        for launcher in LAUNCHERS:  # it is both jobs' node
            with self.subTest(launcher):
                lose(launcher, "node", lambda sweep, node: node.processes(), restart_node)


if __name__ == "__main__":
    main()
