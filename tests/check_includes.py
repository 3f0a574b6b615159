#!/usr/bin/env python3
"""Includes follow the list of layers in docs/design.md: a folder includes what its line there allows and nothing else,
neither folders nor the files of one folder include each other in a circle, and what C++ includes has no keyword of C
alone."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUFFIXES = {".c", ".h", ".cu", ".cuh"}
OF_C_ALONE = r"\b(_[A-Z]\w+|atomic_\w+|restrict)\b"


def allowed_folders():
    """{folder: folders it may include}, from the table's rows: | `folder` | `a` `b` | what it holds |"""
    rows = re.findall(r"^\| `([a-z0-9/]+)` \|([^|]*)\|", (ROOT / "docs/design.md").read_text(), re.M)
    return {folder: set(re.findall(r"`([^`]+)`", allowed)) for folder, allowed in rows}


def files():
    """{name as in an include: path}: src/ and kernels/ are where the compiler looks."""
    roots = [ROOT / "src", ROOT / "kernels"]
    return {str(path.relative_to(root)): path
            for root in roots for path in sorted(root.rglob("*")) if path.suffix in SUFFIXES}


def includes(names, known=None):
    """{name: names it includes}, of files of the project (`known`: all of these, if `names` are others)."""
    known, found = known or names, {}
    for name, path in names.items():
        found[name] = set()
        for included in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.M):
            beside = str(pathlib.PurePosixPath(name).parent / included)
            found[name].add(beside if beside in known else included)
        found[name] &= set(known)
    return found


def c_alone(names, graph):
    """What the kernels of CUDA and the emulator's tests include, themselves or by another header, in words of C alone."""
    tests = includes({str(path.relative_to(ROOT)): path for path in sorted((ROOT / "tests").rglob("*.cpp"))}, names)
    waiting = {name: name for name in (*tests, *graph) if not name.endswith((".c", ".h"))}
    by, included = dict(waiting), {**graph, **tests}
    while waiting:
        name, first = waiting.popitem()
        for other in included[name] - set(by):
            by[other] = waiting[other] = first
    for name, first in sorted(by.items()):
        code = re.sub(r"//.*", "", names[name].read_text()) if name in graph else ""
        if word := re.search(OF_C_ALONE, code):
            yield f"{name}: `{word[0]}` is not C++, and {first} includes it"


def folder_of(name):
    return str(pathlib.PurePosixPath(name).parent)


def circle(graph):
    """A circle as a list of nodes, the first again at the end; None if there is none."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for after in sorted(graph.get(node, ())):
            if found := visit(after):
                return found
        path.pop()
        done.add(node)
        return None

    return next(filter(None, map(visit, sorted(graph))), None)


def module_of(name):
    return re.sub(r"\.[ch]$", "", name)


def modules(graph):
    """The graph of noun.h with noun.c as one: what either includes, but for each other."""
    merged = {}
    for name, included in graph.items():
        merged.setdefault(module_of(name), set()).update(map(module_of, included))
    return {module: included - {module} for module, included in merged.items()}


def main():
    allowed, names = allowed_folders(), files()
    graph = includes(names)
    faults = list(c_alone(names, graph))
    folders = {folder: set() for folder in map(folder_of, graph) if folder != "."}
    for folder in sorted(set(folders) ^ set(allowed)):
        faults.append(f"{folder}: {'no line in docs/design.md' if folder in folders else 'no such folder'}")
    for name, included in sorted(graph.items()):
        folder = folder_of(name)
        for other in sorted(included):
            if folder == "." or folder_of(other) == folder:
                continue
            folders[folder].add(folder_of(other))
            if folder_of(other) not in allowed.get(folder, ()):
                faults.append(f"{name} includes {other}: `{folder}` may not include `{folder_of(other)}`")
    for what, nodes in (("folders", folders), ("folders of docs/design.md", allowed), ("headers and files", graph),
                        ("modules", modules(graph))):
        if found := circle(nodes):
            faults.append(f"a circle of {what}: {' -> '.join(found)}")
    print("\n".join(faults) or f"{len(graph)} files in {len(folders)} folders include only what they may")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
