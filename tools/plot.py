#!/usr/bin/env python3
"""Draws the figures that fit a results file of toysweep: PNG pictures and an index.html that shows them.

Works on unfinished files too: what is not done yet is left blank.
"""

import argparse
import html
import os
import sys
import textwrap

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
th {{ border-bottom: 1px solid #999; }}
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
                        help="loss to show for feature tasks (default: the first of these that the file has)")
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


def every_view(results, options):
    """(figures of its kind, view) of all that can be drawn."""
    for kind in dict.fromkeys(results.kinds):
        if kind not in KINDS:
            print(f"{os.path.basename(sys.argv[0])}: no figures for data of kind '{kind}' yet; left out", file=sys.stderr)
    for kind, family in KINDS.items():
        rows = rows_of_kind(results, kind)
        if len(rows):
            for view in family.views(results, rows, options.loss):
                yield family, view


def fit_title(picture):
    """Breaks a title that is wider than its picture into lines."""
    title = picture._suptitle
    if title is not None:
        text, room = title.get_text(), 0.98 * picture.bbox.width
        width = title.get_window_extent(picture.canvas.get_renderer()).width
        if width > room:
            title.set_text(textwrap.fill(text, int(len(text) * room / width)))


def save(picture, path):
    """Lays it out once and draws it once: savefig would draw all of it once more for the layout."""
    fit_title(picture)
    for axes in picture.axes:
        for axis in axes.xaxis, axes.yaxis:
            if not axis.get_label_text():
                axis.set_label_coords(0.5, 0.5)  # anywhere; else that too is worked out from every tick label
    if hasattr(picture, "get_layout_engine"):  # matplotlib 3.6
        picture.get_layout_engine().execute(picture)
        picture.set_layout_engine("none")
    picture.canvas.print_png(path)
    plt.close(picture)


def draw(results, options, folder):
    """Draws every figure and returns the page's body."""
    body, number = [], 0
    for family, view in every_view(results, options):
        if view.title:
            body.append(f"<h2>{html.escape(view.title)}</h2>")
        for make in family.FIGURES:
            figure = make(view, options)
            if figure is None:
                continue
            number += 1
            name = f"{number:02d}-{make.__name__.replace('_', '-')}.png"
            save(figure.picture, os.path.join(folder, name))
            body.append(f'<figure><img src="{name}" alt="{html.escape(figure.caption)}">\n'
                        f"<figcaption>{html.escape(figure.caption)}{figure.table}</figcaption></figure>")
    return body


def main():
    options = arguments()
    folder = options.output or os.path.splitext(options.file)[0] + "-figures"
    try:
        with toysweep.Results(options.file) as results:
            if not (results.table["status"] == toysweep.DONE).any():
                raise toysweep.ResultsError(f"{options.file}: nothing is finished yet ({summary(results)})")
            os.makedirs(folder, exist_ok=True)
            plt.rcParams.update(STYLE)
            body = draw(results, options, folder)
            if not body:
                raise toysweep.ResultsError(f"{options.file}: there are no figures for its data")
            about = (f"{summary(results)}. toysweep {results.attribute('version')}, "
                     f"backend {results.attribute('backend')}, sweep {results.attribute('sweep_sha256')[:12]}.")
            index = os.path.join(folder, "index.html")
            with open(index, "w", encoding="utf-8") as page:
                page.write(PAGE.format(title=html.escape(results.attribute("name")), summary=html.escape(about),
                                       body="\n".join(body)))
            print(f"{summary(results)}; figures in {index}")
    except (toysweep.ResultsError, OSError) as fault:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {fault}")


if __name__ == "__main__":
    main()
