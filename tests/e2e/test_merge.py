"""Results files put together, taken over and chosen from: merge, run --reuse, export --where and --instance best."""

import json
import os
import shlex
import shutil
import subprocess
import zlib

from support import TOYSWEEP, Case, finished_rows, flip, main, needs_mpi, read_bytes, safetensors_of, sha256

import h5py

# 24 instances; those with the last learning rate diverge, and fail.
SWEEP = """\
name: parts
task: tree
hidden: 2
steps: 40
checkpoints: [20]
save: checkpoints
instances: 4
grid:
  depth: 2..3
  lr: [1e-3, 1e-2, 1e20]
"""

TABLE = "task: cayley\ncayley: a.csv\nembed: 16\nhidden: 16\nsteps: 5\ntrain_fraction: 0.7\nseed: 0..1\n"


class Parts(Case):
    def setUp(self):
        super().setUp()
        self.sweep = self.write("parts.yaml", SWEEP)

    def train(self, name, *sets, sweep="parts.yaml", **options):
        """A results file, with what the sets give."""
        output, code = self.run_to_any_end("run", sweep, "-o", name, *(x for one in sets for x in ("--set", one)),
                                           **options)
        self.assertIn(code, (0, 3), output)
        return name

    def merge(self, *files, output="merged.h5", expect=0, **options):
        """The SHA-256 of what is made of the files, and what is said; the files stay as they are."""
        before = [sha256(self.path(file)) for file in files]
        said = self.run_program("merge", *files, "-o", output, expect=expect, **options)
        self.assertEqual([sha256(self.path(file)) for file in files], before)
        for left in ".part", ".part.tmp", ".tmp", ".lock":
            self.assertFalse(os.path.exists(self.path(output + left)), left)
        digest = None
        if expect == 0:
            digest = sha256(self.path(output))
            os.replace(self.path(output), self.path("last.h5"))
        else:
            self.assertFalse(os.path.exists(self.path(output)))
        return digest, said


