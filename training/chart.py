"""The frontier as a picture: quality against bytes per item, and against values touched per query.

A colour is a model, named where its curve ends; a line style is how its values are stored. The curve of the widest
form is strong and has error bars, which those of its other forms would only repeat. The upper part of the scale is
stretched. The colours are those of Okabe and Ito, which people with any colour vision tell apart (Wong, "Points of
view: Color blindness", Nature Methods 2011); markers tell them apart again.
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index import disk
from training.curves import DRAWN, LINE
from training.errors import TrainingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vPX*"
STYLES: Mapping[str, Any] = {
    "f32+32": "-",
    "f32+16": (0, (5, 1.5)),
    "int8+16": (0, (1, 1.2)),
    "f32": "-",
    "f16": (0, (5, 1.5)),
    "int8": (0, (1, 1.2)),
    "pq": (0, (6, 1.5, 1, 1.5)),
}
WIDE = ("f32+32", "f32")
"""The forms that are drawn strongly, and of which work per query is drawn: all have about the same."""
MEANINGS = {
    "8 bytes a non-zero; dense f32": ("f32+32", "f32"),
    "6 bytes a non-zero; dense f16": ("f32+16", "f16"),
    "3 bytes a non-zero; dense int8": ("int8+16", "int8"),
    "product quantisation": ("pq",),
}
DPI = 90
COLOURS_KEPT = 96
"""Of the picture's, which are few but for smoothed edges."""
BEYOND = (1.25, 3.0)
"""How far the axes reach beyond the outermost points: on the right there are names."""
NAMES = {"ndcg@100": "nDCG@100", "recall@20": "Recall@20"}


def require_matplotlib() -> None:
    """Raise TrainingError if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise TrainingError(
            "the frontier is drawn with matplotlib, which is not installed: pip install -c constraints.txt -e "
            "'.[bench]'"
        )


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write a PNG of what `frontier.measure` gave."""
    from PIL import Image  # comes with matplotlib

    drawn = BytesIO()
    figure(document).savefig(drawn, dpi=DPI, format="png")
    # a palette takes a third of the bytes
    small = Image.open(drawn).convert("RGB").quantize(COLOURS_KEPT)
    disk.replace(path, lambda file: small.save(file, "PNG", optimize=True))


def figure(document: Mapping[str, Any]) -> "Figure":
    """The picture: a row a metric; on the left by bytes, on the right by work."""
    from matplotlib.figure import Figure  # matplotlib is there with the extras bench and dev only
    from matplotlib.text import Annotation

    curves = document["curves"]
    looks = {name: {"color": COLOURS[n % 8], "marker": MARKERS[n % 8]} for n, name in enumerate(_swept(curves))}
    made = Figure(figsize=(11.5, 10), layout="constrained")
    grid = made.subplots(2, 2, sharex="col", sharey="row", width_ratios=(1.3, 1))
    for (left, right), metric in zip(grid, DRAWN, strict=True):
        left.set_ylabel(f"{NAMES[metric]} (the scale is cubic)")
        _stretch_upwards(left, *_limits(curves, metric))
        _by_bytes(left, curves, metric, looks)
        _by_work(right, curves, metric, looks)
        _lines(left, right, curves, metric)
    grid[1][0].set_xlabel("bytes per item")
    grid[1][1].set_xlabel("postings of a query (dense: items x dims)")
    made.suptitle(title(document["about"]), fontsize="medium")
    styles = _styles(curves)
    made.legend(handles=styles, loc="outside lower center", ncols=len(styles) or 1, fontsize=9, frameon=False)
    made.draw_without_rendering()  # where names are is known only then
    for axes in grid.flat:
        _part((each for each in axes.texts if isinstance(each, Annotation)), made.dpi)
    return made


