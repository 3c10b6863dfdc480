"""sparrow-serve collect, rebuild and compact: the event log from streams to files and back. They need polars."""

import importlib.util
import logging.config
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from app.settings import Settings
from app.store.clients import NoStore, open_store
from app.telemetry import log_config
from index.cli import main_for

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


@cli.callback()
def _several() -> None:
    """Commands have names, though they were one."""


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
    client = open_store(settings)
    try:
        run(client, folder, every, keep_days, stop)
    except LogBusy as error:
        raise LogError(str(error)) from error
    finally:
        client.close()


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
