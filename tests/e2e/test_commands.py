"""Commands that look at things: help, plan, status, export, info."""

import json
import os
import re
import subprocess
import time

from support import SMALL, TOYSWEEP, Case, main, needs_mpi, safetensors_of, sha256

import h5py
import numpy

SWEEPS = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../sweeps"))


class Help(Case):
    def test_help_and_manual_page_name_the_same_options(self):
        manual = self.run_program("help", "man")
        for name in "run", "plan", "status", "measure", "export", "merge", "info":
            text = self.run_program(name, "--help")
            for option in re.findall(r"--[a-z-]+", text):
                if option != "--help":
                    self.assertIn(option.replace("-", "\\-"), manual, f"{name} {option}")
        for key in "depth", "hidden", "feature_probability", "stacked_instances":
            self.assertIn(key, self.run_program("help", "keys"))
            self.assertIn(key, manual)

    def test_a_name_is_looked_up_everywhere(self):
        keys, measures = (self.run_program("help", all_of) for all_of in ("keys", "measures"))
        for name, sections in (("hidden", ["Model autoencoder", "Model mlp"]), ("seed", ["Every instance"]),
                               ("features", ["Task tree", "Task independent"]), ("beta2", ["Optimizer adamw"]),
                               ("train_loss", ["Family losses: Losses and", "Family losses: Losses of"])):
            with self.subTest(name):
                said = self.run_program("help", name)
                self.assert_says(said, *sections)
                entries = re.findall(r"^  (\S.*)\n((?:      .*\n)+)", said, re.MULTILINE)
                self.assertGreaterEqual(len(entries), len(sections))
                for heading, text in entries:
                    self.assertTrue(heading.startswith(name + ":"), heading)
                    self.assertIn(f"  {heading}\n{text}", keys + measures)
        for name in "cases", "where", "instances":
            self.assertIn(f"\n  {name}: ", self.run_program("help", name))
        self.assertEqual(self.run_program("help", "seed", "lr"),
                         self.run_program("help", "seed") + "\n" + self.run_program("help", "lr"))
        self.assertIn("did you mean 'lr'?", self.run_program("help", "learning_rate", expect=2))
        for name in "tree", "mlp", "muon", "irreps":  # all of it
            with self.subTest(name):
                section = self.run_program("help", name)
                self.assertGreater(section.count("\n  "), 1)
                self.assertIn(section, keys + measures)
        self.assertIn("nothing is called 'hiden'", self.run_program("help", "hiden", expect=2))
        self.assertIn("did you mean 'run'", self.run_program("help", "runn", expect=2))

    def test_no_command_shows_usage(self):
        self.assertIn("Usage", self.run_program(expect=2))
        self.assertIn("run", self.run_program("--help"))
        for words in ("help",), ("help", "help"), ("help", "--help"):
            self.assertEqual(self.run_program(*words), self.run_program("--help"))
        self.assertRegex(self.run_program("--version"), r"^toysweep \d+\.\d+\.\d+\n$")

    def test_output_that_cannot_be_written_is_an_error(self):
        for arguments in ["--help"], ["--version"], ["help", "man"], ["help", "keys"], ["run", "--help"], ["info"]:
            with open("/dev/full", "w") as full:
                done = subprocess.run([TOYSWEEP, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stderr), (1, "toysweep: standard output could not be written\n"),
                             arguments)


