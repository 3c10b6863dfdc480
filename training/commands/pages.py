"""sparrow-train pages: what the pages of a server are worth to readers that nothing was fitted to."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from index.cli import progress
from index.vocabulary import Vocabulary
from training import bars, datasets, items, later, options
from training.commands import report
from training.options import (
    AsJson,
    DatasetOrBooks,
    InteractionsFile,
    ItemColumn,
    MinItemSupport,
    MinUserSupport,
    Out,
    TestAfter,
    TimestampColumn,
    TimestampUnit,
    UserColumn,
)
from training.pages import judging, rounds, server
from training.pages.attention import Shape
from training.pages.events import Events
from training.pages.likeness import likeness_of
from training.pages.readers import Reader, readers_of
from training.pages.report import Finding, document, markdown
from training.pages.rounds import Material, Readers, Turn
from training.pages.server import Server
from training.pages.ways import Asking, PropertyRows, Way, flat, independent, page
from training.recipe import DEFAULT, Recipe

SIZES = {"desktop": Shape(6, 12), "phone": Shape(6, 6)}


def judge_pages(
    interactions_file: InteractionsFile = None,
    dataset: DatasetOrBooks = None,
    items_file: Annotated[Path | None, typer.Option("--items", help="Properties of the items.")] = None,
    test_after: TestAfter = None,
    test_until: Annotated[
        int | None,
        typer.Option(parser=options.moment, metavar="TIME", help="Ask for what is before only: for tuning by time."),
    ] = None,
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    timestamp_column: TimestampColumn = None,
    timestamp_unit: TimestampUnit = None,
    min_user_support: MinUserSupport = None,
    min_item_support: MinItemSupport = None,
    recipe_name: Annotated[str, typer.Option("--recipe", help="What is fitted.")] = DEFAULT,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a value of the recipe.")
    ] = None,
    readers: Annotated[
        Readers, typer.Option(help="Who is asked, where nobody is by time: those of compare, or those of fit.")
    ] = "test",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 3,
    groups: Annotated[int, typer.Option("--folds", min=1, help="Disjoint groups of test users per seed.")] = 1,
    max_users: Annotated[int, typer.Option(min=1, help="Users asked at most, per group; more are drawn.")] = 1000,
    sizes: Annotated[str, typer.Option(help=f"Pages of which size: {', '.join(SIZES)}.")] = "desktop,phone",
    key: Annotated[
        str | None, typer.Option("--property", help="Of the property rows.", show_default="authors, of the books")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A setting of the server that is started.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Ask this server, which must not know the readers.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what is fitted and published here; after a change of code name another.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Judge pages through the server that serves them, beside a flat list, independent rows and property rows.

    For every seed and group a snapshot is fitted without the readers and served on a free port. The formulas are in
    training/README.md.
    """
    recipe = options.recipe_of(recipe_name, [*(overrides or ()), *options.about_data(locals())])
    train, name = options.file_or_books(interactions_file, dataset)
    if interactions_file is None:
        described = datasets.bundled(name)
        items_file, key = items_file or described.items, key or "authors"
    material = _material(train, items_file, recipe, test_until)
    if material.data.later is not None and readers == "validation":
        raise typer.BadParameter("--readers validation asks nobody by time; tune on an earlier --test-after")
    if address is not None and material.data.later is None and readers == "test":
        raise typer.BadParameter("--server: test readers are drawn for fits of this command; ask --readers validation")
    ways = _ways(material, key)
    told = list(
        rounds.turns(
            material.data, seeds, groups=groups, readers=readers, validation=recipe.evaluation.validation_share
        )
    )
    chosen = {each: SIZES[each] for each in _named(sizes)}
    findings: list[Finding] = []
    with _folder(keep) as kept:
        for turn in told:
            with _serving(material, recipe, turn, kept, address, _pairs(settings)) as serving:
                findings += _judged(serving, material, turn, ways, chosen, max_users)
    about = {
        "dataset": name,
        "readers": "by time" if material.data.later is not None else readers,
        "seeds": seeds,
        "groups": groups,
        "settings": _pairs(settings),
        "exam": dict(told[0].round.exam.facts),
        "data": asdict(material.data.loaded),
    }
    made = document(findings, about)
    report.give(made, markdown(made), out, as_json=as_json)


def _material(train: Path, items_file: Path | None, recipe: Recipe, until: int | None) -> Material:
    with bars.waiting(f"reading {train.name}"):
        data = later.load(train, None, recipe.columns, recipe.filters, until=until)
        if items_file is None:
            return Material(data, [{} for _ in range(len(data.known.items))])
        return Material(data, items.load(items_file, data.known.items, column=recipe.columns.item)[0])


def _ways(material: Material, key: str | None) -> dict[str, Way]:
    ways: dict[str, Way] = {judging.OWN: page, "flat": flat, "independent": independent}
    if key is None:
        return ways
    if not any(key in each for each in material.properties):
        raise typer.BadParameter(f"--property {key}: no item has it")
    return {**ways, "property": PropertyRows(key, material.properties)}


def _named(sizes: str) -> list[str]:
    names = [each.strip() for each in sizes.split(",")]
    unknown = [each for each in names if each not in SIZES]
    if unknown:
        raise typer.BadParameter(f"--sizes {sizes}: there is no {unknown[0]!r}; there is {', '.join(SIZES)}")
    return names


def _pairs(settings: Sequence[str] | None) -> dict[str, str]:
    pairs = dict(each.partition("=")[::2] for each in settings or ())
    for name in pairs:
        if not name.startswith("SPARROW_"):
            raise typer.BadParameter(
                f"--env {name}: settings of the server are called SPARROW_..., as in app/README.md"
            )
    return pairs


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with TemporaryDirectory(prefix="sparrow-pages-") as made:
        yield Path(made)


@contextmanager
def _serving(
    material: Material, recipe: Recipe, turn: Turn, kept: Path, address: str | None, settings: Mapping[str, str]
) -> Iterator[Server]:
    """A server that does not know the readers of this turn, or the one that was named."""
    if address is not None:
        with server.reached(address) as found:
            yield found
        return
    with bars.waiting(f"fitting and publishing, seed {turn.seed}"):
        seeded = rounds.seeded(recipe, turn.seed)
        snapshots = rounds.published(material, seeded, turn.round.split, kept)
    with TemporaryDirectory(prefix="sparrow-pages-") as data, server.started(snapshots, Path(data), settings) as found:
        yield found


def _judged(
    serving: Server,
    material: Material,
    turn: Turn,
    ways: Mapping[str, Way],
    sizes: Mapping[str, Shape],
    max_users: int,
) -> Iterator[Finding]:
    known, divided = material.data.known, turn.round.split
    alike = likeness_of(rounds.held_out(material.data, divided), material.properties, _ids(known.items))
    events = Events(rounds.popularity(material.data, divided), turn.seed)
    asked: list[Reader] = readers_of(rounds.drawn(turn, max_users), known, turn.seed)
    for size, shape in sizes.items():
        what = f"asking for {size} pages, seed {turn.seed}"
        with progress(what, len(asked)) as done:
            asking = Asking(serving, known.items, shape)
            yield Finding(size, turn.seed, judging.judge(asking, asked, ways, alike, events, done))


def _ids(vocabulary: Vocabulary) -> list[str]:
    return vocabulary.item_ids(range(len(vocabulary)))
