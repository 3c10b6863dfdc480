"""sparrow-train examples: a few readers of a data set as events, for a service to start with."""

import json
from pathlib import Path
from typing import Annotated

import typer

from index import disk
from index.cli import print_json
from training import datasets, examples, interactions
from training.options import AsJson


def write_examples(
    out: Annotated[Path, typer.Option(help="The file to write: one event a line, as POST /v1/events takes them.")],
    dataset: Annotated[str, typer.Option(help="A bundled data set.")] = "goodbooks",
    count: Annotated[int, typer.Option(min=1, help="How many readers.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Write the histories of a few readers with diverse tastes as events; print their ids, comma-separated."""
    data, _ = interactions.load(datasets.bundled(dataset).interactions)
    readers = examples.choose(data, count)
    events = list(examples.events(data, readers))
    lines = "".join(json.dumps(event) + "\n" for event in events).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    disk.replace(out, lambda file: file.write(lines))
    ids = data.users.item_ids(readers)
    if as_json:
        print_json({"users": ids, "events": len(events), "file": str(out)})
    else:
        typer.echo(",".join(ids))