class Arguments(Case):
    def refused(self, *arguments):
        return self.run_program(*arguments, expect=2)

    def test_unknown_options_name_the_nearest(self):
        for given, said in (("--thraeds", "did you mean --threads?"), ("--jobs", "did you mean --threads?"),
                            ("-threads", "did you mean --threads?"), ("--device=cpu", "did you mean --backend?"),
                            ("--walltime", "did you mean --time-limit?"), ("--hidden=3", "write --set hidden=3"),
                            ("--train-fraction", "write --set train_fraction=VALUE"),
                            ("--learning-rate=1e-3", "write --set lr=1e-3"),
                            ("--re", "option --re may be any of --retry-failed, --reuse"),
                            ("--num-workers=4", "did you mean --threads?"), ("--ntasks=4", "mpirun -n 4"),
                            ("--nprocs", "mpirun -n 4"), ("--dry-run", "toysweep plan SWEEP.yaml"),
                            ("--force", "name another file with -o, or move"), ("--overwrite", "nothing is ever"),
                            ("--log", "FILE.h5.log.jsonl"), ("--hiden=3", "see toysweep run --help"),
                            ("--zzzzzzz", "unknown option --zzzzzzz; see toysweep run --help"),
                            ("-q", "unknown option -q; see toysweep run --help")):
            self.assertIn(said, self.refused("run", "x.yaml", given), given)
        for command, given, said in (("export", "--best", "write --instance best"),
                                     ("export", "--index=3", "did you mean --instance?"),
                                     ("plan", "--ntasks=4", "did you mean --ranks?"),
                                     ("measure", "--checkpoint", "--weights FILE"),
                                     ("info", "--force", "unknown option --force; see toysweep info --help")):
            self.assertIn(said, self.refused(command, "x", given), given)
        self.assertIn("--json takes no argument", self.refused("status", "x.h5", "--json=3"))

    def test_unknown_commands_name_the_nearest(self):
        for given, said in (("runn", "did you mean 'run'?"), ("train", "did you mean 'run'?"),
                            ("join", "did you mean 'merge'?"), ("combine", "did you mean 'merge'?"),
                            ("concat", "did you mean 'merge'?"), ("satus", "did you mean 'status'?"),
                            ("x.yaml", "did you mean toysweep run x.yaml?"),
                            ("zzz", "unknown command 'zzz'; toysweep --help lists them")):
            self.assertIn(said, self.refused(given), given)

    def test_the_published_grid_has_42_points(self):
        for name, points in (("tree", 42), ("tree-control", 4 * 42)):
            with open(os.path.join(SWEEPS, name + ".yaml")) as sweep:
                path = self.write(name + ".yaml", sweep.read())
            self.assertIn(f"{5 * points} instances in {points} cases", self.run_program("plan", path))


class Plan(Case):
    def test_pairs_that_are_not_there_are_said(self):
        sweep = self.write("quotients.yaml", "task: expression\nexpression: [a/b, a + b]\np: 7\nembed: 8\nhidden: 8\n"
                                             "steps: 5\n")
        said = "expression=a/b: no group: not defined for 7 of 49 pairs, which are left out"
        self.assertIn(said, self.run_program("plan", sweep))
        output = self.run_program("run", sweep)
        self.assertIn("the table of case expression=a/b is no group: not defined for 7 of 49 pairs", output)
        self.assertNotIn("expression=a + b is", output)
        with open(self.path("quotients.h5.log.jsonl"), encoding="utf-8") as log:
            start = json.loads(log.readline())
        self.assertEqual(start["undefined"], [{"case": 0, "pairs": 42, "of": 49}])
        with h5py.File(self.path("quotients.h5")) as file:
            self.assertEqual(file["pairs"][...].tolist(), [42, 49])
            self.assertEqual(file["cases/expression=a_b"].attrs["label"], "a/b mod 7")

    def test_plan_writes_nothing_and_predicts(self):
        sweep = self.write("small.yaml", SMALL)
        output = self.run_program("plan", sweep, "--ranks", 4, "--threads", 1)
        self.assertEqual(self.files(), ["small.yaml"])
        self.assertIn("21 instances in 7 cases", output)
        self.assert_says(output, "operations", "memory per rank", "results file", "predicted time", "balance")

    def test_predicted_size_is_about_the_file_size(self):
        sweep = self.write("small.yaml", SMALL)
        output = self.run_program("plan", sweep)
        number, unit = re.search(r"results file +([\d.]+) (\w+)", output).groups()
        predicted = float(number) * {"bytes": 1, "KiB": 2**10, "MiB": 2**20}[unit]
        self.run_program("run", sweep)
        size = os.path.getsize(self.path("small.h5"))
        # Data exactly; metadata, most of so small a file, is estimated from above.
        self.assertTrue(0.99 * size <= predicted <= 1.3 * size, (predicted, size))


    def test_plan_and_run_say_what_a_table_is(self):
        self.write("group.csv", "0,1\n1,0\n")
        self.write("loop.csv", "0,1,2\n1,2,0\n2,1,0\n")
        sweep = self.write("tables.yaml", "task: cayley\ncayley: group.csv\nembed: 8\nhidden: 8\nsteps: 5\n")
        self.assertIn("a group of order 2, abelian, identity 0", self.run_program("plan", sweep))
        output = self.run_program("run", sweep, "--set", "cayley=loop.csv", "--set", "name=loop")
        self.assertIn("is no group: not all inverses, not associative", output)
        with h5py.File(self.path("loop.h5")) as file:
            self.assertNotIn("logit_similarity", file["cases/all"])


