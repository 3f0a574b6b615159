"""What the tools compute themselves is what the program does: irreps and networks in numpy, instances in torch."""

import os
import re
import shutil
import sys
import tempfile

from support import (POWERS, TOOLS, Skipped, check_equal, draw, main, python, run_program, run_sweep, write,
                     write_table)

import numpy as np

import toysweep
from toysweep import networks
from toysweep.figures import symmetry

PERMUTATIONS = """
task: group
group: S4
model: mlp
embed: 64
hidden: 64
train_fraction: 0.8
steps: 3000
checkpoints: {log: 20}
"""

NAMED = """
task: group
group: [Q8, Dic3, "C7:C3", "C8:C2", "SL(2,3)", "PSL(2,3)", "GL(2,3)", "PGL(2,3)", "Q8xC3", "C2xC3:C2"]
model: mlp
embed: 8
hidden: 8
train_fraction: 0.8
steps: 1
checkpoints: [1]
"""

FEATURES = """
task: one_hot
features: 5
hidden: 4
batch: exact
steps: 50
grid:
  hidden_activation: [identity, relu, square, cube, abs, gelu, tanh]
  tied: [true, false]
  bias: [true, false]
"""

FILES = """
model: mlp
embed: 16
hidden: 16
train_fraction: 0.8
steps: 30
checkpoints: {log: 5}
cases:
  - {task: group, group: S3, element_order: order.txt}
  - {task: cayley, cayley: table.csv}
"""

VARIANTS = """
task: group
group: S3
model: mlp
embed: 16
hidden: 16
train_fraction: 0.8
steps: 30
cases:
  - {embedding: shared, activation: gelu, bias: both, init_scale: 2}
  - {embedding: one_hot, activation: square, bias: output}
  - {embedding: one_hot_separate, activation: cube, bias: hidden}
  - {activation: [abs, tanh, identity]}
"""

# In one process, since importing torch takes seconds: the tool, for every file that is named.
CONVERT = """
import sys
import to_transformer_lens
for file in sys.argv[1:]:
    for options in [file], [file, "--check"]:
        sys.argv[1:] = options
        to_transformer_lens.main()
"""

# Of this Python as if it had no such module, and no other Python had it.
LACKING = """
import sys
sys.modules[sys.argv[1]] = None
import to_transformer_lens as tool
path, call = sys.argv[2:]
try:
    tool.read(path) if call == "read" else tool.hooked(path) if call == "hooked" else tool.module(path)
except tool.ExportError as fault:
    print("in Python:", fault)
sys.argv[1:] = [path]
tool.main()
"""


def export(path, folder, instance, form):
    out = os.path.join(folder, f"instance-{instance}.{form}")
    run_program("export", path, "--instance", instance, "--format", form, "-o", out)
    return out


def check_irreps(path):
    """Projectors made in Python give the fractions that the program measured; networks in numpy its losses."""
    with toysweep.Results(path) as results:
        for group, rows in results.cases.values():
            names = [toysweep.text(name) for name in group["irrep"][...]]
            irreps = symmetry.irreps_of(results, int(rows[0]), names)
            check_equal(len(irreps), len(names), "irreps")
            network = networks.network(results.weights(int(rows[0])), results.resolved(int(rows[0])))
            for measure, matrix in (("embed_left_fraction", network.left), ("embed_right_fraction", network.right),
                                    ("unembed_fraction", network.unembedding.T)):
                found = np.array([((i.projector @ matrix) ** 2).sum() for i in irreps]) / (matrix ** 2).sum()
                stored = group[measure][0, -1]
                assert np.abs(found - stored).max() < 1e-6, f"{measure}: {found}, the program measured {stored}"


def test_table_irreps_in_python_are_those_of_the_program(path, folder):
    check_irreps(path)


