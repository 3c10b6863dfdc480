"""What is told of the data, of results and of an interruption, for people."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from training.evaluate import COVERAGE, MAIN, METRICS
from training.interactions import LoadReport
from training.items import ItemsReport


@contextmanager
def telling_what_is_kept(text: str, *, quiet: bool = False) -> Iterator[None]:
    """Say so on stderr when what runs is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True, quiet=quiet).print(f"Interrupted. {text}", highlight=False, markup=False, soft_wrap=True)
        raise


def print_report(console: Console, loaded: LoadReport, described: ItemsReport | None) -> None:
    """What the loader read and dropped."""
    table = Table("", "rows", "users", "items", title=loaded.file)
    table.add_row("read", f"{loaded.rows:,}", "", "")
    for each in loaded.dropped:
        table.add_row(f"dropped: {each.reason}", f"{each.rows:,}", f"{each.users:,}", f"{each.items:,}")
    table.add_row("left", f"{loaded.interactions:,}", f"{loaded.users:,}", f"{loaded.items:,}", style="bold")
    console.print(table)
    for note in loaded.notes:
        console.print(f"{loaded.file}: {note}", highlight=False, soft_wrap=True)
    if described is not None:
        text = f"{described.file}: {described.used:,} items described, {described.without:,} without properties"
        console.print(
            f"{text}, {described.unknown:,} rows of items that nobody interacted with", highlight=False, soft_wrap=True
        )


CURVE = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
"""From the worst to the best."""


def curve(epochs: Sequence[Mapping[str, Any]]) -> str:
    """The validation scores of a training as a line of small bars, with their ends; empty if there are none."""
    scores = [epoch["score"] for epoch in epochs if "score" in epoch]
    if not scores:
        return ""
    low, high = min(scores), max(scores)
    bars = "".join(CURVE[round((score - low) / (high - low or 1) * (len(CURVE) - 1))] for score in scores)
    best = scores.index(high) + 1
    return f"{MAIN} by epoch: {scores[0]:.4f} {bars} {scores[-1]:.4f}; the best, {high:.4f}, of epoch {best} is kept"


def print_metrics(console: Console, title: str, metrics: Mapping[str, Any]) -> None:
    """Means with their standard errors over users."""
    table = Table("metric", "mean", "standard error", title=title)
    for name in (name for name in (*METRICS, COVERAGE) if name in metrics):  # runs of before have fewer
        error = metrics.get(f"{name}_se")
        table.add_row(name, f"{metrics[name]:.4f}", "" if error is None else f"{error:.4f}")
    console.print(table)


def print_found(console: Console, title: str, rows: Sequence[tuple[str, float | None, Mapping[str, Any]]]) -> None:
    """Trials with their scores and values, but for values that are the same in all rows."""
    names = [name for name, first in rows[0][2].items() if any(values[name] != first for _, _, values in rows)]
    table = Table("", MAIN, title=title)
    for name in names:
        table.add_column(name, overflow="fold")
    for name, score, values in rows:
        table.add_row(name, "failed" if score is None else f"{score:.4f}", *(f"{values[each]}" for each in names))
    console.print(table)