class Results(Case):
    def setUp(self):
        super().setUp()
        self.run_program("run", self.write("small.yaml", SMALL))

    def test_status_counts(self):
        status = json.loads(self.run_program("status", "small.h5", "--json"))
        self.assertEqual((status["instances"], status["done"], status["failed"], status["pending"]), (21, 21, 0, 0))
        self.assertFalse(status["running"])
        self.assertEqual(len(status["cases"]), 7)
        with h5py.File(self.path("small.h5")) as file:
            best = file["exact_loss"][:][file["case"][:] == 0].min()
        self.assertEqual(status["cases"][0]["best"], best)
        self.assertIn("21 done", self.run_program("status", "small.h5"))

    def test_export_says_all_parameters_that_count(self):
        """Also those that are in no identity at their defaults, but none whose switch is off."""
        later = {"optimizer": "adam", "warmup": 0, "grokfast": False, "orthograd": False, "weight_decay": 0}
        for name, keys, said in (
                ("usual", "", later), ("warm", "warmup: 1", {**later, "warmup": 1}),
                ("slow", "grokfast: true", {**later, "grokfast": True, "grokfast_alpha": 0.98, "grokfast_lambda": 2}),
                ("slower", "grokfast: true\ngrokfast_alpha: 0.5",
                 {**later, "grokfast": True, "grokfast_alpha": 0.5, "grokfast_lambda": 2}),
                ("muon", "optimizer: muon", {**later, "optimizer": "muon", "weight_decay": 1, "adamw_lr_scale": 1})):
            with self.subTest(name):
                self.write(f"{name}.yaml", f"name: {name}\ntask: tree\ndepth: 1\nhidden: 2\nsteps: 2\n{keys}\n")
                self.run_program("run", f"{name}.yaml", "--backend", "reference")
                self.run_program("export", f"{name}.h5", "--instance", 0)
                header, _ = safetensors_of(self.path(f"{name}-0.safetensors"))
                parameters = json.loads(header["__metadata__"]["toysweep"])
                self.assertEqual({key: parameters.get(key) for key in said}, said)
                self.assertEqual([key for key in parameters if key.startswith("grokfast_") and key not in said], [])
                self.assertEqual(parameters["depth"], 1)

    def test_export_gives_the_stored_weights(self):
        self.run_program("export", "small.h5", "--instance", 4, "-o", "four.safetensors")
        self.run_program("export", "small.h5", "--instance", 4, "--format", "h5")
        with h5py.File(self.path("small.h5")) as file:
            label = list(file["cases"])[file["case"][4]]
            group = file["cases"][label]
            row = list(group["instance"][:]).index(4)
            expected = {name: group["weights"][name][row, -1] for name in ("W", "b")}
        header, data = safetensors_of(self.path("four.safetensors"))
        self.assertEqual((os.path.getsize(self.path("four.safetensors")) - len(data)) % 8, 0)
        self.assertEqual(json.loads(header["__metadata__"]["toysweep"])["seed"], 1)
        with h5py.File(self.path("small-4.h5")) as file:
            for name, values in expected.items():
                begin, end = header[name]["data_offsets"]
                stored = numpy.frombuffer(data[begin:end], "<f4").reshape(header[name]["shape"])
                numpy.testing.assert_array_equal(stored, values)
                numpy.testing.assert_array_equal(file[name][...], values)

    def test_exports_of_the_same_weights_are_the_same_bytes(self):
        """Also where one is made in another second."""
        forms = "safetensors", "h5"
        for form in forms:
            self.run_program("export", "small.h5", "--instance", 4, "--format", form, "-o", f"now.{form}")
        time.sleep(1.1)
        for form in forms:
            self.run_program("export", "small.h5", "--instance", 4, "--format", form, "-o", f"later.{form}")
            self.assertEqual(sha256(self.path(f"later.{form}")), sha256(self.path(f"now.{form}")), form)

    def exported(self, name):
        """(tensors by name, step, as a text) of a safetensors file."""
        header, data = safetensors_of(self.path(name))
        step = header.pop("__metadata__")["step"]
        return {name: numpy.frombuffer(data[slice(*tensor["data_offsets"])], "<f4").reshape(tensor["shape"])
                for name, tensor in header.items()}, step

    def test_export_gives_the_weights_of_any_checkpoint(self):
        with h5py.File(self.path("small.h5")) as file:
            group = file["cases"][list(file["cases"])[file["case"][4]]]
            row, steps = list(group["instance"][:]).index(4), group["step"][:]
            stored = {name: group["weights"][name][row] for name in ("W", "b")}
        self.assertFalse((stored["W"][0] == stored["W"][-1]).all())
        for k in 0, 3, len(steps) - 1:
            said = self.run_program("export", "small.h5", "--instance", 4, "--step", steps[k])
            self.assertEqual(said, f"small-4-step-{steps[k]}.safetensors: 2 parameters of instance 4 at step {steps[k]}\n")
            found, step = self.exported(f"small-4-step-{steps[k]}.safetensors")
            self.assertEqual(step, str(steps[k]))
            self.run_program("export", "small.h5", "--instance", 4, "--step", steps[k], "--format", "h5", "-o", "at.h5")
            with h5py.File(self.path("at.h5")) as file:
                self.assertEqual(file.attrs["step"], steps[k])
                for name, values in stored.items():
                    numpy.testing.assert_array_equal(file[name][...], values[k])
                    numpy.testing.assert_array_equal(found[name], values[k])
        self.run_program("export", "small.h5", "--instance", 4)
        self.assertEqual(self.exported("small-4.safetensors")[1], "3000")
        said = self.run_program("export", "small.h5", "--instance", 4, "--step", 3001, expect=2)
        self.assertIn("instance 4 of 'small.h5' has no weights of step 3001; there are those of steps "
                      f"{', '.join(map(str, steps))}\n", said)
        self.assertFalse(os.path.exists(self.path("small-4-step-3001.safetensors")))
        self.run_program("export", "small.h5", "--instance", 4, "--step", "-1", expect=2)

    def test_export_says_what_to_set_for_weights_of_any_checkpoint(self):
        self.write("kept.yaml", "{name: kept, task: tree, depth: 1, hidden: 2, steps: 20, checkpoints: [0, 5, 20], "
                                "cases: [{save: final}, {save: none}]}\n")
        self.run_program("run", "kept.yaml")
        self.run_program("export", "kept.h5", "--instance", 0, "--step", 20)  # is its last
        for instance, step, words in ((0, 5, "only those of its last step, 20; run the sweep again with `save: checkpoints`"),
                                      (1, 20, "keeps no weights; run the sweep again with `save: checkpoints`")):
            said = self.run_program("export", "kept.h5", "--instance", instance, "--step", step, expect=2)
            self.assertIn(words, said)

    def test_export_gives_what_stopped_and_failed_instances_had_before(self):
        """A step that they did not reach is none of theirs."""
        self.write("ended.yaml", "{name: ended, steps: 40, checkpoints: [0, 1, 2, 10, 40], save: checkpoints, "
                                 "task: group, group: C3, embed: 8, hidden: 6, train_fraction: 0.8, "
                                 "cases: [{lr: 1.0e+30}, {lr: 0.01, stop: {test_loss: 1e6}}]}\n")
        self.run_program("run", "ended.yaml", expect=3)
        with h5py.File(self.path("ended.h5")) as file:
            self.assertEqual(list(file["status"][:]), [2, 1])
            reached = list(file["steps_done"][:])
            rows = [group["weights/W_U"][0] for group in file["cases"].values()]
        self.assertLess(max(reached), 10)
        for instance, weights in enumerate(rows):
            for k, step in enumerate([0, 1, 2, 10, 40]):
                known = not numpy.isnan(weights[k]).any()
                self.assertTrue(known or step > 0)
                said = self.run_program("export", "ended.h5", "--instance", instance, "--step", step,
                                        "-o", f"{instance}-{step}", expect=0 if known else 2)
                if known:
                    numpy.testing.assert_array_equal(self.exported(f"{instance}-{step}")[0]["W_U"], weights[k])
                else:
                    self.assertIn(f"no weights of step {step}; there are those of step", said)
                    self.assertNotIn("40\n", said)
        self.assertIn("it failed; --step gives those of a checkpoint before",
                      self.run_program("export", "ended.h5", "--instance", 0, expect=2))

    def test_export_refuses_what_is_not_there(self):
        self.run_program("export", "small.h5", "--instance", 21, expect=2)
        self.run_program("export", "small.h5", "--instance", 0, "--format", "pickle", expect=2)
        self.run_program("export", "nothing.h5", "--instance", 0, expect=1)

    def test_rows_can_be_found_by_their_parameters(self):
        with h5py.File(self.path("small.h5")) as file:
            columns = set(file)
            self.assertLessEqual({"instance", "case", "identity", "status", "checksum", "steps_done", "seed", "task",
                                  "depth", "hidden", "train_loss", "exact_loss", "final_loss"}, columns)
            self.assertNotIn("lr", columns)
            self.assertEqual(set(file["depth"][:]), {2, 3, 4, -1})
            resolved = [json.loads(text) for text in file["sweep/resolved"].asstr()[:]]
            self.assertEqual([r["hidden"] for r in resolved], list(file["hidden"][:]))
            self.assertEqual(file["sweep/source"].asstr()[()], SMALL)


