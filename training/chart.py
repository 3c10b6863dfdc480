"""The frontier as a picture: quality against bytes per item, and against values touched per query.

A colour is a model, a line style how its values are stored; the upper part of the scale is stretched. The colours are
those of Okabe and Ito, which people with any colour vision tell apart (Wong, "Points of view: Color blindness", Nature
Methods 2011); markers tell them apart again.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import zip_longest
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
"""The forms of which work per query is drawn: all have about the same."""
MEANINGS = {
    "8 bytes a non-zero; dense f32": ("f32+32", "f32"),
    "6 bytes a non-zero; dense f16": ("f32+16", "f16"),
    "3 bytes a non-zero; dense int8": ("int8+16", "int8"),
    "product quantisation": ("pq",),
}
DPI = 90
COLOURS_KEPT = 96
"""Of the picture's, which are few but for smoothed edges."""
BEYOND = 1.25
"""How far the axes reach beyond the outermost points."""
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

    curves = document["curves"]
    looks = {name: {"color": COLOURS[n % 8], "marker": MARKERS[n % 8]} for n, name in enumerate(_swept(curves))}
    made = Figure(figsize=(11.5, 9), layout="constrained")
    grid = made.subplots(2, 2, sharex="col", sharey="row", width_ratios=(1.45, 1))
    for (left, right), metric in zip(grid, DRAWN, strict=True):
        left.set_ylabel(f"{NAMES[metric]} (cubic scale)")
        heights = [
            each[metric]["mean"] + side * (each[metric]["error"] or 0)
            for drawn in curves.values()
            for points in drawn.values()
            for each in points
            for side in (-1, 1)
        ]
        _stretch_upwards(left, max(0.0, 0.9 * min(heights)), 1.02 * max(heights))
        _by_bytes(left, curves, metric, looks)
        _by_work(right, curves, metric, looks)
        _lines(left, curves, metric, named=True)
        _lines(right, curves, metric, named=False)
    grid[1][0].set_xlabel("bytes per item")
    grid[1][1].set_xlabel("postings of a query (dense: items x dims)")
    made.suptitle(title(document["about"]), fontsize="medium")
    rows = zip_longest(_models(looks), _styles(curves), fillvalue=_nothing())  # legends fill column by column
    handles = [each for column in rows for each in column]
    made.legend(handles=handles, loc="outside lower center", ncols=len(handles) // 2, fontsize=8, frameon=False)
    return made


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
            _curve(axes, [each["bytes"] for each in points], points, metric, style)


def _by_work(axes: "Axes", curves: Mapping[str, Any], metric: str, looks: Mapping[str, Any]) -> None:
    drawn = {name: points for name in _swept(curves) for form, points in curves[name].items() if form in WIDE}
    _reach(axes, [each["touched"] for points in drawn.values() for each in points])
    axes.set_xscale("log")
    for name, points in drawn.items():
        _curve(axes, [each["touched"] for each in points], points, metric, {**looks[name], "linestyle": "-"})


def _reach(axes: "Axes", places: Sequence[float]) -> None:
    """Fit the axes to the places; by itself matplotlib has no extent for one place alone."""
    if places:
        axes.set_xlim(min(places) / BEYOND, max(places) * BEYOND)
    axes.grid(alpha=0.25)


def _curve(
    axes: "Axes", places: Sequence[float], points: Sequence[Mapping[str, Any]], metric: str, style: Mapping[str, Any]
) -> None:
    heights = [each[metric]["mean"] for each in points]
    errors = [each[metric]["error"] or 0 for each in points]
    drawn = axes.errorbar(places, heights, yerr=errors, **style, markersize=4, linewidth=1.3, elinewidth=0.7)
    for bars in drawn.lines[2]:
        bars.set_alpha(0.45)


def _lines(axes: "Axes", curves: Mapping[str, Any], metric: str, *, named: bool) -> None:
    """The models without a size."""
    for name, drawn in curves.items():
        for point in drawn.get(LINE, []):
            height = point[metric]["mean"]
            axes.axhline(height, color="0.45", linewidth=1, linestyle=(0, (8, 4)), zorder=0)
            if named:
                across = axes.get_yaxis_transform()  # x in parts of the axes, y in data
                axes.text(
                    0.995, height, name, transform=across, ha="right", va="bottom", fontsize="small", color="0.35"
                )


def _models(looks: Mapping[str, Mapping[str, Any]]) -> list["Line2D"]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], **look, label=name) for name, look in looks.items()]


def _nothing() -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", label=" ")


def _styles(curves: Mapping[str, Any]) -> list["Line2D"]:
    """What the line styles mean, one entry for all that share one."""
    from matplotlib.lines import Line2D

    drawn = {accounting for name in _swept(curves) for accounting in curves[name]}
    return [
        Line2D([], [], color="0.2", linestyle=STYLES[names[0]], label=label)
        for label, names in MEANINGS.items()
        if drawn & set(names)
    ]
