"""HDF5 files that are valid and mean harm, or are of no use: what stands where a plain dataset of numbers should.

Each entry of HOSTILE puts something in the place of file[name], which has been deleted; `there` is what was there
before (an array). Other files lie beside it: secret.h5 and secret.raw hold numbers that must never be read, pipe.h5 and
pipe.raw are named pipes, at which whoever opens them waits forever."""

import functools
import os
import zlib

import h5py
import numpy

SECRET = 0.0424242


def make_surroundings(directory, name, there):
    """What the links point to; `name`, the path of the dataset that is replaced, is there in secret.h5 too."""
    secret = numpy.full(there.shape, SECRET if there.dtype.kind == "f" else 42).astype(there.dtype) \
        if there.dtype.kind in "fiu" else numpy.zeros(there.shape, "f4")
    with h5py.File(os.path.join(directory, "secret.h5"), "w") as file:
        file[name] = secret
    secret.tofile(os.path.join(directory, "secret.raw"))
    for pipe in "pipe.h5", "pipe.raw":
        os.mkfifo(os.path.join(directory, pipe))


def numbers(there):
    return there.dtype if there.dtype.kind in "fiu" else numpy.dtype("f4")


def shape(there):
    return there.shape or (1,)


def chunked(there, **more):
    return {"shape": shape(there), "dtype": numbers(there), "chunks": shape(there), **more}


def virtual(source):
    def put(file, name, there):
        layout = h5py.VirtualLayout(shape(there), numbers(there))
        layout[...] = h5py.VirtualSource(source, name, shape(there))
        file.create_virtual_dataset(name, layout)
    return put


def create(file, name, dtype, space, plan=None):
    """A dataset by what h5py's own calls do not offer."""
    parent, _, last = name.rpartition("/")
    return h5py.h5d.create((file[parent] if parent else file).id, last.encode(), dtype, space, plan)


def endless_virtual(file, name, there):
    """Sources found by counting up names: asking for the extent looks for them."""
    extent = shape(there)
    rank = len(extent) + 1
    space = h5py.h5s.create_simple((1, *extent), (h5py.h5s.UNLIMITED, *extent))
    space.select_hyperslab((0,) * rank, (h5py.h5s.UNLIMITED,) + (1,) * (rank - 1), (1,) * rank, (1, *extent))
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_virtual(space, b"pipe%b.h5", name.encode(), h5py.h5s.create_simple((1, *extent)))
    create(file, name, h5py.h5t.py_create(numbers(there)),
           h5py.h5s.create_simple((1, *extent), (h5py.h5s.UNLIMITED, *extent)), plan)


def external(path):
    def put(file, name, there):
        file.create_dataset(name, shape(there), numbers(there), external=[(path, 0, h5py.h5f.UNLIMITED)])
    return put


def link(make):
    def put(file, name, there):
        file[name] = make(name)
    return put


def soft_ring(file, name, there):
    file[name] = h5py.SoftLink("/ring")
    file["ring"] = h5py.SoftLink("/" + name)


def behind_a_soft_link(file, name, there):
    file["out"] = h5py.ExternalLink("pipe.h5", "/")
    file[name] = h5py.SoftLink("/out/" + name)


def group_in_itself(file, name, there):
    group = file.create_group(name)
    group["again"] = group


def deep(file, name, there):
    file.create_group(name + "/x" * 40)


def names_of_a_megabyte(file, name, there):
    """Thousands of names of one dataset, each as long as those of all the groups that it is in together."""
    group = file.create_group(name)
    for _ in range(14):
        group = group.create_group("x" * 60000)
    group["0"] = numpy.zeros(1, "f4")
    for number in range(1, 2000):
        group[str(number)] = group["0"]


@functools.cache
def packed_gigabyte():
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 10)) + packer.flush()


def huge_chunk(file, name, there):
    """A gigabyte, which takes a few megabytes in the file."""
    extent = shape(there)
    chunk = (1 << 28,) + (1,) * (len(extent) - 1)
    data = file.create_dataset(name, extent, "f4", chunks=chunk, maxshape=(None,) * len(extent), compression="gzip",
                               compression_opts=1)
    data.id.write_direct_chunk((0,) * len(extent), packed_gigabyte())


