"""Flipped bits, cut and overwritten files: noticed, said, and trained again or refused. Never a wrong file, never a crash.

Places and kinds come from one seed, so that a failure can be repeated."""

import os
import random
import shutil
import signal

from processes import finish
from support import SMALL, Case, amount, flip, long_sweep, main, sha256

import h5py

STATES, RESULTS = amount(200, 2000), amount(100, 2000)


def damage(path, chance):
    """Damages the file in one of several ways; returns which."""
    size = os.path.getsize(path)
    kind = chance.choice(["flip", "flip", "flip", "cut", "zeros", "longer"])
    at = chance.randrange(size)
    with open(path, "r+b") as file:
        if kind == "cut":
            file.truncate(at)
        elif kind == "longer":
            file.seek(size)
            file.write(bytes(chance.randrange(256) for _ in range(chance.randrange(1, 600))))
        elif kind == "zeros":  # a sector that never reached the disk
            at -= at % 512
            file.seek(at)
            before = file.read(512)
            file.seek(at)
            file.write(bytes(len(before)))
            if not any(before):
                kind = "none"
    if kind == "flip":
        flip(path, at, chance.randrange(8))
    return f"{kind} at {at} of {size}"


class Damaged(Case):
    def setUp(self):
        super().setUp()
        self.sweep = self.write("small.yaml", SMALL)
        self.run_program("run", self.sweep)
        self.file = self.path("small.h5")
        self.expected = sha256(self.file)

    def test_flipped_data_is_trained_again(self):
        with h5py.File(self.file) as file:
            places = []
            for label, group in file["cases"].items():
                places.append(group["train_loss"].id.get_offset() + 11)
                places.append(group["weights/W"].id.get_offset() + 7)
            places.append(file["exact_loss"].id.get_offset() + 8 * 5 + 3)
            places.append(file["steps_done"].id.get_offset() + 8 * 2)
            places.append(file["checksum"].id.get_offset() + 4 * 7)
            places.append(file["status"].id.get_offset() + 9)
        for place in places:
            flip(self.file, place, random.randrange(8))
        output = self.run_program("run", self.sweep)
        self.assertIn("trained again", output)
        self.assertEqual(sha256(self.file), self.expected)

    def test_flipped_metadata_stops_it(self):
        size = os.path.getsize(self.file)
        with h5py.File(self.file) as file:
            header = h5py.h5o.get_info(file["status"].id).addr
        for place in (9, 40, header + 8):  # superblock, end-of-file address, an object header
            shutil.copyfile(self.file, self.path("copy.h5"))
            flip(self.path("copy.h5"), place, 2)
            before = sha256(self.path("copy.h5"))
            with self.subTest(place):
                self.run_program("run", self.sweep, "-o", "copy.h5", expect=1)
                self.assertEqual(sha256(self.path("copy.h5")), before)
        self.assertEqual(os.path.getsize(self.file), size)

    def test_truncated_file_stops_it(self):
        for share in 0.0, 0.01, 0.5, 0.999:
            shutil.copyfile(self.file, self.path("copy.h5"))
            os.truncate(self.path("copy.h5"), int(os.path.getsize(self.file) * share))
            before = sha256(self.path("copy.h5"))
            with self.subTest(share):
                output = self.run_program("run", self.sweep, "-o", "copy.h5", expect=1)
                self.assertEqual(output.count("\n"), 1, output)
                self.assertEqual(sha256(self.path("copy.h5")), before)

    def test_reuse_copies_what_is_the_same(self):
        wider = self.write("wider.yaml", SMALL.replace("name: small", "name: wider").replace("[3, 6]", "[3, 5, 6]"))
        self.run_program("run", wider, "-o", "fresh.h5")
        flip(self.file, h5py.File(self.file)["exact_loss"].id.get_offset() + 2)  # damaged rows are not reused
        output = self.run_program("run", wider, "-o", "reused.h5", "--reuse", "small.h5")
        self.assertIn("trained again", output)
        with open(self.path("reused.h5.log.jsonl")) as log:
            self.assertIn('"reused":20', log.readline())
        self.assertEqual(sha256(self.path("reused.h5")), sha256(self.path("fresh.h5")))

    def test_any_damage_is_repaired_or_refused(self):
        chance = random.Random(2)
        self.stop_halfway(self.sweep, "half.h5", "--threads", 1)
        shutil.rmtree(self.path("half.h5.state"), ignore_errors=True)
        repaired = refused = 0
        for number in range(RESULTS):
            shutil.copyfile(self.path(("small.h5", "half.h5")[number % 2]), self.path("copy.h5"))
            what = damage(self.path("copy.h5"), chance)
            before = sha256(self.path("copy.h5"))
            with self.subTest(number=number, what=what):
                output, code = self.run_to_any_end("run", self.sweep, "-o", "copy.h5")
                self.assertIn(code, (0, 1), output)
                if code == 0:
                    self.assertEqual(sha256(self.path("copy.h5")), self.expected, output)
                    repaired += 1
                else:
                    self.assertEqual(sha256(self.path("copy.h5")), before, output)
                    self.assertEqual(output.count("\n"), 1, output)
                    self.assertIn("copy.h5", output)
                    refused += 1
        print(f"{repaired} repaired, {refused} refused", flush=True)


