"""sparrow-serve: the HTTP service and, where there is no Redis, a private store for it."""

import http.client
import logging.config
import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from typer.models import OptionInfo

from app.draining import Draining
from app.editcommands import EditsError, edits_cli
from app.keycommands import keys_cli
from app.keys import Keyring, KeysError
from app.logcommands import HOW, Log, LogError, can_log, collect, compact, rebuild
from app.seeding import Api, SeedingError, read_events, seed
from app.server import ServerError, await_status, is_loopback, listen, reachable, serve
from app.settings import Settings
from app.store.binary import NoBinary
from app.store.clients import NoStore
from app.store.embedded import EmbeddedStore
from app.store.process import EmbeddedStoreError
from app.store.usage import StoreUsageError, store
from app.telemetry import log_config
from app.tracing import TracingError, tracing_wanted
from index.cli import main_for
from index.errors import InvalidEdits

cli = typer.Typer(add_completion=False, help="Serve recommendations, homepages and the page that shows them.")

cli.add_typer(keys_cli, name="keys")
cli.add_typer(edits_cli, name="edits")
for command in (store, collect, rebuild, compact):
    cli.command()(command)

DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}


def _option(name: str, text: str) -> OptionInfo:
    option: OptionInfo = typer.Option(f"--{name}", envvar=f"SPARROW_{name.upper()}", help=text)
    return option


@cli.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    host: Annotated[str, _option("host", "Address to listen on.")] = DEFAULTS["host"],
    port: Annotated[int, _option("port", "Port to listen on.")] = DEFAULTS["port"],
    workers: Annotated[int, _option("workers", "Server processes.")] = DEFAULTS["workers"],
    snapshots: Annotated[Path, _option("snapshots", "Folder that is published into.")] = DEFAULTS["snapshots"],
    data: Annotated[Path, _option("data", "Private folder of the embedded store.")] = DEFAULTS["data"],
    events: Annotated[
        Path | None,
        typer.Option(help="JSONL of events to post once the server is ready, but for users who have state already."),
    ] = None,
    log: Log = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    All settings are environment variables, see app/README.md. Without SPARROW_REDIS_URL a private, durable
    redis-server is started in the data folder.
    """
    if context.invoked_subcommand is not None:
        return
    given = {"host": host, "port": port, "workers": workers, "snapshots": snapshots, "data": data}
    # The environment is what workers see of the settings.
    os.environ.update({f"SPARROW_{name.upper()}": str(value) for name, value in given.items()})
    settings = _settings()
    _check_keys(settings)
    tracing_wanted()
    folder = _log_folder(settings, log)
    by_user = None if events is None else read_events(events)
    logging.config.dictConfig(log_config(settings.log_level))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(settings.host, settings.port))
        if settings.redis_url is None:
            os.environ["SPARROW_REDIS_URL"] = stack.enter_context(EmbeddedStore(settings.data)).url
        if folder is not None:
            os.environ["SPARROW_EVENT_LOG"] = "true"
            stack.enter_context(Draining(folder))
        # Left first: from here on a second signal must not stop the stopping.
        stack.callback(_ignore_signals)
        key = None if settings.key is None else settings.key.get_secret_value()
        api = reachable(settings.host, settings.port)._replace(key=key)
        threading.Thread(target=_greet, args=(api, by_user), daemon=True, name="greeting").start()
        serve(settings, listening)


def _check_keys(settings: Settings) -> None:
    """Refuse to start where the keys cannot be read, or where strangers would need none."""
    if settings.keys_file is not None:
        Keyring(settings.keys_file)
    elif not is_loopback(settings.host) and not settings.allow_anonymous:
        raise ServerError(
            f"{settings.host} can be reached from other machines, and nobody needs a key: anyone could read and change "
            "what is stored about users. Make keys (sparrow-serve keys add) and name their file in SPARROW_KEYS_FILE, "
            "or set SPARROW_ALLOW_ANONYMOUS=true to allow that"
        )


def _log_folder(settings: Settings, given: Path | None) -> Path | None:
    """Where this process is to keep the event log; None where it is not to keep one."""
    if given is None and "event_log" in settings.model_fields_set:
        return None  # somebody else drains the streams, or there are none
    if can_log():
        return given or settings.data / "log"
    if given is not None:
        raise LogError(f"--log: the event log is written by polars, which is not installed: {HOW}")
    typer.echo(f"No event log is kept: it needs polars ({HOW}). SPARROW_EVENT_LOG=false says that none is wanted.")
    return None


def _settings() -> Settings:
    try:
        return Settings()
    except SettingsError as error:
        raise typer.BadParameter(f"a SPARROW_ variable cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"][:1]).upper() or "settings"
        raise typer.BadParameter(f"SPARROW_{name}: {first['msg']}") from error


def _leave(_number: int, _frame: object) -> NoReturn:
    """End in order: the workers have finished when this runs, what is left is to leave the store."""
    raise SystemExit(0)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _greet(api: Api, by_user: dict[str, list[dict[str, Any]]] | None) -> None:
    """Say where the page is, once it is; before that, post the events."""
    host = f"[{api.host}]" if ":" in api.host else api.host
    address = f"http://{host}:{api.port}"
    await_status(api, "/livez")
    if not await_status(api, "/readyz", 3.0):
        typer.echo(f"Listening on {address}, but nothing is published yet: run sparrow-train publish")
        await_status(api, "/readyz")
    if by_user is not None:
        try:
            n_new = seed(api, by_user)
            typer.echo(f"Posted the events of {n_new} users; {len(by_user) - n_new} have state already")
        except (SeedingError, OSError, http.client.HTTPException) as error:
            typer.echo(f"Error: the events were not posted: {error}", err=True)
    typer.echo(f"Sparrow is ready: {address}")


main = main_for(
    cli,
    ServerError,
    KeysError,
    EditsError,
    InvalidEdits,
    TracingError,
    SeedingError,
    EmbeddedStoreError,
    StoreUsageError,
    NoStore,
    NoBinary,
    LogError,
)


if __name__ == "__main__":
    main()
