"""sparrow-train judge: whether the titles of a snapshot's segments tell what is in them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from index import publication, snapshot
from index.cli import print_json
from training import judging
from training.errors import DataError
from training.options import AsJson

SHEET, BLIND, KEY = "titles.md", "blind.md", "key.json"


def judge_titles(
    out: Annotated[Path, typer.Option(help=f"Directory of {SHEET}, {BLIND} and {KEY}.")],
    version: Annotated[str | None, typer.Argument(help="Name of the version.", show_default="the current one")] = None,
    snapshots: Annotated[
        Path, typer.Option("--snapshots", envvar="SPARROW_SNAPSHOTS", help="The directory of snapshots.")
    ] = Path("snapshots"),
    count: Annotated[int, typer.Option(min=1, help="Segments to draw.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 7,
    answers: Annotated[
        Path | None, typer.Option(help=f"Score these answers to {BLIND}, lines such as '1 B', by {KEY}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw segments for a judge to read: titles with their top items, and a blind test with its key in a file apart."""
    if answers is not None:
        _score(answers, out, as_json=as_json)
        return
    chosen = version or publication.current(snapshots)
    if chosen is None:
        raise DataError(f"{snapshots} has no current snapshot; sparrow-train publish makes one")
    cases = judging.draw(snapshot.open_snapshot(snapshots, chosen), count, seed)
    out.mkdir(parents=True, exist_ok=True)
    texts = {SHEET: judging.sheet(cases), BLIND: judging.blind(cases), KEY: json.dumps(judging.key(cases)) + "\n"}
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    if as_json:
        print_json({"version": chosen, "seed": seed, "cases": [asdict(case) for case in cases]})
    else:
        typer.echo(f"{len(cases)} segments of {chosen}: {out / SHEET}, {out / BLIND}, and the key, {out / KEY}")


def _score(answers: Path, out: Path, *, as_json: bool) -> None:
    found = judging.score(answers.read_text(encoding="utf-8"), json.loads((out / KEY).read_text()))
    if as_json:
        print_json(found._asdict())
    else:
        typer.echo(f"{found.right} of {found.trials} titles were told from three others")
