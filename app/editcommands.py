"""sparrow-serve edits: what people say of segments, out of a running server and into one, as a file."""

import http.client
from pathlib import Path
from typing import Annotated, Any

import typer

from app.seeding import Api
from app.server import reachable
from app.settings import Settings
from index.edits import from_document, read_file, to_document, write_file

edits_cli = typer.Typer(help="Edits of segments (title, hidden, merged), out of a running server and into one.")

PATH = "/v1/segments/edits"

File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON, as of GET /v1/segments/edits.", show_default=False)]
Host = Annotated[str, typer.Option(envvar="SPARROW_HOST", help="Where the server listens.")]
Port = Annotated[int, typer.Option(envvar="SPARROW_PORT", help="Where the server listens.")]

HOST, PORT = Settings.model_fields["host"].default, Settings.model_fields["port"].default


class EditsError(Exception):
    """Edits cannot be exported or imported; the message says why."""


@edits_cli.command("export")
def export(file: File, host: Host = HOST, port: Port = PORT) -> None:
    """Write all edits into a file. SPARROW_KEY: a key of role read, where the server needs one."""
    edits = from_document(_answer(_api(host, port), "GET"))
    write_file(file, edits)
    typer.echo(f"{len(edits)} segments are edited: {file}")


@edits_cli.command("import")
def take(file: File, host: Host = HOST, port: Port = PORT) -> None:
    """Replace all edits by those of a file, or by none where one is wrong. SPARROW_KEY: a key of role admin."""
    edits = read_file(file)
    unknown = _answer(_api(host, port), "PUT", to_document(edits))["unknown_segments"]
    waiting = f", {len(unknown)} of which the index does not have" if unknown else ""
    typer.echo(f"{len(edits)} segments are edited{waiting}")


def _api(host: str, port: int) -> Api:
    key = Settings().key
    return reachable(host, port)._replace(key=None if key is None else key.get_secret_value())


def _answer(api: Api, method: str, body: object = None) -> dict[str, Any]:
    try:
        status, document = api.request(method, PATH, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EditsError(f"no server answers at {api.host}, port {api.port} (--host, --port): {error}") from error
    if status != 200 or not isinstance(document, dict):
        detail = document.get("detail") if isinstance(document, dict) else document
        raise EditsError(f"the server answers {status}: {detail}")
    return document
