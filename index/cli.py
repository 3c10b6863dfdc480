"""What the command lines share: exit codes, the --json document and progress bars.

    cli = typer.Typer(...)                          commands raise, or call fail("one clear sentence")
    main = main_for(cli, SnapshotError)             the console script: these errors (and OSError) become exit 1

Exit 0: done. Exit 1: it failed, with one sentence on stderr. Exit 2: wrong usage (from typer). Exit 130: interrupted.
With --json, `print_json` writes the one document as the last line of stdout; everything else goes to stderr.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from index.types import JSON


def main_for(cli: typer.Typer, *known: type[Exception]) -> Callable[[], None]:
    """Make the entry point of a command line; `known` errors are failures to report, all others are bugs to trace."""
    expected: tuple[type[Exception], ...] = (*known, OSError)

    def main() -> None:
        try:
            cli()
        except KeyboardInterrupt:
            sys.exit(130)
        except expected as error:
            fail(str(error))

    return main


def fail(message: str) -> NoReturn:
    """Say on stderr, in one line, what went wrong; exit 1."""
    sys.stderr.write("Error: " + " ".join(message.split()) + "\n")
    sys.exit(1)


def print_json(document: JSON) -> None:
    """Write one JSON document on one line of stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


@contextmanager
def progress(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show a bar with the time that remains on stderr, if that is a terminal; yields advance(amount)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
