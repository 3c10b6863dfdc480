"""Plots of `benchmarks.http`: throughput, tails, layers, the soak."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.serving.layers import LAYERS


def draw(directory: Path, document: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Write the plots there are figures for; their titles and files."""
    directory.mkdir(parents=True, exist_ok=True)
    makers: dict[str, tuple[str, Callable[[Mapping[str, Any]], Figure]]] = {
        "throughput": ("CPU time of a request", _throughput),
        "latency": ("Latency at half of each endpoint's maximum", _latency),
        "layers": ("Where the time goes", _layers),
        "soak": ("Mixed traffic with swaps and restarts", _soak),
    }
    made = []
    for question, (title, make) in makers.items():
        asked = {name: place[question] for name, place in document["places"].items() if question in place}
        if question == "layers":
            asked = {name: found for name, found in asked.items() if len(found) > 1}
        if asked:
            figure = make(asked)
            figure.suptitle(title)
            path = directory / f"{document['date']}-http-{question}.png"
            figure.savefig(path, dpi=80)
            made.append((title, path))
    return made


def _throughput(asked: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 0.9 + 0.7 * len(asked) * 2), layout="constrained")
    axes = figure.subplots()
    names = list(next(iter(asked.values()))["endpoints"])
    height = 0.8 / len(asked)
    for number, (place, found) in enumerate(asked.items()):
        cpu = [found["endpoints"][name]["cpu_us"] for name in names]
        axes.barh(np.arange(len(names)) + number * height, cpu, height, label=place)
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, names)
    axes.invert_yaxis()
    axes.set(xlabel="CPU us of the worker")
    axes.legend(fontsize="x-small")
    return figure


def _latency(asked: Mapping[str, Any]) -> Figure:
    """By quantile, as those who look at tails draw it: one more nine is one step to the right."""
    figure, panels = _panels(asked)
    for axes, found in panels:
        for name, told in found["endpoints"].items():
            upper, counts = np.array(told["histogram"]).T
            below = np.cumsum(counts) / counts.sum()
            kept = below < 1
            axes.plot(1 / (1 - below[kept]), upper[kept], label=name)
        axes.set(xscale="log", yscale="log", ylabel="ms", xlabel="quantile")
        axes.set_xticks([2, 10, 100, 1000], ["50 %", "90 %", "99 %", "99.9 %"])
        axes.legend(fontsize="x-small")
    return figure


def _layers(asked: Mapping[str, Any]) -> Figure:
    figure, panels = _panels(asked)
    for axes, found in panels:
        kinds = [kind for kind in found if kind != "disturbance"]
        left = np.zeros(len(kinds))
        for number, layer in enumerate(LAYERS):
            widths = np.array([found[kind]["layers_us"].get(layer, 0.0) for kind in kinds])
            axes.barh(kinds, widths, left=left, label=layer, color=f"C{number}" if number < 10 else f"{number / 20}")
            left += widths
        axes.set(xlabel="CPU us")
        axes.legend(fontsize="xx-small", ncols=2)
    return figure


def _soak(asked: Mapping[str, Any]) -> Figure:
    figure, panels = _panels(asked)
    for axes, found in panels:
        told = found["disturbed"]
        starts, medians, p99, _ = np.array(told["windows"]).T
        axes.plot(starts, medians, label="median")
        axes.plot(starts, p99, label="p99")
        for name, colour in (("swaps", "tab:gray"), ("restarts", "tab:red")):
            for number, at in enumerate(told[name]):
                axes.axvline(at, color=colour, linewidth=0.5, label=name if not number else None)
        axes.set(xlabel="seconds", ylabel="ms", yscale="log")
        axes.legend(fontsize="x-small")
    return figure


def _panels(asked: Mapping[str, Any]) -> tuple[Figure, list[tuple[Axes, Any]]]:
    """A figure with a titled panel a place."""
    figure = Figure(figsize=(5 * len(asked), 4), layout="constrained")
    every = list(np.atleast_1d(figure.subplots(1, len(asked))).flat)
    for axes, name in zip(every, asked, strict=True):
        axes.set_title(name)
    return figure, list(zip(every, asked.values(), strict=True))
