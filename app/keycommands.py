"""sparrow-serve keys: make, list and revoke the keys of callers. A server reads the file again within a second."""

from pathlib import Path
from typing import Annotated

import typer

from app import keys
from app.keys import Role

keys_cli = typer.Typer(help="The keys of callers, in the file that SPARROW_KEYS_FILE names.")

KeysFile = Annotated[
    Path, typer.Option("--file", envvar="SPARROW_KEYS_FILE", help="The file of keys.", show_default=False)
]

Name = Annotated[str, typer.Argument(help="Who the key is for: letters, digits, dots, dashes, underscores.")]


@keys_cli.command("add")
def add(name: Name, role: Annotated[Role, typer.Option(help="What the key may do.")], file: KeysFile) -> None:
    """Make a key and show it, once: the file keeps a hash of it only."""
    secret = keys.add(file, name, role)
    typer.echo(f"The key of {name}, to be sent as `Authorization: Bearer KEY`. Nobody can show it again:", err=True)
    typer.echo(secret)


@keys_cli.command("list")
def show(file: KeysFile) -> None:
    """Print name and role of each key."""
    for key in keys.read(file):
        typer.echo(f"{key.name}\t{key.role}")


@keys_cli.command("revoke")
def revoke(name: Name, file: KeysFile) -> None:
    """Take a key out of the file: within a second or two it is refused."""
    keys.revoke(file, name)
    typer.echo(f"{name} is revoked", err=True)
