"""What goes wrong is said in a sentence with an exit code, and nothing finished is lost."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time

from processes import MPIRUN, finish, kill_family
from support import (ENDLESS, ENVIRONMENT, SMALL, TOYSWEEP, Case, finished_rows, is_sanitized, long_sweep, main, needs_mpi,
                     sha256)

import h5py


class Refused(Case):
    def test_file_of_another_sweep(self):
        one = self.write("one.yaml", SMALL)
        other = self.write("other.yaml", SMALL.replace("steps: 3000", "steps: 200"))
        renamed = self.write("renamed.yaml", SMALL.replace("name: small", "name: different"))
        before = self.finished(one, "results.h5")
        output = self.run_program("run", other, "-o", "results.h5", expect=1)
        self.assertIn("steps: 3000 then, 200 now", output)
        self.assertIn("'different'", self.run_program("run", renamed, "-o", "results.h5", expect=1))
        output = self.run_program("run", one, "-o", "results.h5", "--backend", "reference", expect=1)
        self.assertIn("reference", output)
        self.assertEqual(sha256(self.path("results.h5")), before)

    def test_file_locked_by_a_running_run(self):
        sweep = self.write("long.yaml", ENDLESS)
        process = self.start_training(sweep, "long.h5", "--threads", 1)
        process.send_signal(signal.SIGSTOP)  # it holds the file all the same, and leaves the processor to others
        output = self.run_program("run", sweep, expect=1)
        self.assertIn(str(process.pid), output)
        self.assertIn('"running":true', self.run_program("status", "long.h5", "--json"))
        self.assertIsNone(process.poll())

    def test_a_file_is_locked_under_all_its_names(self):
        sweep = self.write("long.yaml", ENDLESS)
        os.symlink("long.h5", self.path("link.h5"))  # to a file that is not there yet
        process = self.start("run", sweep, "-o", "link.h5", "--threads", 1)
        self.wait_for(lambda: os.path.exists(self.path("long.h5")), "the results file")
        process.send_signal(signal.SIGSTOP)
        output = self.run_program("run", sweep, "-o", "long.h5", expect=1)
        self.assertIn(str(process.pid), output)

    def test_a_file_deleted_or_replaced_during_the_run_is_noticed(self):
        sweep = self.write("long.yaml", ENDLESS)
        for replace in False, True:
            process = self.start_training(sweep, "gone.h5", "--threads", 1)
            if replace:
                os.replace(self.path(self.write("other", "something else")), self.path("gone.h5"))
            else:
                os.unlink(self.path("gone.h5"))
            process.send_signal(signal.SIGTERM)
            output = finish(process)
            os.unlink(self.path("gone.h5.log.jsonl"))
            self.assertEqual(process.returncode, 1, output)
            self.assertIn("deleted, moved or replaced", output)

    def test_export_does_not_overwrite_results(self):
        sweep = self.write("small.yaml", SMALL)
        self.run_program("run", sweep)
        before = sha256(self.path("small.h5"))
        for form in "h5", "safetensors":
            output = self.run_program("export", "small.h5", "--instance", 0, "--format", form, "-o", "small.h5", expect=2)
            self.assertIn("is a results file", output)
        self.assertEqual(sha256(self.path("small.h5")), before)

    def test_a_file_size_limit_is_a_message(self):
        sweep = self.write("small.yaml", SMALL)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
        output = self.run_program("run", sweep, expect=1, preexec_fn=limit)
        self.assertIn("too large", output.lower())
        self.assertIn("ulimit -f", output)
        self.assertEqual(self.files(), ["small.yaml"])

    def test_a_limit_on_threads_is_a_message(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become nobody")
        self.write("small.yaml", SMALL)
        os.chmod(self.directory, 0o777)
        limit = lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        output = self.run_program("run", "small.yaml", "--threads", 8, expect=1, preexec_fn=limit, user=65534,
                                  extra_groups=[], environment={"OPENBLAS_NUM_THREADS": "1"})
        self.assertIn("ulimit -u", output)

    def test_a_small_stack_is_enough(self):
        if is_sanitized():
            self.skipTest("sanitizers need more stack than that")
        models = {"tree": "task: tree\ndepth: 2\nhidden: 3\n",
                  "mlp": "task: group\ngroup: S4\nmodel: mlp\nembed: 8\nhidden: 8\n",
                  "transformer": "task: power\np: 11\nm: 2\nn: 3\nmodel: transformer\nd_model: 16\nheads: 2\n"
                                 "d_head: 8\nd_mlp: 32\n"}
        limits = {"64 KiB": (65536, 65536), "64 KiB that may be raised": (65536, resource.RLIM_INFINITY),
                  "32 KiB": (32768, 32768)}
        for model, text in models.items():
            sweep = self.write(model + ".yaml", f"name: {model}\nsteps: 20\nsave: final\ninstances: 2\n" + text)
            self.run_program("run", sweep, "-o", "whole.h5")
            for name, limit in limits.items():
                small = lambda: resource.setrlimit(resource.RLIMIT_STACK, limit)
                for arguments in (["run", sweep, "--threads", 2], ["run", sweep], ["status", model + ".h5"],
                                  ["status", model + ".h5", "--json"], ["measure", model + ".h5"],
                                  ["measure", model + ".h5", "-o", "new.h5"], ["plan", sweep],
                                  ["export", model + ".h5", "--instance", "1"], ["info"], ["help", "man"]):
                    with self.subTest(stack=name, command=arguments):
                        self.run_program(*arguments, preexec_fn=small)
                with self.subTest(stack=name):
                    self.assertIn("'dept'", self.run_program("run", sweep, "--set", "dept=2", expect=2, preexec_fn=small))
                self.assertEqual(sha256(self.path(model + ".h5")), sha256(self.path("whole.h5")))
                os.unlink(self.path(model + ".h5"))
                os.unlink(self.path("new.h5"))
            os.unlink(self.path("whole.h5"))

    def test_too_little_memory_for_a_library_is_a_message(self):
        if is_sanitized():
            self.skipTest("sanitizers need more address space than that")
        sweep = self.write("group.yaml", "name: group\ntask: group\ngroup: C7\nembed: 4\nhidden: 4\nsteps: 1\n")
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
        try:
            subprocess.run([TOYSWEEP, "--version"], env=ENVIRONMENT, capture_output=True, preexec_fn=limit, timeout=60)
        except subprocess.TimeoutExpired:  # 0.3.29, of Debian 13
            self.skipTest("this OpenBLAS asks for memory forever as soon as it is loaded")
        output = self.run_program("run", sweep, "--threads", 1, expect=1, preexec_fn=limit,
                                  environment={"OPENBLAS_NUM_THREADS": "1"})
        self.assertIn("out of memory", output)

    def test_what_to_type_next_can_be_typed(self):
        self.write("a sweep's.yaml", long_sweep(2))
        output = self.run_program("run", "a sweep's.yaml", "-o", "its results.h5", "--set", "instances=3", "--threads", 1,
                                  "--time-limit", "0.01s", expect=75)
        (line,) = [line for line in output.splitlines() if line.startswith("next: ")]
        command = line.removeprefix("next: ").split("   ")[0]
        self.assertTrue(command.endswith(" --set instances=3 --threads 1"), command)
        done = subprocess.run(["bash", "-c", command], cwd=self.directory, env=ENVIRONMENT, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_to_type_next_is_there_where_the_program_runs(self):
        self.write("-small.yaml", SMALL)
        os.makedirs(self.path("some where/bin"))
        copy = shutil.copy(TOYSWEEP, self.path("some where/bin/toysweep"))
        self.write("some where/bin/toysweep-plot", "#!/bin/sh\necho drawn\n")
        os.chmod(self.path("some where/bin/toysweep-plot"), 0o755)
        places = [(copy, "", "'some where/bin/toysweep'"), (copy, os.path.dirname(copy) + ":", "toysweep"),
                  (TOYSWEEP, "/nowhere:", os.path.realpath(TOYSWEEP))]
        for number, (program, path, said) in enumerate(places):
            with self.subTest(said):
                environment = {**ENVIRONMENT, "PATH": path + "/usr/bin:/bin"}
                command = [program, "run", "--threads", "1", "--set", f"seed={number}", "-o", f"-{number}.h5", "--",
                           "-small.yaml"]
                output = subprocess.run(command, env=environment, cwd=self.directory, capture_output=True, text=True).stdout
                (line,) = [line for line in output.splitlines() if line.startswith("next: ")]
                commands = line.removeprefix("next: ").split("   or   ")
                self.assertEqual(commands[0], f"{said} status ./-{number}.h5")
                for command in commands if program == copy else commands[:1]:
                    done = subprocess.run(["bash", "-c", command], cwd=self.directory, env=environment,
                                          capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(len(commands), 2)

    def test_not_a_results_file(self):
        sweep = self.write("small.yaml", SMALL)
        self.write("small.h5", "not HDF5")
        before = sha256(self.path("small.h5"))
        self.run_program("run", sweep, expect=1)
        self.assertEqual(sha256(self.path("small.h5")), before)
        self.assertEqual(self.run_program("status", "small.h5", expect=1).count("\n"), 1)

    def test_missing_directory_and_no_permission(self):
        sweep = self.write("small.yaml", SMALL)
        self.assertIn("there is no folder 'nowhere/'; make it, or choose another file with -o",
                      self.run_program("run", sweep, "-o", "nowhere/small.h5", expect=1))
        os.mkdir(self.path("closed"), 0o555)
        os.chmod(self.directory, 0o755)
        become_nobody = {"user": 65534} if os.geteuid() == 0 else {}
        output = self.run_program("run", sweep, "-o", "closed/small.h5", expect=1, **become_nobody)
        self.assertIn("ermission", output)
        self.assertEqual(os.listdir(self.path("closed")), [])

    def test_singletons_under_slurm(self):
        sweep = self.write("small.yaml", SMALL)
        slurm = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}
        output = self.run_program("run", sweep, expect=2, environment=slurm)
        self.assertIn("srun --mpi=pmix", output)
        silent = self.run_program("run", sweep, expect=2, environment={**slurm, "SLURM_PROCID": "1"})
        self.assertEqual(silent, "")
        self.assertEqual(self.files(), ["small.yaml"])

    def test_processes_of_another_launcher_are_refused(self):
        """Each would be alone with the same results file; what a launcher says of how many there are tells."""
        sweep = self.write("small.yaml", SMALL)
        for size, rank in (("PMI_SIZE", "PMI_RANK"), ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
                           ("MPI_LOCALNRANKS", "MPI_LOCALRANKID"), ("JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK"),
                           ("FLUX_JOB_SIZE", "FLUX_TASK_RANK"), ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")):
            with self.subTest(size):
                output = self.run_program("run", sweep, expect=2, environment={size: "2", rank: "0"})
                self.assertIn("2 separate processes" if MPIRUN else "2 processes", output)
                self.assertIn("mpirun", output)
                self.assertEqual(self.run_program("run", sweep, expect=2, environment={size: "2", rank: "1"}), "")
                self.assertIn("7 cases", self.run_program("plan", sweep, environment={size: "1", rank: "0"}))
        # These do not count the others, of which the first cannot know.
        for rank in "PMIX_RANK", "PMI_RANK", "PALS_RANKID", "ALPS_APP_PE":
            output = self.run_program("run", sweep, expect=2, environment={rank: "1"})
            self.assertIn("several", output)
        self.assertEqual(self.files(), ["small.yaml"])

    @needs_mpi
    def test_what_an_outer_launcher_has_left_in_the_environment_is_passed_over(self):
        sweep = self.write("small.yaml", SMALL)
        outer = {"PMI_SIZE": "4", "PMI_RANK": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}
        for ranks in 1, 2:
            self.run_program("run", sweep, "-o", f"{ranks}.h5", "--threads", 1, ranks=ranks, environment=outer)
        self.assertEqual(sha256(self.path("1.h5")), sha256(self.path("2.h5")))

    @needs_mpi
    def test_a_bad_sweep_is_one_message_over_all_ranks(self):
        sweep = self.write("bad.yaml", "task: tree\ndepth: 2\nhiden: 4\n")
        output = self.run_program("run", sweep, ranks=3, expect=2)
        self.assertEqual(output.count("hiden"), 1, output)
        self.assertIn("bad.yaml:3", output)
        self.assertIn("hidden", output)
        self.assertEqual(self.files(), ["bad.yaml"])

    def test_usage_errors_exit_with_2(self):
        sweep = self.write("small.yaml", SMALL)
        for arguments in (["run"], ["run", "a", "b"], ["run", "missing.yaml"], ["train"], ["help", "train"], ["run", sweep, "--thread"],
                          ["run", sweep, "--threads", "none"], ["run", sweep, "--time-limit", "soon"],
                          ["run", sweep, "--backend", "abacus"], ["run", sweep, "--backend", "cuda"],
                          ["run", sweep, "--set", "hiden=3"], ["plan", sweep, "--ranks", "0"],
                          ["run", sweep, "--progress", "loud"], ["export", "x.h5"]):
            with self.subTest(arguments):
                self.run_program(*arguments, expect=2)
        self.assertEqual(self.files(), ["small.yaml"])


class Failed(Case):
    SWEEP = "name: hot\ntask: tree\ndepth: 3\nhidden: 4\nsteps: 400\ncheckpoints: {log: 10}\n"

    def test_a_diverged_instance_fails_alone(self):
        sweep = self.write("hot.yaml", self.SWEEP + "grid: {lr: [1e-3, 1e30, 1e-2], seed: 0..2}\n")
        cool = self.write("cool.yaml", self.SWEEP + "grid: {lr: [1e-3, 1e-2], seed: 0..2}\n")
        output = self.run_program("run", sweep, expect=3)
        self.assertIn("3 instances failed", output)
        self.run_program("run", cool, "-o", "cool.h5")
        with h5py.File(self.path("hot.h5")) as hot, h5py.File(self.path("cool.h5")) as other:
            status = hot["status"][:]
            self.assertEqual(list(status), [1] * 3 + [2] * 3 + [1] * 3)
            good = status == 1
            self.assertTrue((hot["exact_loss"][:][good] == other["exact_loss"][:]).all())
            self.assertTrue((hot["exact_loss"][:][~good] != hot["exact_loss"][:][~good]).all())
            (group,) = hot["cases"].values()
            self.assertTrue((group["train_loss"][3:6, 0] > 0).all(), "the curve so far is kept")
        self.assertIn("diverged", self.run_program("status", "hot.h5"))
        before = sha256(self.path("hot.h5"))
        self.run_program("run", sweep, expect=3)
        self.run_program("run", sweep, "--retry-failed", expect=3)
        self.assertEqual(sha256(self.path("hot.h5")), before)

    def reasons(self, name):
        """By instance, of a run's log."""
        events = [json.loads(line) for line in self.log(name + ".log.jsonl").splitlines()]
        return {event["instance"]: event["reason"] for event in events if event["event"] == "failure"}

    def test_what_the_last_update_breaks_is_seen(self):
        """No further loss tells of it."""
        self.write("last.yaml", "name: last\ntask: tree\ndepth: 2\nhidden: 16\nbatch: 64\ncheckpoints: {every: 1}\n"
                                "steps: 1..6\nlr: [1e7, 1e8]\n")
        self.run_program("run", "last.yaml", "--backend", "cpu", expect=3)
        with h5py.File(self.path("last.h5")) as file:
            self.assertEqual(list(file["status"][:]), [1] * 2 + [2] * 10)
            self.assertEqual(list(file["steps_done"][:]), [1] * 12)
            self.assertTrue((file["final_loss"][:2] > 0).all())
        self.assertEqual(self.reasons("last.h5"), {
            i: "diverged: the weights and the optimiser's moments are not finite at step 2" for i in range(2, 12)})

    def test_what_is_beyond_float32_is_seen_in_double_precision(self):
        """Weight decay takes weights times -999, thirteen times."""
        self.write("wide.yaml", "name: wide\ntask: group\ngroup: S3\nmodel: mlp\nembed: 16\nhidden: 16\nsteps: 20\n"
                                "checkpoints: [20]\nlr: 1000\ninstances: 3\n")
        self.run_program("run", "wide.yaml", "--backend", "reference", expect=3)
        self.assertEqual(self.reasons("wide.h5"),
                         {i: "diverged: the weights are not finite at step 13" for i in range(3)})
        self.run_program("run", "wide.yaml", "--backend", "reference", "--set", "checkpoints={every: 1}", "-o", "seen.h5",
                         expect=3)
        self.assertEqual(self.reasons("seen.h5"),
                         {i: "diverged: the loss is not finite at step 5" for i in range(3)})
        with h5py.File(self.path("seen.h5")) as file:
            (group,) = file["cases"].values()
            curve = group["train_loss"][:]
            self.assertTrue((curve[:, :5] < 3.4e38).all() and (curve[:, 5] > 3.4e38).all())
            self.assertTrue((curve[:, 6:] != curve[:, 6:]).all())

    def test_when_it_diverges_depends_on_neither_threads_nor_kills(self):
        """Weight decay takes weights times 1.001, some ten thousand times."""
        self.write("late.yaml", "name: late\ntask: group\ngroup: S3\nembed: 8\nhidden: 8\nsteps: 1000000\n"
                                "checkpoints: {log: 10}\ngrid: {lr: [2.0005, 2.001], seed: 0..11}\n")
        begin = time.monotonic()
        self.run_program("run", "late.yaml", "-o", "whole.h5", "--threads", 1, expect=3)
        seconds = time.monotonic() - begin
        self.run_program("run", "late.yaml", "-o", "threads.h5", "--threads", 2, "--checkpoint-interval", "0.1s", expect=3)
        for _ in range(4):
            process = self.start_training("late.yaml", "parts.h5", "--threads", 1, "--checkpoint-interval", "0.1s")
            time.sleep(random.uniform(0, seconds / 3))
            kill_family(process)
        self.run_program("run", "late.yaml", "-o", "parts.h5", expect=3)
        expected = sha256(self.path("whole.h5")), self.reasons("whole.h5")
        self.assertEqual(len(expected[1]), 24)
        self.assertEqual((sha256(self.path("threads.h5")), self.reasons("threads.h5")), expected)
        self.assertEqual(sha256(self.path("parts.h5")), expected[0])
        # A kill may come between rows and what the log says of them.
        self.assertLessEqual(self.reasons("parts.h5").items(), expected[1].items())
        with h5py.File(self.path("whole.h5")) as file:
            self.assertGreater(file["steps_done"][:].min(), 10000)

    def test_neighbours_of_a_diverged_instance_keep_their_bits(self):
        """One unit, three instances, the one in the middle becomes infinite: the others' rows are those of a unit
        without it, byte for byte. The same where memory runs out: test_out_of_memory.py."""
        both = {"autoencoder": self.SWEEP,
                "mlp": "name: hot\ntask: group\ngroup: D5\ntrain_fraction: 0.6\nembed: 16\nhidden: 24\nsteps: 300\n"
                       "checkpoints: {log: 10}\nsave: checkpoints\n"}
        for model, text in both.items():
            with self.subTest(model):
                self.write("hot.yaml", text + "grid: {lr: [1e-3, 1e30, 1e-2]}\n")
                self.write("cool.yaml", text.replace("name: hot", "name: cool") + "grid: {lr: [1e-3, 1e-2]}\n")
                self.run_program("run", "hot.yaml", "--threads", 1, expect=3)
                self.run_program("run", "cool.yaml", "--threads", 1)
                self.assertIn('"rows":3', self.log("hot.h5.log.jsonl"), "not one unit")
                hot, cool = finished_rows(self.path("hot.h5")), finished_rows(self.path("cool.h5"))
                self.assertEqual((hot[0], hot[2]), (cool[0], cool[1]))
                with h5py.File(self.path("hot.h5")) as file:
                    self.assertEqual(list(file["status"][:]), [1, 2, 1])
                for name in "hot.h5", "cool.h5", "hot.h5.log.jsonl":
                    os.unlink(self.path(name))

    def test_max_failures_stops(self):
        sweep = self.write("hot.yaml", self.SWEEP.replace("hidden: 4\n", "lr: 1e30\n") +
                           "grid: {hidden: 2..14, seed: 0..300}\n")
        output = self.run_program("run", sweep, "--max-failures", 5, "--threads", 1, expect=3)
        self.assertIn("--max-failures", output)
        with h5py.File(self.path("hot.h5")) as file:
            self.assertIn(0, file["status"][:])


