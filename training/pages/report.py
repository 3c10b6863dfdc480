"""What was found about pages: a document, and tables of it.

A figure is the mean over readers, of a reader in several seeds the mean of these; its error is that of the mean over
readers. Differences are of each reader's own figures (paired).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from training import figures
from training.figures import PerUser
from training.pages.judging import COVERAGE, MAIN, METRICS, OWN, Judgement


class Finding(NamedTuple):
    """What one round says about pages of one size."""

    size: str
    """What the size is called."""
    seed: int
    judged: Mapping[str, Judgement]
    """By way."""


def document(findings: Sequence[Finding], about: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON: figures of every way, and the page minus each other, by size."""
    sizes = dict.fromkeys(each.size for each in findings)
    return {**about, "sizes": {size: _of_size([each for each in findings if each.size == size]) for size in sizes}}


def _of_size(findings: Sequence[Finding]) -> dict[str, Any]:
    ways = findings[0].judged
    joined = {
        way: {metric: figures.joined([each.judged[way].per_user[metric] for each in findings]) for metric in METRICS}
        for way in ways
    }
    covered = {way: float(np.mean([each.judged[way].coverage for each in findings])) for way in ways}
    return {
        "figures": {
            way: {**{metric: _figure(own[metric]) for metric in METRICS}, COVERAGE: {"mean": covered[way]}}
            for way, own in joined.items()
        },
        "seeds": {way: _by_seed(findings, way) for way in ways},
        "page_minus": {
            way: {metric: _figure(joined[OWN][metric].minus(own[metric])) for metric in METRICS}
            for way, own in joined.items()
            if way != OWN
        },
    }


def _by_seed(findings: Sequence[Finding], way: str) -> list[float]:
    """The 2D-nDCG of each seed."""
    seeds = sorted({each.seed for each in findings})
    own = {seed: [each.judged[way].per_user[MAIN] for each in findings if each.seed == seed] for seed in seeds}
    return [figures.joined(own[seed]).mean() for seed in seeds]


def _figure(found: PerUser) -> dict[str, float | int | None]:
    return {"mean": found.mean(), "standard_error": found.standard_error(), "users": len(found.users)}


def markdown(document: Mapping[str, Any]) -> str:
    """A table a size: a way a row, its figures, and how the page's 2D-nDCG compares."""
    return "\n".join(_table(size, found) for size, found in document["sizes"].items())


def _table(size: str, found: Mapping[str, Any]) -> str:
    titles = ["2D-nDCG", "page / this", "page - this (paired SE)", *METRICS[1:], COVERAGE]
    lines = [f"| {size} | " + " | ".join(titles) + " |", "| --- " * (len(titles) + 1) + "|"]
    own = found["figures"][OWN][MAIN]["mean"]
    for way, figure in found["figures"].items():
        main = figure[MAIN]
        ratio = f"{own / main['mean']:.3f}" if main["mean"] else "-"
        against = _against(found["page_minus"].get(way))
        cells = [f"{main['mean']:.4f}{_error(main, 4)}", ratio, against]
        cells += [f"{figure[name]['mean']:.{digits}f}" for name, digits in _DIGITS.items()]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


_DIGITS = {
    "distinct": 1,
    "duplicates": 1,
    "row_diversity": 3,
    "coherence_read": 4,
    "coherence_text": 4,
    "stability": 3,
    COVERAGE: 3,
}


def _against(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found[MAIN]['mean']:+.4f}{_error(found[MAIN], 4)}"


def _error(figure: Mapping[str, Any], digits: int) -> str:
    error = figure["standard_error"]
    return "" if error is None else f" ({error:.{digits}f})"