class State(Case):
    """24 units in training at once leave 24 states."""

    def setUp(self):
        super().setUp()
        for seconds in 2, 10, 50:  # of processor time: if there are many processors, a short sweep is over at once
            self.sweep = self.write("long.yaml", long_sweep(seconds))
            if self.stop_when_saved_twice():
                break
        self.saved = self.generation(".bin") + self.generation(".old")
        os.rename(self.path("long.h5.state"), self.path("kept.state"))
        os.rename(self.path("long.h5"), self.path("kept"))
        self.run_program("run", self.sweep, "-o", "whole.h5")
        self.expected = sha256(self.path("whole.h5"))

    def stop_when_saved_twice(self):
        """False if the run was over before."""
        process = self.start("run", self.sweep, "--threads", 24, "--checkpoint-interval", "0.02s")
        self.wait_for(lambda: len(self.generation(".old")) > 5 or process.poll() is not None, "units saved twice")
        process.send_signal(signal.SIGTERM)
        output = finish(process)
        if process.returncode == 0:
            os.unlink(self.path("long.h5"))
            return False
        self.assertEqual(process.returncode, 75, output)
        return True

    def generation(self, suffix):
        return [name for name in sorted(self.states("long.h5")) if name.endswith(suffix)]

    def continue_with(self, spoil):
        """Continues a copy, its states spoilt; returns the output and what was done to which."""
        shutil.copyfile(self.path("kept"), self.path("long.h5"))
        shutil.copytree(self.path("kept.state"), self.path("long.h5.state"))
        done = {name: spoil(self.path("long.h5.state/" + name)) for name in self.saved}
        output = self.run_program("run", self.sweep)
        self.assertEqual(sha256(self.path("long.h5")), self.expected, done)
        self.assertFalse(os.path.exists(self.path("long.h5.state")))
        return output, done

    def test_damaged_unit_states_are_reported_and_start_over(self):
        chance = random.Random(3)
        tried = 0
        while tried < STATES:
            output, done = self.continue_with(lambda path: damage(path, chance))
            for name, what in done.items():
                current = name.replace(".old", ".bin")  # the older generation is looked at if the newer is damaged
                if not what.startswith("none") and (name == current or current not in done):
                    self.assertIn(f"{name}' is passed over", output, what)
            tried += len(done)
        print(f"{tried} damaged states", flush=True)

    def test_the_older_generation_stands_in(self):
        output, _ = self.continue_with(lambda path: path.endswith(".bin") and flip(path, 200))
        self.assertEqual(output.count("is passed over"), sum(name.endswith(".bin") for name in self.saved), output)

    def test_states_of_other_units_and_sweeps_are_passed_over(self):
        donor = self.path("kept.state/" + self.saved[0])
        output, _ = self.continue_with(
            lambda path: os.path.basename(path) != self.saved[0] and shutil.copyfile(donor, path))
        self.assertIn("belongs to another unit", output)


if __name__ == "__main__":
    main()
