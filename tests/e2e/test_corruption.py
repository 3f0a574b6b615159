"""Flipped bits, cut and overwritten files: noticed, said, and trained again or refused. Never a wrong file, never a crash.

Places and kinds come from one seed, so that a failure can be repeated."""

import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import zlib

from processes import finish
from support import SMALL, Case, amount, finished_rows, flip, long_sweep, main, read_bytes, sha256, write_bytes

import h5py

STATES, RESULTS, READERS = amount(200, 2000), amount(100, 2000), amount(30, 340)


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


# --- States as somebody could make them, most with a checksum that fits ---

HEAD = struct.Struct("<8s32s32sqqqQII")  # magic, version, digest, case, first row, rows, payload bytes, format, CRC
PLACE = struct.Struct("<qqqqqqq")  # of the payload: the numbers of PLACE_NAMES
PLACE_NAMES = ("count", "step", "checkpoint", "measured", "reviewed", "record bytes", "engine bytes")
EXTREMES = (-2**63, -2, -1, 0, 2**31, 2**62, 2**63 - 1)


def sealed(head, payload):
    """A state file with the checksum it claims."""
    head = [*head[:8], 0]
    return HEAD.pack(*head[:8], zlib.crc32(payload, zlib.crc32(HEAD.pack(*head)))) + payload


def with_head(index, value):
    def spoil(path, head, payload):
        write_bytes(path, sealed([*head[:index], value, *head[index + 1:]], payload))
    return spoil


def with_place(index, value):
    def spoil(path, head, payload):
        place = list(PLACE.unpack_from(payload))
        place[index] = value
        write_bytes(path, sealed(head, PLACE.pack(*place) + payload[PLACE.size:]))
    return spoil


def with_reached(value):  # the first instance is said to be ahead of its unit
    def spoil(path, head, payload):
        write_bytes(path, sealed(head, payload[:PLACE.size] + struct.pack("<q", value) + payload[PLACE.size + 8:]))
    return spoil


def with_payload(make):
    def spoil(path, head, payload):
        made = make(payload)
        write_bytes(path, sealed([*head[:6], len(made), *head[7:]], made))
    return spoil


def as_sparse_file(path, head, payload):
    """A terabyte that takes no room, of just the length that its head says."""
    write_bytes(path, HEAD.pack(*head[:6], 2**40, *head[7:]) + payload)
    os.truncate(path, HEAD.size + 2**40)


def instead(make):
    """Something else of that name."""
    def spoil(path, head, payload):
        os.unlink(path)
        make(path)
    return spoil


def make_socket(path):
    here = os.open(os.path.dirname(path), os.O_PATH)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{os.path.basename(path)}")
    os.close(here)


