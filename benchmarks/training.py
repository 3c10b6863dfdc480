"""How fast is training, beside dense arithmetic, and what does it need? See benchmarks/README.md.

python -m benchmarks.training --json
"""

import importlib.util
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks import machine, peers, targets, timing
from benchmarks.comparison import Finding
from benchmarks.learning import limit, memory, processes, report, schedule, step, subject
from benchmarks.learning.subject import FULL, QUICK, WHOLE, Subject
from benchmarks.learning.targets import PLACE, TARGETS
from benchmarks.questions import announced, named
from index.cli import main_for, print_json
from training import _kernel
from training.errors import TrainingError

QUESTIONS: dict[str, ModuleType] = {
    "step": step,
    "schedule": schedule,
    "memory": memory,
    "processes": processes,
    "limit": limit,
}
"""Modules with measure(subject, done) and steps(subject), how often it calls done."""

cli = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)
main = main_for(cli, TrainingError, ValueError, ChildProcessError, FileNotFoundError)


@cli.command()
def measure(
    only: Annotated[str, typer.Option(help="The questions to ask.")] = ",".join(QUESTIONS),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer sizes, rounds and seeds, and no run of the paper's for its quality.")
    ] = False,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Time an epoch of all stages of the paper's schedule, and judge it at our batch size as well.",
        ),
    ] = False,
    root: Annotated[Path, typer.Option("--cache", help="Where what is compiled is kept.")] = Path(".bench"),
    out: Annotated[
        Path | None, typer.Option(help="Write DATE-training.md and its plots into this directory.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")] = False,
) -> None:
    """Measure on the bundled books, compare with the targets, report."""
    if out is not None and importlib.util.find_spec("matplotlib") is None:
        raise typer.BadParameter(f"--out draws plots with matplotlib, which is not installed: {peers.INSTALL}")
    asked = named(only, QUESTIONS, "--only")
    if quick and whole:
        raise typer.BadParameter("--quick and --whole exclude each other")
    what = subject.books(QUICK if quick else WHOLE if whole else FULL, root)
    document = ask(what, asked)
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 150)
    report.show(console, document)
    if out is not None:
        from benchmarks.learning import plots  # needs a package that is only in the bench extra

        written = report.write(out, document, plots.draw(out, document))
        console.print(f"written: {written}", highlight=False, soft_wrap=True)
    if as_json:
        print_json(document)


def ask(what: Subject, asked: Sequence[str]) -> dict[str, Any]:
    """Ask the named questions: the document."""
    found: dict[str, Any] = {"about": subject.describe(what)}
    for name in asked:
        question = QUESTIONS[name]
        with announced(name, question.steps(what)) as done, timing.watched() as so_far:
            finding: Finding = question.measure(what, done)
            found[name] = {**finding.figures, "disturbance": so_far().to_json()}
    document = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": _machine(), "places": {PLACE: found}}
    return {**document, "targets": targets.to_json(targets.judge(document, TARGETS))}


def _machine() -> dict[str, Any]:
    """What ran it, torch and our kernel included."""
    told = machine.describe()
    del told["peers"]
    kernel = {"levels": list(_kernel.levels()), "commit": machine.commit("training")}
    return {**told, **kernel, "torch": torch.__version__, "torch threads": torch.get_num_threads()}


if __name__ == "__main__":
    main()