def test_table_networks_in_numpy_have_the_losses_of_the_program(path, folder):
    with toysweep.Results(path) as results:
        for group, rows in results.cases.values():
            network = networks.network(results.weights(int(rows[0])), results.resolved(int(rows[0])))
            table = symmetry.group_of(results, int(rows[0])).table
            logits = network.logits(np.arange(network.tokens)[:, None], np.arange(network.tokens))
            logits -= logits.max(axis=-1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            found, stored = -np.take_along_axis(logits, table[..., None], -1).mean(), group["all_loss"][0, -1]
            assert abs(found - stored) < 1e-6 * stored, f"all_loss: {found}, the program measured {stored}"


def test_variants_in_numpy_have_the_losses_of_the_program(path, folder):
    out = run_sweep(VARIANTS, folder)
    check_irreps(out)
    test_table_networks_in_numpy_have_the_losses_of_the_program(out, folder)


def test_autoencoders_in_numpy_have_the_losses_of_the_program(path, folder):
    with toysweep.Results(run_sweep(FEATURES, folder)) as results:
        for group, rows in results.cases.values():
            for row, instance in enumerate(rows):
                keys = results.resolved(int(instance))
                network = networks.Autoencoder(results.weights(int(instance)), keys.get("hidden_activation", "identity"))
                x = np.eye(5)
                found, stored = ((network.reconstruct(x) - x) ** 2).mean(), group["exact_loss"][row, -1]
                assert abs(found - stored) < 1e-6 * stored, f"exact_loss of {keys}: {found}, the program: {stored}"


def test_permutations_show_their_representations(path, folder):
    out = run_sweep(PERMUTATIONS, folder)
    check_irreps(out)
    pictures, _ = draw(out, os.path.join(folder, "figures"))
    assert {"representation", "sign-neurons", "logit-hypotheses", "neuron-maps"} <= set(pictures), pictures


def test_element_orders_are_read_from_the_results(path, folder):
    rows = [[2, 0, 1], [0, 1, 2], [1, 2, 0], [1, 0, 2], [2, 1, 0], [0, 2, 1]]
    write(folder, "order.txt", "".join(" ".join(map(str, row)) + "\n" for row in rows))
    signed = [[0, 1, 2, 3], [1, 4, 3, 6], [2, 7, 4, 1], [3, 2, 5, 4]]  # Q8: 1, i, j, k, -1, ...
    write_table(folder, "table.csv", 8, lambda a, b: (signed[a % 4][b % 4] + 4 * (a // 4 + b // 4)) % 8)
    check_irreps(run_sweep(FILES, folder))


def test_named_groups_are_those_of_the_program(path, folder):
    out = run_sweep(NAMED, folder)
    check_irreps(out)
    test_table_networks_in_numpy_have_the_losses_of_the_program(out, folder)


def test_files_in_any_form_are_read_as_the_program_does(path, folder):
    forms = ("0,1,2\n1,2,0\n2,0,1\n", "0;1;2\r\n1;2;0\r\n2;0;1\r\n", "0\t1 2\n1 2 0\n2 0 1",
             "\ufeff0,1,2\n1,2,0\n2,0,1", '"0","1","2"\n"1","2","0"\n"2","0","1"\n',
             "# 7\n0.0 1e+00 2.\n\n1 2 0 # 8\n2 0 1\n", "1,2,3\n2,3,1\n3,1,2",
             "t3 := [ [ 1, 2, 3 ],\n [ 2, 3, 1 ], [ 3, 1, 2 ] ];\n", "array([[0, 1, 2],\n [1, 2, 0],\n [2, 0, 1]])",
             "[(0, 1, 2), (1, 2, 0), (2, 0, 1)]", "{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}}")
    for i, form in enumerate(forms):
        write(folder, f"form{i}.txt", form)
        assert symmetry.rows_of(form).tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]], form
        assert symmetry.rows_of(form, 3).tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]], form
    names = ", ".join(f"form{i}.txt" for i in range(len(forms)))
    check_irreps(run_sweep(f"{{task: cayley, cayley: [{names}], embed: 16, hidden: 16, train_fraction: 1, steps: 1}}",
                           folder))


