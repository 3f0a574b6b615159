"""Files made to do harm: links and data that lead elsewhere, shapes and chunks without end, types that are no numbers.
As weights and as results files they are refused in a sentence: no crash, no hang, no byte read from elsewhere, no wrong
row."""

import os
import resource
import shutil

from hostile import HOSTILE, SECRET, make_surroundings, replace
from support import Case, amount, is_sanitized, main, read_bytes, sha256, write_bytes

import h5py
import numpy

SWEEP = "name: small\ntask: tree\ndepth: 2\nhidden: 3\nsteps: 20\ninstances: 2\n"
MEMORY = 600 << 20  # more than HDF5, MPI and BLAS take, less than a gigabyte that is not there

W = numpy.linspace(-1, 1, 18).reshape(3, 6).astype("f4")
B = numpy.linspace(0, 1, 6).astype("f4")


class Hostile(Case):
    def limited(self, *arguments):
        """Output and exit code, with a bound on the memory that may be touched; nothing is waited for."""
        output, code = self.run_to_any_end(*arguments)
        if not is_sanitized():
            self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10, MEMORY, arguments)
        self.assertNotIn(str(SECRET)[:6], output)
        return output, code


class Weights(Hostile):
    def setUp(self):
        super().setUp()
        self.sweep = self.write("one.yaml", SWEEP.replace("instances: 2\n", ""))
        make_surroundings(self.directory, "W", W)

    def make(self, name="weights.h5", w=W):
        with h5py.File(self.path(name), "w") as file:
            file["W"], file["b"] = w, B

    def test_what_stands_for_weights_is_refused_in_a_sentence(self):
        for kind in HOSTILE:
            with self.subTest(kind):
                self.make()
                replace(self.path("weights.h5"), "W", kind)
                before = sha256(self.path("weights.h5"))
                output, code = self.limited("measure", self.sweep, "--weights", "weights.h5")
                self.assertEqual((code, output.count("\n")), (2, 1), output)
                self.assertIn("weights.h5", output)
                self.assertEqual(sha256(self.path("weights.h5")), before)

    def test_what_stands_beside_weights_is_refused_or_passed_over(self):
        self.make("plain.h5")
        expected = self.run_program("measure", self.sweep, "--weights", "plain.h5")
        for kind in HOSTILE:
            with self.subTest(kind):
                with h5py.File(self.path("weights.h5"), "w") as file:
                    file["W"], file["b"], file["other/one"] = W, B, W
                replace(self.path("weights.h5"), "other/one", kind)
                output, code = self.limited("measure", self.sweep, "--weights", "weights.h5")
                if code == 0:  # nothing there, or a text
                    self.assertEqual(output, expected)
                else:
                    self.assertEqual((code, output.count("\n")), (2, 1), output)
                    self.assertIn("other/one", output)

    def test_what_is_no_file_is_refused_at_once(self):
        os.mkdir(self.path("directory"))
        self.write("empty", "")
        self.make()
        write_bytes(self.path("half.h5"), read_bytes(self.path("weights.h5"))[:1000])
        for name, said in (("directory", "a directory"), ("pipe.h5", "a pipe or device"), ("/dev/zero", "device"),
                           ("/dev/tty", "/dev/tty"), ("/proc/self/mem", "/proc/self/mem"), ("empty", "is empty"),
                           ("/proc/cpuinfo", "the kernel makes up"), ("nowhere", "No such file"), ("half.h5", "damaged"),
                           (self.sweep, "neither an HDF5 nor a safetensors file")):
            with self.subTest(name):
                output, code = self.limited("measure", self.sweep, "--weights", name)
                self.assertEqual((code, output.count("\n")), (2, 1), output)
                self.assertIn(said, output)

    def test_many_objects_end(self):
        with h5py.File(self.path("weights.h5"), "w") as file:
            file["W"], file["b"] = W, B
            for i in range(10001):
                file.create_dataset(f"x{i}", (2,), "f4")
        output, code = self.limited("measure", self.sweep, "--weights", "weights.h5")
        self.assertIn("more than 10000 tensors", output)


