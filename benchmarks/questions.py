"""What the command lines of all benchmarks share."""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import typer

from index.cli import progress


def named(given: str, known: Collection[str], option: str) -> list[str]:
    """The names in a list with commas; BadParameter for one that is not known."""
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{option} {name!r} is not one of {', '.join(known)}")
    return names


@contextmanager
def announced(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, elsewhere a line at the end."""
    started = time.perf_counter()
    with progress(what, total) as done:
        yield done
    sys.stderr.write(f"{what} ({time.perf_counter() - started:.0f} s)\n")
