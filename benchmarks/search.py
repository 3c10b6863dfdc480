"""How fast is search, beside others and beside what the memory allows? See benchmarks/README.md.

python -m benchmarks.search --json
"""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks import (
    catalogue,
    few_dims,
    filters,
    homepage,
    latency,
    machine,
    model,
    peers,
    report,
    storage,
    subject,
    targets,
    throughput,
    timing,
)
from benchmarks.catalogue import Codes
from benchmarks.comparison import Finding
from benchmarks.model import Model
from benchmarks.questions import announced, named
from benchmarks.subject import Place, Subject
from index.cli import main_for, print_json
from index.errors import InvalidEmbeddings, SnapshotError
from training.errors import TrainingError

QUESTIONS: dict[str, ModuleType] = {
    "latency": latency,
    "few_dims": few_dims,
    "filters": filters,
    "homepage": homepage,
    "throughput": throughput,
    "storage": storage,
}
"""Modules with measure(subject, n_rounds, done) and steps(subject, n_rounds), how often it calls done."""
SIZES = {"10k": 0, "100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
"""Items; 10k is the real catalogue, whatever it has."""
AT_10M = 32
"""Queries at most, of 10M items."""

cli = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)
main = main_for(cli, TrainingError, SnapshotError, InvalidEmbeddings, ValueError)

Timed = dict[str, dict[str, Mapping[str, timing.Samples]]]
"""By place and question: what was timed, by task."""


@cli.command()
def measure(
    sizes: Annotated[str, typer.Option(help=f"Of {', '.join(SIZES)}.")] = ",".join(SIZES),
    variants: Annotated[str, typer.Option(help=f"Of {', '.join(catalogue.VARIANTS)}.")] = ",".join(catalogue.VARIANTS),
    n_queries: Annotated[int, typer.Option("--queries", min=2, help=f"Per catalogue; at 10M at most {AT_10M}.")] = 200,
    n_rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each query is timed.")] = 3,
    peer_names: Annotated[
        str, typer.Option("--peers", help=f"Of {', '.join(peers.PEERS)}, up to 1M items; none where empty.")
    ] = ",".join(peers.PEERS),
    only: Annotated[str, typer.Option(help="The questions to ask.")] = ",".join(QUESTIONS),
    run: Annotated[
        Path | None, typer.Option(help="A run on the bundled books; by default one is trained.", show_default=False)
    ] = None,
    root: Annotated[Path, typer.Option("--cache", help="Where catalogues and engines are kept.")] = Path(".bench"),
    out: Annotated[
        Path | None, typer.Option(help="Write DATE-search.md and its plots into this directory.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")] = False,
) -> None:
    """Measure, compare with the targets, report."""
    if out is not None and importlib.util.find_spec("matplotlib") is None:
        raise typer.BadParameter(f"--out draws plots with matplotlib, which is not installed: {peers.INSTALL}")
    asked = named(only, QUESTIONS, "--only")
    present = _present(named(peer_names, peers.PEERS, "--peers"))
    places = _places(named(sizes, SIZES, "--sizes"), named(variants, catalogue.VARIANTS, "--variants"))
    document: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "rounds": n_rounds}
    document |= {"machine": machine.describe(), "places": {}}
    samples: Timed = {}
    touched = {}
    with threadpool_limits(1):
        known = model.open_model(run or root / "run", root)
        codes = catalogue.codes(known.embeddings.decoder)
        for place in places:
            with announced(f"{place.name}: preparing", place.n_items) as done:
                what = _subject(known, codes, place, n_queries, present, root, done)
            document["places"][place.name], samples[place.name] = ask(what, asked, n_rounds)
            touched[place.name] = subject.touched(what, what.queries)
            del what  # its engines need room that the next ones need
    document["targets"] = targets.to_json(targets.judge(document))
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 150)
    report.show(console, document)
    if out is not None:
        from benchmarks import plots  # needs a package that is only in the bench extra

        written = report.write(out, document, plots.draw(out, document, samples, touched))
        console.print(f"written: {written}", highlight=False, soft_wrap=True)
    if as_json:
        print_json(document)


def ask(
    what: Subject, asked: Sequence[str], n_rounds: int
) -> tuple[dict[str, Any], dict[str, Mapping[str, timing.Samples]]]:
    """Ask the named questions about a catalogue: what the document says of it, and what was timed, by question."""
    figures: dict[str, Any] = {"about": subject.describe(what)}
    samples: dict[str, Mapping[str, timing.Samples]] = {}
    for name in asked:
        question = QUESTIONS[name]
        if question is storage and what.embeddings.n_items > storage.LARGEST:
            continue
        with (
            announced(f"{what.place.name}: {name}", question.steps(what, n_rounds)) as done,
            timing.watched() as so_far,
        ):
            finding: Finding = question.measure(what, n_rounds, done)
            disturbance = so_far()
        figures[name] = {**finding.figures, "disturbance": disturbance.to_json()}
        samples[name] = finding.samples
    return figures, samples


def _subject(
    known: Model,
    codes: Codes,
    place: Place,
    n_queries: int,
    present: Sequence[str],
    root: Path,
    done: Callable[[float], None],
) -> Subject:
    if place.variant == subject.REAL:
        return subject.real(known, n_queries, present, root)
    n = min(n_queries, AT_10M) if place.n_items >= SIZES["10M"] else n_queries
    return subject.scaled(known, codes, place, n, present, root, done)


def _present(names: Sequence[str]) -> list[str]:
    for name in names:
        if (why := peers.absent(name)) is not None:
            sys.stderr.write(why + "\n")
    return [name for name in names if peers.absent(name) is None]


def _places(sizes: Sequence[str], variants: Sequence[str]) -> list[Place]:
    made = [Place(SIZES[size], variant) for size in sizes if SIZES[size] for variant in variants]
    return [Place(0, subject.REAL), *made] if "10k" in sizes else made


if __name__ == "__main__":
    main()
