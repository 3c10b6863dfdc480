"""How fast is the service, beside its framework, and does it hold? See benchmarks/README.md.

python -m benchmarks.http --json
"""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import machine, peers, targets, timing
from benchmarks.comparison import Finding
from benchmarks.model import Model, open_model
from benchmarks.questions import announced, named
from benchmarks.serving import latency, layers, places, report, servers, soak, stage, throughput
from benchmarks.serving.places import REAL, SIZES, Place
from benchmarks.serving.stage import FULL, QUICK, Scale, Stage
from benchmarks.serving.targets import TARGETS
from index.cli import main_for, print_json

QUESTIONS: dict[str, ModuleType] = {"throughput": throughput, "latency": latency, "layers": layers}
"""Modules with measure(stage, scale, done) and steps(scale), how often it calls done."""
LIBRARIES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "hiredis", "redis")

cli = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)
main = main_for(cli, ValueError, ChildProcessError, FileNotFoundError)


@cli.command()
def measure(
    sizes: Annotated[str, typer.Option(help="Catalogues to serve.")] = ",".join(SIZES),
    workers: Annotated[str, typer.Option(help="Numbers of workers.")] = "1,2",
    only: Annotated[str, typer.Option(help="The questions to ask.")] = ",".join(QUESTIONS),
    quick: Annotated[bool, typer.Option("--quick", help="Only the books, one worker, less of everything.")] = False,
    soak_minutes: Annotated[
        float,
        typer.Option("--soak", help="Minutes of mixed traffic on the largest catalogue, with swaps and restarts."),
    ] = 0.0,
    run: Annotated[
        Path | None, typer.Option(help="Run directory on the bundled books; without it one is trained.")
    ] = None,
    root: Annotated[Path, typer.Option("--cache", help="Where models and snapshots are kept.")] = Path(".bench"),
    rounds: Annotated[int | None, typer.Option(min=1, help="Of each question; without it 5, or 2 if quick.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write DATE-http.md and its plots into this directory.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")] = False,
) -> None:
    """Serve, load, compare with the targets, report."""
    if out is not None and importlib.util.find_spec("matplotlib") is None:
        raise typer.BadParameter(f"--out draws plots with matplotlib, which is not installed: {peers.INSTALL}")
    asked, scale = named(only, QUESTIONS, "--only"), QUICK if quick else FULL
    scale = scale if rounds is None else replace(scale, rounds=rounds)
    chosen = [REAL] if quick else named(sizes, SIZES, "--sizes")
    numbers = [1] if quick else _numbers(workers)
    directory = run or root / "run"
    model = open_model(directory, root)
    found: dict[str, Any] = {}
    for name in chosen:
        place = _place(name, model, directory, root, scale)
        for n_workers in numbers:
            found[stage.named(name, n_workers)] = at(place, n_workers, asked, scale)
        if soak_minutes and name == chosen[-1]:
            others = [places.again(place, model, root)] if name != REAL else []
            found.setdefault(stage.named(name, 2), {}).update(soaked(place, others, scale, soak_minutes))
    document = documented(found, scale)
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 150)
    report.show(console, document)
    if out is not None:
        from benchmarks.serving import plots  # needs a package that is only in the bench extra

        written = report.write(out, document, plots.draw(out, document))
        console.print(f"written: {written}", highlight=False, soft_wrap=True)
    if as_json:
        print_json(document)


def at(place: Place, n_workers: int, asked: Sequence[str], scale: Scale) -> dict[str, Any]:
    """Serve a place, and ask the named questions about it."""
    found: dict[str, Any] = {}
    with stage.running(place, n_workers) as running:
        found["about"] = _about(running)
        for name in asked:
            question = QUESTIONS[name]
            told = f"{running.name}: {name}"
            with announced(told, question.steps(scale)) as done, timing.watched(running.cpu_seconds) as so_far:
                finding: Finding = question.measure(running, scale, done)
                found[name] = {**finding.figures, "disturbance": so_far().to_json()}
    return found


def soaked(
    place: Place, others: Sequence[str], scale: Scale, minutes: float, rhythm: soak.Rhythm | None = None
) -> dict[str, Any]:
    """Load two workers while versions are swapped and workers restarted."""
    versions = [*others, *(version for version in places.versions(place.snapshots) if version not in others)]
    with stage.running(place, 2) as running:
        total = 60 * minutes + min(30 * minutes, 120.0)
        with announced(f"{running.name}: soak", total) as done, timing.watched(running.cpu_seconds) as so_far:
            finding = soak.measure(running, scale, minutes, versions, rhythm or soak.Rhythm(), done)
        return {"about": _about(running), "soak": {**finding.figures, "disturbance": so_far().to_json()}}


def documented(found: dict[str, Any], scale: Scale) -> dict[str, Any]:
    """The document."""
    told = machine.describe()
    del told["peers"]
    versions = {name: metadata.version(name) for name in LIBRARIES}
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {**told, **versions, "commit": machine.commit("app", "index")},
        "scale": asdict(scale),
        "places": found,
    }
    return {**document, "targets": targets.to_json(targets.judge(document, TARGETS))}


def _about(running: Stage) -> dict[str, Any]:
    return {
        "items": running.place.n_items,
        "segments": running.place.n_segments,
        "users": len(running.place.histories),
        "history": len(running.place.histories[0]),
        "memory_locked": servers.lockable(),
        "answer_bytes": running.answer_bytes,
        "server_cores": sorted(running.cores.server),
        "other_cores": sorted(running.cores.others),
        "outside": "the worker has no core to itself" if running.cores.shared else None,
    }


def _place(name: str, model: Model, run: Path, root: Path, scale: Scale) -> Place:
    if name == REAL:
        return places.real(model, run, root, scale.users)
    return places.scaled(model, name, root, scale.users)


def _numbers(given: str) -> list[int]:
    try:
        numbers = [int(each) for each in given.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise typer.BadParameter(f"--workers {given!r} is no list of numbers from 1 on")
    return numbers


if __name__ == "__main__":
    main()
