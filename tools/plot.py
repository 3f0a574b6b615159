#!/usr/bin/env python3
"""Draws the figures that fit a results file of toysweep: PNG pictures and an index.html that shows them.

Works on unfinished files too: what is not done yet is left blank. A figure that cannot be drawn is named on the page
and on stderr, the others are drawn, and the exit code is 1.
"""

import argparse
import html
import os
import sys
import textwrap
import traceback

from needs import need

need("numpy", "h5py", "matplotlib")
for library in "OPENBLAS", "MKL", "OMP":
    os.environ.setdefault(library + "_NUM_THREADS", "1")  # the matrices are small: threads would only wait for each other

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import toysweep
from figures import feature, table
from figures.view import rows_of_kind

# Figures of each kind of data. views(results, rows, loss) cuts instances into views; FIGURES are functions
# (view, options) -> figures.view.Figure, or None where a view has nothing to show.
KINDS = {"features": feature, "table": table}

STYLE = {
    "figure.dpi": 110, "figure.constrained_layout.use": True, "font.size": 10, "axes.titlesize": 10,
    "axes.titley": 1.0,  # where titles stand anyway; else it is worked out, from the size of every tick label
    "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "legend.fontsize": 9,
}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font-family: sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
figure {{ margin: 2rem 0; }} img {{ max-width: 100%; height: auto; }} figcaption {{ color: #444; }}
table {{ border-collapse: collapse; margin-top: .6rem; }} th, td {{ padding: .15rem .8rem; text-align: right; }}
th {{ border-bottom: 1px solid #999; }} .fault {{ color: #a02020; }}
</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
{body}
</body></html>
"""


def arguments():
    parser = argparse.ArgumentParser(prog=os.path.basename(sys.argv[0]), description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.h5", help="results file of `toysweep run`")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for the figures (default: FILE-figures)")
    parser.add_argument("--loss", choices=["exact_loss", "final_loss", "train_loss"],
                        help="loss to show for feature tasks (default: the one that most instances have)")
    parser.add_argument("--threshold", type=float, default=1e-5, metavar="LOSS",
                        help="loss below which a width of a feature task counts as enough (default: 1e-5)")
    options = parser.parse_args()
    if not options.threshold > 0:
        parser.error(f"--threshold {options.threshold:g}: must be above 0")
    return options


def summary(results):
    status = results.table["status"]
    done, failed = (status == toysweep.DONE).sum(), (status == toysweep.FAILED).sum()
    line = f"{done} of {results.count} instances done"
    if failed:
        line += f", {failed} failed"
    if done + failed < results.count:
        line += f", {results.count - done - failed} still to come"
    return line


def complain(words):
    print(f"{os.path.basename(sys.argv[0])}: {words}", file=sys.stderr)


def reason(fault):
    """In one line, with the place."""
    place = traceback.extract_tb(fault.__traceback__)[-1]
    words = " ".join(f"{type(fault).__name__}: {fault}".split())
    return f"{words} ({os.path.basename(place.filename)}, line {place.lineno})"


def fit_title(picture):
    """Breaks a title that is wider than its picture into lines."""
    title = picture._suptitle
    if title is not None:
        text, room = title.get_text(), 0.98 * picture.bbox.width
        width = title.get_window_extent(picture.canvas.get_renderer()).width
        if width > room:
            title.set_text(textwrap.fill(text, int(len(text) * room / width)))


def lay_out(picture):
    """Once: savefig would draw all of it once more for the layout."""
    fit_title(picture)
    for axes in picture.axes:
        for axis in axes.xaxis, axes.yaxis:
            if not axis.get_label_text():
                axis.set_label_coords(0.5, 0.5)  # anywhere; else that too is worked out from every tick label
    if hasattr(picture, "get_layout_engine"):  # matplotlib 3.6
        picture.get_layout_engine().execute(picture)
        picture.set_layout_engine("none")


def save(picture, path):
    picture.canvas.print_png(path)
    plt.close(picture)


class Page:
    """Figures drawn into a folder, and what index.html says of them."""

    def __init__(self, folder):
        self.folder, self.body, self.drawn, self.failed = folder, [], 0, 0
        self.watched = sys.stderr.isatty()

    def progress(self, words):
        """On a terminal, in one line that each further one takes the place of."""
        if self.watched:
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    def fail(self, what, fault):
        self.failed += 1
        self.progress("")
        line = f"{what} cannot be drawn: {reason(fault)}"
        complain(line)
        self.body.append(f'<p class="fault">{html.escape(line)}</p>')

    def add(self, make, view, options):
        """Whatever is wrong with one figure, the others are drawn."""
        what = make.__name__.replace("_", "-")
        self.progress(f"{self.drawn} figures drawn, next {what}")
        try:
            figure = make(view, options)
            if figure is None:
                return
            name = f"{self.drawn + 1:02d}-{what}.png"
            lay_out(figure.picture)
        except Exception as fault:
            self.fail(f"{what}{' of ' * bool(view.title)}{view.title}", fault)
            plt.close("all")
            return
        save(figure.picture, os.path.join(self.folder, name))
        self.drawn += 1
        self.body.append(f'<figure><img src="{name}" alt="{html.escape(figure.caption)}">\n'
                         f"<figcaption>{html.escape(figure.caption)}{figure.table}</figcaption></figure>")


def draw(results, options, folder):
    """Draws every figure; returns the page."""
    page = Page(folder)
    for kind in dict.fromkeys(results.kinds):
        if kind not in KINDS:
            complain(f"no figures for data of kind '{kind}' yet; left out")
    for kind, family in KINDS.items():
        for view in views_of(page, results, kind, options):
            if view.title:
                page.body.append(f"<h2>{html.escape(view.title)}</h2>")
            for make in family.FIGURES:
                page.add(make, view, options)
    page.progress("")
    return page


def views_of(page, results, kind, options):
    rows = rows_of_kind(results, kind)
    try:
        return KINDS[kind].views(results, rows, options.loss) if len(rows) else []
    except toysweep.ResultsError:
        raise
    except Exception as fault:
        page.fail(f"data of kind '{kind}'", fault)
        return []


def main():
    options = arguments()
    folder = options.output or os.path.splitext(options.file)[0] + "-figures"
    try:
        with toysweep.Results(options.file) as results:
            if not (results.table["status"] == toysweep.DONE).any():
                raise toysweep.ResultsError(f"{options.file}: nothing is finished yet ({summary(results)})")
            os.makedirs(folder, exist_ok=True)
            plt.rcParams.update(STYLE)
            page = draw(results, options, folder)
            if not page.body:
                raise toysweep.ResultsError(f"{options.file}: there are no figures for its data")
            about = (f"{summary(results)}. toysweep {results.attribute('version')}, "
                     f"backend {results.attribute('backend')}, sweep {results.attribute('sweep_sha256')[:12]}.")
            index = os.path.join(folder, "index.html")
            with open(index, "w", encoding="utf-8") as file:
                file.write(PAGE.format(title=html.escape(results.attribute("name")), summary=html.escape(about),
                                       body="\n".join(page.body)))
            failed = f", but {page.failed} of {page.drawn + page.failed} cannot be drawn" if page.failed else ""
            print(f"{summary(results)}; figures in {index}{failed}")
            if page.failed:
                sys.exit(1)
    except (toysweep.ResultsError, OSError) as fault:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {fault}")


if __name__ == "__main__":
    main()
