"""sparrow-serve collect, rebuild and compact: the event log from streams to files, and back. They need polars."""

import asyncio
import importlib.util
import logging.config
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from app.settings import Settings
from app.store.clients import AWAY, NoStore, open_store
from app.telemetry import log_config
from index.cli import main_for, print_json, progress

cli = typer.Typer(add_completion=False, help="The event log; sparrow-serve has the same commands.")

HOW = "pip install 'sparrow-recs[collect]'"


class LogError(Exception):
    """The event log cannot be worked on; the message says why and what to do."""


LOG_HELP = "Folder of the event log; without it, `log` in the data folder."

Log = Annotated[Path | None, typer.Option("--log", help=LOG_HELP)]
Data = Annotated[Path | None, typer.Option(envvar="SPARROW_DATA", help="Folder of the embedded store.")]


def can_log() -> bool:
    """Whether what writes Parquet is installed."""
    return importlib.util.find_spec("polars") is not None


@cli.command()
def collect(
    log: Log = None,
    data: Data = None,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between looks at the streams.")] = 5.0,
    keep_days: Annotated[int, typer.Option(min=0, help="Days of log to keep; 0: all.")] = 0,
    while_stdin: Annotated[bool, typer.Option("--while-stdin", hidden=True)] = False,
) -> None:
    """Write what users do into the event log until SIGTERM or Ctrl-C, and then what is left.

    The server must be told by SPARROW_EVENT_LOG=true that it has a collector, unless it drains by itself.
    """
    settings, folder = _opened(log, data)
    from app.collector import LogBusy  # polars: not where it is not needed
    from app.collector import collect as run

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if while_stdin:
        threading.Thread(target=_until_closed, args=(stop,), daemon=True, name="parent-watch").start()
    logging.config.dictConfig(log_config(settings.log_level))
    try:
        client = open_store(settings)
    except AWAY as error:  # a cluster is asked at once
        raise LogError(f"the store does not answer: {error}") from error
    try:
        run(client, folder, every, keep_days, stop)
    except LogBusy as error:
        raise LogError(str(error)) from error
    finally:
        client.close()


NOT_RESTORED = "Not restored, for the log does not hold it: steering, ids of events, what was served."


@cli.command()
def rebuild(
    log: Log = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Give back to users what the event log says of them, for a Redis that lost it; the server may go on meanwhile.

    Histories, seen and hidden items, within the bounds and the time to live, in the order of recording; deletions and
    merges are obeyed. What Redis holds is kept, and repeating it changes nothing.
    """
    settings, folder = _opened(log, data)
    if not folder.is_dir():
        raise LogError(f"there is no event log in {folder}: name its folder by --log")
    from app.rebuilding import rebuild as run
    from app.store.users import StoreUnavailable

    with progress("Rebuilding users", 1.0) as advance:
        try:
            done = asyncio.run(run(settings, folder, advance))
        except StoreUnavailable as error:
            raise LogError(f"{error}: the rebuild stopped; repeat it when it does") from error
        except AWAY as error:
            raise LogError(f"the store does not answer: {error}") from error
    if as_json:
        print_json({"events": done.events, "undrained": done.undrained, **done.users._asdict()})
        return
    typer.echo(f"events in the log         {done.events:>15,}  (entries not drained yet: {done.undrained:,})")
    typer.echo(f"users restored            {done.users.restored:>15,}")
    typer.echo(f"users who missed nothing  {done.users.whole:>15,}")
    typer.echo(f"users forgotten lately    {done.users.gone:>15,}  (nothing was restored)")
    typer.echo(NOT_RESTORED)


@cli.command()
def compact(
    log: Log = None,
    data: Data = None,
    keep_days: Annotated[int, typer.Option(min=0, help="Days of log to keep; 0: all.")] = 0,
) -> None:
    """Make one file of each hour's, and drop from the log what was recorded about users before they were forgotten.

    A collector does so once an hour; this is for a log that none writes to at present.
    """
    _, folder = _opened(log, data)
    from app.collector import LogBusy, tend, writing

    try:
        with writing(folder):
            n_dropped = tend(folder, time.time(), keep_days)
    except LogBusy as error:
        raise LogError(str(error)) from error
    typer.echo(f"rows of forgotten users dropped  {n_dropped:>8,}")


def _until_closed(stop: threading.Event) -> None:
    """The parent holds the other end as long as it lives."""
    sys.stdin.buffer.read()
    stop.set()


def _opened(log: Path | None, data: Path | None) -> tuple[Settings, Path]:
    if not can_log():
        raise LogError(f"the event log is written by polars, which is not installed: {HOW}")
    settings = Settings() if data is None else Settings(data=data)
    return settings, settings.data / "log" if log is None else log


main = main_for(cli, LogError, NoStore)

if __name__ == "__main__":
    main()
