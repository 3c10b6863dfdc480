"""Plots of a run: how latencies are distributed, how they grow, what filters cost, what a posting costs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import filters
from benchmarks.timing import Samples

Timed = Mapping[str, Mapping[str, Mapping[str, Samples]]]
"""By place, question and task."""
COLOURS = {
    "sparrow": "tab:blue",
    "unpruned": "tab:cyan",
    "touch": "tab:gray",
    "scipy": "tab:orange",
    "qdrant-edge": "tab:red",
    "faiss": "tab:green",
}


def draw(
    directory: Path, document: Mapping[str, Any], samples: Timed, touched: Mapping[str, NDArray[np.int64]]
) -> list[tuple[str, Path]]:
    """Write the plots there are figures for; their titles and files. `touched`: postings by place and query."""
    directory.mkdir(parents=True, exist_ok=True)
    found = {
        "latency": ("How long queries take", _latency(samples)),
        "scaling": ("How the median grows with the catalogue", _scaling(document)),
        "filters": ("What a filter costs", _filters(document)),
        "postings": ("Time over postings of the query", _postings(samples, touched)),
    }
    made = []
    for name, (title, figure) in found.items():
        if figure is not None:
            figure.suptitle(title)
            path = directory / f"{document['date']}-{name}.png"
            figure.savefig(path, dpi=80)
            made.append((title, path))
    return made


def _latency(samples: Timed) -> Figure | None:
    """Shares of the queries that are answered within a time."""
    places = {name: asked["latency"] for name, asked in samples.items() if "latency" in asked}
    if not places:
        return None
    figure, panels = _panels(places)
    for axes, timed in panels:
        for engine, each in timed.items():
            axes.ecdf(each.fastest_ms(), label=engine, color=COLOURS[engine])
        axes.set(xscale="log", xlabel="ms (the fastest round)", ylabel="share of queries")
        axes.legend(fontsize="x-small")
    return figure


def _scaling(document: Mapping[str, Any]) -> Figure | None:
    places = {name: place for name, place in document["places"].items() if "latency" in place}
    variants = sorted({name.split()[1] for name in places} - {"real"})
    if not variants:
        return None
    figure = Figure(figsize=(5 * len(variants), 4), layout="constrained")
    for axes, variant in zip(np.atleast_1d(figure.subplots(1, len(variants))), variants, strict=True):
        chosen = [place for name, place in places.items() if name.endswith((variant, "real"))]
        for engine, colour in COLOURS.items():
            points = [
                (place["about"]["items"], place["latency"]["engines"][engine]["median_ms"])
                for place in chosen
                if engine in place["latency"]["engines"]
            ]
            if points:
                axes.plot(*zip(*sorted(points), strict=True), marker="o", color=colour, label=engine)
        axes.set(xscale="log", yscale="log", xlabel="items", ylabel="median ms", title=f"{variant} (10k: real)")
        axes.legend(fontsize="x-small")
    return figure


def _filters(document: Mapping[str, Any]) -> Figure | None:
    places = {name: place["filters"] for name, place in document["places"].items() if "filters" in place}
    if not places:
        return None
    figure, panels = _panels(places)
    for axes, found in panels:
        for kind in filters.KINDS:
            times = [found["engines"][filters.name(kind, share)]["median_ms"] for share in filters.SHARES]
            axes.plot(filters.SHARES, times, marker="o", label=kind)
        axes.axhline(found["engines"]["unfiltered"]["median_ms"], color="black", linestyle=":", label="unfiltered")
        axes.set(xscale="log", xlabel="share of the items kept", ylabel="median ms", ylim=(0, None))
        axes.legend(fontsize="x-small")
    return figure


def _postings(samples: Timed, touched: Mapping[str, NDArray[np.int64]]) -> Figure | None:
    places = {name: (asked["latency"], touched[name]) for name, asked in samples.items() if "latency" in asked}
    if not places:
        return None
    figure, panels = _panels(places)
    for axes, (timed, postings) in panels:
        for engine in ("unpruned", "sparrow", "touch"):
            times = timed[engine].fastest_ms()
            axes.scatter(postings / 1e6, times, s=6, color=COLOURS[engine], label=engine)
        axes.set(xlabel="postings of the query's dims, millions", ylabel="ms (the fastest round)", ylim=(0, None))
        axes.legend(fontsize="x-small")
    return figure


def _panels(places: Mapping[str, Any]) -> tuple[Figure, Iterator[tuple[Axes, Any]]]:
    """A figure with a titled panel a place."""
    wide = min(3, len(places))
    high = -(-len(places) // wide)
    figure = Figure(figsize=(4.5 * wide, 3.5 * high), layout="constrained")
    every = list(np.atleast_1d(figure.subplots(high, wide)).flat)
    for spare in every[len(places) :]:
        spare.set_axis_off()
    for axes, name in zip(every, places, strict=False):
        axes.set_title(name)
    return figure, zip(every, places.values(), strict=False)
