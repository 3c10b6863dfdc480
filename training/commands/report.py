"""What a command found: a document and a table, to stdout and, where a name is given, into two files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from index import disk
from index.cli import print_json


def give(document: Mapping[str, Any], table: str, out: Path | None, *, as_json: bool) -> None:
    """Write OUT.json and OUT.md, and print the table, or the document as the last line."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        disk.replace_text(beside(out, ".json"), json.dumps(document, indent=1) + "\n")
        disk.replace_text(beside(out, ".md"), table)
    if as_json:
        print_json(dict(document))
    else:
        typer.echo(table, nl=False)


def beside(out: Path, suffix: str) -> Path:
    """OUT with a suffix; one of the two that OUT itself may have gives way, any other dot is part of the name."""
    stem = out.stem if out.suffix in (".json", ".md") else out.name
    return out.with_name(stem + suffix)
