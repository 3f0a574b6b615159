"""The model of docs/adding.md, in a program built with it as it stands there, from sweep file to figures, on every
backend that trains any model."""

import json
import os
import re
import subprocess
import sys

from support import Case, main

import h5py
import numpy

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def documented_sweep():
    with open(os.path.join(ROOT, "docs", "adding.md")) as page:
        block = re.search(r"   \$ cat two.yaml\n(.*?)   \$ ", page.read(), re.DOTALL).group(1)
    return re.sub(r"(?m)^   ", "", block)


class Adding(Case):
    def setUp(self):
        super().setUp()
        self.write("two.yaml", documented_sweep())
        information = self.run_program("info")
        self.backends = [name for name, state in re.findall(r"(?m)^backend +(\w+) .*\(([^()]*)\)$", information)
                         if "use --backend" not in state
                         and re.search(rf"(?m)^engine +{name} +general", information)]
        self.assertLessEqual({"cpu", "reference"}, set(self.backends))

    def run_on(self, backend, *options):
        self.run_program("run", "two.yaml", "--backend", backend, "-o", f"{backend}.h5", *options)
        return h5py.File(self.path(f"{backend}.h5"))

    def test_it_is_planned_with_the_general_engine(self):
        for backend in self.backends:
            plan = json.loads(self.run_program("plan", "two.yaml", "--backend", backend, "--json"))
            own = [case for case in plan["cases"] if "mlp2" in case["case"]]
            self.assertEqual([case["engine"] for case in own], ["general"], plan)
            self.assertGreater(own[0]["operations"], 0)

    def test_it_generalises(self):
        with self.run_on("cpu") as file:
            accuracy = [case["test_accuracy"][:, -1] for name, case in file["cases"].items() if "mlp2" in name]
        self.assertGreater(numpy.min(accuracy), 0.95)
        self.assertRegex(self.run_program("status", "cpu.h5"), "(?m)^engine general on cpu")

    def test_it_is_drawn(self):
        self.run_on("cpu", "--set", "model=mlp2", "--set", "group=C5", "--set", "steps=100").close()
        subprocess.run([sys.executable, os.path.join(ROOT, "tools", "plot.py"), "cpu.h5", "-o", "figures"],
                       cwd=self.directory, check=True, capture_output=True)
        self.assertGreater(len([name for name in os.listdir(self.path("figures")) if name.endswith(".png")]), 3)

    def test_backends_agree_within_rounding(self):
        losses = {}
        for backend in self.backends:
            with self.run_on(backend, "--set", "steps=50", "--set", "model=mlp2") as file:
                losses[backend] = numpy.concatenate([case["test_loss"][:, -1] for case in file["cases"].values()])
        for backend, loss in losses.items():
            numpy.testing.assert_allclose(loss, losses["reference"], rtol=1e-4, err_msg=backend)

    def test_what_cannot_be_drawn_is_refused_by_its_key(self):
        for embed, inner, hidden, key in (2, 64, 64, "embed"), (4, 1, 64, "inner"), (4, 8, 2, "hidden"):
            said = self.run_program("plan", "two.yaml", "--set", "model=mlp2", "--set", "group=C5", "--set",
                                    f"embed={embed}", "--set", f"inner={inner}", "--set", f"hidden={hidden}", expect=2)
            self.assertIn(f"key '{key}'", said)


if __name__ == "__main__":
    main()
