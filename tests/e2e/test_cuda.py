"""The CUDA backend from sweep file to results file: the figures are the reference's, whatever stops the run. On the
emulator, or on a GPU as far as nothing has to be arranged there."""

import subprocess
import unittest

import h5py
import numpy

from support import TOYSWEEP, Case, main, sha256

GPUS = [line for line in subprocess.run([TOYSWEEP, "info"], capture_output=True, text=True).stdout.splitlines()
        if "compute capability" in line]
EMULATED = any("emulator" in line for line in GPUS)
needs_emulator = unittest.skipUnless(EMULATED, "arranges the emulator's GPUs")

# Every model that the backend trains, small.
SWEEPS = {
    "tree": "task: tree\ndepth: 3\nhidden: [3, 6]\nsteps: 60\ncheckpoints: {every: 20}\ninstances: 3\n",
    "independent": "task: independent\nfeatures: 12\nfeature_probability: 0.2\nbatch: 40\nhidden: 4\nsteps: 40\n"
                   "checkpoints: {every: 20}\ninstances: 2\n",
    "mlp": "task: group\ngroup: C5\nembed: 6\nhidden: [9, 12]\nsteps: 30\ncheckpoints: {every: 10}\n"
           "train_fraction: 0.6\ninstances: 2\n",
    "transformer": "task: power\nmodel: transformer\np: 7\nm: [1, 2]\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\n"
                   "steps: 30\ncheckpoints: {every: 10}\ntrain_fraction: 0.6\ninstances: 2\n",
}

@unittest.skipUnless(GPUS, "no GPU")
class Cuda(Case):
    def sweep(self, name, text):
        return self.write(f"{name}.yaml", f"name: {name}\nsave: final\n{text}")

    def losses(self, path):
        with h5py.File(path) as file:
            return {name: file[name][:] for name in
                    ("train_loss", "test_loss", "weight_norm2", "exact_loss", "final_loss", "status") if name in file}

    def test_results_are_the_references(self):
        for name, text in SWEEPS.items():
            path = self.sweep(name, text)
            for backend in "cuda", "reference":
                self.run_program("run", path, "--backend", backend, "-o", f"{name}-{backend}.h5")
            found = self.losses(self.path(f"{name}-cuda.h5"))
            expected = self.losses(self.path(f"{name}-reference.h5"))
            self.assertTrue((found.pop("status") == 1).all())
            expected.pop("status")
            for measure in expected:
                numpy.testing.assert_allclose(found[measure], expected[measure], rtol=1e-4, err_msg=f"{name} {measure}")

    @needs_emulator
    def test_auto_takes_the_gpu_and_falls_back_without_one(self):
        path = self.sweep("tree", SWEEPS["tree"])
        for devices, backend in ("1", "cuda"), ("0", "cpu"):
            out = f"auto{devices}.h5"
            self.run_program("run", path, "-o", out, environment={"TOYSWEEP_EMULATE_DEVICES": devices})
            with h5py.File(self.path(out)) as file:
                self.assertIn(backend, str(file.attrs["backend"]))

    @needs_emulator
    def test_without_a_gpu_it_says_so_in_one_line(self):
        path = self.sweep("tree", SWEEPS["tree"])
        output = self.run_program("run", path, "--backend", "cuda", expect=2, environment={"TOYSWEEP_EMULATE_DEVICES": "0"})
        self.assertIn("--backend cuda: no GPU can be used", output)
        self.assertEqual(len(output.strip().splitlines()), 1, output)

    @needs_emulator
    def test_units_are_split_when_the_gpus_memory_is_out(self):
        path = self.sweep("tree", SWEEPS["tree"].replace("instances: 3", "instances: 16"))
        self.run_program("run", path, "--backend", "cuda", "-o", "all.h5")
        self.run_program("run", path, "--backend", "cuda", "-o", "split.h5", "--threads", "1",
                         environment={"TOYSWEEP_EMULATE_MEMORY": "80000"})
        self.assertGreater(self.log("split.h5.log.jsonl").count('"event":"unit"'), 4)
        self.assertEqual(sha256(self.path("all.h5")), sha256(self.path("split.h5")))

    @needs_emulator
    def test_what_has_no_memory_beside_others_is_trained_alone(self):
        """There is room for cuBLAS once, and two threads measure."""
        path = self.sweep("mlp", SWEEPS["mlp"])
        self.run_program("run", path, "--backend", "cuda", "-o", "all.h5", "--threads", "1")
        output = ""
        for attempt in range(20):
            if "are trained alone" in output:
                break
            output = self.run_program("run", path, "--backend", "cuda", "-o", f"{attempt}.h5", "--threads", "2",
                                      environment={"TOYSWEEP_EMULATE_MEMORY": "50000000"})
            self.assertEqual(sha256(self.path("all.h5")), sha256(self.path(f"{attempt}.h5")), output)
        self.assertIn("are trained alone", output)

    @needs_emulator
    def test_an_a100_and_an_h100_give_the_same_bits(self):
        path = self.sweep("mlp", "task: group\ngroup: C67\nembed: 6\nhidden: 70\nsteps: 4\ncheckpoints: {every: 4}\n"
                                 "train_fraction: 0.06\n")
        for shared in 163, 227:
            self.run_program("run", path, "--backend", "cuda", "-o", f"{shared}.h5",
                             environment={"TOYSWEEP_EMULATE_SHARED": str(shared * 1024)})
        self.assertEqual(sha256(self.path("163.h5")), sha256(self.path("227.h5")))

    @needs_emulator
    def test_a_lost_gpu_is_an_error_and_never_a_row(self):
        path = self.sweep("mlp", SWEEPS["mlp"])
        self.run_program("run", path, "--backend", "cuda", "-o", "whole.h5")
        for calls in 3, 20, 60, 90, 120, 150:
            environment = {"TOYSWEEP_EMULATE_LOST": str(calls)}
            output = self.run_program("run", path, "--backend", "cuda", "-o", "lost.h5", "--threads", "1", expect=1,
                                      environment=environment)
            self.assertIn("unspecified launch failure", output)
            with h5py.File(self.path("lost.h5")) as lost, h5py.File(self.path("whole.h5")) as whole:
                done = lost["status"][:] == 1
                self.assertFalse((lost["status"][:] == 2).any())
                numpy.testing.assert_array_equal(lost["train_loss"][:][done], whole["train_loss"][:][done])
        self.run_program("run", path, "--backend", "cuda", "-o", "lost.h5")
        self.assertEqual(sha256(self.path("whole.h5")), sha256(self.path("lost.h5")))


if __name__ == "__main__":
    main()
