"""sparrow-index: look into snapshots, and say which one is served."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from index import disk, exports, inspector, publication, query, report, segment_map, snapshot
from index.bitmap import Bitmap
from index.cli import fail, main_for, print_json, progress
from index.errors import FilterError, InvalidUsers, SnapshotError
from index.exports import Wish
from index.snapshot import Snapshot
from index.types import JSON

cli = typer.Typer(name="sparrow-index", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
main = main_for(cli, SnapshotError, InvalidUsers, FilterError)

Root = Annotated[
    Path, typer.Option("--snapshots", envvar="SPARROW_SNAPSHOTS", help="The directory of snapshots.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")]
SomeVersion = Annotated[str | None, typer.Argument(help="Name of the version; by default the current one.")]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help='Only items that pass, such as {"must": [{"key": "year", "range": {"gte": 2000}}]}; '
        "'sparrow-index inspect' shows what can be filtered by.",
    ),
]
EarlierVersion = Annotated[
    str | None, typer.Argument(help="Name of the version; by default the one before the current.")
]
OneVersion = Annotated[str, typer.Argument(help="Name of the version.")]
SNAPSHOTS = Path("snapshots")


@cli.command()
def inspect(
    version: SomeVersion = None,
    items: Annotated[int | None, typer.Option(min=1, help="Also say what so many items like these would need.")] = None,
    snapshots: Root = SNAPSHOTS,
    as_json: AsJson = False,
) -> None:
    """Show what a snapshot is: counts, bytes per item and per non-zero, files, segments, provenance."""
    opened = snapshot.open_snapshot(snapshots, version or _current(snapshots))
    if items is not None and opened.manifest.dims_are == "items":
        fail(f"the dimensions of {opened.version} are its items: what {items} items need cannot be told from it")
    document = report.inspection(opened, items)
    if as_json:
        print_json(document)
    else:
        report.print_inspection(Console(), document)


@cli.command()
def verify(version: SomeVersion = None, snapshots: Root = SNAPSHOTS, as_json: AsJson = False) -> None:
    """Read every byte of a snapshot; check hashes and all invariants."""
    version = version or _current(snapshots)
    n_bytes = _bytes(snapshots, version)
    with progress("verifying", n_bytes) as advance:
        snapshot.verify(snapshots, version, advance)
    _say(as_json, f"{version} is whole: {n_bytes:,} bytes verified", version=version, bytes=n_bytes, ok=True)


@cli.command("list")
def list_versions(snapshots: Root = SNAPSHOTS, as_json: AsJson = False) -> None:
    """List the stored versions, oldest first; what is current, what is pinned, what cannot be read and why."""
    named, problems = _named(snapshots)
    lines = [_line(snapshots, version, named) for version in publication.versions(snapshots)]
    if as_json:
        print_json({"versions": lines, "problems": problems})
        return
    if lines:
        report.print_versions(Console(), lines)
    for text in problems or ([] if lines else [f"no snapshots in {snapshots}"]):
        _say(as_json, text)


@cli.command()
def publish(version: OneVersion, snapshots: Root = SNAPSHOTS, as_json: AsJson = False) -> None:
    """Verify a stored version and make it current (unless a rollback has pinned another one)."""
    with progress("verifying", _bytes(snapshots, version)) as advance:
        made_current = publication.publish(snapshots, version, advance)
    pin = publication.pinned(snapshots)
    text = f"{version} is current" if made_current else f"{version} is stored; {pin} stays current until unpinned"
    _say(as_json, text, version=version, current=made_current, pinned=pin)


@cli.command()
def rollback(version: EarlierVersion = None, snapshots: Root = SNAPSHOTS, as_json: AsJson = False) -> None:
    """Go back to a version (by default the one before the current) and pin it until 'unpin'."""
    version = version or publication.before(snapshots)
    with progress("verifying", _bytes(snapshots, version)) as advance:
        publication.rollback(snapshots, version, advance)
    text = f"{version} is current and pinned; 'sparrow-index unpin' lets publishing move on"
    _say(as_json, text, version=version, pinned=True)


@cli.command()
def unpin(snapshots: Root = SNAPSHOTS, as_json: AsJson = False) -> None:
    """Let the next publish become current again after a rollback."""
    was_pinned = publication.unpin(snapshots)
    _say(as_json, "unpinned" if was_pinned else "nothing was pinned", was_pinned=was_pinned)


@cli.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest versions stay.")] = 3,
    snapshots: Root = SNAPSHOTS,
    as_json: AsJson = False,
) -> None:
    """Remove old versions; the current, the one before it and a pinned one always stay."""
    removed = publication.prune(snapshots, keep)
    _say(as_json, f"removed {len(removed)} versions {' '.join(removed)}".rstrip(), removed=list(removed))


@cli.command("search")
def search_items(
    item: Annotated[list[str], typer.Option(help="An item id of the history; give it several times.")],
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many items to find.")] = 10,
    passing: Filter = None,
    version: Annotated[str | None, typer.Option(help="Name of the version; by default the current one.")] = None,
    snapshots: Root = SNAPSHOTS,
    as_json: AsJson = False,
) -> None:
    """Find the items that a user with this history would like."""
    opened = snapshot.open_snapshot(snapshots, version or _current(snapshots))
    history = opened.items.rows(item)
    if np.any(history < 0):
        fail(f"no item {item[int(np.argmin(history))]!r} in {opened.version}; ids are those of the training data")
    user = query.encode(opened.embeddings, history, np.ones(len(history), dtype=np.float32))
    within = _within(opened, passing)
    hits = opened.searcher.top_n(user, count, exclude=history, within=within)
    items = report.found_items(opened, hits)
    n_passing = None if within is None else within.count
    if as_json:
        print_json({"version": opened.version, "history": item, "n_passing": n_passing, "items": items})
        return
    report.print_items(Console(), items)
    if n_passing is not None:
        _say(as_json, f"{n_passing:,} of {len(opened.items):,} items pass the filter")


@cli.command("segments")
def inspect_segments(
    version: SomeVersion = None,
    drawn: Annotated[
        Path | None, typer.Option("--map", help="Write a map of them: one HTML file that needs no network.")
    ] = None,
    snapshots: Root = SNAPSHOTS,
    as_json: AsJson = False,
) -> None:
    """Show the segments: size, coherence in the item space, the nearest other one, the strongest items; draw a map."""
    opened = snapshot.open_snapshot(snapshots, version or _current(snapshots))
    if drawn is not None and (drawn.is_dir() or not drawn.parent.is_dir()):
        fail(f"--map {drawn}: name a file in a directory that is there")
    told = inspector.facts(opened)
    if drawn is not None:
        disk.replace_text(drawn.resolve(), segment_map.html(opened, told))
    if as_json:
        print_json({"version": opened.version, "segments": told, "map": None if drawn is None else str(drawn)})
        return
    if told:
        inspector.print_facts(Console(), told)
    why = "none: its dimensions are items" if opened.manifest.dims_are == "items" else f"{len(told)} segments"
    _say(as_json, f"{opened.version}: {why}" + (f"; {drawn} shows them" if drawn else ""))


@cli.command()
def recommend(
    users: Annotated[Path, typer.Option(help="JSON Lines: user_id, history of item ids or {item_id, weight}.")],
    out: Annotated[Path, typer.Option(help="Where to write {user_id, items: [{item_id, score}]}, a line a user.")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many items a user gets.")] = 100,
    passing: Filter = None,
    include_history: Annotated[bool, typer.Option("--include-history", help="Also answer what was had.")] = False,
    version: Annotated[str | None, typer.Option(help="Name of the version; by default the current one.")] = None,
    snapshots: Root = SNAPSHOTS,
    as_json: AsJson = False,
) -> None:
    """Find the best items for every user of a file; nothing is written unless every line of it is good."""
    opened = snapshot.open_snapshot(snapshots, version or _current(snapshots))
    within = _within(opened, passing)
    _check_files(users, out)
    with progress("checking", users.stat().st_size) as advance:
        total = sum(1 for _ in exports.read_users(users, advance))
    with progress("recommending", total) as advance:
        done = exports.export(opened, users, out.resolve(), Wish(count, include_history, within), advance)
    text = f"{out}: lists for {done.n_users:,} users, {done.n_empty:,} of them empty"
    unknown = f"; {done.n_unknown_items:,} items of histories are not in {opened.version}"
    document = {"version": opened.version, "out": str(out), **asdict(done)}
    _say(as_json, text + (unknown if done.n_unknown_items else ""), **document)


def _current(root: Path) -> str:
    version = publication.current(root)
    return version or fail(
        f"nothing is published in {root}; 'sparrow-train publish' or 'sparrow-index publish' does it"
    )


def _check_files(users: Path, out: Path) -> None:
    """Fail before the work, not after it, where users cannot be read or answers not written."""
    if not users.is_file():
        fail(f"--users: {users} is not a file")
    if users.resolve() in (out.resolve(), disk.temporary(out.parent, out.name).resolve()):
        fail(f"{out} holds the users; name another file to write to")
    if out.is_dir():
        fail(f"--out: {out} is a directory; name a file in it")
    if out.exists() and not out.is_file():  # a device, which root could replace
        fail(f"--out: {out} is neither a file nor new")
    if not out.parent.is_dir():
        fail(f"--out: {out.parent} is not a directory; make it first")


def _within(opened: Snapshot, given: str | None) -> Bitmap | None:
    """The items that pass the filter, None where there is no filter."""
    try:
        return None if given is None else opened.filters.compile(json.loads(given))
    except FilterError as error:
        fail(f"--filter: {error}")
    except (ValueError, RecursionError) as error:
        fail(f"--filter is not JSON: {error}")


def _bytes(root: Path, version: str) -> int:
    return sum(info.bytes for info in snapshot.read_manifest(root, version).files.values())


def _named(root: Path) -> tuple[dict[str, str | None], list[str]]:
    """Which version is current, which is pinned, and what is wrong with the files that name them."""
    named: dict[str, str | None] = {}
    problems = []
    for state, read in (("current", publication.current), ("pinned", publication.pinned)):
        try:
            named[state] = version = read(root)
        except SnapshotError as error:
            problems.append(str(error))
            continue
        if version is not None and version not in publication.versions(root):
            problems.append(f"the {state} version {version} is not stored in {root}")
    return named, problems


def _line(root: Path, version: str, named: Mapping[str, str | None]) -> dict[str, JSON]:
    states = {state: version == named.get(state) for state in ("current", "pinned")}
    try:
        return {**report.summary(snapshot.read_manifest(root, version)), **states}
    except SnapshotError as error:
        return {"version": version, "problem": str(error), **states}


def _say(as_json: bool, text: str, **document: JSON) -> None:
    if as_json:
        print_json(document)
    else:
        Console().print(text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
