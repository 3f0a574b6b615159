"""A Slurm cluster for the tests: munged, slurmctld and slurmd in a scratch folder, torn down after. Of one node, or with
a slurmd on each of several hosts (hosts.py)."""

import copy
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from processes import TIMEOUT, catches, command_line, environment_of, find_tool, processes
from support import ENVIRONMENT, TOYSWEEP, long_sweep, sha256

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "slurm", "sweep.sh")
PROGRAM = os.path.realpath(TOYSWEEP)
BASH = os.path.realpath("/bin/bash")
LAUNCHERS = "srun", "mpirun"
DAEMONS = ["munged", "slurmctld", "slurmd"]
TOOLS = ["sbatch", "srun", "squeue", "scancel", "scontrol"]
CPUS = 64  # as many as Slurm is told: jobs share the real ones

# `low` is preempted by `high`, `steady` by nobody.
CONFIGURATION = """\
ClusterName=toysweep
SlurmctldHost={controller}
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
TmpFS={folder}/tmp-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdTimeout={silence}
MessageTimeout=60
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=200000,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=8
JobRequeue=1
{nodes}
PartitionName=steady Nodes=ALL Default=YES PriorityTier=20 PreemptMode=OFF
PartitionName=low Nodes=ALL PriorityTier=1 GraceTime=1
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Here:
    """This machine, as a host of hosts.py."""
    name = socket.gethostname().split(".")[0]
    address = "127.0.0.1"

    @staticmethod
    def enter(*words):
        return list(words)


class Cluster:
    """On this machine alone, or with its controller on the first of several hosts and a node on each other. Raises
    unittest.SkipTest, with the reason, where there can be none."""

    def __init__(self, hosts=(Here, Here)):
        self.controller, *self.nodes = hosts
        missing = [name for name in DAEMONS + TOOLS if not find_tool(name)]
        if missing:
            raise unittest.SkipTest(f"Slurm is not installed ({', '.join(missing)}): tools/setup.sh --tests")
        if os.geteuid() != 0:
            raise unittest.SkipTest("Slurm's daemons need root")
        self.folder = tempfile.mkdtemp(prefix="toysweep-slurm-")
        self.pids = []
        self.is_up = False
        of_nodes = [f"{name}-{node.name}" for node in self.nodes for name in ("spool", "tmp")]
        for name in "state", "tmp", *of_nodes:
            os.mkdir(os.path.join(self.folder, name))
        ports = free_ports(2)
        with open(self.path("slurm.conf"), "w") as file:
            nodes = [f"NodeName={node.name} NodeAddr={node.address} CPUs={CPUS} State=UNKNOWN" for node in self.nodes]
            file.write(CONFIGURATION.format(controller=f"{self.controller.name}({self.controller.address})",
                                            nodes="\n".join(nodes), folder=self.folder,
                                            controller_port=ports[0], node_port=ports[1],
                                            # a node that is never killed may be busy for long
                                            silence=20 if len(self.nodes) > 1 else 120))
        with open(self.path("munge.key"), "wb") as file:
            file.write(os.urandom(128))
        os.chmod(self.path("munge.key"), 0o400)
        inherited = {key: value for key, value in ENVIRONMENT.items() if not key.startswith("SLURM_")}
        self.environment = {**inherited, "SLURM_CONF": self.path("slurm.conf"), "TMPDIR": self.path("tmp")}
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        self.daemon("munged", "munge.pid", "--force", *[f"--{option}={self.path('munge.' + name)}" for option, name in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))])
        self.daemon("slurmctld", "slurmctld.pid", "-f", self.path("slurm.conf"))
        self.is_up = True
        for node in self.nodes:
            self.start_node(node)
        end = time.monotonic() + TIMEOUT / 4
        while not self.is_idle():
            if time.monotonic() > end:
                raise unittest.SkipTest(f"Slurm does not come up here: {self.last_words()}")
            time.sleep(0.1)
        if "pmix" not in self.ask("srun", "--mpi=list"):
            raise unittest.SkipTest("Slurm has no PMIx here")

    def start_node(self, node):
        self.daemon("slurmd", f"slurmd-{node.name}.pid", "-f", self.path("slurm.conf"), host=node)

    def clear_node(self, node, job=r"\d+"):
        """Takes away what killed daemons left there, as a restart does: PMIx starts no step where it finds folders and
        sockets of one with the same number. Of one job, while others' ranks read theirs there."""
        left = re.compile(rf"pmix.*[._]{job}\.\d+")  # pmix.JOB.STEP, stepd.slurm.pmix.JOB.STEP, spmix_appdir_USER_JOB.STEP
        for name in "spool", "tmp":
            with os.scandir(self.path(f"{name}-{node.name}")) as entries:
                for entry in [entry for entry in entries if left.search(entry.name)]:
                    shutil.rmtree(entry) if entry.is_dir() else os.unlink(entry)

    def is_idle(self):
        return self.ask("sinfo", "--noheader", "--Node", "--partition=steady", "--format=%T").split() == ["idle"] * len(self.nodes)

    def daemon(self, name, pid_file, *arguments, host=None):
        words = (host or self.controller).enter(find_tool(name), *arguments)
        result = subprocess.run(words, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                timeout=TIMEOUT)
        end = time.monotonic() + TIMEOUT / 4
        while result.returncode == 0 and time.monotonic() < end:
            try:
                with open(self.path(pid_file)) as file:
                    self.pids.append(int(file.read()))
                return
            except (OSError, ValueError):
                time.sleep(0.05)
        raise unittest.SkipTest(f"{name} does not start here: {result.stderr.strip()} {self.last_words()}")

    def last_words(self):
        words = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(self.path(name)) as file:
                    words += file.read().splitlines()[-3:]
        return " / ".join(words)

    def ask(self, *command):
        """What a Slurm command prints, standard error included."""
        return self.call(command, self.environment).stdout

    def call(self, command, environment):
        return subprocess.run(self.controller.enter(*command), env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)

    def stop(self):
        """Ends every job, then the daemons, then whatever still has this cluster's configuration."""
        if self.is_up:
            self.ask("scancel", "--user=root")
            end = time.monotonic() + TIMEOUT / 4
            while self.ask("squeue", "--noheader").strip() and time.monotonic() < end:
                time.sleep(0.1)
        for pid in reversed(self.pids):
            self.end(pid)
        mine = self.path("slurm.conf").encode()
        for pid in processes():
            if pid != os.getpid() and environment_of(pid).get(b"SLURM_CONF") == mine:
                self.end(pid)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def end(pid):
        for number, patience in (signal.SIGTERM, 5), (signal.SIGKILL, 2):
            try:
                os.kill(pid, number)
                end = time.monotonic() + patience
                while time.monotonic() < end:
                    os.kill(pid, 0)
                    time.sleep(0.02)
            except ProcessLookupError:
                return


