"""Processes that a test started: who they are, waiting for their end, ending them, and where they hang."""

import os
import shutil
import signal
import subprocess
import time

MPIRUN = os.environ.get("TOYSWEEP_MPIRUN", "")  # empty: built without MPI
TIMEOUT = 600  # seconds for one run or wait; the longest take some ten on a quiet machine
PATIENCE = 60  # with an mpirun whose ranks are all gone


def find_tool(name):
    """Its path: those of administrators are not on everybody's."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read(pid, name):
    """A file of /proc/PID; empty where there is no such process any more."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def environment_of(pid):
    return dict(entry.split(b"=", 1) for entry in read(pid, "environ").split(b"\0") if b"=" in entry)


def command_line(pid):
    return read(pid, "cmdline")  # of the dead that nobody has waited for: empty


def fields_of(pid):
    """What stat has after the name: state, parent, group, session, ... Of a process that is gone: []."""
    return read(pid, "stat").rpartition(b")")[2].split()


def family(process):
    """Process ids of what Case.start() started and of all that came of it, orphans too: they share its session."""
    def session(pid):
        fields = fields_of(pid)
        return int(fields[3]) if len(fields) > 3 and fields[0] not in b"ZX" else None

    return [pid for pid in processes() if session(pid) == process.pid]


def processor_time(process):
    """Seconds that the family has computed for so far."""
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in map(fields_of, family(process)) if fields)
    return ticks / os.sysconf("SC_CLK_TCK")


def waits_for_disk(process):
    """Does the main thread of one of the family wait for the disk, as in fdatasync?"""
    return any(fields[0] == b"D" for fields in map(fields_of, family(process)) if fields)


def is_among(pid, number, kind):
    """Is the signal in this set of /proc/PID/status?"""
    words = [line.split() for line in read(pid, "status").decode().splitlines()]
    return any(word[0] == kind and int(word[1], 16) >> (number - 1) & 1 for word in words if len(word) == 2)


def catches(pid, number):
    """Has the process installed a handler for this signal?"""
    return is_among(pid, number, "SigCgt:")


def is_pending(pid, number):
    """Has the process been sent this signal, and not taken it yet?"""
    return is_among(pid, number, "ShdPnd:")


def age(pid):
    """Seconds since it was started."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - int(fields_of(pid)[19]) / os.sysconf("SC_CLK_TCK")


def is_tracer(pid):
    return command_line(pid).startswith(b"strace\0")


def ranks_of(process):
    """Process ids of a run over MPI by rank, of those that have started."""
    ranks = {}
    for pid in family(process):
        rank = environment_of(pid).get(b"OMPI_COMM_WORLD_RANK")
        if rank is not None and not is_tracer(pid):
            ranks.setdefault(int(rank), pid)
    return ranks


def is_rank(pid):
    return b"OMPI_COMM_WORLD_RANK" in environment_of(pid) and not is_tracer(pid)


def to_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def end_all(find):
    """SIGKILL to all that find() finds, until there are none."""
    end = time.monotonic() + PATIENCE
    while left := find():
        assert time.monotonic() < end, f"processes {left} cannot be killed"
        to_all(left, signal.SIGKILL)
        time.sleep(0.02)


def stacks(pid):
    """Where all threads of a process are."""
    tracer = [line.split()[1] for line in read(pid, "status").decode().splitlines() if line.startswith("TracerPid:")]
    to_all([int(one) for one in tracer if one != "0"], signal.SIGKILL)  # there can be only one
    text = [f"process {pid}: {command_line(pid).replace(bytes(1), b' ').decode(errors='replace')}"]
    try:
        command = ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all backtrace 30"]
        output = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
        text += [line for line in output.splitlines() if line.startswith(("#", "Thread"))]
    except (OSError, subprocess.TimeoutExpired):
        pass
    if len(text) == 1:
        for thread in os.listdir(f"/proc/{pid}/task") if os.path.exists(f"/proc/{pid}/task") else []:
            text.append(f"thread {thread}: " + " ".join(read(pid, f"task/{thread}/{name}").decode().strip()
                                                        for name in ("wchan", "syscall")))
    return "\n".join(text)


def finish(process, had_ranks=False):
    """Waits for the end of what Case.start() started, orphans too, and returns what it wrote. If it does not end,
    everything is killed and AssertionError says where it was. Only Open MPI 4.1's mpirun may hang (it does so now and
    then when a rank dies as it starts): once all its ranks are gone for some seconds it is killed."""
    end, lonely = time.monotonic() + TIMEOUT, None
    while True:
        try:
            return process.communicate(timeout=1)[0]
        except ValueError:
            return ""  # somebody has waited before
        except subprocess.TimeoutExpired:
            pass
        ranks = [pid for pid in family(process) if pid != process.pid and not is_tracer(pid)]
        had_ranks |= bool(ranks)
        is_lonely = MPIRUN and process.args[0] == MPIRUN and had_ranks and not ranks
        lonely = (lonely or time.monotonic()) if is_lonely else None
        if lonely and time.monotonic() > lonely + PATIENCE:
            print(f"all ranks are gone, only mpirun hangs ({read(process.pid, 'wchan').decode()}): killed", flush=True)
            process.kill()
            lonely = None
        if time.monotonic() > end:
            left = [pid for pid in family(process) if not is_tracer(pid)]
            report = "\n".join(map(stacks, left))
            to_all(family(process), signal.SIGKILL)
            raise AssertionError(f"{process.args} did not end within {TIMEOUT} s:\n{report}\n"
                                 f"It had written: {process.communicate(timeout=60)[0]}")


def kill_family(process, victims=None):
    """SIGKILL to all of a started process's family (or the chosen ones), then waits for it."""
    if process.poll() is None:
        to_all(family(process) if victims is None else victims, signal.SIGKILL)
    finish(process, had_ranks=True)
