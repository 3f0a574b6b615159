"""The pages under docs/howto and docs/index.md, word for word: files are written as they stand there, commands and
programs run in their order in one folder. What a page says it needs (`<!-- needs: ... -->` before a block: a program or
Python modules) is skipped where it is missing; so are blocks of plain text."""

import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys

from support import ENVIRONMENT, TOYSWEEP, Case, main

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCS = os.path.join(ROOT, "docs")
TOOLS = os.path.join(ROOT, "tools")
BLOCK = re.compile(r'^(?:<!-- needs: (?P<needs>[^>]*) -->\n)?```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
                   re.M | re.S)
RUNS = {"sh": ["bash", "-euc"], "python": [sys.executable, "-c"], "r": ["Rscript", "-e"], "julia": ["julia", "-e"]}


def pages():
    return [os.path.join(DOCS, "index.md"), *sorted(glob.glob(os.path.join(DOCS, "howto", "*.md")))]


def is_there(needed):
    return shutil.which(needed) or importlib.util.find_spec(needed)


class HowTo(Case):
    def setUp(self):
        super().setUp()
        programs = self.path(".programs")
        os.mkdir(programs)
        os.symlink(os.path.realpath(TOYSWEEP), os.path.join(programs, "toysweep"))
        os.symlink(os.path.join(TOOLS, "plot.py"), os.path.join(programs, "toysweep-plot"))
        self.environment = {**ENVIRONMENT, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": TOOLS,
                            "MPLBACKEND": "Agg", "TOYSWEEP_PYTHON": sys.executable}

    def run_page(self, page):
        with open(page, encoding="utf-8") as file:
            text = file.read()
        blocks = list(BLOCK.finditer(text))
        self.assertEqual(len(re.findall("^```", text, re.M)), 2 * len(blocks), "blocks that are not understood")
        for block in blocks:
            missing = [needed for needed in (block["needs"] or "").split() if not is_there(needed)]
            if missing:
                print(f"{os.path.basename(page)}: skipped what needs {' '.join(missing)}")
            elif block["title"]:
                self.write(block["title"], block["text"])
            elif block["language"] in RUNS:
                done = subprocess.run([*RUNS[block["language"]], block["text"]], cwd=self.directory,
                                      env=self.environment, capture_output=True, text=True, timeout=600)
                self.assertEqual(done.returncode, 0, f"{page}:\n{block['text']}\n{done.stdout}{done.stderr}")
            else:
                self.assertEqual(block["language"], "text", page)

    def test_pages_link_to_what_is_there(self):
        for page in glob.glob(os.path.join(DOCS, "**", "*.md"), recursive=True):
            with open(page, encoding="utf-8") as file:
                for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read()):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), link)), f"{page}: {link}")


def add_test(page):
    name = os.path.basename(page)[:-3].replace("-", "_")
    setattr(HowTo, f"test_{name}_word_for_word", lambda self: self.run_page(page))


for each in pages():
    add_test(each)

if __name__ == "__main__":
    main()
