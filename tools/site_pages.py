#!/usr/bin/env python3
"""Pages of the documentation's site that are made from the program, for tools/site.sh:
     tools/site_pages.py contents FILE.h5 ...    every dataset of the files, of one case each
     tools/site_pages.py errors                  every message of the program's source, by exit code"""

import glob
import os
import re
import sys

from needs import need

need("h5py", "numpy")

import h5py

import toysweep

CONTENTS = """\
# What is in a file

Read from the results files of sweeps that come with the program, by the names, types, dimensions and attributes that these
give. What each is, and what other sweeps add: [results-file.md](results-file.md), [measures.md](measures.md)."""

ERRORS = """\
# Errors

What the program says when it cannot do what was asked, out of its source: `...` is a name, a number or what the system says.
What happens to a run: [faults.md](faults.md)."""

EXITS = {
    "USER": "Bad usage or sweep file: exit code 2, nothing was written",
    "FATAL": "The run cannot go on: exit code 1",
    "UNIT": "One instance cannot be trained: it is marked failed, the others go on; exit code 3",
    "MEMORY": "Out of memory: fewer instances at once are tried, where there are several",
}

# A call that notes a fault: its name, what comes before the text (a status without quotation marks), the text.
CALL = re.compile(r'ts_(fail|fail_errno|faults_add)\(((?:[^"();]|\([^()"]*\))*)((?:"(?:[^"\\]|\\.)*"\s*)+)', re.S)
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
FILLED_IN = re.compile(r"%[-+ #0.*\d]*(?:z|ll|l|h)?[a-zA-Z]")


def row(item):
    along = "scale" if h5py.h5ds.is_scale(item.id) else " x ".join(toysweep.dimensions(item))
    kind = "text" if item.dtype.kind in "OS" else item.dtype.name
    said = ", ".join(toysweep.text(item.attrs[key]) for key in ("long_name", "units") if key in item.attrs)
    return f"{kind} | {along} | " + said.replace("|", "\\|")


def contents(paths):
    print(CONTENTS)
    for path in paths:
        with toysweep.open_file(path) as file:
            case = toysweep.links(file["cases"])[0]
            print(f"\n## {os.path.basename(path)}\n\nAttributes: " + ", ".join(f"`{name}`" for name in file.attrs) + ".")
            for place in ("/", "/sweep", f"/cases/{case}", f"/cases/{case}/weights"):
                if place not in file:
                    continue
                print(f"\n### {place}\n\n| dataset | type | along | |\n|---|---|---|---|")
                for name in toysweep.links(file[place]):
                    if isinstance(file[place][name], h5py.Dataset):
                        print(f"| `{name}` | {row(file[place][name])} |")


def messages(source):
    """(kind of fault, text) of every call."""
    for call, before, literals in CALL.findall(source):
        words = "".join(LITERAL.findall(literals)).replace('\\"', '"').replace("\\\\", "\\")
        kind = "USER" if call == "faults_add" else "".join(re.findall("TS_ERROR_([A-Z]+)", before)[:1])
        yield kind, FILLED_IN.sub("...", words).replace("%%", "%")


def errors():
    print(ERRORS)
    found = {kind: set() for kind in EXITS}
    for path in glob.glob("src/**/*.c", recursive=True):
        with open(path, encoding="utf-8") as file:
            for kind, words in messages(file.read()):
                if kind in found and len(re.findall("[a-z]{2,}", words)) > 2:  # a sentence, not a key
                    found[kind].add(words)
    for kind, title in EXITS.items():
        print(f"\n## {title}\n\n```text")
        print(*sorted(found[kind], key=lambda words: re.sub("^[^a-z]+", "", words)), sep="\n")
        print("```")


if __name__ == "__main__":
    if sys.argv[1:2] == ["contents"]:
        contents(sys.argv[2:])
    elif sys.argv[1:] == ["errors"]:
        errors()
    else:
        sys.exit(__doc__)
