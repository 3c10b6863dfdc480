"""The document of `benchmarks.training` as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import tables
from benchmarks.learning import memory, schedule, step
from benchmarks.learning.targets import PLACE
from benchmarks.tables import Table
from training.evaluate import MAIN


def of(document: Mapping[str, Any]) -> list[Table]:
    """Every table that the document has figures for; the verdicts are the last."""
    makers = {"step": _step, "schedule": _schedule, "memory": _memory, "processes": _processes, "limit": _limit}
    found = document["places"][PLACE]
    made = [table for name, make in makers.items() if name in found for table in make(found[name])]
    return [*made, tables.verdicts(document["targets"])]


def _step(found: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("case", "way", "median ms", "CPU median", "takes times ours", "by CPU", "gradient differs by")
    rows = []
    for name, case in _cases(found):
        for way, times in case["ways"].items():
            ratio, differs = case["slower_than_ours"].get(way), case["differences"].get(way)
            shown = ("", "") if ratio is None else (f"{ratio['wall']:.1f}", f"{ratio['cpu']:.1f}")
            difference = "" if differs is None else f"{differs['gradient']:.1e}"
            label = f"{name}, {case['users']:,} users{_noise(case)}" if way == step.OURS else ""
            rows.append((label, way, f"{times['median_ms']:.4g}", f"{times['cpu_median_ms']:.4g}", *shown, difference))
    yield Table("One training step, with its optimiser", columns, rows)


def _schedule(found: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("run", "seconds", "CPU seconds", "of its steps", "epochs", "best", f"{MAIN}, unscaled", f"{MAIN} (se)")
    runs = {f"default, seed {seed}": each for seed, each in found["default"].items()}
    runs |= {f"paper, batch {size}, sparse where exact": each for size, each in found["paper"].items()}
    rows = [
        (
            name,
            f"{run['seconds']:.3g}",
            f"{run['cpu_seconds']:.3g}",
            f"{run['steps_seconds']:.3g}",
            str(run["epochs"]),
            str(run["best_epoch"]),
            f"{run['unscaled']:.4f}",
            f"{run[MAIN]:.4f} ({run[f'{MAIN}_se']:.4f})",
        )
        for name, run in runs.items()
    ]
    dense = found["dense"]
    seconds = (f"{dense['seconds']:.4g}", f"{dense['cpu_seconds']:.4g}", f"{dense['seconds']:.4g}")
    rows.append((schedule.PAPER, *seconds, str(dense["epochs"]), "", "", ""))
    better = (
        "; paired, ours is better by {:+.4f} (se {:.4f})".format(*found["better_by_paired"]) if found["paper"] else ""
    )
    yield Table(f"The default recipe and the paper's schedule{_noise(found)}{better}", columns, rows)
    timed = [(f"{width:,}", f"{wall:.3g}", f"{cpu:.3g}") for width, wall, cpu in found["timed_epochs"]]
    yield Table("Epochs of the paper's schedule that were timed, dense", ("values per item", "seconds", "CPU"), timed)


def _memory(found: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("way", "before, MiB", "peak", "by training", "ours, of it")
    rows = [
        (
            way,
            *(f"{each[key]:,.0f}" for key in ("before_mib", "peak_mib", "training_mib")),
            "" if way == memory.OURS else f"{found['shares'][way]:.3f}",
        )
        for way, each in found["ways"].items()
    ]
    yield Table(f"Memory; in total, ours is {found['total_of_leanest']:.2f} of the leanest dense", columns, rows)


def _processes(found: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("case", "one, ms a step", "two", "times as fast", "steps", "losses differ by")
    rows = [
        (
            name,
            *(f"{each[key]:.3g}" for key in ("one_ms", "two_ms")),
            f"{each['two_times_one']:.2f}",
            str(each["steps"]),
            f"{each['losses_differ_by']:.1e}",
        )
        for name, each in _cases(found)
    ]
    yield Table(f"Two processes of one thread each, and one{_noise(found)}", columns, rows)


def _limit(found: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("case", "step ms", "touch ms", "step / touch", "by CPU", "GFLOPS", "of touch", "GB/s read", "by touch")
    rows = []
    for name, each in _cases(found):
        times = (f"{each['times'][way]['median_ms']:.3g}" for way in ("compiled", "touch"))
        ratios = (f"{each['times_touch'][by]:.2f}" for by in ("wall", "cpu"))
        keys = ("gflops", "gflops_of_touch", "read_gb_per_second", "touch_read_gb_per_second")
        rows.append((name, *times, *ratios, *(f"{each[key]:.1f}" for key in keys)))
    yield Table(
        f"The compiled step and the caches, one thread (rates: the fastest round, CPU time){_noise(found)}",
        columns,
        rows,
    )


def _cases(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, case) for name, case in found.items() if name != "disturbance"]


def _noise(found: Mapping[str, Any]) -> str:
    return " (noisy)" if found["disturbance"]["noisy"] else ""
