"""What steering was found to do: a document, a table and a picture of personal against concept nDCG.

Means and errors are over readers, of a reader in several seeds the mean of these; differences to the first strength of
the same way, which asks for nothing, are paired.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from index import disk
from training import chart, figures
from training.figures import PerUser
from training.pages.steered import CONCEPT, PERSONAL


class Point(NamedTuple):
    """One way at one strength, asked of the readers of one round."""

    way: str
    strength: float
    seed: int
    figures: Mapping[str, PerUser]
    """PERSONAL and CONCEPT."""


def document(points: Sequence[Point], about: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON: by way a list, one entry a strength."""
    ways = dict.fromkeys(each.way for each in points)
    return {**about, "ways": {way: _of_way([each for each in points if each.way == way]) for way in ways}}


def _of_way(points: Sequence[Point]) -> list[dict[str, Any]]:
    joined = {
        strength: {
            name: figures.joined([each.figures[name] for each in points if each.strength == strength])
            for name in (PERSONAL, CONCEPT)
        }
        for strength in dict.fromkeys(each.strength for each in points)
    }
    plain = next(iter(joined.values()))
    return [
        {"strength": strength, **{name: _figure(own[name], plain[name]) for name in (PERSONAL, CONCEPT)}}
        for strength, own in joined.items()
    ]


def _figure(own: PerUser, plain: PerUser) -> dict[str, Any]:
    change = own.minus(plain)
    return {
        "mean": own.mean(),
        "standard_error": own.standard_error(),
        "share": own.mean() / plain.mean() if plain.mean() else None,
        "change": change.mean(),
        "change_standard_error": change.standard_error(),
        "users": len(own.users),
    }


def markdown(document: Mapping[str, Any]) -> str:
    """A row a way and strength."""
    titles = "| way | strength | personal nDCG@20 | share of 0's | change (paired SE) | concept nDCG@20 | times 0's |"
    lines = [titles, "| --- " * 7 + "|"]
    for way, points in document["ways"].items():
        for each in points:
            personal, concept = each[PERSONAL], each[CONCEPT]
            cells = [way, f"{each['strength']:g}", f"{personal['mean']:.4f}", _ratio(personal)]
            error = personal["change_standard_error"]
            cells += [f"{personal['change']:+.4f}" + ("" if error is None else f" ({error:.4f})")]
            lines.append("| " + " | ".join([*cells, f"{concept['mean']:.4f}", _ratio(concept)]) + " |")
    return "\n".join(lines) + "\n"


def _ratio(figure: Mapping[str, Any]) -> str:
    return "-" if figure["share"] is None else f"{figure['share']:.3f}"


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write a PNG: a curve a way, a point a strength. Raises TrainingError without matplotlib."""
    chart.require_matplotlib()
    from matplotlib.figure import Figure  # there with the extras bench and dev only

    made = Figure(figsize=(8, 5.5), layout="constrained")
    axes = made.subplots()
    for number, (way, points) in enumerate(document["ways"].items()):
        colour, marker = chart.COLOURS[number % 8], chart.MARKERS[number % 8]
        x, y = ([each[name]["share"] for each in points] for name in (PERSONAL, CONCEPT))
        axes.plot(x, y, label=way, color=colour, marker=marker)
        for each, across, up in zip(points, x, y, strict=True):
            axes.annotate(f"{each['strength']:g}", (across, up), xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.axvline(0.98, color="grey", linewidth=0.8, linestyle=":")
    axes.axhline(1.6, color="grey", linewidth=0.8, linestyle=":")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("personal nDCG@20, as a share of that without steering")
    axes.set_ylabel("concept nDCG@20, times that without")
    axes.legend(frameon=False)
    drawn = BytesIO()
    made.savefig(drawn, dpi=chart.DPI, format="png")
    disk.replace(path, lambda file: file.write(drawn.getvalue()))
