"""What `cmake --install` puts in place works there: program, manual page, figures, the Python loader."""

import os
import subprocess
import sys

from support import ENVIRONMENT, SMALL, TOYSWEEP, Case, main, needs_mpi

BUILD = os.path.dirname(os.path.realpath(TOYSWEEP))
LOAD = "import sys, toysweep; print(toysweep.__file__, toysweep.load(sys.argv[1], curves=False).sizes['seed'])"


class Installed(Case):
    def setUp(self):
        super().setUp()
        self.prefix = self.path("some where")
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.bin = os.path.join(self.prefix, "bin")

    def call(self, *command, **variables):
        environment = {**ENVIRONMENT, "PATH": f"{self.bin}:{os.environ['PATH']}", **variables}
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_what_the_program_says_to_type_next_draws_the_results(self):
        self.write("small.yaml", SMALL)
        output = self.call("toysweep", "run", "small.yaml", "--threads", "1")
        self.assertIn("next: toysweep status small.h5   or   toysweep-plot small.h5\n", output)
        self.call("toysweep", "status", "small.h5")
        self.assertIn("small-figures/index.html", self.call("toysweep-plot", "small.h5", TOYSWEEP_PYTHON=sys.executable))
        tools = os.path.join(self.prefix, "share", "toysweep", "tools")
        output = self.call(sys.executable, "-c", LOAD, "small.h5", PYTHONPATH=tools)
        self.assertEqual(output, f"{tools}/toysweep/__init__.py 3\n")

    def test_python_finds_the_program_that_it_was_installed_with(self):
        run = "import toysweep as ts; print(ts.program.find()); print(ts.run({'task': 'tree', 'depth': 1, 'hidden': 2, " \
              "'steps': 5, 'instances': 2}, 'a.h5').count)"
        environment = {name: value for name, value in ENVIRONMENT.items() if name != "TOYSWEEP"}
        environment["PYTHONPATH"] = os.path.join(self.prefix, "share", "toysweep", "tools")
        done = subprocess.run([sys.executable, "-c", run], cwd=self.directory, env=environment, capture_output=True, text=True)
        self.assertEqual((done.stdout, done.returncode), (f"{self.bin}/toysweep\n2\n", 0), done.stderr)

    def test_the_manual_page_is_there(self):
        with open(os.path.join(self.prefix, "share", "man", "man1", "toysweep.1"), encoding="utf-8") as page:
            self.assertIn(".TH TOYSWEEP", page.read())

    def test_the_citation_names_this_version(self):
        with open(os.path.join(self.prefix, "share", "doc", "toysweep", "CITATION.cff"), encoding="utf-8") as citation:
            self.assertIn("version: " + self.call("toysweep", "--version").split()[1] + "\n", citation.read())

    def test_the_conda_recipe_is_of_this_version(self):
        recipe = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "conda", "recipe.yaml")
        with open(recipe, encoding="utf-8") as recipe:
            self.assertIn("\n  version: " + self.call("toysweep", "--version").split()[1] + "\n", recipe.read())

    @needs_mpi
    def test_the_launcher_is_there(self):
        self.assertIn("toysweep-mpirun 0.", self.call("toysweep-mpirun", "--version"))


if __name__ == "__main__":
    main()
