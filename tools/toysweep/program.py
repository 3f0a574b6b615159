"""The program from Python: where it is, and what it answers.

It is the one that an argument names, or $TOYSWEEP, or the one that is built in the source tree that this package lies in,
or was installed with it, or is on the PATH.
"""

from __future__ import annotations

import json
import numbers
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from typing import Any, Mapping, Sequence, Union

from toysweep.progress import Bar
from toysweep.results import Results, path_of
from toysweep.sweeps import Sweep

BAD_INPUT, SOME_FAILED, STOPPED = 2, 3, 75  # exit codes
Path = Union[str, "os.PathLike[str]"]


class ProgramError(RuntimeError):
    """The program's own words, which name file, line, key, value and cure; `code` is what it exited with."""

    def __init__(self, words: str, code: int = 1):
        super().__init__(words)
        self.code = code


class SweepError(ProgramError, ValueError):
    """Of a sweep, or of how it was to be run; nothing was written."""


def find(program: Path | None = None) -> str:
    """Path of the program.

    >>> os.path.basename(find())
    'toysweep'
    """
    if program or os.environ.get("TOYSWEEP"):
        named = os.fspath(program or os.environ["TOYSWEEP"])
        found = shutil.which(os.path.expanduser(named))
        if found is None:
            said = "" if program else ", which TOYSWEEP names,"
            raise ProgramError(f"{named}{said} is no program that can be run here")
        return found
    for candidate in _places():
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise ProgramError("there is no program toysweep here: neither built in a clone, nor installed with this package (which "
                       "takes a C compiler, MPI, HDF5, ...: docs/howto/python.md), nor on the PATH. Set TOYSWEEP to where it "
                       "is, or put it on the PATH")


def _places() -> list[str]:
    here = os.path.dirname(os.path.realpath(__file__))
    scripts = [sysconfig.get_path("scripts")]
    if os.name + "_user" in sysconfig.get_scheme_names():
        scripts.append(sysconfig.get_path("scripts", os.name + "_user"))
    scripts.append(os.path.join(here, "..", "bin"))  # of pip install --target
    beside = [os.path.join(here, *up, *name) for up, name in (
        (("..", ".."), ("build", "release", "toysweep")),        # the source tree
        (("..", "..", "..", ".."), ("bin", "toysweep")))]        # PREFIX/share/toysweep/tools/toysweep, and a venv's lib
    return [*map(os.path.normpath, beside), *(os.path.join(place, "toysweep") for place in scripts),
            shutil.which("toysweep") or ""]


def check(sweep: Sweep, program: Path | None = None) -> None:
    """Raises SweepError where the program refuses it. Without a program there is nothing to check with."""
    try:
        found = find(program)
    except ProgramError:
        if program or os.environ.get("TOYSWEEP"):
            raise
        return
    with _Written(sweep) as path:
        _ask([found, "run", path.name, "--print-names"], path)


def plan(sweep: Path | Mapping[str, Any], *, ranks: int = 1, threads: int | None = None, backend: str | None = None,
         set: Mapping[str, Any] | None = None, program: Path | None = None) -> dict[str, Any]:
    """What `toysweep plan` says: "instances", "seconds" (predicted), "file_bytes", "engines", "cases", ... Some seconds of
    calibration; writes nothing.

    >>> plan({"task": "tree", "depth": 1, "hidden": [2, 3], "steps": 5, "instances": 4})["instances"]
    8
    """
    with _Written(sweep) as path:
        options = _options({"ranks": ranks, "threads": threads, "backend": backend}, set)
        return json.loads(_ask([find(program), "plan", path.name, "--json", *options], path))


def status(results: Path | Results, *, program: Path | None = None) -> dict[str, Any]:
    """What `toysweep status` says of a results file: "done", "failed", "pending", "running", "points", ..."""
    return json.loads(_ask([find(program), "status", path_of(results), "--json"]))


def run(sweep: Path | Mapping[str, Any], output: Path | None = None, *, set: Mapping[str, Any] | None = None,
        ranks: int | None = None, threads: int | None = None, backend: str | None = None,
        ranks_per_instance: int | None = None, time_limit: float | str | None = None,
        checkpoint_interval: float | str | None = None, max_failures: int | None = None, retry_failed: bool = False,
        reuse: Path | Sequence[Path] = (), io: str | None = None, progress: bool = True,
        program: Path | None = None) -> Results:
    """Trains what the results file does not hold yet, and gives it.

    `sweep` is a sweep file, or its keys (toysweep.sweep), `output` the results file: by default the sweep's name with
    .h5, in the working directory. `set` sets keys over the sweep. The others are `toysweep run`'s options; times are
    seconds, or texts such as "1h50m". `ranks` starts so many over MPI, else one process uses all cores.

    Stopped (an interrupt, a time limit), it goes on where it was when it is called again. Warns where instances failed or
    are left; raises SweepError where the sweep is refused, ProgramError where the program fails.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = run({"task": "tree", "depth": 1, "hidden": 2, "steps": 5, "instances": 2}, folder + "/a.h5",
    ...                progress=False)
    ...     done.count
    2
    """
    found, reuse = find(program), [reuse] if isinstance(reuse, (str, os.PathLike)) else list(reuse)
    options = _options({"threads": threads, "backend": backend, "ranks-per-instance": ranks_per_instance,
                        "time-limit": _time(time_limit), "checkpoint-interval": _time(checkpoint_interval),
                        "max-failures": max_failures, "io": io}, set)
    options += ["--retry-failed"] * bool(retry_failed) + [word for old in reuse for word in ("--reuse", os.fspath(old))]
    with _Written(sweep, output) as path:
        if output or path.keys:
            options += ["--output", os.path.abspath(output or path.results)]
        path.results = _ask([found, "run", path.name, *options, "--print-names"], path).splitlines()[-1]
        code, said = _train([*_launcher(found, ranks), found, "run", path.name, *options, "--progress", "bar"], progress)
    if code not in (0, SOME_FAILED, STOPPED):
        raise _fault(code, path.own_words(said))
    if code:
        words = said.strip().splitlines()
        warnings.warn(path.own_words("\n".join(words)) or f"{path.results}: ended with {code}", stacklevel=2)
    return Results(path.results)


