"""A legend to the right of all panels, in one piece: the picture gets wider for it, and taller where it has to."""

from matplotlib.legend import Legend
from matplotlib.transforms import Bbox

ENTRY = 0.19        # inches: a line of a legend
ABOVE_BELOW = 0.9   # inches of a picture above the first panel (titles), and left free below the legend


class Beside(Legend):
    """Of its height the layout sees no more than its panel's: else that row alone would make room for all of it."""

    def get_tightbbox(self, renderer=None):
        box, place = super().get_tightbbox(renderer), self.axes.bbox
        if not self.figure.get_constrained_layout():  # all has its place: a notebook cuts pictures to what is there
            return box
        return Bbox.from_extents(box.x0, max(box.y0, place.y0), box.x1, max(box.y0, place.y0, min(box.y1, place.y1)))


def legend_beside(axes, handles, **options):
    """From the top of the panels down, in as many columns as it needs; the panels keep their own legends."""
    if not handles:
        return
    axis = next(axis for axis in reversed(list(axes[0])) if axis.get_visible())
    picture = axis.figure
    width, height = picture.get_size_inches()
    lines = max(4, int((height - ABOVE_BELOW) / ENTRY) - ("title" in options))
    legend = Beside(axis, handles, [handle.get_label() for handle in handles], loc="upper left",
                    bbox_to_anchor=(1.0, 1.0), ncol=-(-len(handles) // lines), columnspacing=1.2, **options)
    axis.add_artist(legend)
    legend.set_clip_on(False)  # what an axes cuts off has no place in the layout
    picture.set_size_inches(width + legend.get_window_extent(picture.canvas.get_renderer()).width / picture.dpi, height)


def height_lacking(picture):
    """Inches by which a legend beside the panels ends below the picture."""
    renderer = picture.canvas.get_renderer()
    legends = [one for axes in picture.axes for one in axes.artists if isinstance(one, Beside)]
    return -min([0, *(one.get_window_extent(renderer).y0 for one in legends)]) / picture.dpi
