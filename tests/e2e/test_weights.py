"""Weights from elsewhere: what `measure --weights` reads, under which names and in which layouts; what it refuses."""

import fcntl

import json
import os
import pickle
import struct
import zipfile

from support import Case, in_creation_order, main, needs_mpi, sha256, write_bytes

import h5py
import numpy

POWER = """\
name: power
task: power
p: 7
m: 1
n: 1
d_model: 6
heads: 2
d_head: 4
d_mlp: 10
steps: 5
train_fraction: 0.5
"""
SWEEPS = {"tree": "name: tree\ntask: tree\ndepth: 2\nhidden: 3\nsteps: 20\n",
          "group": "name: group\ntask: group\ngroup: D3\nembed: 8\nhidden: 10\nsteps: 20\n",
          "power": POWER}
PUBLISHED = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "W_Q": "blocks.0.attn.W_Q", "W_K": "blocks.0.attn.W_K",
             "W_V": "blocks.0.attn.W_V", "W_O": "blocks.0.attn.W_O", "W_in": "blocks.0.mlp.W_in",
             "W_out": "blocks.0.mlp.W_out", "W_U": "unembed.W_U"}
FROM_CURVES = "instance", "step", "irrep_step", "irrep_order", "grokked_step", "grokking_delay", "phase"


