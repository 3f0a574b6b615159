"""The notebooks of docs/notebooks, executed from the first cell to the last, in an empty folder: no cell fails or warns,
pictures are drawn, and what they come to is what their text says. Needs nbclient and ipykernel (tools/setup.sh --tests)."""

import importlib.util
import json
import os
import sys

from support import TOOLS, Skipped, check_equal, main

import numpy as np

import toysweep as ts

FOLDER = os.path.join(os.path.dirname(TOOLS), "docs", "notebooks")


def stored(name):
    with open(os.path.join(FOLDER, name + ".ipynb"), encoding="utf-8") as file:
        return json.load(file)


def executed(name, folder):
    """(what cells print and evaluate to, number of pictures)."""
    if not os.environ.get("TOYSWEEP"):
        raise Skipped("$TOYSWEEP does not say where the program is")
    for module in "nbclient", "ipykernel":
        if importlib.util.find_spec(module) is None:
            raise Skipped(f"{sys.executable} has no {module}")
    import nbformat
    from jupyter_client import KernelManager
    from nbclient import NotebookClient

    kernel = KernelManager()  # of this Python, whatever Jupyter would choose
    kernel.kernel_spec.argv[:] = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    os.environ["PYTHONPATH"] = f"{TOOLS}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else its debugger has something to say
    notebook = nbformat.read(os.path.join(FOLDER, name + ".ipynb"), 4)
    NotebookClient(notebook, km=kernel, timeout=1200, startup_timeout=600, resources={"metadata": {"path": folder}}).execute()
    said, pictures = [], 0
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if output.get("name") == "stderr":
            assert "%|" in output.text or not output.text.strip(), f"{name}: {output.text}"  # nothing but a run's bar
            continue
        assert output.output_type != "error", f"{name}: {output}"
        pictures += "image/png" in output.get("data", {})
        said.append(output.get("text") or output.data["text/plain"])
    return "\n".join(said), pictures


def test_notebooks_are_kept_without_outputs(path, folder):
    names = sorted(name[:-6] for name in os.listdir(FOLDER) if name.endswith(".ipynb"))
    check_equal(len(names), 4, f"notebooks: {names}")
    for name in names:
        for cell in stored(name)["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), f"{name}: {cell['id']} has outputs"
        assert f"test_{name.replace('-', '_')}" in globals(), f"{name} is not executed here"


def test_tree_of_features(path, folder):
    said, pictures = executed("tree-of-features", folder)
    assert pictures >= 4 and "100 instances done" in said, said
    best = ts.load(os.path.join(folder, "tree.h5"), curves=False).exact_loss.min("seed")
    assert float(best.sel(depth=2, hidden=3)) < 1e-5 < float(best.sel(depth=2, hidden=2))


def test_s5_taken_apart(path, folder):
    said, pictures = executed("s5-taken-apart", folder)
    assert pictures >= 6 and "accuracy 1.0" in said, said
    explained = float(said.split("explain ")[1].split("%")[0])
    assert 50 < explained < 90, f"characters explain {explained} % of the logits"


def test_powers_and_the_right_basis(path, folder):
    said, pictures = executed("powers-and-the-right-basis", folder)
    assert pictures >= 6, pictures
    shares = [[int(word[:-1]) for word in line.split() if word.endswith("%")] for line in said.splitlines() if "over their" in line]
    plain, cubes = shares
    assert min(plain[0], plain[1], cubes[1]) > 80 and cubes[0] < 60, shares


def test_phases_of_grokking(path, folder):
    said, pictures = executed("phases-of-grokking", folder)
    assert pictures >= 4, said
    data = ts.load(os.path.join(folder, "phases.h5"), curves=False)
    accuracy = data.test_accuracy.median("seed")
    assert float(accuracy.max()) == 1 and float(accuracy.min()) < 0.3, accuracy
    phases = set(np.unique(data.phase.values[data.phase.values >= 0])) if data.phase.dtype.kind in "iu" else \
        set(data.phase.values.ravel().tolist())
    assert len(phases) == 4, phases


if __name__ == "__main__":
    main(globals())
