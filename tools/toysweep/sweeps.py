"""Sweeps from Python values."""

from __future__ import annotations

import os
from typing import Any, Mapping

import numpy as np


class Sweep(dict):
    """A sweep's keys. `yaml` is its text, which save() writes to a file; run() and plan() take it as it is."""

    @property
    def yaml(self) -> str:
        return self.text(self, flow=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.yaml)

    @staticmethod
    def text(value: Any, flow: bool = True) -> str:
        """In YAML, in one line if flow. Numbers of numpy, arrays and ranges too.

        >>> Sweep.text({"lr": np.array([0.001, 0.01, 0.1]), "seed": range(1, 6), "tied": True})
        '{lr: [0.001, 0.01, 0.1], seed: 1..5, tied: true}'
        """
        import yaml

        made = yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=10 ** 6,
                              default_flow_style=True if flow else None)
        return made.removesuffix("...\n").rstrip("\n") if flow else made


def plain(value: Any) -> Any:
    """A value of a key in types that YAML has."""
    if isinstance(value, Mapping):
        return {str(name): plain([*part] if name == "checkpoints" and isinstance(part, range) else part)  # one value
                for name, part in value.items()}
    if isinstance(value, range) and value.step == 1 and len(value) > 1:
        return f"{value[0]}..{value[-1]}"
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return [plain(part) for part in value]
    except TypeError:
        raise TypeError(f"{value!r} is a {type(value).__name__}: a sweep's values are numbers, texts, flags, lists and "
                        "mappings of them") from None


def sweep(keys: Mapping[str, Any] | None = None, /, *, check: bool = True, program: str | os.PathLike[str] | None = None,
          **more: Any) -> Sweep:
    """A sweep of these keys (toysweep help keys), which the program has checked if it is there: SweepError says what is
    wrong with it.

    >>> grid = sweep(task="tree", depth=2, steps=100, grid={"hidden": range(2, 5), "lr": [1e-3, 1e-2]}, instances=5)
    >>> print(grid.yaml, end="")
    task: tree
    depth: 2
    steps: 100
    grid:
      hidden: 2..4
      lr: [0.001, 0.01]
    instances: 5
    >>> sweep(task="tree", depth=2, hiden=3)
    Traceback (most recent call last):
        ...
    toysweep.program.SweepError: sweep: key 'hiden': unknown; did you mean 'hidden'?
    """
    if keys is not None and not isinstance(keys, Mapping):
        raise TypeError(f"keys are wanted, as a mapping or as arguments (task=\"tree\", ...); this is a {type(keys).__name__}. "
                        "A sweep file goes to toysweep.run() and plan() by its path")
    made = Sweep({**(keys or {}), **more})
    if check:
        from toysweep import program as of

        of.check(made, program)
    return made
