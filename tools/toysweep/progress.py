"""What a run says of its progress, as a bar in a terminal or a notebook."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import time
from typing import IO, Any

SHARE = re.compile(r"([0-9.]+)%  (.*)")  # of the line that the program shows over and over
SECONDS = 0.5  # between two looks of the bar: a notebook keeps each of them until the next is there
CLEAR = "\r\x1b[K"


def is_watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Bar:
    """Of tqdm, in percent; without tqdm, or where nobody watches, there is none."""

    def __init__(self, wanted: bool):
        self.bar: Any = None
        self.shown = float("-inf")
        if wanted and is_watched() and importlib.util.find_spec("tqdm"):
            tqdm = importlib.import_module("tqdm.auto" if importlib.util.find_spec("ipywidgets") else "tqdm")
            self.bar = tqdm.tqdm(total=100, leave=False, bar_format="{percentage:3.0f}%|{bar:20}| {desc}")

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *fault: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, line: str) -> bool:
        """Is it one of progress?"""
        found = SHARE.search(line)
        if found and self.bar is not None and time.monotonic() > self.shown + SECONDS:
            self.shown = time.monotonic()
            self.bar.set_description_str(found[2].strip(), refresh=False)
            self.bar.n = float(found[1])
            self.bar.refresh()
        return found is not None

    def follow(self, stream: IO[bytes]) -> str:
        """Shows what comes until it ends; returns what was said beside it."""
        text, said = "", []
        while chunk := os.read(stream.fileno(), 4096):
            *lines, text = (text + chunk.decode(errors="replace")).replace(CLEAR, "\n").split("\n")
            said += [line for line in lines if line and not self.show(line)]
            self.show(text)  # it may go on
        return "\n".join([*said, *[text] * (not self.show(text))]).strip()