def bf16(values):
    """The bytes of the nearest bfloat16 below, and the float32 it stands for."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4") >> 16
    return bits.astype("<u2").tobytes(), (bits << 16).view("<f4")


def safetensors(tensors, kind="F32", metadata=None, header=None):
    """A file's bytes; `header`: a function that spoils the header's dictionary, or its text."""
    types = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1"}
    entries, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, values in tensors.items():
        values = numpy.asarray(values)
        one = kind[name] if isinstance(kind, dict) else kind
        piece = bf16(values)[0] if one == "BF16" else values.astype(types[one]).tobytes()
        entries[name] = {"dtype": one, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = header(entries) if header else entries
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(text)) + text + data


class Weights(Case):
    def setUp(self):
        super().setUp()
        self.sweep = self.write("power.yaml", POWER)
        random = numpy.random.default_rng(7)
        sizes = {"W_E": (8, 6), "W_pos": (3, 6), "W_Q": (2, 6, 4), "W_K": (2, 6, 4), "W_V": (2, 6, 4), "W_O": (2, 4, 6),
                 "W_in": (6, 10), "W_out": (10, 6), "W_U": (6, 7)}
        self.own = {name: random.normal(size=size).astype("f4") for name, size in sizes.items()}
        self.published = {PUBLISHED[name]: values for name, values in self.own.items()}
        self.save("plain.h5", self.own)
        self.expected = self.measure("plain.h5")

    def save(self, name, tensors, **more):
        if name.endswith(".safetensors"):
            return write_bytes(self.path(name), safetensors(tensors, **more))
        with h5py.File(self.path(name), "w") as file:
            for key, values in tensors.items():
                file[key] = values

    def measure(self, name, *options, expect=0, sweep=None):
        return self.run_program("measure", sweep or self.sweep, "--weights", name, *options, expect=expect)

    def refused(self, tensors, *said, name="weights.h5", **more):
        self.save(name, tensors, **more)
        output = self.measure(name, expect=2)
        self.assertEqual(output.count("\n"), 1, output)
        self.assert_says(output, name, *said)


class Kinds(Weights):
    def test_what_export_writes_can_be_measured(self):
        for name, text in SWEEPS.items():
            self.write(f"{name}.yaml", text)
            self.run_program("run", f"{name}.yaml")
            stored = json.loads(self.run_program("measure", f"{name}.h5"))
            for kind in "h5", "safetensors":
                self.run_program("export", f"{name}.h5", "--instance", 0, "--format", kind, "-o", f"{name}-0.{kind}")
                measured = json.loads(self.measure(f"{name}-0.{kind}", sweep=f"{name}.yaml"))
                for key in set(stored) - set(FROM_CURVES):
                    self.assertEqual(measured[key], stored[key], (name, kind, key))

    def test_every_type_of_number_is_read_exactly(self):
        halves = {name: values.astype("f2").astype("f4") for name, values in self.own.items()}
        halves["W_U"][0, :3] = 6e-8, -6.1e-5, 65504  # the smallest, the largest below the normal ones, and the largest
        halves["W_U"] = halves["W_U"].astype("f2").astype("f4")
        self.save("halves.h5", halves)
        self.save("halves-f16.safetensors", halves, kind="F16")
        self.save("bf16.h5", {name: bf16(values)[1].reshape(values.shape) for name, values in self.own.items()})
        self.save("bf16.safetensors", self.own, kind="BF16")
        note = "a \"quote\", \u00e9, \U0001f600, \\, /"
        self.save("f32.safetensors", self.own, metadata={"format": "pt", "note": note})
        whole = {name: numpy.rint(3 * values).astype("i4") for name, values in self.own.items()}
        self.save("whole.h5", {name: values.astype("f4") for name, values in whole.items()})
        self.save("whole-i32.h5", whole)
        self.save("whole-i32.safetensors", whole, kind="I32")
        for kind in ">f4", "<f8", ">f8":
            self.save("types.h5", {name: values.astype(kind) for name, values in self.own.items()})
            self.assertEqual(self.measure("types.h5"), self.expected, kind)
        self.save("halves-f2.h5", {name: values.astype("f2") for name, values in halves.items()})
        for name, same in (("f32.safetensors", "plain.h5"), ("bf16.safetensors", "bf16.h5"),
                           ("halves-f16.safetensors", "halves.h5"), ("halves-f2.h5", "halves.h5"),
                           ("whole-i32.h5", "whole.h5"), ("whole-i32.safetensors", "whole.h5")):
            self.assertEqual(self.measure(name), self.measure(same), name)

    def test_float64_is_measured_as_it_is(self):
        """And kept as float32: of the rounded weights are the measures of the file that is made of it."""
        wide = {name: values.astype("f8") * (1 + 1e-8) + 1e-9 for name, values in self.own.items()}
        self.save("rounded.h5", {name: values.astype("f4") for name, values in wide.items()})
        self.save("wide.h5", wide)
        self.save("wide.safetensors", wide, kind="F64")
        rounded, exact = self.measure("rounded.h5"), self.measure("wide.h5")
        self.assertNotEqual(rounded, self.expected)
        self.assertEqual(self.measure("wide.safetensors"), exact)
        norm = json.loads(exact)["weight_norm2"]
        self.assertNotEqual(json.loads(rounded)["weight_norm2"], norm)
        self.assertLess(abs(norm / sum((values ** 2).sum() for values in wide.values()) - 1), 1e-14)
        self.run_program("measure", self.sweep, "--weights", "wide.h5", "-o", "made.h5")
        with h5py.File(self.path("made.h5")) as file:
            self.assertEqual(file["weight_norm2"][0], norm)
        again = json.loads(self.run_program("measure", "made.h5"))
        self.assertEqual(again["weight_norm2"], json.loads(rounded)["weight_norm2"])

    def test_numbers_that_are_not_finite_are_refused_by_tensor_and_place(self):
        for value, said in (numpy.nan, "NaN"), (numpy.inf, "infinity"), (-numpy.inf, "infinity"):
            for name, kind in ("w.h5", ""), ("w.safetensors", "F16"), ("w.safetensors", "BF16"), \
                    ("w.safetensors", "F32"), ("w.safetensors", "F64"):
                spoilt = {**self.published, "blocks.0.attn.W_Q": self.own["W_Q"].copy()}
                spoilt["blocks.0.attn.W_Q"][1, 2, 3] = value
                more = {"kind": kind} if kind else {}
                self.refused(spoilt, f"'blocks.0.attn.W_Q' has {said} at [1, 2, 3]", name=name, **more)
        large = {**self.own, "W_in": self.own["W_in"].astype("f8")}
        large["W_in"][5, 9] = -1e300
        self.refused(large, "'W_in' has -1e+300 at [5, 9]", "float32")
        self.refused(large, "'W_in' has -1e+300 at [5, 9]", name="w.safetensors", kind="F64")

    def test_chunks_and_built_in_compression_are_read(self):
        for options in ({"chunks": True}, {"chunks": (2, 3), "compression": "gzip"},
                        {"chunks": (3, 4), "compression": "gzip", "shuffle": True, "fletcher32": True},
                        {"chunks": (5, 2), "maxshape": (None, None)}, {"maxshape": (None, None)}):
            with h5py.File(self.path("chunks.h5"), "w", libver="latest" if "maxshape" in options else None) as file:
                for name, values in self.own.items():
                    file.create_dataset(name, data=values, **(options if values.ndim == 2 else {}))
            self.assertEqual(self.measure("chunks.h5"), self.expected, options)
        # A chunk may have been written without some of its filters.
        with h5py.File(self.path("chunks.h5"), "w") as file:
            for name, values in self.own.items():
                data = file.create_dataset(name, values.shape, "f4", chunks=values.shape, compression="gzip",
                                           shuffle=True)
                data.id.write_direct_chunk((0,) * values.ndim, values.tobytes(), 3)
        self.assertEqual(self.measure("chunks.h5"), self.expected)

    def test_files_that_cannot_be_locked_or_written_are_read(self):
        os.chmod(self.path("plain.h5"), 0o444)
        with open(self.path("plain.h5"), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertEqual(self.measure("plain.h5"), self.expected)

    def test_files_of_other_programs_are_named_with_what_converts_them(self):
        with zipfile.ZipFile(self.path("model.pt"), "w") as file:
            file.writestr("archive/data.pkl", b"\x80\x02}.")
        write_bytes(self.path("old.pth"), pickle.dumps({"a": 1}, protocol=2))
        for name in "model.pt", "old.pth":
            output = self.measure(name, expect=2)
            self.assertIn("PyTorch", output)
            self.assertIn("safetensors.torch.save_file", output)
        numpy.savez(self.path("weights.npz"), **self.own)
        numpy.save(self.path("weights.npy"), self.own["W_E"])
        for name in "weights.npz", "weights.npy":
            self.assertIn("safetensors.numpy.save_file", self.measure(name, expect=2))

    def test_damaged_safetensors_are_refused(self):
        def change(name, **what):
            def spoil(entries):
                entries[name].update(what)
                return entries
            return spoil

        def drop(entries):
            del entries["W_E"]["dtype"]
            return entries

        def twice(entries):
            return json.dumps(entries).replace('"W_pos"', '"W_E"').encode()

        total = 4 * sum(values.size for values in self.own.values())
        for header, said in ((change("W_E", data_offsets=[0, 8]), "another number of bytes"),
                             (change("W_E", data_offsets=[8, 200]), "'W_E' comes after a gap"),
                             (change("W_pos", data_offsets=[100, 172]), "'W_pos' overlaps another tensor"),
                             (change("W_U", data_offsets=[total, total + 168]), "outside the file"),
                             (change("W_U", data_offsets=[1 << 62, (1 << 62) + 168]), "no dtype"),
                             (change("W_U", data_offsets=[168, 0]), "outside the file"),
                             (change("W_U", data_offsets=[-168, 0]), "no dtype"),
                             (change("W_U", data_offsets=[0.5, 168]), "no dtype"),
                             (change("W_U", data_offsets=["0", "168"]), "no dtype"),
                             (change("W_U", shape=[1 << 40, 1 << 40]), "beyond all bounds"),
                             (change("W_U", shape=[7, 6, 2]), "another number of bytes"),
                             (change("W_U", shape=[1] * 40), "no dtype"), (change("W_U", shape=6), "no dtype"),
                             (change("W_U", dtype="F31"), "cannot be read as numbers: it is F31"), (drop, "no dtype"),
                             (twice, "a JSON object: key 'W_E' is given twice on line 1; keep one"), (lambda entries: b"{\"W_E\": [", "not an intact"),
                             (lambda entries: b"{" + b"[" * 100000, "not an intact"),
                             (lambda entries: json.dumps(entries).encode()[:-1] + b"\0}", "NUL")):
            self.save("w.safetensors", self.own, header=header)
            output = self.measure("w.safetensors", expect=2)
            self.assertIn(said, output)
            self.assertEqual(output.count("\n"), 1, output)
        whole = safetensors(self.own)
        for size in 8, 9, 100, len(whole) - 1, len(whole) + 3:
            write_bytes(self.path("w.safetensors"), (whole + b"   ")[:size])
            self.assertIn("safetensors file", self.measure("w.safetensors", expect=2))
        write_bytes(self.path("w.safetensors"), struct.pack("<Q", 1 << 40) + b"{}")
        self.assertIn("its header would take 1099511627776 bytes", self.measure("w.safetensors", expect=2))


class Names(Weights):
    def same(self, tensors, name="weights.h5", said="", **more):
        self.save(name, tensors, **more)
        output = self.measure(name)
        self.assertEqual(output.splitlines(keepends=True)[-1], self.expected)
        self.assertIn(said, output)
        return output

    def test_own_and_published_names_after_one_prefix_or_none(self):
        for tensors in self.own, self.published:
            for prefix in "", "model.", "state_dict/", "a/b.c/", "module.net.":
                self.same({prefix + name: values for name, values in tensors.items()})
                if "/" not in prefix:
                    self.same({prefix + name: values for name, values in tensors.items()}, name="w.safetensors")
        self.same({name.replace(".", "/"): values for name, values in self.published.items()})
        self.same({**self.published, **{"state_dict/" + name: 0 * values for name, values in self.published.items()}})

    def test_what_is_missing_is_named_with_what_is_there(self):
        some = {name: values for name, values in self.published.items() if name != "blocks.0.attn.W_K"}
        self.refused({**some, "odd\x1b[31m": numpy.zeros((3, 5))}, "has no 'blocks.0.attn.W_K' (or 'W_K')",
                     "looked for: embed.W_E (8 x 6), pos_embed.W_pos (3 x 6)", "unembed.W_U (6 x 7)", "there are: ",
                     "(3 x 5)", "blocks.0.mlp.W_out (10 x 6)")
        self.refused({"layer.weight": numpy.zeros((3, 5))}, "has no 'embed.W_E' (or 'W_E')", "layer.weight (3 x 5)")
        self.refused({}, "there are: none")

    def test_weights_that_are_there_twice_are_refused(self):
        tensors = {prefix + name: values for prefix in ("first/", "last/") for name, values in self.published.items()}
        self.refused(tensors, "more than once, after 'first/' and after 'last/'")
        self.refused({**self.published, **tensors}, "first/embed.W_E (8 x 6)")
        self.refused({**self.published, "W_E": self.own["W_E"]}, "W_E (8 x 6)")

    def test_tensors_that_the_model_lacks_must_be_zero(self):
        masks = {"blocks.0.attn.mask": numpy.tril(numpy.ones((3, 3), bool)),
                 "blocks.0.attn.IGNORE": numpy.float32(-numpy.inf), "step": numpy.int64(75000),
                 "note": "trained on a Tuesday", "empty": numpy.zeros((0, 4), "f4")}
        zeros = {"blocks.0.attn.b_Q": numpy.zeros((2, 4)), "unembed.b_U": -numpy.zeros(7), "zero": numpy.float32(0)}
        self.same({**self.published, **masks, **zeros})
        del masks["note"]
        self.same({**self.published, **masks, **zeros}, name="w.safetensors",
                  kind={**{name: "F32" for name in (*self.published, *masks, *zeros)}, "step": "I64",
                        "blocks.0.attn.mask": "U8"})
        late = numpy.zeros(16)
        late[15] = 1e-30
        for name in "w.h5", "w.safetensors":
            self.refused({**self.published, **zeros, "blocks.0.mlp.b_in": late, "ln.w": numpy.full(6, numpy.nan),
                          "scale": numpy.float32(2)}, "model transformer does not have", "blocks.0.mlp.b_in (16)",
                         "ln.w (6)", "scale (a single number)", name=name,
                         **({"kind": "F64"} if name.endswith(".safetensors") else {}))
        self.refused({**self.published, "other.w": numpy.zeros(4, "c8")}, "and that cannot be read as numbers: other.w (4)")
        self.save("wrong.h5", {**self.own, "W_Q": self.own["W_Q"] + 1j})
        self.assertIn("compound", self.measure("wrong.h5", expect=2))

    def test_layouts_in_use_are_turned_with_a_word(self):
        def transposed(values):
            return numpy.ascontiguousarray(numpy.swapaxes(values, -1, -2))

        for name in self.own:
            output = self.same({**self.own, name: transposed(self.own[name])}, said=f"'{name}' (")
            self.assertEqual(output.count("warning"), 1, output)
            self.assertIn("transposed to [", output)
        self.same({**self.own, "W_Q": transposed(self.own["W_Q"])}, said="'W_Q' (2 x 4 x 6) is taken as "
                  "[head, head_width, model], and transposed to [head, model, head_width]")
        self.same({**self.published, "blocks.0.attn.W_O": transposed(self.own["W_O"])}, name="w.safetensors", said="transposed")
        # Heads and their widths in one dimension, in both orders.
        q, o = self.own["W_Q"], self.own["W_O"]
        self.same({**self.own, "W_Q": q.transpose(0, 2, 1).reshape(8, 6)}, said="[head x head_width, model]")
        self.same({**self.own, "W_Q": q.transpose(1, 0, 2).reshape(6, 8)}, said="[model, head x head_width]")
        self.same({**self.own, "W_O": o.reshape(8, 6)}, said="[head x head_width, model]")
        self.same({**self.own, "W_O": o.transpose(2, 0, 1).reshape(6, 8)}, said="[model, head x head_width]")

    def test_where_a_shape_allows_two_layouts_the_other_tensors_decide(self):
        self.sweep = self.write("square.yaml", POWER.replace("d_model: 6", "d_model: 8"))
        random = numpy.random.default_rng(8)
        sizes = {"W_E": (8, 8), "W_pos": (3, 8), "W_Q": (2, 8, 4), "W_K": (2, 8, 4), "W_V": (2, 8, 4), "W_O": (2, 4, 8),
                 "W_in": (8, 10), "W_out": (10, 8), "W_U": (8, 7)}
        own = {name: random.normal(size=size).astype("f4") for name, size in sizes.items()}
        self.save("square.h5", own)
        self.expected = self.measure("square.h5")
        self.assertNotIn("warning", self.expected)
        # As the field's first programs keep a transformer: products transposed, W_O joined and square.
        theirs = {name: values.swapaxes(-1, -2) if name in ("W_Q", "W_K", "W_V", "W_in", "W_out") else values
                  for name, values in own.items()}
        theirs["W_O"] = own["W_O"].transpose(2, 0, 1).reshape(8, 8)
        self.same(theirs, said="'W_O' (8 x 8) is taken as [model, head x head_width]")
        self.assertIn("'W_E' (8 x 8) is taken as [input, model]: its shape does not tell", self.measure("weights.h5"))
        self.same({**own, "W_O": own["W_O"].reshape(8, 8)}, said="[head x head_width, model]")
        self.refused({**theirs, "W_in": own["W_in"]}, "'W_O' may lie in two ways")

    def test_other_shapes_are_refused_with_both(self):
        self.refused({**self.own, "W_Q": numpy.zeros((2, 5, 4))}, "'W_Q' is 2 x 5 x 4, not the shape",
                     "2 x 6 x 4 [head, model, head_width]")
        self.refused({**self.own, "W_E": numpy.float32(1)}, "'W_E' is a single number, not the shape")
        self.refused({**self.own, "W_U": numpy.zeros((6, 7, 1))}, "6 x 7 x 1", "6 x 7 [model, output]")


class Results(Weights):
    def test_a_results_file_is_made_that_is_laid_out_as_a_run_s(self):
        for name, text in SWEEPS.items():
            self.write(f"{name}.yaml", text + "save: checkpoints\n" * (name == "group"))
            self.run_program("run", f"{name}.yaml")
            self.run_program("export", f"{name}.h5", "--instance", 0, "-o", "w.safetensors")
            output = self.measure("w.safetensors", "-o", f"{name}-x.h5", sweep=f"{name}.yaml")
            self.assertEqual(output, f"{name}-x.h5: measures of w.safetensors\n")
            with h5py.File(self.path(f"{name}.h5")) as run, h5py.File(self.path(f"{name}-x.h5")) as made:
                self.compare(run, made)
            status = json.loads(self.run_program("status", f"{name}-x.h5", "--json"))
            self.assertEqual((status["done"], status["pending"]), (1, 0))
            measured = json.loads(self.run_program("measure", f"{name}-x.h5"))
            printed = json.loads(self.measure("w.safetensors", sweep=f"{name}.yaml"))
            self.assertEqual({key: measured[key] for key in printed}, printed)
            self.run_program("measure", f"{name}-x.h5", "-o", "anew.h5")
            self.assertEqual(sha256(self.path("anew.h5")), sha256(self.path(f"{name}-x.h5")))
            os.remove(self.path("anew.h5"))
            self.run_program("export", f"{name}-x.h5", "--instance", 0, "-o", "again.safetensors")
            self.assertEqual(sha256(self.path("again.safetensors")), sha256(self.path("w.safetensors")))
            self.assertFalse([file for file in self.files() if ".lock" in file or ".part" in file])

    def compare(self, run, made):
        """The same names, types and shapes in the same order; the same values at the end, nothing before it."""
        self.assertEqual(dict(made.attrs), {**run.attrs, "backend": "elsewhere"})
        self.assertEqual(in_creation_order(made), in_creation_order(run))
        names = []
        run.visit(names.append)
        for name in names:
            if not isinstance(run[name], h5py.Dataset) or name in ("checksum", "sweep/frame_checksum"):
                continue
            there, new = run[name], made[name]
            self.assertEqual((there.dtype, there.shape), (new.dtype, new.shape), name)
            scales = [dimension[0].name for dimension in there.dims if len(dimension)]
            there, new = there[()], new[()]
            if len(scales) > 1 and scales[1].endswith("/step"):
                if new.shape[1] > 1:
                    self.assertTrue(numpy.isnan(new[:, :-1]).all(), name)
                there, new = there[:, -1], new[:, -1]
            if name.rpartition("/")[2] not in FROM_CURVES:
                numpy.testing.assert_array_equal(there, new, name)

    def test_it_replaces_nothing_and_is_not_taken_for_trained(self):
        self.measure("plain.h5", "-o", "made.h5")
        before = sha256(self.path("made.h5"))
        self.assertIn("'made.h5' exists", self.measure("plain.h5", "-o", "made.h5", expect=2))
        self.assertIn("trained elsewhere", self.run_program("run", self.sweep, "-o", "made.h5", expect=1))
        self.assertIn("backend 'elsewhere'", self.run_program("run", self.sweep, "--reuse", "made.h5", expect=1))
        self.assertEqual(sha256(self.path("made.h5")), before)
        self.assertIn("exists", self.measure("plain.h5", "-o", "plain.h5", expect=2))
        self.refused({**self.own, "b": numpy.ones(3)}, "b (3)")
        self.measure("weights.h5", "-o", "none.h5", expect=2)
        self.assertFalse([name for name in self.files() if name.startswith("none.h5")])

    @needs_mpi
    def test_over_ranks_it_is_the_same(self):
        self.measure("plain.h5", "-o", "one.h5")
        self.run_program("measure", self.sweep, "--weights", "plain.h5", "-o", "two.h5", ranks=2)
        self.assertEqual(sha256(self.path("one.h5")), sha256(self.path("two.h5")))
        self.run_program("measure", self.sweep, "--weights", "nowhere.h5", ranks=2, expect=2)

    def test_without_weights_it_keeps_the_measures(self):
        self.measure("plain.h5", "--set", "save=none", "-o", "none.h5")
        with h5py.File(self.path("none.h5")) as file:
            self.assertEqual(file["test_loss"][0], json.loads(self.expected)["test_loss"])
            self.assertNotIn("weights", file["cases/all"])


if __name__ == "__main__":
    main()
