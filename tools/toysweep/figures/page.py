"""Figures drawn into a folder, several at a time, and the page that shows them: what is the same whatever they show.

Each is drawn in a process of its own that is forked when all is read, so that nothing has to be handed over.
"""

import html
import multiprocessing
import os
import sys
import textwrap
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from toysweep.figures.beside import height_lacking
from toysweep.figures.chosen import complain
from toysweep.figures.families import name_of

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
embed {{ width: 100%; height: 40rem; }}
table {{ border-collapse: collapse; margin-top: .6rem; }} th, td {{ padding: .15rem .8rem; text-align: right; }}
th {{ border-bottom: 1px solid #999; }} .fault {{ color: #a02020; }}
</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
{body}
</body></html>
"""

FORMATS = ("png", "svg", "pdf")
MOST_PROCESSES = 8


def reason(fault):
    """In one line, with the place."""
    frames = traceback.extract_tb(fault.__traceback__)
    words = " ".join(f"{type(fault).__name__}: {fault}".split())
    return f"{words} ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else words


# --- One figure ----------------------------------------------------------------------------------------------------

def fit_title(picture):
    """Breaks a title that is wider than its picture into lines."""
    title = picture._suptitle
    if title is not None:
        text, room = title.get_text(), 0.98 * picture.bbox.width
        width = title.get_window_extent(picture.canvas.get_renderer()).width
        if width > room:  # into lines of about equal length
            most = int(len(text) * room / width)
            lines = -(-len(text) // most)
            title.set_text(textwrap.fill(text, min(most, -(-len(text) // lines) + 8)))


def show_single_points(axes):
    """A line of one point would be invisible: of weights that were trained elsewhere only the end is known."""
    for line in axes.lines:
        if line.get_marker() == "None" and np.isfinite(np.asarray(line.get_ydata(), dtype=float)).sum() == 1:
            line.set(marker="o", markersize=4, clip_on=False)


def broken(line, most):
    """Into lines of at most so many letters, after commas where there are some."""
    lines = [""]
    for part in line.split(", "):
        more = f"{lines[-1]}, {part}" if lines[-1] else part
        lines = [*lines[:-1], more] if not lines[-1] or len(more) <= most else [*lines[:-1], lines[-1] + ",", part]
    return "\n".join(textwrap.fill(one, most) for one in lines)


def wrap_labels(picture):
    """Breaks labels of y axes that are longer than their panels, and so would be over each other; were there any?"""
    renderer, found = picture.canvas.get_renderer(), False
    for axes in picture.axes:
        text = axes.yaxis.label
        if not axes.get_visible() or not text.get_text():
            continue
        lines = text.get_text().split("\n")
        room = axes.get_position(original=True).height * picture.bbox.height
        long = text.get_window_extent(renderer).height
        if long > room:
            most = max(8, int(max(map(len, lines)) * room / long))
            text.set_text("\n".join(broken(line, most) for line in lines))
            found = True
    return found


def is_cut(picture):
    """Do labels stick out at the left or below? Ticks may change when panels do, and need more room than was left."""
    renderer = picture.canvas.get_renderer()
    for axes in picture.axes:
        place = axes.get_subplotspec() if hasattr(axes, "get_subplotspec") else None  # a colour bar
        if place is None or not axes.get_visible():
            continue
        for axis, edge, outer in ((axes.yaxis, "x0", place.is_first_col()), (axes.xaxis, "y0", place.is_last_row())):
            box = axis.get_tightbbox(renderer) if outer and axis.get_label_text() else None
            if box is not None and getattr(box, edge) < 0:
                return True
    return False


def lay_out(picture):
    """Once: savefig would draw all of it once more for the layout."""
    fit_title(picture)
    for axes in picture.axes:
        show_single_points(axes)
        for axis in axes.xaxis, axes.yaxis:
            if not axis.get_label_text():
                axis.set_label_coords(0.5, 0.5)  # anywhere; else that too is worked out from every tick label
    if hasattr(picture, "get_layout_engine"):  # matplotlib 3.6
        engine = picture.get_layout_engine()
        engine.execute(picture)
        wrapped, lacking = wrap_labels(picture), height_lacking(picture)
        if lacking:
            width, height = picture.get_size_inches()
            picture.set_size_inches(width, height + lacking + 0.05)
        if wrapped or lacking or is_cut(picture):
            engine.execute(picture)
        picture.set_layout_engine("none")


def save(picture, path):
    if path.endswith(".png"):
        picture.canvas.print_png(path)
    else:
        picture.savefig(path)
    plt.close(picture)


def name_basis(figure, terms):
    """Of what there is in two bases, the other one's name is in its title; this one's comes to it here."""
    title = figure.picture._suptitle
    if title is not None and terms not in title.get_text():
        title.set_text(f"{title.get_text()}, {terms}")
    figure.caption += f" All of it is {terms}."


@dataclass
class Task:
    make: object  # (view, options) -> figures.view.Figure, or None
    view: object
    terms: str    # "in terms of a and b"; empty: there is one basis


@dataclass
class Drawn:
    """Its picture lies at `path`; without one there is a fault, or nothing to show."""
    path: str = ""
    caption: str = ""
    table: str = ""
    fault: str = ""
    lack: str = ""  # why there is nothing to show, if that is known


def draw(task, options, path):
    """Whatever is wrong with one figure, the others are drawn."""
    try:
        figure = task.view.make(task.make, options)
        if figure is None:
            return Drawn(lack=task.view.lack)
        if task.terms:
            name_basis(figure, task.terms)
        lay_out(figure.picture)
    except Exception as fault:
        plt.close("all")
        return Drawn(fault=reason(fault))
    save(figure.picture, path)
    return Drawn(path, figure.caption, figure.table)


# --- All of them ---------------------------------------------------------------------------------------------------

class Studio:
    """Draws tasks, in their order or several at a time."""

    def __init__(self, tasks, options, folder):
        self.tasks, self.options, self.folder = tasks, options, folder
        self.processes = min(MOST_PROCESSES, len(tasks), len(os.sched_getaffinity(0)))

    def one(self, number):
        path = os.path.join(self.folder, f".{number}.{self.options.format}")
        return draw(self.tasks[number], self.options, path)

    def pool(self):
        """Processes that draw; None: one will do, or there can be none (in a container without /dev/shm)."""
        try:
            return ProcessPoolExecutor(self.processes, multiprocessing.get_context("fork")) if self.processes > 1 else None
        except OSError:
            return None

    def results(self):
        """What became of each, in order."""
        global studio
        pool = self.pool()
        if pool is None:
            yield from map(self.one, range(len(self.tasks)))
            return
        studio = self
        with pool:
            for future in [pool.submit(draw_in_fork, number) for number in range(len(self.tasks))]:
                try:
                    yield future.result()
                except OSError:
                    raise
                except Exception as fault:  # a process was killed, as when memory runs out
                    yield Drawn(fault=reason(fault))


studio = None


def draw_in_fork(number):
    return studio.one(number)


class Page:
    """Figures drawn into a folder, and what index.html says of them."""

    def __init__(self, folder):
        self.folder, self.body, self.drawn, self.failed = folder, [], 0, 0
        self.seen = set()  # names of figures that are drawn, or fail
        self.reasons = {}  # name -> reasons why nothing is to be seen of a view, as keys in their order
        self.watched = sys.stderr.isatty()

    def progress(self, words):
        """On a terminal, in one line that each further one takes the place of."""
        if self.watched:
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    def fail(self, what, why):
        self.failed += 1
        self.progress("")
        line = f"{what} cannot be drawn: {why}"
        complain(line)
        self.body.append(f'<p class="fault">{html.escape(line)}</p>')

    def draw(self, tasks, options):
        """All tasks, with a heading where a view begins."""
        before = None
        for number, (task, drawn) in enumerate(zip(tasks, Studio(tasks, options, self.folder).results())):
            if task.view is not before and task.view.title:
                self.body.append(f"<h2>{html.escape(task.view.title)}</h2>")
            before = task.view
            self.progress(f"{number + 1} of {len(tasks)} figures")
            if drawn.fault:
                self.fail(f"{name_of(task.make)}{' of ' * bool(task.view.title)}{task.view.title}", drawn.fault)
            elif drawn.path:
                self.add(name_of(task.make), drawn, options.format)
            else:
                self.reasons.setdefault(name_of(task.make), {})[drawn.lack] = None
                continue
            self.seen.add(name_of(task.make))
        self.progress("")

    def add(self, what, drawn, form):
        self.drawn += 1
        name, words = f"{self.drawn:02d}-{what}.{form}", html.escape(drawn.caption)
        os.replace(drawn.path, os.path.join(self.folder, name))
        picture = f'<embed src="{name}" type="application/pdf">' if form == "pdf" else \
            f'<img src="{name}" alt="{words}">'
        self.body.append(f"<figure>{picture}\n<figcaption>{words}{drawn.table}</figcaption></figure>")

    def write(self, title, summary):
        """The path of index.html."""
        index = os.path.join(self.folder, "index.html")
        with open(index, "w", encoding="utf-8") as file:
            file.write(PAGE.format(title=html.escape(title), summary=html.escape(summary), body="\n".join(self.body)))
        return index
