"""A Slurm cluster of one node for the tests: munged, slurmctld and slurmd in a scratch folder, torn down after."""

import copy
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from processes import TIMEOUT, command_line, environment_of, processes
from support import ENVIRONMENT

DAEMONS = ["munged", "slurmctld", "slurmd"]
TOOLS = ["sbatch", "srun", "squeue", "scancel", "scontrol"]
CPUS = 64  # as many as Slurm is told: jobs share the real ones

# `low` is preempted by `high`, `steady` by nobody.
CONFIGURATION = """\
ClusterName=toysweep
SlurmctldHost={host}(127.0.0.1)
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
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=200000,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=8
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=steady Nodes={host} Default=YES PriorityTier=20 PreemptMode=OFF
PartitionName=low Nodes={host} PriorityTier=1 GraceTime=1
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF
"""


def find(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """Raises unittest.SkipTest, with the reason, where there can be none."""

    def __init__(self):
        missing = [name for name in DAEMONS + TOOLS if not find(name)]
        if missing:
            raise unittest.SkipTest(f"Slurm is not installed ({', '.join(missing)}): tools/setup.sh --tests")
        if os.geteuid() != 0:
            raise unittest.SkipTest("Slurm's daemons need root")
        self.folder = tempfile.mkdtemp(prefix="toysweep-slurm-")
        self.pids = []
        for name in "state", "spool", "tmp":
            os.mkdir(os.path.join(self.folder, name))
        ports = free_ports(2)
        with open(self.path("slurm.conf"), "w") as file:
            file.write(CONFIGURATION.format(host=socket.gethostname().split(".")[0], folder=self.folder, cpus=CPUS,
                                            controller_port=ports[0], node_port=ports[1]))
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
        self.daemon("slurmd", "slurmd.pid", "-f", self.path("slurm.conf"))
        end = time.monotonic() + TIMEOUT / 4
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T"):
            if time.monotonic() > end:
                raise unittest.SkipTest(f"Slurm does not come up here: {self.last_words()}")
            time.sleep(0.1)
        if "pmix" not in self.ask("srun", "--mpi=list"):
            raise unittest.SkipTest("Slurm has no PMIx here")

    def daemon(self, name, pid_file, *arguments):
        result = subprocess.run([find(name), *arguments], env=self.environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
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
        for name in "slurmctld.log", "slurmd.log", "munge.log":
            if os.path.exists(self.path(name)):
                with open(self.path(name)) as file:
                    words += file.read().splitlines()[-3:]
        return " / ".join(words)

    def ask(self, *command):
        """What a Slurm command prints, standard error included."""
        return subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=TIMEOUT).stdout

    def stop(self):
        """Ends every job, then the daemons, then whatever still has this cluster's configuration."""
        if len(self.pids) == 3:
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
        result = subprocess.run(["sbatch", "--parsable", f"--chdir={directory}", *map(str, arguments)],
                                env={**cluster.environment, **environment}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
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
        return self.cluster.ask("squeue", "--noheader", "--states=all", f"--jobs={self.number}",
                                f"--format={form}").strip()

    def wait(self, *states):
        end = time.monotonic() + TIMEOUT
        while (state := self.look()) not in states:
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