class Job:
    """One batch job. A state is a word of squeue's, or "" once Slurm has forgotten the job."""

    OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "")

    def __init__(self, cluster, directory, *arguments, **environment):
        self.cluster = cluster
        result = cluster.call(["sbatch", "--parsable", f"--chdir={directory}", *map(str, arguments)],
                              {**cluster.environment, **environment})
        assert result.returncode == 0, result.stdout
        self.number = self.own_number = result.stdout.strip()

    def task(self, number):
        """A task of this job array, as a job. It has a number of its own as well."""
        found = copy.copy(self)
        found.number = f"{self.number}_{number}"
        found.wait("RUNNING", *self.OVER)
        found.own_number = found.look("%A")
        return found

    def look(self, form="%T"):
        question = "squeue", "--noheader", "--states=all", f"--jobs={self.number}", f"--format={form}"
        end = time.monotonic() + TIMEOUT
        while "error:" in (said := self.cluster.ask(*question).strip()) and time.monotonic() < end:
            if said.endswith("Invalid job id specified"):
                return ""
            time.sleep(0.5)  # the controller is busy
        return said

    def wait(self, *states, look=None):
        end = time.monotonic() + TIMEOUT
        while (state := (look or self.look)()) not in states:
            assert time.monotonic() < end, f"job {self.number} is {self.look('%T %r %S')}, not {states}, after {TIMEOUT} s"
            time.sleep(0.1)
        return state

    def release(self):
        """Slurm lets a requeued job wait two minutes, so that nothing of its last start is left; tests wait for that."""
        mark = f"[{self.own_number}.".encode()
        end = time.monotonic() + TIMEOUT
        while any(b"slurmstepd" in line and mark in line for line in map(command_line, processes())):
            assert time.monotonic() < end, f"job {self.number}: its last start does not end"
            time.sleep(0.05)
        self.cluster.ask("scontrol", "update", f"JobId={self.number}", "StartTime=now+2")  # credentials count in seconds

    def signal(self, *options):
        self.cluster.ask("scancel", *options, self.number)

    def ranks(self, program):
        """Process ids of the job's running ranks."""
        found = []
        for pid in processes():
            try:
                if os.readlink(f"/proc/{pid}/exe") != program:
                    continue
            except OSError:
                continue
            if environment_of(pid).get(b"SLURM_JOB_ID") == self.number.encode():
                found.append(pid)
        return found


