"""What was measured for the frontier as curves: by recipe and accounting of bytes, a point a size.

A figure is the mean over test users, averaged over seeds. Its error is the standard deviation over seeds, or where
there is one seed the standard error over users.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluate import MAIN

DRAWN = (MAIN, "recall@20")
"""The metrics of the curves."""
LINE = "line"
"""The form of a model without a size."""


def by_recipe(points: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Figures by recipe and accounting, a point a size, by ascending bytes; of pq one a number of bytes."""
    groups: dict[tuple[str, str, Any, int], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for point in points:
        for number, form in enumerate(point.get("forms", ())):
            for accounting in form["bytes"]:
                groups.setdefault((point["name"], accounting, point["size"], number), []).append((point, form))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for (name, accounting, size, _), own in groups.items():
        found.setdefault(name, {}).setdefault(accounting, []).append({"size": size, **_point(accounting, own)})
    for drawn in found.values():
        for accounting, each in drawn.items():
            each.sort(key=lambda point: (point["bytes"], -point["validation"]))
            if accounting == "pq":
                firsts = {point["bytes"]: point for point in reversed(each)}
                drawn[accounting] = [firsts[size] for size in sorted(firsts)]
    return found


def _point(accounting: str, own: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """A size in all its rounds."""
    forms = [form for _, form in own]
    seeds = [[form["test"] for point, form in own if point["seed"] == seed] for seed in {p["seed"] for p, _ in own}]
    touched = [form["touched"] for form in forms if form["touched"] is not None]
    return {
        "bytes": float(np.mean([form["bytes"][accounting] for form in forms])),
        "bytes_beside": float(np.mean([form["bytes_beside"] for form in forms])),
        "touched": float(np.mean(touched)) if touched else None,
        "validation": float(np.mean([form["validation"] for form in forms])),
        **{metric: _figure([pooled(each, metric) for each in seeds]) for metric in DRAWN},
    }


def _figure(seeds: Sequence[tuple[float, float | None]]) -> dict[str, float | None]:
    means = [mean for mean, _ in seeds]
    return {"mean": float(np.mean(means)), "error": float(np.std(means, ddof=1)) if len(means) > 1 else seeds[0][1]}


def pooled(groups: Sequence[Mapping[str, Any]], metric: str) -> tuple[float, float | None]:
    """Mean over the users of disjoint groups and its standard error, from those of each group."""
    n = np.array([each["users"] for each in groups])
    means = np.array([each[metric] for each in groups])
    errors = np.array([each[f"{metric}_se"] or 0.0 for each in groups])
    mean, total = float((n * means).sum() / n.sum()), int(n.sum())
    if total < 2:
        return mean, None
    deviations = (errors**2 * n * (n - 1)).sum() + (n * (means - mean) ** 2).sum()
    return mean, float(np.sqrt(deviations / (total - 1) / total))


def markdown(document: Mapping[str, Any]) -> str:
    """The curves as a table; in brackets errors."""
    lines = ["| model | size | form | bytes | " + " | ".join(DRAWN) + " | values touched |", "| --- " * 7 + "|"]
    for name, drawn in document["curves"].items():
        for accounting, points in drawn.items():
            for each in points:
                cells = [name, str(each["size"] or "-"), accounting]
                cells.append("-" if accounting == LINE else f"{each['bytes']:.0f}")
                cells += [_cell(each[metric]) for metric in DRAWN]
                cells.append("-" if each["touched"] is None else f"{each['touched']:,.0f}")
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, float | None]) -> str:
    error = figure["error"]
    return f"{figure['mean']:.4f}" + ("" if error is None else f" ({error:.4f})")
