"""The report: why to doubt it, what ran it, the tables, the plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from rich.console import Console

from benchmarks import tables
from benchmarks.tables import Table

DOUBTS = """\
* **Made-up catalogues.** There is no real catalogue of a million items here. The larger ones are made of the codes of
  9,882 books (`benchmarks/catalogue.py`), and how much pruning saves depends on how clustered a catalogue is: measure
  kth/|q| on yours. What is called 10k is the real model.
* **One machine**, of whatever kind it says below; nothing is known of others.
* **The peers are embedded.** Qdrant's engine runs in this process, without a server, network or other clients, at one
  thread; a server answers concurrently. It also filters payloads, updates in place and is distributed, for which it
  pays and we do not. faiss searches other vectors, a dense projection of ours: only the time compares.
* **We wrote both** our kernel and this benchmark, and tuned only the one.
* **Caches.** All engines take turns in one process, so each finds the caches as the others leave them. In memory and
  warm: nothing here is about a disk.
"""


def show(console: Console, document: Mapping[str, Any]) -> None:
    """All tables."""
    for table in tables.of(document):
        tables.show(console, table)


def write(directory: Path, document: Mapping[str, Any], plots: Sequence[tuple[str, Path]]) -> Path:
    """Write DATE-search.md, the verdicts first; `plots` are titles and files beside it."""
    doubts = DOUBTS + _noise(document)
    return assemble(directory, "search", document, doubts, _ran(document), tables.of(document), plots)


def assemble(
    directory: Path,
    name: str,
    document: Mapping[str, Any],
    doubts: str,
    ran: Mapping[str, Any],
    made: list[Table],
    plots: Sequence[tuple[str, Path]],
) -> Path:
    """Write DATE-NAME.md; of the tables made, the verdicts are the last."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{document['date']}-{name}.md"
    parts = [
        f"# {name.capitalize()}, {document['date']}",
        "## Why to doubt this",
        doubts,
        "## What ran it",
        "\n".join(f"* {key}: {_plain(value)}" for key, value in ran.items()),
        "## What came out",
        *(tables.markdown(table) for table in _verdicts_first(made)),
        *(["## Plots"] if plots else []),
        *(f"![{title}]({file.name})" for title, file in plots),
    ]
    path.write_text("\n\n".join(part.strip("\n") for part in parts if part) + "\n")
    return path


def _verdicts_first(made: list[Table]) -> list[Table]:
    """On a terminal they stand last, where they are seen first."""
    return [*made[-1:], *made[:-1]]


def _noise(document: Mapping[str, Any]) -> str:
    return noise(
        [
            f"{name} {question} ({asked['disturbance']['others']:.1f})"
            for name, place in document["places"].items()
            for question, asked in place.items()
            if question != "about" and asked["disturbance"]["noisy"]
        ]
    )


def noise(noisy: Sequence[str]) -> str:
    """What to say of the questions during which others were busy, each with how many cores they took."""
    if not noisy:
        return "* **Noise.** No other process took a tenth of a core or more while anything was measured."
    text = (
        "* **Noise.** Other processes, or other guests of the host, took a tenth of a core or more during what "
        "follows (cores in brackets). Targets are judged by CPU time there, which still suffers from shared caches "
        f"and memory: {', '.join(noisy)}."
    )
    return fill(text, 120, subsequent_indent="  ")


def _ran(document: Mapping[str, Any]) -> dict[str, Any]:
    """The machine, the rounds, and the settings of the engines."""
    settings: dict[str, str] = {}
    for place in document["places"].values():
        for engine, each in place.get("latency", {}).get("settings", {}).items():
            settings[f"engine {engine}"] = each
    return {**document["machine"], "rounds": document["rounds"], **settings}


def _plain(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