def _limits(curves: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """Of the heights of all points with their errors."""
    points = [each[metric] for drawn in curves.values() for points in drawn.values() for each in points]
    low = min(each["mean"] - (each["error"] or 0) for each in points)
    return max(0.0, 0.9 * low), 1.02 * max(each["mean"] + (each["error"] or 0) for each in points)


def _stretch_upwards(axes: "Axes", low: float, high: float) -> None:
    """Good models differ by little: the cube gives most of the axis to the upper part, and still shows the floor."""
    axes.set_yscale("function", functions=(lambda quality: quality**3, np.cbrt))
    axes.set_ylim(low, high)
    step = 2 * 10 ** np.floor(np.log10(high / 10))
    marks: list[float] = []
    for mark in step * np.arange(int(high / step), -1, -1):
        if mark >= low and (not marks or marks[-1] ** 3 - mark**3 > 0.05 * (high**3 - low**3)):
            marks.append(mark)
    axes.set_yticks(marks)


def title(about: Mapping[str, Any]) -> str:
    """What was measured on what, in words."""
    users, seeds = about["users"], about["seeds"]
    rounds = f"{_counted(seeds, 'seed')} x {_counted(len(users) // seeds, 'group')}"
    bars = "sd over seeds" if seeds > 1 else "standard error over users"
    judges = f"{rounds} of {round(sum(users) / len(users)):,} test users"
    return f"{about['dataset']}, protocol {about['protocol']}: {judges}; bars: {bars}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _swept(curves: Mapping[str, Any]) -> list[str]:
    return [name for name, drawn in curves.items() if LINE not in drawn]


def _by_bytes(axes: "Axes", curves: Mapping[str, Any], metric: str, looks: Mapping[str, Any]) -> None:
    _reach(axes, [each["bytes"] for name in _swept(curves) for points in curves[name].values() for each in points])
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    for name in _swept(curves):
        for accounting, points in curves[name].items():
            style = {**looks[name], "linestyle": STYLES[accounting]}
            _curve(axes, [each["bytes"] for each in points], points, metric, style, strong=accounting in WIDE)
            if accounting in WIDE:
                _name(axes, name, points[-1]["bytes"], points[-1][metric]["mean"], looks[name]["color"])


def _by_work(axes: "Axes", curves: Mapping[str, Any], metric: str, looks: Mapping[str, Any]) -> None:
    drawn = {name: points for name in _swept(curves) for form, points in curves[name].items() if form in WIDE}
    _reach(axes, [each["touched"] for points in drawn.values() for each in points])
    axes.set_xscale("log")
    for name, points in drawn.items():
        style = {**looks[name], "linestyle": "-"}
        _curve(axes, [each["touched"] for each in points], points, metric, style, strong=True)
        _name(axes, name, points[-1]["touched"], points[-1][metric]["mean"], looks[name]["color"])


def _reach(axes: "Axes", places: Sequence[float]) -> None:
    """Fit the axes to the places; by itself matplotlib has no extent for one place alone."""
    if places:
        axes.set_xlim(min(places) / BEYOND[0], max(places) * BEYOND[1])
    axes.grid(alpha=0.25)


def _curve(
    axes: "Axes",
    places: Sequence[float],
    points: Sequence[Mapping[str, Any]],
    metric: str,
    style: Mapping[str, Any],
    *,
    strong: bool,
) -> None:
    heights = [each[metric]["mean"] for each in points]
    if not strong:
        axes.plot(places, heights, **style, markersize=2.5, linewidth=1.1, alpha=0.7)
        return
    errors = [each[metric]["error"] or 0 for each in points]
    drawn = axes.errorbar(places, heights, yerr=errors, **style, markersize=5, linewidth=1.6, elinewidth=0.8, zorder=3)
    for bars in drawn.lines[2]:
        bars.set_alpha(0.4)


def _name(axes: "Axes", name: str, place: float, height: float, colour: str) -> None:
    """Right of the end of a curve."""
    from matplotlib.patheffects import withStroke

    around = [withStroke(linewidth=2.5, foreground="white")]
    axes.annotate(
        name, (place, height), (7, 0), textcoords="offset points",
        va="center", fontsize=9, color=colour, path_effects=around, zorder=4,
    )  # fmt: skip


def _part(names: Iterable["Annotation"], dpi: float) -> None:
    """Move names down, from the highest on, as far as those above them reach."""
    above: list[Bbox] = []
    for each in sorted(names, key=lambda one: -one.get_window_extent().y0):
        first = own = each.get_window_extent()
        for other in above:
            if own.overlaps(other):
                own = own.translated(0, other.y0 - own.y1 - 1)
        x, y = each.xyann
        each.xyann = (x, y + (own.y0 - first.y0) * 72 / dpi)
        above.append(own)


def _lines(left: "Axes", right: "Axes", curves: Mapping[str, Any], metric: str) -> None:
    """The models without a size, named in the margin."""
    for name, drawn in curves.items():
        for point in drawn.get(LINE, []):
            height = point[metric]["mean"]
            for axes in (left, right):
                axes.axhline(height, color="0.45", linewidth=1, linestyle=(0, (8, 4)), zorder=0)
            right.annotate(
                name, (1, height), (4, 0), xycoords=right.get_yaxis_transform(), textcoords="offset points",
                va="center", fontsize=9, color="0.35", annotation_clip=False,
            )  # fmt: skip


def _styles(curves: Mapping[str, Any]) -> list["Line2D"]:
    """What the line styles mean, one entry for all that share one."""
    from matplotlib.lines import Line2D

    drawn = {accounting for name in _swept(curves) for accounting in curves[name]}
    return [
        Line2D([], [], color="0.2", linestyle=STYLES[names[0]], label=label)
        for label, names in MEANINGS.items()
        if drawn & set(names)
    ]
