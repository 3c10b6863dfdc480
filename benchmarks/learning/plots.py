"""Plots of `benchmarks.training`: steps by values per item, epochs by width, memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.learning import memory, step
from benchmarks.learning.targets import PLACE

COLOURS = {
    step.OURS: "tab:blue",
    "in torch": "tab:cyan",
    "dense by hand": "tab:orange",
    step.REFERENCE: "tab:red",
}


def draw(directory: Path, document: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Write the plots there are figures for; their titles and files."""
    directory.mkdir(parents=True, exist_ok=True)
    makers = {
        "step": ("A training step by values per item, one thread", _step),
        "schedule": ("A dense epoch of the paper's schedule, one thread", _schedule),
        "memory": ("What training adds to the memory of the process", _memory),
    }
    found, made = document["places"][PLACE], []
    for name, (title, make) in makers.items():
        if name in found:
            figure = make(found[name])
            figure.suptitle(title)
            path = directory / f"{document['date']}-training-{name}.png"
            figure.savefig(path, dpi=80)
            made.append((title, path))
    return made


def _step(found: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    cases = [each for name, each in found.items() if name != "disturbance" and each["threads"] == 1]
    for way, colour in COLOURS.items():
        points = sorted((case["k"], case["ways"][way]["cpu_median_ms"]) for case in cases)
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=way)
    axes.set(xscale="log", yscale="log", xlabel="values per item", ylabel="CPU ms, median")
    axes.legend(fontsize="x-small")
    return figure


def _schedule(found: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    widths, _, cpu = zip(*found["timed_epochs"], strict=True)
    axes.plot(widths, cpu, marker="o", color=COLOURS["dense by hand"], label="one epoch of the paper's, dense")
    for number, run in enumerate(found["default"].values()):
        label = "the whole default recipe" if number == 0 else None
        axes.axhline(run["cpu_seconds"], color=COLOURS[step.OURS], linewidth=0.8, label=label)
    axes.set(xscale="log", xlabel="values per item", ylabel="CPU seconds", ylim=(0, None))
    axes.legend(fontsize="x-small")
    return figure


def _memory(found: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    ways = {way: each["training_mib"] for way, each in found["ways"].items()}
    colours = [COLOURS[step.OURS if way == memory.OURS else "dense by hand"] for way in ways]
    axes.barh(list(ways), list(ways.values()), color=colours)
    axes.invert_yaxis()
    axes.set(xlabel="MiB")
    return figure