class Results(Hostile):
    """Whatever stands in the place of one part of a results file."""

    PLACES = ["status", "identity", "case", "exact_loss", "final_loss", "steps_done", "sweep/source", "sweep/resolved",
              "sweep/overrides", "cases/all/instance", "cases/all/step", "cases/all/weights/W", "cases/all/train_loss",
              "cases/all/weights", "cases/all", "cases", "sweep"]

    def setUp(self):
        super().setUp()
        self.sweep = self.write("small.yaml", SWEEP)
        self.write("other.yaml", SWEEP.replace("small", "other").replace("instances: 2", "instances: 3"))
        self.run_program("run", self.sweep)

    def commands(self, file):
        """What to run, and what it makes (None: what it prints counts)."""
        return [(("status", file), None), (("measure", file), None), (("measure", file, "-o", "new.h5"), "new.h5"),
                (("export", file, "--instance", 1, "-o", "one.safetensors"), "one.safetensors"),
                (("run", "other.yaml", "-o", "other.h5", "--reuse", file), "other.h5"),
                (("merge", file, "-o", "merged.h5"), "merged.h5"),
                (("export", file, "--instance", "best", "-o", "best.safetensors"), "best.safetensors"),
                (("run", self.sweep, "-o", file), file)]

    def clear(self):
        for name in ("new.h5", "one.safetensors", "best.safetensors", "merged.h5", "other.h5", "other.h5.log.jsonl",
                     "copy.h5.log.jsonl"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))

    def outcome(self, arguments, made):
        output, code = self.limited(*arguments)
        return code, output, sha256(self.path(made)) if code == 0 and made else output

    def test_whatever_stands_in_it(self):
        shutil.copyfile(self.path("small.h5"), self.path("copy.h5"))
        outcomes = [self.outcome(*command) for command in self.commands("copy.h5")]
        self.assertEqual([code for code, _, _ in outcomes], [0] * len(outcomes), outcomes)
        expected = [result for _, _, result in outcomes]
        tried = [(place, kind) for place in self.PLACES for kind in HOSTILE]
        for place, kind in tried[::amount(9, 1)]:
            with self.subTest(place=place, kind=kind):
                self.clear()
                shutil.copyfile(self.path("small.h5"), self.path("copy.h5"))
                with h5py.File(self.path("copy.h5")) as file:
                    there = numpy.asarray(file[place][()] if isinstance(file[place], h5py.Dataset) else W)
                for name in "pipe.h5", "pipe.raw":
                    if os.path.exists(self.path(name)):
                        os.unlink(self.path(name))
                make_surroundings(self.directory, place, there)
                replace(self.path("copy.h5"), place, kind)
                before = sha256(self.path("copy.h5"))
                for command, good in zip(self.commands("copy.h5"), expected):
                    code, output, result = self.outcome(*command)
                    if code == 0:
                        self.assertEqual(result, good, (command, output))
                    else:
                        self.assertIn(code, (1, 2), (command, output))
                        self.assertIn("copy.h5", output)
                    self.assertEqual(sha256(self.path("copy.h5")), before, (command, output))

    def test_status_names_a_measure_that_cannot_be_read(self):
        with h5py.File(self.path("small.h5")) as file:
            there = file["final_loss"][()]
        make_surroundings(self.directory, "final_loss", there)
        for kind in [*HOSTILE, None]:
            for options in (), ("--json",):
                with self.subTest(kind=kind, options=options):
                    shutil.copyfile(self.path("small.h5"), self.path("copy.h5"))
                    if kind:
                        replace(self.path("copy.h5"), "final_loss", kind)
                    else:
                        with h5py.File(self.path("copy.h5"), "r+") as file:
                            del file["final_loss"]
                    output, code = self.limited("status", "copy.h5", *options)
                    self.assertEqual((code, output.count("\n")), (1, 1), output)
                    self.assertIn("copy.h5", output)
                    self.assertIn("'final_loss'", output)
                    if kind and kind.startswith("a link to another file"):
                        self.assertIn("a link to another file", output)

    def test_a_broken_dataset_is_damage_with_a_cure(self):
        with h5py.File(self.path("small.h5")) as file:
            at = h5py.h5o.get_info(file["cases/all/train_loss"].id).addr
        with open(self.path("small.h5"), "r+b") as file:
            file.seek(at)
            file.write(b"\xff" * 64)
        output, code = self.limited("run", self.sweep)
        self.assertEqual((code, output.count("\n")), (1, 1), output)
        self.assertIn("'small.h5' is damaged: cannot open dataset", output)
        self.assertIn("move it away and start again, or go back to a copy", output)

    def test_status_does_not_miss_a_measure_of_another_model(self):
        self.write("tables.yaml", "name: tables\ntask: group\ngroup: C3\nhidden: 8\nsteps: 20\n")
        self.run_program("run", "tables.yaml")
        for file in "small.h5", "tables.h5":
            output, code = self.limited("status", file)
            self.assertEqual((code, "damaged" in output), (0, False), output)

    def test_what_is_no_results_file_or_holds_another_sweep_is_called_so(self):
        for name, attributes in (("none.h5", {}), ("other.h5", {"program": "other"})):
            with h5py.File(self.path(name), "w") as file:
                file.attrs.update(attributes)
            output, code = self.limited("status", name)
            self.assertEqual((code, output.count("\n")), (1, 1), output)
            self.assertIn(f"'{name}' is an HDF5 file, but not a results file of toysweep: its attribute 'program'", output)
        with h5py.File(self.path("small.h5"), "r+") as file:
            source = file["sweep/source"][()].decode()
            for text in source.replace("depth: 2", "depth: 3"), "no sweep: [":
                del file["sweep/source"]
                file.create_dataset("sweep/source", data=text, dtype=h5py.string_dtype())
                file.flush()
                output, code = self.limited("status", "small.h5")
                self.assertEqual(code, 1, output)
                self.assertIn("'small.h5': the sweep in it is damaged", output)
                output, code = self.limited("merge", "small.h5", "-o", "merged.h5")
                self.assertEqual((code, output.count("\n")), (2, 1), output)
                self.assertIn("'small.h5' is damaged: the sweep in it", output)

    def test_a_failed_instance_is_not_said_to_get_weights(self):
        with h5py.File(self.path("small.h5"), "r+") as file:
            file["status"][:] = [2, 0]
        for instance, said in ((0, "has no weights: it failed"), (1, "has no weights yet: it is pending")):
            self.assertIn(said, self.limited("export", "small.h5", "--instance", instance, "-o", "w.h5")[0])


if __name__ == "__main__":
    main()
