"""Programs that are not ours read results files, as docs/results-file.md shows: ncdump, R with hdf5r, Octave, Julia. Those
that are not here are skipped, by name (tools/setup.sh --night installs what Debian has). xarray, h5py and netCDF4 for
Python: test_load.py."""

import shutil
import subprocess

from support import Skipped, check_equal, main

import h5py

RCODE = """
library(hdf5r)
file <- H5File$new(commandArgs(TRUE)[1], "r")
cat(format(file[["seed"]][], scientific = FALSE), "\\n")
cat(format(file[["train_loss"]][], digits = 17), "\\n")
cat(file[["identity"]][], "\\n")
case <- file[["cases"]][[file[["cases"]]$ls()$name[1]]]
cat(dim(case[["train_loss"]][, ]), "\\n")
"""

OCTAVE = """
file = load(argv(){1}, "seed", "train_loss");
printf("%d ", file.seed); printf("\\n");
printf("%.17g ", file.train_loss); printf("\\n");
curves = load(argv(){2}).train_loss;
printf("%d ", size(curves)); printf("\\n");
"""

JULIA = """
using HDF5
file = h5open(ARGS[1])
println(join(read(file["seed"]), " "))
println(join(read(file["train_loss"]), " "))
println(join(read(file["identity"]), " "))
case = file["cases"][first(keys(file["cases"]))]
println(join(size(read(case["train_loss"])), " "))
"""


def lines(*command):
    if not shutil.which(command[0]):
        raise Skipped(f"there is no {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
    return done.stdout.splitlines()


def expected(path):
    """(seeds, losses, identities, shape of the first case's curves of losses), the shape with the last axis first."""
    with h5py.File(path) as file:
        first = next(iter(file["cases"].values()))
        return (file["seed"][:].tolist(), file["train_loss"][:].tolist(), file["identity"].asstr()[:].tolist(),
                list(reversed(first["train_loss"].shape)))


def numbers(line, kind):
    return [kind(word) for word in line.split()]


def check_read(path, program, seeds, losses, shape, identities=None):
    want = expected(path)
    check_equal(numbers(seeds, int), want[0], f"seeds in {program}")
    check_equal(numbers(losses, float), want[1], f"losses in {program}")
    check_equal(numbers(shape, int), want[3], f"shape in {program}")
    if identities is not None:
        check_equal(identities.split(), want[2], f"texts in {program}")


def test_table_ncdump_shows_everything(path, folder):
    said = "\n".join(lines("ncdump", "-p", "9,17", path))
    seeds, losses, identities, _ = expected(path)
    for identity in identities:
        assert f'"{identity}"' in said, identity
    assert f" seed = {', '.join(map(str, seeds))} ;" in said.replace("\n   ", ""), said[:4000]
    values = said.split("\n train_loss = ")[1].split(";")[0]
    check_equal([float(value) for value in values.split(",")], losses, "losses in ncdump")


def test_table_r_reads_it(path, folder):
    if shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(hdf5r)"], capture_output=True).returncode:
        raise Skipped("R has no hdf5r")
    seeds, losses, identities, shape = lines("Rscript", "-e", RCODE, path)[-4:]
    check_read(path, "R", seeds, losses, shape, identities)


def test_table_octave_reads_what_is_named(path, folder):
    """Texts it cannot read, nor what comes after one in a group: so curves of tables are copied out."""
    script, curves = f"{folder}/read.m", f"{folder}/curves.h5"
    with open(script, "w", encoding="utf-8") as file:
        file.write(OCTAVE)
    with h5py.File(path) as file:
        case = next(iter(file["cases"]))
    lines("h5copy", "-i", path, "-s", f"/cases/{case}/train_loss", "-o", curves, "-d", "train_loss")
    seeds, losses, shape = lines("octave-cli", "--norc", script, path, curves)
    check_read(path, "Octave", seeds, losses, shape)


def test_table_julia_reads_it(path, folder):
    if shutil.which("julia") and subprocess.run(["julia", "-e", "using HDF5"], capture_output=True).returncode:
        raise Skipped("Julia has no HDF5")
    seeds, losses, identities, shape = lines("julia", "-e", JULIA, path)[-4:]
    check_read(path, "Julia", seeds, losses, shape, identities)


if __name__ == "__main__":
    main(globals())
