"""What must be shown, and whether it is.

A ratio of times is one of medians on one thread: of wall time where the machine was quiet, of CPU time where it was
not, since whoever is interrupted takes longer the longer he works, and a slow engine would look slower than it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from index.types import JSON


@dataclass(frozen=True)
class Target:
    """One bound on one figure of the document."""

    name: str
    """For tables."""
    place: str
    """The catalogue, as `subject.Place.name` says it."""
    path: tuple[str, ...]
    """Question, then keys down to the figure: a number, or a ratio in wall and CPU time."""
    holds: Literal[">=", "<=", "=="]
    """On which side of the bound the figure has to be."""
    bound: float
    """The bound."""
    steady: bool = False
    """Whether the figure is the same on a busy machine."""


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured."""

    name: str
    """Of the target."""
    place: str
    """Of the target."""
    target: str
    """Side and bound."""
    value: float
    """What was measured."""
    by: Literal["wall", "cpu", "figure"]
    """Wall time, CPU time because the machine was busy, or a figure that is no ratio of times."""
    met: bool
    """Whether it holds."""
    doubt: str | None
    """Why not to rely on that, in words."""


def _slower(question: str, name: str) -> tuple[str, ...]:
    return (question, "slower_than_ours", name)


def _both(name: str, path: tuple[str, ...], holds: Literal[">=", "<="], *bounds: float) -> list[Target]:
    """The same for both variants at 1M: one bound for both, or one for each."""
    places = ("1M clustered", "1M diffuse")
    return [Target(name, place, path, holds, bound) for place, bound in zip(places, bounds * 2, strict=False)]


QDRANT, QDRANT_64 = _slower("latency", "qdrant-edge"), _slower("few_dims", "qdrant-edge 64")
TOUCH = ("latency", "times_the_limits", "sparrow_to_touch")
PLACES = ("10k real", "100k clustered", "100k diffuse", "1M clustered", "1M diffuse", "10M clustered", "10M diffuse")
EXACT = [
    Target(f"{question}: the oracle's answers", place, (question, "identical_to_the_oracle"), "==", 1.0)
    for place in PLACES
    for question in ("latency", "few_dims", "filters", "homepage", "throughput")
]
TARGETS: Sequence[Target] = (
    *EXACT,
    *_both("qdrant-edge takes", QDRANT, ">=", 4.0, 2.2),
    Target("qdrant-edge takes", "100k clustered", QDRANT, ">=", 3.0),
    Target("qdrant-edge takes", "100k diffuse", QDRANT, ">=", 3.0),
    Target("qdrant-edge takes", "10k real", QDRANT, ">=", 2.5),
    *_both("scipy takes", _slower("latency", "scipy"), ">=", 10.0, 5.0),
    *_both("faiss takes", _slower("latency", "faiss"), ">=", 10.0),
    Target("ours, of the touch limit", "1M clustered", TOUCH, "<=", 1.6),
    Target("ours, of the touch limit", "10M clustered", TOUCH, "<=", 1.0),
    *_both("two threads, throughput", ("throughput", "threads", "two_times_one"), ">=", 1.7),
    *_both("a batch of 32, CPU of unpruned", ("throughput", "batch_cpu_times_unpruned"), "<=", 1 / 3),
    *_both("64 dims: our full width takes", _slower("few_dims", "sparrow"), ">=", 5.0),
    *_both("64 dims: qdrant-edge takes", QDRANT_64, ">=", 3.0),
    *(
        target
        for kind in ("random", "similar", "contiguous")
        for target in _both(
            f"filter, {kind} 1 %, of unfiltered", ("filters", "times_the_unfiltered", f"{kind} 1.00%"), "<=", 1.2
        )
    ),
    *_both("homepage, of an unpruned pass", ("homepage", "times_unpruned"), "<=", 1.5),
    Target("homepage, of one top_n", "10k real", ("homepage", "times_top_n"), "<=", 1.3),
    *_both("bytes per non-zero", ("storage", "bytes_per_nonzero"), "<=", 11.0),
    *_both("opening, of reading", ("storage", "full", "open_times_read"), "<=", 3.0),
    *_both("building, of writing", ("storage", "full", "build_times_write"), "<=", 3.0),
    *_both("building without properties, of writing", ("storage", "codes", "build_times_write"), "<=", 3.0),
)


def judge(document: Mapping[str, Any], targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """A verdict for each target whose figure the document has."""
    return [verdict for target in targets if (verdict := _verdict(target, document["places"])) is not None]


def to_json(verdicts: Sequence[Verdict]) -> list[JSON]:
    """For the document."""
    return [asdict(verdict) for verdict in verdicts]


def _verdict(target: Target, places: Mapping[str, Any]) -> Verdict | None:
    place = places.get(target.place, {})
    figure: Any = place
    noisy = False
    for key in target.path:
        if not isinstance(figure, Mapping) or key not in figure:
            return None
        figure = figure[key]
        if isinstance(figure, Mapping) and "disturbance" in figure:
            noisy = figure["disturbance"]["noisy"]
    by: Literal["wall", "cpu", "figure"] = "figure"
    if isinstance(figure, Mapping):
        by = "cpu" if noisy else "wall"
        figure = figure[by]
    value = float(figure)
    met = {">=": value >= target.bound, "<=": value <= target.bound, "==": value == target.bound}[target.holds]
    steady = target.steady or target.holds == "=="
    doubts = () if steady else (place["about"]["outside"], "the machine was busy" if noisy else None)
    doubt = "; ".join(each for each in doubts if each) or None
    return Verdict(target.name, target.place, f"{target.holds} {target.bound:.3g}", value, by, met, doubt)