class Measure(Case):
    SWEEP = "task: group\ngroup: D5\nembed: 8\nhidden: 16\nsteps: 300\ntrain_fraction: 0.7\ncheckpoints: [0, 300]\n"

    def numbers(self, value):
        """Objects by name, in the order of their names' scale, as lists; null as NaN."""
        if isinstance(value, dict):
            value = list(value.values())
        return [self.numbers(v) for v in value] if isinstance(value, list) else numpy.nan if value is None else value

    def as_lists(self, value, scales):
        """What stands by name in JSON, in the order of the scales."""
        if not scales:
            return value
        if isinstance(value, dict):
            labels = list(scales[0].asstr()[:])
            self.assertEqual(sorted(value), sorted(labels))
            value = [value[label] for label in labels]
        return [self.as_lists(one, scales[1:]) for one in value]

    def test_measures_of_exported_weights_are_the_stored_ones(self):
        sweep = self.write("group.yaml", self.SWEEP)
        self.run_program("run", sweep)
        self.run_program("export", "group.h5", "--instance", 0, "--format", "h5", "-o", "weights.h5")
        measures = json.loads(self.run_program("measure", sweep, "--weights", "weights.h5"))
        with h5py.File(self.path("group.h5")) as file:
            group = file["cases/all"]
            self.assertEqual(list(group["irrep"].asstr()[:]), ["trivial", "sign", "freq_1", "freq_2"])
            # From the curve, which weights do not have.
            follow = {"irrep_step", "irrep_order", "grokked_step", "memorised_step", "circuit_formation_step",
                      "cleanup_step", "grokking_delay", "phase"}
            for name, value in measures.items():
                if name in follow:
                    continue
                if not isinstance(value, (dict, list)):
                    self.assertEqual(file[name][0], numpy.nan if value is None else value, name)
                    continue
                scales = [dimension[0] for dimension in group[name].dims]
                curve = scales[1].name.endswith("/step")
                stored = group[name][0, -1] if curve else group[name][0]
                value = self.as_lists(value, scales[2 if curve else 1:])
                numpy.testing.assert_allclose(stored, numpy.array(value, float), rtol=1e-6, err_msg=name)
            for name in follow & set(file):
                self.assertIsNone(measures[name])

    def test_wrong_weights_are_named(self):
        sweep = self.write("group.yaml", self.SWEEP)
        with h5py.File(self.path("weights.h5"), "w") as file:
            file["W_x"] = numpy.zeros((10, 8))
        self.assertIn("'W_y'", self.run_program("measure", sweep, "--weights", "weights.h5", expect=2))
        self.assertIn("not the shape", self.run_program("measure", sweep, "--weights", "weights.h5", "--set",
                                                        "embed=9", expect=2))
        self.assertIn("--weights", self.run_program("measure", sweep, expect=2))


class Info(Case):
    def test_info_names_what_it_was_built_with(self):
        output = self.run_program("info")
        self.assert_says(output, "toysweep", "HDF5", "MPI", "backend", "layout", "GPUs")
        self.assertRegex(output, r"(?m)^engine +cpu +fused: .*\(autoencoder\b.*\)$")
        self.assertRegex(output, r"(?m)^engine +cpu +general: .*\(any model\)$")

    @needs_mpi
    def test_info_is_printed_once_over_ranks(self):
        output = self.run_program("info", ranks=2)
        self.assertEqual(output.count("HDF5"), 1)
        self.assertIn("2 ranks", output)


if __name__ == "__main__":
    main()