class Merge(Parts):
    def test_parts_make_the_file_that_one_run_of_the_whole_makes(self):
        whole = sha256(self.path(self.train("whole.h5")))
        with h5py.File(self.path("whole.h5")) as file:
            self.assertEqual([list(file["status"]).count(s) for s in (0, 1, 2)], [0, 16, 8])
        cut = {"seeds": ["seed=0..1", "seed=2..3"], "depths": ["depth=3", "depth=2"],
               "filters": ["where=seed < 1 and lr < 1", "where=seed >= 1 or lr > 1"],
               "three": ["seed=[0, 3]", "seed=1", "seed=2"], "overlapping": ["seed=0..2", "seed=1..3"]}
        for how, sets in cut.items():
            files = [self.train(f"{how}-{number}.h5", one) for number, one in enumerate(sets)]
            for order in files, files[::-1]:
                with self.subTest(how, order=order):
                    digest, said = self.merge(*order)
                    self.assertEqual(digest, whole)
                    self.assertIn("24 instances, 16 done, 8 failed, 0 left", said)
        files = [self.train(f"both-{d}-{s}.h5", f"depth={d}", f"seed={s}") for d in (2, 3) for s in ("0..2", "3")]
        self.assertEqual(self.merge(*files)[0], whole)
        files = [self.train(f"named-{s}.h5", f"name=part{s}", f"seed={s}..{s + 1}") for s in (0, 2)]
        self.assertEqual(self.merge(*files)[0], whole)

    def test_parts_beyond_the_sweep_file_make_the_run_with_all_their_values(self):
        files = [self.train("a.h5", "seed=0..3", "depth=2"), self.train("b.h5", "seed=4..9", "depth=2")]
        whole = sha256(self.path(self.train("whole.h5", "seed=0..9", "depth=2")))
        self.assertEqual(self.merge(*files)[0], whole)
        files = [self.train("c.h5", "seed=9..5..-2"), self.train("d.h5", "seed=3..1..-2")]
        whole = sha256(self.path(self.train("down.h5", "seed=9..1..-2")))
        self.assertEqual(self.merge(*files)[0], whole)
        files = [self.train("e.h5", "where=depth == 2 and seed == 0"), self.train("f.h5", "where=seed == 3")]
        whole = self.train("filter.h5", "where=(depth == 2 and seed == 0) or (seed == 3)")
        self.assertEqual(self.merge(*files)[0], sha256(self.path(whole)))

    def test_parts_may_have_files_of_their_own(self):
        self.write("a.csv", "0,1\n1,0\n")
        self.write("b.csv", "0,1,2\n1,2,0\n2,0,1\n")
        table = self.write("table.yaml", TABLE)
        files = [self.train(f"{x}.h5", f"cayley={x}.csv", sweep=table) for x in "ab"]
        whole = sha256(self.path(self.train("whole.h5", 'cayley=["a.csv", "b.csv"]', sweep=table)))
        os.unlink(self.path("a.csv"))  # the files know them
        self.assertEqual(self.merge(*files)[0], whole)

    def test_what_is_missing_is_named_or_left_to_be_trained(self):
        whole = sha256(self.path(self.train("whole.h5")))
        files = [self.train("a.h5", "depth=2", "seed=0..1"), self.train("b.h5", "depth=3", "seed=2..3")]
        said = self.merge(*files, expect=2)[1]
        self.assert_says(said, "24 instances", "12 are in none", "depth=3,lr=0.001,seed=0", "--sweep")
        said = self.run_program("merge", *files, "-o", "merged.h5", "--sweep", "parts.yaml")
        self.assertIn("24 instances, 8 done, 4 failed, 12 left", said)
        command = [line for line in said.splitlines() if line.startswith("next: ")][0]
        words = shlex.split(command.removeprefix("next: ").split("   (")[0])
        self.assertEqual(words[1:], ["run", "parts.yaml", "-o", "merged.h5"])
        self.run_program(*words[1:], expect=3)
        self.assertEqual(sha256(self.path("merged.h5")), whole)

    def test_unfinished_parts_and_damaged_rows_are_left_to_be_trained(self):
        whole = sha256(self.path(self.train("whole.h5")))
        files = [self.train("a.h5", "seed=0..1"), self.train("b.h5", "seed=2..3")]
        self.run_program("merge", "b.h5", "--sweep", "parts.yaml", "-o", "half.h5")  # a's instances are pending in it
        with h5py.File(self.path("a.h5")) as file:
            flip(self.path("a.h5"), file["final_loss"].id.get_offset() + 1)
        before = sha256(self.path("a.h5"))
        said = self.run_program("merge", "half.h5", "a.h5", "-o", "merged.h5", "--sweep", "parts.yaml")
        self.assertEqual(sha256(self.path("a.h5")), before)
        self.assertIn("a.h5: 7 done, 4 failed; 1 damaged", said)
        self.assertIn("1 left", said)
        self.assertEqual(self.finished("parts.yaml", "merged.h5", expect=3), whole)

    def test_different_results_for_one_instance_are_refused(self):
        files = [self.train("a.h5", "seed=0..2"), self.train("b.h5", "seed=1..3",
                                                             environment={"TOYSWEEP_KERNELS": "portable"})]
        self.train("c.h5", "seed=1..3")
        if sha256(self.path("b.h5")) == sha256(self.path("c.h5")):
            self.skipTest("this processor has the portable kernels only")
        self.assert_says(self.merge(*files, expect=2)[1], "a.h5", "b.h5", "different results")

    def test_what_is_done_in_one_and_failed_in_another_is_done(self):
        files = [self.train("a.h5", "seed=0..1", "lr=0.01"), self.train("b.h5", "seed=1..2", "lr=0.01")]
        with h5py.File(self.path("a.h5"), "r+") as file:  # as if memory had been short
            rows = finished_rows(self.path("a.h5"))
            self.assertTrue((file["status"][:] == 1).all())
            for instance, row in rows.items():
                file["status"][instance] = 2
                file["checksum"][instance] = zlib.crc32(row[:8] + b"\x02" + row[9:])
        for order in files, files[::-1]:
            said = self.run_program("merge", *order, "-o", "merged.h5")
            self.assertIn("6 instances, 4 done, 2 failed, 0 left", said)
            with h5py.File(self.path("merged.h5")) as merged, h5py.File(self.path("b.h5")) as b:
                self.assertEqual(list(merged["final_loss"][merged["seed"][:] > 0]), list(b["final_loss"][:]))
            os.unlink(self.path("merged.h5"))

    def test_what_the_files_would_be_together_is_said_as_a_shell_needs_it(self):
        filters = [f"task == 'tree' and depth == {depth}" for depth in (2, 3)]
        parts = [self.train(f"{seed}.h5", "where=" + filters[seed], f"seed={seed}") for seed in (0, 1)]
        _, said = self.merge(*parts, expect=2)
        words = shlex.split(said[said.index("together ") + 9:said.index(" they would be")])
        self.assertEqual(words, ["--set", f"where=({filters[0]}) or ({filters[1]})", "--set", "seed=0..1"])

    def test_files_that_do_not_go_together_are_refused(self):
        one = self.train("a.h5", "seed=0")
        other = self.write("other.yaml", SWEEP.replace("40", "50"))
        self.train("other.h5", sweep=other)
        self.assert_says(self.merge(one, "other.h5", expect=2)[1], "a.h5", "other.h5", "--sweep")
        self.run_to_any_end("run", self.sweep, "-o", "reference.h5", "--set", "seed=1", "--backend", "reference")
        self.assertIn("'reference'", self.merge(one, "reference.h5", expect=1)[1])
        self.assertIn("not a results file", self.merge(one, "parts.yaml", expect=1)[1])
        self.assertIn("nothing.h5", self.run_program("merge", one, "nothing.h5", "-o", "m.h5", expect=1))
        before = sha256(self.path("other.h5"))
        self.assertIn("exists", self.run_program("merge", one, "-o", "other.h5", expect=2))
        self.assertEqual(sha256(self.path("other.h5")), before)
        self.assertIn("-o", self.run_program("merge", one, expect=2))
        self.assertIn("usage", self.run_program("merge", "-o", "m.h5", expect=2))
        self.assertIn("--sweep", self.run_program("merge", one, "-o", "m.h5", "--set", "seed=0..1", expect=2))
        self.assertIn("nowhere", self.run_program("merge", one, "-o", "nowhere/m.h5", expect=1))
        self.assertEqual([name for name in self.files() if name.startswith(("m.h5", "merged"))], [])

    def test_too_little_space_leaves_nothing(self):
        files = [self.train("a.h5", "seed=0..1"), self.train("b.h5", "seed=2..3")]
        words = " ".join(map(shlex.quote, [TOYSWEEP, "merge", *files, "-o", "merged.h5"]))
        done = subprocess.run(["bash", "-c", f"ulimit -f 40; exec {words}"], cwd=self.directory, text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertEqual([name for name in self.files() if name.startswith("merged")], [])

    @needs_mpi
    def test_ranks_merge_once(self):
        files = [self.train("a.h5", "seed=0..1"), self.train("b.h5", "seed=2..3")]
        digest, said = self.merge(*files, ranks=2)
        self.assertEqual((digest, said.count("0 left")), (sha256(self.path(self.train("whole.h5"))), 1))


class Reuse(Parts):
    def test_several_files_give_what_they_have(self):
        wider = self.write("wider.yaml", SWEEP.replace("2..3", "2..4"))
        self.train("fresh.h5", sweep=wider)
        files = [self.train("a.h5", "seed=0..1"), self.train("b.h5", "seed=1..3", "depth=2")]
        with h5py.File(self.path("a.h5")) as file:  # a row that b has too: depth 2, lr 0.001, seed 1
            flip(self.path("a.h5"), file["final_loss"].id.get_offset() + 6 * 8)
        said = self.run_program("run", wider, "-o", "reused.h5", "--reuse", "a.h5", "--reuse", "b.h5", expect=3)
        self.assertIn("7 instances taken over from a.h5", said)
        self.assertIn("5 instances taken over from b.h5", said)
        self.assertIn("damaged", said)
        self.assertEqual(sha256(self.path("reused.h5")), sha256(self.path("fresh.h5")))
        start = json.loads(self.log("reused.h5.log.jsonl").splitlines()[0])
        self.assertEqual(start["reused"], 12)
        self.assertEqual(start["reused_from"], [{"file": "a.h5", "rows": 7}, {"file": "b.h5", "rows": 5}])

    def test_a_file_that_gives_nothing_says_what_differs(self):
        few = self.write("few.yaml", "name: few\ntask: tree\ndepth: 1\nhidden: 2\nsteps: 20\ninstances: 2\n")
        self.run_program("run", few)
        words = "run", few, "--set", "instances=3", "-o", "more.h5", "--reuse", "few.h5"
        said = self.run_program(*words)
        self.assertIn("0 instances taken over from few.h5", said)
        self.assertIn("few.h5: none of its finished instances is one of this sweep's; the one most like the first "
                      "differs in stacked_instances: 2 then, 3 now", said)
        said = self.run_program("run", few, "--set", "seed=0..2", "--set", "stacked_instances=2", "-o", "same.h5",
                                "--reuse", "few.h5")
        self.assertIn("2 instances taken over", said)
        self.assertNotIn("none of its", said)

    def test_a_sweep_that_has_grown_is_told_how_to_take_over(self):
        os.rename(self.path(self.sweep), self.path("it's grown.yaml"))
        self.train("old file.h5", "lr=0.01", sweep="it's grown.yaml")
        before = sha256(self.path("old file.h5"))
        self.write("it's grown.yaml", SWEEP.replace("2..3", "2..4"))
        said = self.run_program("run", "it's grown.yaml", "-o", "old file.h5", "--set", "steps=41", expect=1)
        self.assertNotIn("--reuse", said)  # nothing is the same
        said = self.run_program("run", "it's grown.yaml", "-o", "old file.h5", "--set", "lr=0.01", expect=1)
        self.assertIn("8 instances then, and has 12 now", said)
        (line,) = [line for line in said.splitlines() if "--reuse" in line]
        words = shlex.split(line.split("is the same: ")[1])
        self.assertEqual(words[1:], ["run", "it's grown.yaml", "-o", "old file-2.h5", "--set", "lr=0.01",
                                     "--reuse", "old file.h5"])
        self.assertIn("8 instances taken over from old file.h5", self.run_program(*words[1:]))
        self.train("fresh.h5", "lr=0.01", sweep="it's grown.yaml")
        self.assertEqual(sha256(self.path("old file-2.h5")), sha256(self.path("fresh.h5")))
        self.assertEqual(sha256(self.path("old file.h5")), before)

    def test_the_backend_is_repeated_where_it_is_not_the_usual_one(self):
        self.run_program("run", self.sweep, "--backend", "reference", "--set", "lr=0.01", "--set", "seed=0")
        said = self.run_program("run", self.sweep, "--set", "lr=0.01", "--set", "seed=0..1", expect=1)
        self.assertIn("--backend reference --reuse ", said)

    def test_nothing_is_advised_where_it_would_not_help(self):
        self.train("parts.h5")
        shutil.copyfile(self.path("parts.h5"), self.path("copy.h5"))
        at = read_bytes(self.path("copy.h5")).index(b"sweep_sha256") + 60
        flip(self.path("copy.h5"), at)
        said, code = self.run_to_any_end("run", self.sweep, "-o", "copy.h5")
        self.assertEqual(code, 1, said)
        self.assertNotIn("--reuse", said)


# Defaults that no resolved parameters name, and exported files do; with those of all keys that came later.
LATER = {"init_from": "", "optimizer": "adam", "warmup": 0, "grokfast": False, "orthograd": False, "weight_decay": 0}


class Choose(Parts):
    def exported(self, *arguments, expect=0, file="parts.h5"):
        """Parameters of the instance that was chosen, and what was said."""
        said = self.run_program("export", file, *arguments, "-o", "chosen.safetensors", expect=expect)
        if expect:
            self.assertFalse(os.path.exists(self.path("chosen.safetensors")))
            return None, said
        header, _ = safetensors_of(self.path("chosen.safetensors"))
        os.unlink(self.path("chosen.safetensors"))
        return json.loads(header["__metadata__"]["toysweep"]), said

    def test_where_chooses_the_one_for_which_it_holds(self):
        self.train("parts.h5")
        chosen, _ = self.exported("--where", "seed == 3 and depth == 3 and lr < 0.005")
        self.assertEqual((chosen["seed"], chosen["depth"], chosen["lr"]), (3, 3, 0.001))
        chosen, _ = self.exported("--where", "seed == 1 and features == 6 and lr == 1e-2")
        self.assertEqual((chosen["seed"], chosen["depth"], chosen["lr"]), (1, 2, 0.01))
        for where, words in {"seed == 3": ["6 instances", "depth=2,lr=0.001,seed=3", "depth=3,lr=0.01,seed=3"],
                             "seed == 9": ["none of the 24"], "sed == 3": ["did you mean 'seed'"],
                             "seed = 3": ["=="], "": ["ends where a value"],
                             "lr > 1 and depth == 2 and seed == 0": ["failed"],
                             }.items():
            said = self.exported("--where", where, expect=2)[1]
            for word in words:
                self.assertIn(word, said, where)

    def test_best_is_the_lowest_loss_of_what_is_done(self):
        self.train("parts.h5")
        with h5py.File(self.path("parts.h5")) as file:
            loss = {i: file["exact_loss"][i] for i in range(24) if file["status"][i] == 1}
            depth, resolved = file["depth"][:], [json.loads(x) for x in file["sweep/resolved"].asstr()[:]]
        best = min(loss, key=lambda i: (loss[i], i))
        chosen, said = self.exported("--instance", "best")
        self.assertEqual(chosen, {**chosen, **LATER, **resolved[best]})
        self.assertIn(f"instance {best} (", said)
        self.assertIn("exact_loss", said)
        best = min((i for i in loss if depth[i] == 3 and resolved[i]["seed"] != 1), key=loss.get)
        chosen, _ = self.exported("--instance", "best", "--where", "depth == 3 and seed != 1")
        self.assertEqual(chosen, {**chosen, **LATER, **resolved[best]})
        self.exported("--instance", "best", "--where", "lr > 1", expect=2)  # all of them failed
        self.exported("--instance", "3", "--where", "seed == 3", expect=2)
        self.exported(expect=2)

    def test_of_equals_the_first_is_the_best(self):
        # A key without effect: initial weights that are drawn for each instance alone.
        self.train("parts.h5", "lr=0.01", "depth=2", "seed=3", "init=xavier_per_instance", "stacked_instances=[5, 2]")
        with h5py.File(self.path("parts.h5")) as file:
            self.assertEqual(file["final_loss"][0], file["final_loss"][1])
        self.assertIn("instance 0 (", self.exported("--instance", "best")[1])

    def test_losses_of_different_kinds_are_not_compared(self):
        mixed = self.write("mixed.yaml", "steps: 5\ncases:\n  - {task: tree, depth: 2, hidden: 2}\n"
                                         "  - {task: group, model: mlp, group: S3, embed: 8, hidden: 8}\n")
        self.train("mixed.h5", sweep=mixed)
        said = self.exported("--instance", "best", file="mixed.h5", expect=2)[1]
        self.assertIn("final_loss", said)
        self.assertIn("test_loss", said)
        self.assertEqual(self.exported("--instance", "best", "--where", "model == mlp", file="mixed.h5")[0]["task"],
                         "group")


if __name__ == "__main__":
    main()