def bomb(bytes_of_zeros):
    def put(file, name, there):
        data = file.create_dataset(name, **chunked(there, compression="gzip"))
        data.id.write_direct_chunk((0,) * data.ndim, zlib.compress(bytes(bytes_of_zeros), 9))
    return put


def filtered(add, stored):
    def put(file, name, there):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(shape(there))
        add(plan)
        data = create(file, name, h5py.h5t.py_create(numbers(there)), h5py.h5s.create_simple(shape(there)), plan)
        data.write_direct_chunk((0,) * len(shape(there)), stored())
    return put


def packed_three_times():
    packed = bytes(1 << 24)
    for _ in range(3):
        packed = zlib.compress(packed, 9)
    return packed


def vast(file, name, there):
    file.create_dataset(name, (1 << 40, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))


def typed(dtype, value=None):
    def put(file, name, there):
        data = file.create_dataset(name, shape(there), dtype)
        if value is not None:
            data[...] = value
    return put


def bits(file, name, there):
    create(file, name, h5py.h5t.STD_B32LE, h5py.h5s.create_simple(shape(there)))


def nothing(file, name, there):
    file[name] = h5py.Empty("f4")


def stored(value):
    def put(file, name, there):
        file[name] = value
    return put


HOSTILE = {
    "a link to another file": link(lambda name: h5py.ExternalLink("secret.h5", "/" + name)),
    "a link to a pipe": link(lambda name: h5py.ExternalLink("pipe.h5", "/" + name)),
    "a link to a device": link(lambda name: h5py.ExternalLink("/dev/zero", "/" + name)),
    "a link to a missing file": link(lambda name: h5py.ExternalLink("nowhere.h5", "/" + name)),
    "a link to another file behind a soft link": behind_a_soft_link,
    "a soft link to nothing": link(lambda name: h5py.SoftLink("/nowhere")),
    "a soft link to itself": link(lambda name: h5py.SoftLink("/" + name)),
    "two soft links to each other": soft_ring,
    "a group": lambda file, name, there: file.create_group(name),
    "a group within itself": group_in_itself,
    "many groups": deep,
    "names of a megabyte": names_of_a_megabyte,
    "data in another file": external("secret.raw"),
    "data in a pipe": external("pipe.raw"),
    "data in a device": external("/dev/zero"),
    "parts of another file": virtual("secret.h5"),
    "parts of a pipe": virtual("pipe.h5"),
    "parts of the same file": virtual("."),
    "parts of files without end": endless_virtual,
    "a chunk of a gigabyte": huge_chunk,
    "a chunk that unpacks to a million times more": bomb(60 << 20),
    "a chunk that unpacks to less": bomb(3),
    "a chunk packed three times": filtered(lambda plan: [plan.set_deflate(9) for _ in range(3)], packed_three_times),
    "a filter nobody knows": filtered(lambda plan: plan.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3)),
                                      lambda: bytes(20)),
    "more numbers than there are bytes": vast,
    "no dimension": stored(numpy.float32(1)),
    "no number": stored(numpy.zeros((0, 6), "f4")),
    "no data": nothing,
    "texts": typed("S5", b"1.5"),
    "texts of any length": typed(h5py.string_dtype(), "1.5"),
    "pairs": typed([("re", "f4"), ("im", "f4")]),
    "lists": typed(h5py.vlen_dtype("f4")),
    "arrays": typed(("f4", (2,))),
    "truth values": typed("?"),
    "references": typed(h5py.ref_dtype),
    "opaque": typed("V4"),
    "bits": bits,
    "a type": stored(numpy.dtype("f4")),
}


def replace(path, name, kind):
    """Puts a hostile thing in the place of path[name]."""
    with h5py.File(path, "r+") as file:
        there = file[name][()] if isinstance(file[name], h5py.Dataset) else numpy.zeros((3, 6), "f4")
        there = numpy.asarray(there)
        del file[name]
        HOSTILE[kind](file, name, there)
