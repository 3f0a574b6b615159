#!/usr/bin/python3
"""Checks the structure of a results file: check_results_file.py FILE.h5

Names, types and dimension scales through h5py; xarray with both engines and no further arguments; h5dump.
What is not installed is skipped, and said."""
import json
import shutil
import subprocess
import sys

import h5py
import numpy

faults = []


def expect(condition, text):
    if not condition:
        faults.append(text)


def check_scales(file):
    """Every dimension of every dataset has exactly one scale, of its length, and no two share one."""

    def visit(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        if h5py.h5ds.is_scale(item.id):
            expect(item.ndim == 1, f"{name}: a scale with {item.ndim} dimensions")
            return
        scales = []
        for axis in range(item.ndim):
            found = list(item.dims[axis].values())
            expect(len(found) == 1, f"{name}: dimension {axis} has {len(found)} scales")
            for scale in found:
                expect(scale.shape[0] == item.shape[axis],
                       f"{name}: dimension {axis} has {item.shape[axis]}, its scale {scale.name} {scale.shape[0]}")
                scales.append(scale.name)
        expect(len(set(scales)) == len(scales), f"{name}: two dimensions along {scales}")
        expect(item.chunks is None and item.compression is None, f"{name}: is not contiguous")

    file.visititems(visit)


def check_root(file):
    for name in ("program", "version", "name", "backend", "sweep_sha256"):
        expect(isinstance(file.attrs.get(name), str), f"attribute {name}: {file.attrs.get(name)!r} is no str")
    expect(file.attrs.get("program") == "toysweep", "attribute program")
    expect(file.attrs.get("format") == 2, "attribute format")
    instances = len(file["instance"])
    expect((file["instance"][:] == numpy.arange(instances)).all(), "instance: not 0, 1, 2, ...")
    types = {"case": "<i4", "identity": "O", "status": "u1", "checksum": "<u4", "steps_done": "<i8", "seed": "<i8"}
    for name, kind in types.items():
        expect(name in file and file[name].dtype == numpy.dtype(kind), f"{name}: not of type {kind}")
        expect(name in file and file[name].shape == (instances,), f"{name}: not of {instances} rows")
    expect(set(numpy.unique(file["status"])) <= {0, 1, 2}, "status: not all of 0, 1, 2")
    expect(isinstance(file["sweep/source"].asstr()[()], str), "sweep/source is no str")
    resolved = file["sweep/resolved"].asstr()
    for i in sorted({0, instances // 2, instances - 1}):
        expect(json.loads(resolved[i])["seed"] == file["seed"][i], f"sweep/resolved[{i}]: another seed than the column")
    pending = file["status"][:] == 0
    expect((file["checksum"][:][pending] == 0).all(), "checksum: not 0 where pending")


def check_cases(file):
    case = file["case"][:]
    status = file["status"][:]
    for number, (label, group) in enumerate(file["cases"].items()):
        expect(group.attrs.get("kind") in ("features", "table"), f"{label}: kind {group.attrs.get('kind')!r}")
        expect(isinstance(group.attrs.get("label"), str) and group.attrs["label"], f"{label}: has no label")
        rows = group["row"][:]
        expect((rows == numpy.flatnonzero(case == number)).all(), f"{label}: row does not match the column case")
        expect((group["instance"][:] == rows).all(), f"{label}: instance does not match row")
        expect((numpy.diff(group["step"][:]) > 0).all(), f"{label}: step does not ascend")
        for name, item in list(group.items()) + list(group.get("weights", {}).items()):
            if not isinstance(item, h5py.Dataset) or h5py.h5ds.is_scale(item.id) or name == "instance":
                continue
            expect(item.dtype in (numpy.dtype("<f4"), numpy.dtype("<f8")), f"{label}/{name}: type {item.dtype}")
            expect(item.shape[0] == len(rows), f"{label}/{name}: {item.shape[0]} rows, not {len(rows)}")
        for name, item in group.get("weights", {}).items():
            values, steps = item[:], group["step"][:]
            stepped = item.dims[1][0].name.endswith("/step")
            trained = [steps <= done if stepped else slice(None) for done in file["steps_done"][:][rows]]
            for row in numpy.flatnonzero(status[rows] == 1):
                expect(numpy.isfinite(values[row][trained[row]]).all(), f"{label}/weights/{name}: not finite where done")


def check_order(file):
    """Link and attribute creation order tracked, no times."""
    for item in [file["/"], file["cases"], *file["cases"].values()]:
        flags = item.id.get_create_plist().get_link_creation_order()
        expect(flags & h5py.h5p.CRT_ORDER_TRACKED, f"{item.name}: order of links is not tracked")
    for item in [file["instance"], file["status"]]:
        expect(not item.id.get_create_plist().get_obj_track_times(), f"{item.name}: has times")


def check_xarray(path, labels):
    try:
        import xarray
    except ImportError:
        print("xarray is not installed: not tried")
        return
    for engine, module in (("h5netcdf", "h5netcdf"), ("netcdf4", "netCDF4")):
        try:
            __import__(module)
        except ImportError:
            print(f"{module} is not installed: not tried")
            continue
        with xarray.open_dataset(path, engine=engine) as root:
            expect(set(root.sizes) == {"instance"}, f"{engine}: root has dimensions {dict(root.sizes)}")
            expect(root["status"].dims == ("instance",), f"{engine}: status along {root['status'].dims}")
            root.load()
        for label in labels:
            with xarray.open_dataset(path, group=f"/cases/{label}", engine=engine) as case:
                expect({"row", "step"} <= set(case.sizes), f"{engine}, {label}: dimensions {dict(case.sizes)}")
                expect("row" in case.coords and "step" in case.coords, f"{engine}, {label}: row, step no coordinates")
                case.load()


def check_h5dump(path):
    tool = shutil.which("h5dump")
    if not tool:
        print("h5dump is not installed: not tried")
        return
    for arguments in (["-H"], ["-d", "/status"], ["-d", "/sweep/source"], ["-d", "/identity"]):
        done = subprocess.run([tool, *arguments, path], capture_output=True, text=True, check=False)
        expect(done.returncode == 0 and "error" not in done.stderr, f"h5dump {arguments}: {done.stderr.strip()}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = sys.argv[1]
    with h5py.File(path, "r") as file:
        labels = list(file["cases"])
        check_scales(file)
        check_root(file)
        check_cases(file)
        check_order(file)
    check_xarray(path, [labels[0], labels[-1]])
    check_h5dump(path)
    for fault in faults:
        print(f"{path}: {fault}")
    print(f"{path}: {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