def test_standard_matrices_multiply_as_permutations_do(path, folder):
    for name in ("S4", "A5"):
        group = symmetry.make_group(name, None, None)
        matrices = symmetry.standard_matrices(group.permutations)
        products = np.einsum("xij,yjk->xyik", matrices, matrices)
        assert np.abs(products - matrices[group.table]).max() < 1e-12, name


CONVERTER = os.path.join(TOOLS, "to_transformer_lens.py")


def has(interpreter, *modules):
    return python("-c", f"import {', '.join(modules)}", interpreter=interpreter).returncode == 0


def test_exported_instances_become_torch_modules(path, folder):
    pythons = dict.fromkeys((sys.executable, "/usr/bin/python3"))
    torch = next((one for one in pythons if has(one, "torch", "numpy")), None)
    if not torch:
        raise Skipped("no Python here has torch")
    files = []
    for sweep in PERMUTATIONS.replace("3000", "50"), POWERS, VARIANTS:
        own = tempfile.mkdtemp(dir=folder)
        out = run_sweep(sweep, own)
        files += [shutil.move(export(out, own, instance, form), os.path.join(own, f"{instance}-{form}.{form}"))
                  for form in ("safetensors", "h5") for instance in range(6 if "cases" in sweep else 1)]
    done = python("-c", CONVERT, *files, interpreter=torch)
    check_equal((done.returncode, done.stderr), (0, ""), "exit code and stderr of to_transformer_lens.py")
    for file in files:
        assert re.search(re.escape(file) + r": logits up to \S+ differ by at most \S+", done.stdout), done.stdout
        assert os.path.getsize(os.path.splitext(file)[0] + ".pt") > 1000, file
    done = python(CONVERTER, out)
    check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"a results file: {done.stderr}")


def test_what_is_missing_for_torch_models_is_named(path, folder):
    out = run_sweep(POWERS.replace("steps: 300", "steps: 2").replace("{log: 20}", "[0, 2]"), folder)
    for module, form, call, package in (("torch", "safetensors", "module", "torch"), ("torch", "safetensors", "hooked",
                                        "torch"), ("h5py", "h5", "read", "h5py")):
        done = python("-c", LACKING, module, export(out, folder, 0, form), call)
        assert re.search(rf"in Python: needs {module}: \S+ -m pip install {package} ", done.stdout), done
        if module == "torch":
            check_equal((done.returncode, done.stderr.count("\n")), (1, 1), f"exit code and lines: {done.stderr}")
            assert re.search(r"needs torch: \S+ -m pip install torch", done.stderr), done.stderr


def test_other_pythons_draw_and_convert(path, folder):
    """Packages of other versions than these: figures with warnings as errors, logits in TransformerLens."""
    pythons = [one for one in os.environ.get("TOYSWEEP_PYTHONS", "").split(":") if one]
    if not pythons:
        raise Skipped("$TOYSWEEP_PYTHONS names no other Python")
    out = run_sweep(POWERS, folder)
    exported = export(out, folder, 0, "safetensors")
    for one in pythons:
        assert has(one, "numpy"), f"{one} has no numpy: nothing can be tried"
        if has(one, "matplotlib", "h5py"):
            done = python("-W", "error", os.path.join(TOOLS, "plot.py"), out, "-o", folder, interpreter=one)
            check_equal((done.returncode, done.stderr), (0, ""), f"exit code and stderr of plot.py in {one}")
        if has(one, "torch"):
            done = python(CONVERTER, exported, "--check", interpreter=one)
            check_equal(done.returncode, 0, f"{one}: {done.stderr}")
            check_equal("TransformerLens" in done.stdout, has(one, "transformer_lens"), f"{one}: {done.stdout}")


if __name__ == "__main__":
    main(globals())