class Place:
    """A folder with sweeps for jobs, {name: seconds of one thread}, and what a run without interruptions makes of each."""

    def __init__(self, cluster, sweeps):
        self.cluster = cluster
        self.folder = tempfile.mkdtemp(prefix="toysweep jobs ")  # with spaces: paths with spaces must work
        unittest.addModuleCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.expected = {}
        for name, seconds in sweeps.items():
            with open(self.path(name + ".yaml"), "w") as file:
                file.write(long_sweep(seconds).replace("name: long", "name: " + name))
            times = []
            for _ in range(4):
                begin = time.monotonic()
                subprocess.run([TOYSWEEP, "run", name + ".yaml"], cwd=self.folder, check=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
                times.append(time.monotonic() - begin)
            self.idle_seconds = min(times)  # what a run takes that finds nothing to do
            self.expected[name] = sha256(self.path(name + ".h5"))

    def path(self, name):
        return os.path.join(self.folder, name)


class Sweep:
    """One sweep on its way to its end, through as many jobs and restarts as it takes."""

    OVER = tuple(state for state in Job.OVER if state != "TIMEOUT")  # which is none for good: look()

    def __init__(self, place, name, launcher, sweep="long", slurm=("--time=10",),
                 options=("--checkpoint-interval", "0.1s"), **environment):
        self.place, self.name, self.launcher, self.sweep, self.slurm, self.options = place, name, launcher, sweep, slurm, options
        self.file = os.path.join(place.folder, name + ".h5")
        self.jobs = self.restarts = self.read = 0
        # mpirun fails now and then if another one makes its directory beside it at the same moment.
        self.scratch = os.path.join(place.folder, "tmp", name)
        self.environment = {"TOYSWEEP": TOYSWEEP, "TOYSWEEP_LAUNCHER": launcher, "TMPDIR": self.scratch, **environment}
        os.makedirs(self.scratch, exist_ok=True)
        self.submit()

    def submit(self):
        self.read = self.log_size()
        self.jobs += 1
        self.job = Job(self.place.cluster, self.place.folder, "--oversubscribe", "--ntasks=2", *self.slurm,
                       f"--output={self.name}.log", SCRIPT, self.sweep + ".yaml", "-o", self.name + ".h5", "--threads", 1,
                       *self.options, **self.environment)

    def again(self):
        """Begins anew, from nothing, where the sweep was finished too early; its file must be right."""
        state = self.wait(*self.OVER)
        assert state == "COMPLETED", f"{self.name}: {state}\n{self.output()}"
        self.check()
        assert self.jobs < 20, f"{self.name} is always finished before"
        os.unlink(self.file)
        os.unlink(self.file + ".log.jsonl")
        self.submit()

    def log_size(self):
        return os.path.getsize(self.file + ".log.jsonl") if os.path.exists(self.file + ".log.jsonl") else 0

    def said(self, event):
        """How often the run log of this job's current start has such an event."""
        if self.log_size() <= self.read:
            return 0
        with open(self.file + ".log.jsonl") as log:
            log.seek(self.read)
            return log.read().count(f'"event":"{event}"')

    def is_finished(self):
        """Was the last run's end that of the sweep?"""
        if not self.log_size():
            return False
        with open(self.file + ".log.jsonl") as log:
            ends = [line for line in log if '"event":"end"' in line]
        return bool(ends) and json.loads(ends[-1])["exit"] == 0

    def look(self):
        """The job's state. Slurm calls TIMEOUT what ends after its grace or limit, but before Slurm ends it: for a
        moment if it puts itself back into the queue, for good if it has finished, which is COMPLETED here."""
        state = self.job.look()
        return "COMPLETED" if state == "TIMEOUT" and self.is_finished() else state

    def wait(self, *states):
        return self.job.wait(*states, look=self.look)

    def output(self):
        path = os.path.join(self.place.folder, self.name + ".log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()

    def saved(self):
        directory = self.file + ".state"
        return os.path.isdir(directory) and any(name.endswith((".bin", ".tmp")) for name in os.listdir(directory))

    def is_in(self, phase):
        return {
            # The script runs, and no warning ends it; the program perhaps not yet.
            "launch": lambda: any(catches(pid, signal.SIGUSR2) for pid in self.job.ranks(BASH)),
            "start": lambda: os.path.exists(self.file) and self.job.ranks(PROGRAM),
            "training": lambda: self.said("assign"),
            "saving": lambda: self.said("assign") and self.saved(),
            "late": lambda: self.said("unit") and self.is_far(),
        }[phase]()

    def is_far(self):
        with open(self.file + ".log.jsonl") as log:
            return log.read().count('"event":"unit"') >= 4

    def reach(self, phase):
        """Waits for the phase; False if the sweep was finished before. A job that has put itself back goes on at once."""
        end = time.monotonic() + TIMEOUT
        while True:
            state = self.look()
            if state == "RUNNING" and self.is_in(phase):
                time.sleep(random.uniform(0, 0.3))
                return True
            if state == "COMPLETED":
                return False
            if state == "PENDING" and self.output().count("back into the queue") > self.restarts:
                self.go_on(state)
            assert state not in self.OVER, f"{self.name}: {state} before '{phase}'\n{self.output()}"
            assert time.monotonic() < end, f"{self.name}: '{phase}' was not reached, {state}\n{self.output()}"
            time.sleep(0.05)

    def warn(self):
        """As before the time limit, by USR2 to the script. Returns the state the job is in then."""
        self.job.signal("--signal=USR2", "--batch")
        return self.wait("PENDING", "COMPLETED", "FAILED")

    def go_on(self, state):
        """After the job has ended or was put back: starts it again."""
        if state == "PENDING":
            self.read = self.log_size()
            self.restarts += 1
            self.job.release()
        elif state != "COMPLETED":
            self.submit()

    def finish(self):
        """Restarts until all is done; the file must be that of a run without interruptions."""
        end, patience = time.monotonic() + TIMEOUT, 0
        while (state := self.look()) != "COMPLETED":
            assert time.monotonic() < end, f"{self.name}: {self.job.look('%T %r %S')} after {TIMEOUT} s\n{self.output()}"
            assert state in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SIGNALING"), f"{self.name}: {state}\n{self.output()}"
            if state == "PENDING" and time.monotonic() > patience:
                self.go_on(state)
                patience = time.monotonic() + 6
            time.sleep(0.2)
        self.check()

    def check(self):
        found = sha256(self.file)
        expected = self.place.expected[self.sweep]
        assert found == expected, f"{self.name}: {found} is not {expected}\n{self.output()}"
        left = [name for name in os.listdir(self.place.folder) if name.startswith(self.name + ".h5.")]
        assert left == [self.name + ".h5.log.jsonl"], left
