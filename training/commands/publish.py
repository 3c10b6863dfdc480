"""sparrow-train publish: from a complete run to the snapshot that is served."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from index.cli import print_json
from index.edits import NO_EDITS, read_file
from training import bars, release
from training.options import AsJson
from training.titler import Titler


def publish(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a complete run.")],
    snapshots: Annotated[
        Path, typer.Option("--snapshots", envvar="SPARROW_SNAPSHOTS", help="The directory of snapshots.")
    ] = Path("snapshots"),
    values: Annotated[
        Literal["float32", "int8"], typer.Option(help="How to store each item's values; int8 takes a quarter.")
    ] = "float32",
    k: Annotated[
        int | None, typer.Option("--k", min=1, help="Keep so many values per item, the largest.", show_default="all")
    ] = None,
    titler: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND|URL",
            help="Who gives titles instead: told of each segment in JSON, on a line of stdin or by POST.",
        ),
    ] = None,
    titler_timeout: Annotated[float, typer.Option(min=0.001, help="Seconds that one of its answers may take.")] = 60.0,
    titler_optional: Annotated[
        bool, typer.Option("--titler-optional", help="Where it fails go on with own titles, instead of stopping.")
    ] = False,
    edits: Annotated[
        Path | None,
        typer.Option(
            help="What people say of segments, over what the snapshot before was built with: the event log's "
            "segment-edits.json, or a file of `sparrow-serve edits export`.",
            show_default="nothing more",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find and title segments, build a snapshot, verify it and make it the served one."""
    given = NO_EDITS if edits is None else read_file(edits)
    asked = None if titler is None else Titler(titler, titler_timeout, titler_optional)
    with bars.steps("publishing", release.N_STEPS + (asked is not None)) as step:
        released = release.publish(
            run_directory, snapshots, step, values=values, k=k, titler=asked, told=step.tell, edits=given
        )
    if as_json:
        print_json(asdict(released))
        return
    kept = f"{released.n_segments} segments, {released.n_carried} of them known before"
    served = "is served now" if released.current else "is stored; another version is pinned and stays served"
    by_titler = f", {released.n_titled} titled by the titler ({released.n_asked} asked now)" if asked else ""
    typer.echo(f"{released.version} {served}: {released.n_items:,} items, {kept}{by_titler}")
    if released.n_edited or released.n_waiting:
        waiting = f"; {released.n_waiting} edits of segments that are no more are kept" if released.n_waiting else ""
        typer.echo(f"people have edited {released.n_edited} of the segments{waiting}")