HOSTILE = {
    "a pipe": instead(os.mkfifo),
    "a socket": instead(make_socket),
    "a directory": instead(os.mkdir),
    "a link to itself": instead(lambda path: os.symlink(os.path.basename(path), path)),
    "a link to nothing": instead(lambda path: os.symlink("nothing", path)),
    "a link to zeros without end": instead(lambda path: os.symlink("/dev/zero", path)),
    "a link to a terminal": instead(lambda path: os.symlink("/dev/tty", path)),
    "a link to the kernel's log": instead(lambda path: os.symlink("/proc/kmsg", path)),
    "empty": instead(lambda path: write_bytes(path, b"")),
    "a terabyte": as_sparse_file,
    "only a head": with_payload(lambda payload: b""),
    "half a payload": with_payload(lambda payload: payload[:len(payload) // 2]),
    "a payload and a byte": with_payload(lambda payload: payload + b"\0"),
    "twice the payload": with_payload(lambda payload: payload + payload),
    "zeros": with_payload(lambda payload: bytes(len(payload))),
    "ones": with_payload(lambda payload: b"\xff" * len(payload)),
    "another version": with_head(1, b"9.9.9" + bytes(27)),
    "a version without an end": with_head(1, b"9" * 32),
    "another sweep": with_head(2, bytes(32)),
    "another format": with_head(7, 99),
    **{f"case {value}": with_head(3, value) for value in (-1, 2**40)},
    **{f"rows {value}": with_head(5, value) for value in (-1, 0, 2**62)},
    **{f"{name} {value}": with_place(index, value) for index, name in
       enumerate(PLACE_NAMES) for value in EXTREMES if value != 0 or name not in ("measured", "reviewed")},
    **{f"reached {value}": with_reached(value) for value in (2**40, 2**63 - 1, -2**63)},
}

# Files beside the states that name units which cannot be, or are not.
NAMES = ["unit-0-0-0.bin", "unit-0-0-9223372036854775807.bin", "unit-0-9223372036854775807-1.bin",
         "unit-0-9223372036854775807-9223372036854775807.old", "unit-2147483647-0-1.bin", "unit-2147483648-0-1.bin",
         "unit--1-0-1.bin", "unit-0-0-99999999999999999999.bin", "unit-0-0-1.bin.bin", "unit-.bin", "unit-0-0-1",
         "unit-0-0-2.bin", "unit-0-1-3.old", "unit-0-0-1.bin.1.tmp", "notes.txt"]


def unit_of(name):
    """(case, first row, row behind the last) of a state's name; None: no unit of the sweep has it."""
    numbers = re.fullmatch(r"unit-(\d+)-(\d+)-(\d+)\.(bin|old)", name)
    case, first, rows = map(int, numbers.groups()[:3]) if numbers else (0, 0, 0)
    return (case, first, first + rows) if 0 < rows and first + rows <= 4 else None


def overlap(one, other):
    return one and other and one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


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
                self.assertEqual(self.finished(self.sweep, "copy.h5", expect=1), before)
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
        self.assertIn('"reused":20', self.log("reused.h5.log.jsonl").splitlines()[0])
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

    def measured(self, file):
        """Its instances' measures, as printed; what is said beside is left out."""
        output, code = self.run_to_any_end("measure", file)
        self.assertIn(code, (0, 1, 2), output)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        return {json.loads(line)["instance"]: line for line in lines}

    def exported(self, file, instance):
        """SHA-256 of its weights; None: refused."""
        output, code = self.run_to_any_end("export", file, "--instance", instance, "-o", "weights.safetensors")
        self.assertIn(code, (0, 1, 2), output)
        return sha256(self.path("weights.safetensors")) if code == 0 else None

    def test_no_command_takes_damaged_rows_for_good(self):
        chance = random.Random(4)
        lines, rows = self.measured("small.h5"), finished_rows(self.file)
        weights = [self.exported("small.h5", instance) for instance in range(len(rows))]
        self.assertEqual(len(lines), len(rows))
        self.write("other.yaml", SMALL.replace("name: small", "name: other"))
        self.run_program("run", "other.yaml", "-o", "expected.h5")
        refused = 0
        for number in range(READERS):
            shutil.copyfile(self.file, self.path("copy.h5"))
            what = damage(self.path("copy.h5"), chance)
            before = sha256(self.path("copy.h5"))
            with self.subTest(number=number, what=what):
                output, code = self.run_to_any_end("status", "copy.h5")
                self.assertIn(code, (0, 1), output)
                for instance, line in self.measured("copy.h5").items():
                    self.assertEqual(line, lines[instance])
                self.assertIn(self.exported("copy.h5", number % len(rows)), (None, weights[number % len(rows)]))
                output, code = self.run_to_any_end("measure", "copy.h5", "-o", "new.h5")
                self.assertIn(code, (0, 1, 2), output)
                if code == 0:
                    for instance, row in finished_rows(self.path("new.h5")).items():
                        self.assertEqual(row, rows[instance])
                    os.unlink(self.path("new.h5"))
                refused += code != 0
                output, code = self.run_to_any_end("run", "other.yaml", "--reuse", "copy.h5")
                self.assertIn(code, (0, 1), output)
                if code == 0:
                    self.assertEqual(sha256(self.path("other.h5")), sha256(self.path("expected.h5")), output)
                    os.unlink(self.path("other.h5"))
                    os.unlink(self.path("other.h5.log.jsonl"))
                self.assertEqual(sha256(self.path("copy.h5")), before)
                self.assertFalse(os.path.exists(self.path("new.h5")))
                if os.path.exists(self.path("new.h5.part")):  # what the same command would go on with
                    os.unlink(self.path("new.h5.part"))
        print(f"{refused} of {READERS} refused", flush=True)


class State(Case):
    """24 units in training at once leave 24 states."""

    def setUp(self):
        super().setUp()
        for seconds in 2, 10, 50:  # of processor time: if there are many processors, a short sweep is over at once
            self.sweep = self.write("long.yaml", long_sweep(seconds))
            if self.stop_when_saved_twice() and self.generation(".bin"):
                break
            self.forget("long.h5")
        self.assertTrue(self.generation(".bin"), "no run was stopped in the midst of a unit")
        self.saved = self.generation(".bin") + self.generation(".old")
        os.rename(self.path("long.h5.state"), self.path("kept.state"))
        os.rename(self.path("long.h5"), self.path("kept"))
        self.expected = self.finished(self.sweep, "whole.h5")

    def stop_when_saved_twice(self):
        """False if the run was over before."""
        process = self.start("run", self.sweep, "--threads", 24, "--checkpoint-interval", "0.02s")
        self.wait_for(lambda: len(self.generation(".old")) > 5 or process.poll() is not None, "units saved twice")
        process.send_signal(signal.SIGTERM)
        output = finish(process)
        if process.returncode == 0:
            return False
        self.assertEqual(process.returncode, 75, output)
        return True

    def generation(self, suffix):
        return [name for name in sorted(self.states("long.h5")) if name.endswith(suffix)]

    def continue_with(self, spoil, names=()):
        """Continues a copy, its states spoilt and files of more names beside them; returns the output and what was done
        to which."""
        shutil.copyfile(self.path("kept"), self.path("long.h5"))
        shutil.copytree(self.path("kept.state"), self.path("long.h5.state"))
        done = {name: spoil(self.path("long.h5.state/" + name)) for name in self.saved}
        for name in set(names) - set(done):  # how instances are packed depends on the machine
            write_bytes(self.path("long.h5.state/" + name), b"TSSTATE")
        output = self.run_program("run", self.sweep)
        self.assertEqual(sha256(self.path("long.h5")), self.expected, done)
        if os.path.exists(self.path("long.h5.state")):  # what is no state of ours is left alone
            left = {name for name in self.states("long.h5") if os.path.isfile(self.path("long.h5.state/" + name))}
            self.assertLessEqual(left, set(names))
            shutil.rmtree(self.path("long.h5.state"))
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

    def test_hostile_states_are_passed_over(self):
        """None is waited for, followed elsewhere, believed, or given more memory than its unit's state takes."""
        ways, passed_over = sorted(HOSTILE), 0
        current = [name for name in self.saved if name.endswith(".bin")]

        def spoil(path):
            if not path.endswith(".bin"):
                return os.unlink(path)
            way = ways[(current.index(os.path.basename(path)) + passed_over) % len(ways)]
            content = read_bytes(path)
            HOSTILE[way](path, HEAD.unpack(content[:HEAD.size]), content[HEAD.size:])
            return way

        while passed_over < len(ways):
            output, done = self.continue_with(spoil, NAMES)
            beside = [unit_of(name) for name in set(NAMES) - set(done)]
            for name, way in done.items():
                if any(overlap(unit_of(name), other) for other in beside):
                    continue  # of two states that have a row in common one is looked at
                if way and way != "a link to nothing":  # as if there were none
                    self.assertRegex(output, f"{name}' is passed over|saved state does not fit the unit", way)
            passed_over += len(current)
        print(f"{len(ways)} hostile states", flush=True)

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