class Reading(Case):
    def test_readers_during_a_run_and_after_a_kill(self):
        import xarray

        sweep = self.write("long.yaml", ENDLESS)
        process = self.start("run", sweep, "--threads", 1)
        self.wait_for(lambda: os.path.exists(self.path("long.h5")), "the results file")
        label = "/cases/depth=6,hidden=8"

        def read_all():
            for engine in "h5netcdf", "netcdf4":
                with xarray.open_dataset(self.path("long.h5"), engine=engine) as data:
                    self.assertEqual(dict(data.sizes), {"instance": 24})
                with xarray.open_dataset(self.path("long.h5"), group=label, engine=engine) as data:
                    self.assertEqual(data["feature_norm"].dims, ("row", "step", "feature"))
                    self.assertEqual(int(data["step"][-1]), 10**9)
            with h5py.File(self.path("long.h5")) as file:
                self.assertEqual(file.attrs["program"], "toysweep")
            dump = subprocess.run(["h5dump", "-d", "/exact_loss", "long.h5"], cwd=self.directory, capture_output=True)
            self.assertEqual(dump.returncode, 0, dump.stderr)

        for _ in range(10):
            read_all()
            self.run_program("status", "long.h5")
        self.assertIsNone(process.poll())
        process.kill()
        finish(process)
        read_all()
        self.assertIn("no run is writing", self.run_program("status", "long.h5"))


if __name__ == "__main__":
    main()