# --- Calling it ----------------------------------------------------------------------------------------------------

class _Written:
    """A sweep as a file. Keys are written beside the working directory's other files, as paths in them are relative to
    it, and removed afterwards."""

    def __init__(self, sweep: Path | Mapping[str, Any], output: Path | None = None):
        if not isinstance(sweep, (str, os.PathLike, Mapping)):
            raise TypeError(f"a sweep is wanted: its keys, as toysweep.sweep() gives them, or the path of a sweep file; this "
                            f"is a {type(sweep).__name__}")
        self.sweep, self.keys = sweep, isinstance(sweep, Mapping)
        stem = os.path.splitext(os.path.basename(os.fspath(output)))[0] if output else "sweep"
        self.title = str(sweep.get("name", stem)) if isinstance(sweep, Mapping) else ""
        self.name, self.results = "", ""

    def __enter__(self) -> _Written:
        if not isinstance(self.sweep, Mapping):
            self.name = os.fspath(self.sweep)
            return self
        keys = self.sweep if isinstance(self.sweep, Sweep) else Sweep(self.sweep)
        words = Sweep({"name": self.title, **keys}).yaml  # which refuses what is no value, before there is a file
        place = os.getcwd() if os.access(os.getcwd(), os.W_OK) else None
        file, self.name = tempfile.mkstemp(".yaml", ".toysweep-", place)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(words)
        self.results = re.sub(r"[/\0]", "-", self.title) + ".h5"
        return self

    def __exit__(self, *fault: object) -> None:
        if self.keys:
            os.unlink(self.name)

    def own_words(self, said: str) -> str:
        """What the program said, without the names of what was written only for it."""
        return re.sub(rf"{re.escape(self.name)}(:\d+)?", "sweep", said) if self.keys else said


def _options(named: Mapping[str, Any], keys: Mapping[str, Any] | None) -> list[str]:
    words = [word for name, value in named.items() if value is not None for word in (f"--{name}", str(value))]
    if keys is not None and not isinstance(keys, Mapping):
        raise TypeError(f'set={keys!r}: a mapping of keys is wanted, such as {{"steps": 100}}')
    for key, value in (keys or {}).items():
        words += ["--set", f"{key}={Sweep.text(value)}"]
    return words


def _time(time: float | str | None) -> str | None:
    return f"{time:.6f}s" if isinstance(time, numbers.Real) else time if time is None else str(time)


def _launcher(program: str, ranks: int | None) -> list[str]:
    if ranks is None:
        return []
    if not isinstance(ranks, numbers.Integral) or ranks < 1:
        raise ValueError(f"ranks={ranks!r}: a number of processes is wanted, from 1; without it one process uses all cores")
    own = os.path.join(os.path.dirname(program), "toysweep-mpirun")
    launcher = own if os.access(own, os.X_OK) else shutil.which("toysweep-mpirun") or shutil.which("mpirun")
    if launcher is None:
        raise ProgramError(f"ranks={ranks}: there is no toysweep-mpirun and no mpirun here; leave ranks out, and one "
                           "process uses all cores")
    return [launcher, "-n", str(ranks)]


def _fault(code: int, said: str) -> ProgramError:
    words = said.strip().removeprefix("toysweep: ")
    return (SweepError if code == BAD_INPUT else ProgramError)(words or f"toysweep ended with {code}", code)


def _ask(command: list[str], path: _Written | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise _fault(done.returncode, path.own_words(done.stderr) if path else done.stderr)
    if not done.stdout:  # it answers whatever it is asked
        raise ProgramError(f"{command[0]} is another program: TOYSWEEP, or the argument `program`, is to name toysweep")
    return done.stdout


def _train(command: list[str], progress: bool) -> tuple[int, str]:
    """(exit code, what it said). In a session of its own, so that an interrupt reaches it once, and from here."""
    with tempfile.TemporaryFile("w+") as table, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=table, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stderr is not None
        with Bar(progress) as bar:
            try:
                said = bar.follow(process.stderr)
            except KeyboardInterrupt:
                process.send_signal(signal.SIGTERM)
                print("toysweep: stopping; finished instances are in the file, and unfinished ones go on when it is run "
                      "again", file=sys.stderr)
                try:
                    process.communicate()
                except KeyboardInterrupt:  # a second one: at once
                    process.kill()
                raise
        return process.wait(), said
