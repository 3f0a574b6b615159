"""What is shown of results: the table at a run's end and that of status, their JSON, and plan's."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

from support import ENDLESS, TOYSWEEP, Case, fitted, flip, long_sweep, main, read_bytes, sha256

import h5py
import numpy

GRID = """\
name: grid
task: tree
depth: 2
hidden: 3
steps: 50
checkpoints: [50]
seed: 0..3
grid:
  lr: [1e-3, 1e-2]
  schedule: [constant, cosine]
"""

TABLES = """\
name: tables
task: cayley
cayley: [one/table.csv, two/table.csv, other.csv]
embed: 16
hidden: 16
steps: 20
train_fraction: 0.6
seed: 0..5
"""


class Reports(Case):
    def table(self, output):
        """Lines of a table by label: the cells under each heading."""
        lines = output.splitlines()
        head = next(i for i, line in enumerate(lines) if re.match(r"(point|case) +done", line))
        names = lines[head].split()
        rows = {}
        for line in lines[head + 1:]:
            if not line or line.startswith("..."):
                break
            cells = line.split()
            rows[cells[0]] = dict(zip(names[1:], cells[1:]))
        return rows

    def run_and_look(self, sweep, name):
        """The table at the end, that of status, and status as JSON."""
        end = self.table(self.run_program("run", sweep))
        os.rename(self.path(sweep), self.path("elsewhere"))  # the results file is enough
        shown = self.table(self.run_program("status", name))
        found = json.loads(self.run_program("status", name, "--json"))
        os.rename(self.path("elsewhere"), self.path(sweep))
        for label, row in shown.items():
            self.assertEqual({key: value for key, value in end[label].items() if key in row and key != "time"}, row)
        self.assertEqual(list(end), list(shown))
        self.assertEqual([point["point"] for point in found["points"]], list(shown))
        return shown, found

    def test_lines_are_what_was_swept_without_seeds(self):
        shown, found = self.run_and_look(self.write("grid.yaml", GRID), "grid.h5")
        self.assertEqual(list(shown), [f"lr={lr},schedule={s}" for lr in ("0.001", "0.01")
                                       for s in ("constant", "cosine")])
        self.assertEqual(found["points"][1]["keys"], {"lr": 0.001, "schedule": "cosine"})
        self.assertEqual(len(found["cases"]), 1)

    def test_numbers_are_those_of_the_file_and_medians_of_even_counts_are_means_of_two(self):
        shown, found = self.run_and_look(self.write("grid.yaml", GRID), "grid.h5")
        with h5py.File(self.path("grid.h5")) as file:
            loss, lr, schedule = file["exact_loss"][:], file["lr"][:], file["schedule"].asstr()[:]
        for point, row in zip(found["points"], shown.values()):
            values = loss[(lr == point["keys"]["lr"]) & (schedule == point["keys"]["schedule"])]
            expected = {"best": values.min(), "median": numpy.median(values), "mean": values.mean(),
                        "worst": values.max()}
            for name, value in expected.items():
                self.assertAlmostEqual(point[name], value, delta=1e-14 * abs(value), msg=name)
                self.assertEqual(row[name], f"{value:.4g}")
            self.assertEqual((row["done"], point["instances"], point["done"], point["failed"]), ("4/4", 4, 4, 0))
            self.assertEqual(point["measure"], "exact_loss")
        (case,) = found["cases"]
        self.assertAlmostEqual(case["median"], numpy.median(loss), delta=1e-14)

    def test_a_sweep_of_seeds_is_one_line(self):
        for keys in "seed: 0..2", "instances: 3", "init_seed: 0..1\nsplit_seed: 3..4\nseed: 0..1":
            sweep = self.write("seeds.yaml", "task: group\nmodel: mlp\ngroup: C5\nembed: 8\nhidden: 8\nsteps: 5\n"
                               + keys)
            shown, found = self.run_and_look(sweep, "seeds.h5")
            self.assertEqual((list(shown), found["points"][0]["keys"]), (["all"], {}))
            os.unlink(self.path("seeds.h5"))

    def test_what_follows_from_other_keys_is_not_shown(self):
        sweep = self.write("two.yaml", "steps: 5\nhidden: 2\ncases:\n  - {task: tree, depth: 2, instances: 2}\n"
                                       "  - {task: independent, features: 5, instances: 3}\n")
        self.assertEqual(list(self.run_and_look(sweep, "two.h5")[0]), ["task=tree", "task=independent"])

    def test_tables_have_accuracy_and_how_many_grokked(self):
        for name, rows in {"one/table.csv": "0,1\n1,0\n", "two/table.csv": "1,0\n0,1\n",
                           "other.csv": "0,1,2\n1,2,0\n2,0,1\n"}.items():
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            self.write(name, rows)
        sweep = self.write("tables.yaml", TABLES)
        shown, found = self.run_and_look(sweep, "tables.h5")
        # Files by their names, and with digits of their digests where names are the same.
        self.assertEqual(list(shown), ["cayley=table.csv@6101", "cayley=table.csv@28d9", "cayley=other.csv"])
        for label in shown:
            self.assertIn(label + " ", self.run_program("plan", sweep))
        with h5py.File(self.path("tables.h5")) as file:
            case, accuracy, grokked = (file[name][:] for name in ("case", "test_accuracy", "grokked_step"))
            labels = list(file["cases"])
        self.assertGreater(numpy.isfinite(grokked).sum(), 0)
        for k, (point, row) in enumerate(zip(found["points"], shown.values())):
            middle, count = numpy.median(accuracy[case == k]), int(numpy.isfinite(grokked[case == k]).sum())
            self.assertAlmostEqual(point["accuracy"], middle, delta=1e-6)
            self.assertEqual(point["grokked"], count)
            self.assertEqual((row["accuracy"], row["grokked"]), (f"{middle:.4g}", f"{count}/6"))
            self.assertTrue(labels[k].startswith("cayley=sha256:"))  # whatever the files are called

    def test_losses_of_different_kinds_are_named(self):
        sweep = self.write("mixed.yaml", "steps: 5\nseed: 0..1\ncases:\n  - {task: tree, depth: 2, hidden: 2}\n"
                                         "  - {task: group, group: S3, embed: 8, hidden: 8}\n")
        output = self.run_program("run", sweep)
        lines = {line.split()[0]: line for line in output.splitlines() if line.startswith("task=")}
        self.assertRegex(lines["task=tree,hidden=2"], r" -  +-  .*exact_loss$")
        self.assertRegex(lines["task=group,hidden=8"], r" 0/2  .*test_loss$")
        self.assertNotIn(" -  ", lines["task=group,hidden=8"])

    def test_without_pairs_to_test_the_train_loss_is_shown(self):
        sweep = self.write("all.yaml", "task: group\ngroup: C5\nembed: 8\nhidden: 8\nsteps: 20\nseed: 0..2\n"
                                       "grid: {train_fraction: [0.8, 1]}\n")
        output = self.run_program("run", sweep)
        lines = {line.split()[0]: line for line in output.splitlines() if line.startswith("train_fraction=")}
        self.assertRegex(lines["train_fraction=0.8"], "test_loss$")
        self.assertRegex(lines["train_fraction=1"], "train_loss$")
        status = json.loads(self.run_program("status", "all.h5", "--json"))
        with h5py.File(self.path("all.h5")) as file:
            case, loss, test = (file[name][...] for name in ("case", "train_loss", "test_loss"))
        self.assertTrue(numpy.isnan(test[case == 1]).all())
        self.assertEqual(status["points"][1]["measure"], "train_loss")
        self.assertEqual([point["grokked"] for point in status["points"]], [0, None])  # what cannot generalise did not fail to
        self.assertAlmostEqual(status["points"][1]["best"], loss[case == 1].min(), delta=1e-12)
        output = self.run_program("export", "all.h5", "--instance", "best", "--where", "train_fraction == 1")
        self.assertIn(f"best: instance {numpy.flatnonzero(case == 1)[loss[case == 1].argmin()]} ", output)
        output = self.run_program("export", "all.h5", "--instance", "best", expect=2)
        self.assertIn("which do not compare; choose by --where, such as 'train_fraction < 1'", output)

    def test_the_loss_shown_is_the_best_known_and_named(self):
        sweep = self.write("feature.yaml", "steps: 300\nbatch: 64\nhidden: 2\nseed: 0..5\ncases:\n"
                           "  - {task: tree, depth: 2}\n  - {task: independent, features: 4, correlated_pairs: 2}\n"
                           "  - {task: independent, features: 12, feature_probability: 0.2}\n")
        shown, found = self.run_and_look(sweep, "feature.h5")
        with h5py.File(self.path("feature.h5")) as file:
            case, final, exact, estimated, error = (file[name][:] for name in (
                "case", "final_loss", "exact_loss", "estimated_loss", "final_loss_error"))
        for k, (measure, column) in enumerate([("exact_loss", exact), ("exact_loss", exact),
                                               ("estimated_loss", estimated)]):
            point, known = found["points"][k], column[case == k]
            self.assertEqual((point["measure"], point["best"]), (measure, known.min()))
            self.assertIn(measure, list(shown.values())[k].values())
            self.assertTrue((known != final[case == k]).all())
        self.assertNotIn("error", found["points"][0])
        self.assertEqual(found["points"][2]["error"], error[case == 2].max())
        self.assertTrue((error[case < 2] == 0).all() and (error[case == 2] > 0).all())
        self.assertTrue((numpy.isnan(estimated) == (case < 2)).all() and (numpy.isnan(exact) == (case == 2)).all())
        for k, column in (1, exact), (2, estimated):
            best = int(numpy.argmin(numpy.where(case == k, column, numpy.inf)))
            output = self.run_program("export", "feature.h5", "--instance", "best", "--where",
                                      f"features == {[6, 4, 12][k]}", "-o", f"{k}.safetensors")
            self.assertIn(f"best: instance {best} (", output)
            self.assertIn(f"{found['points'][k]['measure']} {column[best]:.4g}", output)

    def test_stacked_instances_have_the_sum_of_their_losses(self):
        sweep = self.write("stack.yaml", fitted("name: stack\ntask: tree\ndepth: 2\nsteps: STEPS\ngrid:\n  hidden: 2..5\n"
                                                "  stacked_instances: [1, 3]\n  seed: 0..6\n", 1))
        self.stop_halfway(sweep, "half.h5", "--threads", 1)
        self.run_program("run", sweep, "-o", "whole.h5")
        for name in "half.h5", "whole.h5":
            with h5py.File(self.path(name)) as file:
                hidden, size, seed, status, loss, sums = (file[key][:] for key in (
                    "hidden", "stacked_instances", "seed", "status", "final_loss", "stacked_loss"))
            for i, found in enumerate(sums):
                stack = (hidden == hidden[i]) & (size == 3) & (seed // 3 == seed[i] // 3)
                if size[i] == 3 and seed[i] < 6 and (status[stack] == 1).all():
                    self.assertEqual(found, sum(loss[stack]))
                else:  # alone, the one that is left over, or not all of them are done
                    self.assertTrue(numpy.isnan(found), (i, found))
        self.run_program("run", sweep, "-o", "half.h5")
        whole = read_bytes(self.path("whole.h5"))
        self.assertEqual(read_bytes(self.path("half.h5")), whole)
        with h5py.File(self.path("half.h5")) as file:
            place = file["stacked_loss"].id.get_offset() + 8 * 3
        flip(self.path("half.h5"), place, 4)
        self.run_program("run", sweep, "-o", "half.h5")  # a sum is made again
        self.assertEqual(read_bytes(self.path("half.h5")), whole)

    def test_failed_and_pending_instances_are_counted(self):
        sweep = self.write("hot.yaml", GRID.replace("[1e-3, 1e-2]", "[1e-3, 1e30]"))
        output = self.run_program("run", sweep, expect=3)
        self.assertRegex(output, r"lr=1e\+30,schedule=cosine +0/4 +- +- +- +- .*4 failed")
        found = json.loads(self.run_program("status", "grid.h5", "--json"))
        self.assertEqual([(p["done"], p["failed"], p["median"] is None) for p in found["points"]],
                         [(4, 0, False)] * 2 + [(0, 4, True)] * 2)
        self.assertEqual(len(found["failures"]), 8)

    def test_many_points_are_cut_at_the_end_and_whole_in_status(self):
        sweep = self.write("many.yaml", GRID.replace("[1e-3, 1e-2]", "0.001..0.05..0.001").replace("0..3", "0"))
        output = self.run_program("run", sweep)
        self.assertEqual(len(self.table(output)), 60)
        self.assertRegex(output, r"\n\.\.\. and 40 more; all of them: \S*toysweep status \S*grid\.h5\n")
        self.assertEqual(len(self.table(self.run_program("status", "grid.h5"))), 100)

    def test_a_file_whose_sweep_cannot_be_made_is_shown_by_case(self):
        self.run_program("run", self.write("grid.yaml", GRID))
        with h5py.File(self.path("grid.h5")) as file:
            digest, version = (file.attrs[name].encode() for name in ("sweep_sha256", "version"))
        content = read_bytes(self.path("grid.h5"))
        flip(self.path("grid.h5"), content.index(digest))  # this version wrote it: it is damaged
        output = self.run_program("status", "grid.h5", expect=1)
        self.assertIn("'grid.h5': ", output)
        self.assertEqual(list(self.table(output)), ["all"])
        flip(self.path("grid.h5"), content.index(version) + len(version) - 1)  # another may have made other instances
        output = self.run_program("status", "grid.h5")
        self.assertIn("shown by case", output)
        self.assertEqual(list(self.table(output)), ["all"])

    def test_lines_fit_the_terminal(self):
        self.run_program("run", self.write("grid.yaml", GRID))
        for width in 66, 80, 200:
            terminal, end = pty.openpty()  # of nobody's session: what a session's leader has written is lost as it ends
            fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
            process = subprocess.Popen([TOYSWEEP, "status", "grid.h5"], cwd=self.directory, stdin=end, stdout=end, stderr=end)
            os.close(end)
            output = b""
            while True:
                try:
                    output += os.read(terminal, 4096)
                except OSError:  # the other end is closed
                    break
            process.wait()
            os.close(terminal)
            rows = [line for line in output.decode().splitlines() if line.startswith(("point", "lr="))]
            self.assertEqual(len(rows), 5)
            self.assertLessEqual(max(map(len, rows)), width)
            self.assertEqual("worst" in rows[0], width > 66)

    def test_the_engine_is_said_by_plan_status_and_the_run_log(self):
        sweep = self.write("grid.yaml", GRID)
        for backend, engine in ("cpu", "fused"), ("reference", "general"):
            file = f"{backend}.h5"
            self.run_program("run", sweep, "--backend", backend, "-o", file)
            self.assertRegex(self.run_program("plan", sweep, "--backend", backend), f"(?m)^engine +{engine} on {backend}$")
            self.assertRegex(self.run_program("status", file), f"(?m)^engine {engine} on {backend}$")
            status = json.loads(self.run_program("status", file, "--json"))
            with open(self.path(file + ".log.jsonl")) as log:
                start = json.loads(log.readline())
            self.assertEqual(start["event"], "start")
            for said in status, start:
                self.assertEqual(said["engines"], [{"engine": engine, "cases": 1}])
            self.assertEqual([case["engine"] for case in status["cases"]], [engine])

    def test_a_run_can_be_watched(self):
        """From the states of unfinished units: where instances are, and their curves so far in a file of their own."""
        process = self.start_training(self.write("endless.yaml", ENDLESS), "endless.h5", "--checkpoint-interval", "0.1s")
        self.wait_for(lambda: any(name.endswith(".bin") for name in self.states("endless.h5")), "a state")
        shown = self.run_program("status", "endless.h5")
        self.assertRegex(shown, r"(?m)^unfinished instance +step +of +train_loss +exact_loss$")
        found = json.loads(self.run_program("status", "endless.h5", "--json"))
        for one in found["unfinished"]:
            self.assertEqual(one["steps"], 10**9)
            self.assertGreater(one["step"], 0)
            self.assertGreater(one["train_loss"], 0)
            self.assertNotIn("test_loss", one)
        self.assertEqual(found["done"], 0)
        self.assertIn("unfinished instance", self.run_program("status", "endless.h5", "-o", "now.h5"))
        process.terminate()
        with h5py.File(self.path("now.h5")) as file:
            self.assertEqual(set(file["status"][:]), {0})
            self.assertEqual(set(file["checksum"][:]), {0})
            begun = 0
            for case in file["cases"].values():
                for row, instance in enumerate(case["instance"][:]):
                    seen = numpy.isfinite(case["exact_loss"][row])
                    done = file["steps_done"][instance]
                    self.assertTrue((case["step"][:][seen] <= done).all())
                    self.assertEqual(seen.any(), done > 0)
                    self.assertFalse(seen[-1])
                    begun += int(seen.any())
            self.assertGreater(begun, 0)

    def test_what_is_watched_is_never_taken_for_done(self):
        """The run's files stay as they are; a file of what there was by then can be trained to its end, to the last bit
        what the run itself comes to."""
        self.interrupt(self.write("long.yaml", long_sweep()), "long.h5")
        before = sha256(self.path("long.h5")), self.states("long.h5")
        self.run_program("status", "long.h5", "-o", "now.h5")
        self.assert_says(self.run_program("status", "long.h5", "-o", "now.h5", expect=2), "exists")
        self.assert_says(self.run_program("status", "long.h5", "-o", "new.h5", "--json", expect=2),
                         "--output does not go with --json")
        self.assertEqual((sha256(self.path("long.h5")), self.states("long.h5")), before)
        count = {name: json.loads(self.run_program("status", name, "--json"))["done"] for name in ("long.h5", "now.h5")}
        self.assertEqual(count["now.h5"], count["long.h5"])
        self.assertEqual(self.finished("long.yaml", "now.h5"), self.finished("long.yaml", "long.h5"))
        self.check_nothing_else()
        self.assertEqual(json.loads(self.run_program("status", "long.h5", "--json"))["unfinished"], [])

    def test_plan_tells_programs_what_it_tells_people(self):
        sweep = self.write("grid.yaml", GRID.replace("depth: 2\n", "depth: 2..3\n"))
        plan = json.loads(self.run_program("plan", sweep, "--json", "--ranks", 2, "--threads", 3))
        self.assertEqual([plan[key] for key in ("name", "ranks", "threads", "instances")], ["grid", 2, 3, 32])
        self.assertEqual([(case["case"], case["instances"]) for case in plan["cases"]],
                         [("depth=2", 16), ("depth=3", 16)])
        for case in plan["cases"]:
            self.assertEqual((case["ranks_first"], case["ranks_most"]), (1, 1))
            self.assertAlmostEqual(case["seconds_together"], 16 * case["seconds_each"], delta=1e-9)
        self.assertAlmostEqual(plan["operations"], sum(16 * case["operations"] for case in plan["cases"]),
                               delta=1e-9 * plan["operations"])
        self.assertEqual(plan["engines"], [{"engine": "fused", "cases": 2}])
        self.assertEqual({case["engine"] for case in plan["cases"]}, {"fused"})
        for key in ("backend", "units", "unit_bytes", "index_bytes", "file_bytes", "seconds", "work_seconds",
                    "file_seconds", "bound_seconds", "busy", "recalls", "cases_timed"):
            self.assertIn(key, plan)
        self.assertGreaterEqual(plan["seconds"], 0.999 * plan["bound_seconds"])
        self.assertEqual(self.files(), ["grid.yaml"])


if __name__ == "__main__":
    main()
