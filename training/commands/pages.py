"""sparrow-train pages: what the pages of a server are worth to readers that nothing was fitted to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from index.cli import progress
from training.commands import asking, report
from training.commands.asking import (
    Asked,
    Environment,
    Groups,
    ItemsFile,
    Keep,
    MaxUsers,
    Overrides,
    Plan,
    Property,
    RecipeName,
    Seeds,
    TestUntil,
)
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
from training.pages.report import Finding, document, markdown
from training.pages.rounds import Turn
from training.pages.server import Server
from training.pages.ways import Asking, PropertyRows, Way, flat, independent, page
from training.recipe import DEFAULT

SIZES = {"desktop": Shape(6, 12), "phone": Shape(6, 6)}


def judge_pages(
    interactions_file: InteractionsFile = None,
    dataset: DatasetOrBooks = None,
    items_file: ItemsFile = None,
    test_after: TestAfter = None,
    test_until: TestUntil = None,
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    timestamp_column: TimestampColumn = None,
    timestamp_unit: TimestampUnit = None,
    min_user_support: MinUserSupport = None,
    min_item_support: MinItemSupport = None,
    recipe_name: RecipeName = DEFAULT,
    overrides: Overrides = None,
    readers: Asked = "test",
    seeds: Seeds = 3,
    groups: Groups = 1,
    max_users: MaxUsers = 1000,
    sizes: Annotated[str, typer.Option(help=f"Pages of which size: {', '.join(SIZES)}.")] = "desktop,phone",
    compared: Annotated[
        str, typer.Option("--ways", help="What the page is compared with; fewer are asked sooner.")
    ] = "flat,independent,property",
    key: Property = None,
    settings: Environment = None,
    address: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Ask this server, which must not know the readers.")
    ] = None,
    keep: Keep = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Judge pages through the server that serves them, beside a flat list, independent rows and property rows.

    For every seed and group a snapshot is fitted without the readers and served on a free port. The formulas are in
    training/README.md.
    """
    shapes = _shapes(sizes)
    plan = asking.plan_of(locals())
    ways = _ways(plan, compared)
    if address is not None and plan.about()["readers"] == "test":
        raise typer.BadParameter("--server: test readers are drawn for fits of this command; ask --readers validation")
    findings: list[Finding] = []
    with asking.folder(keep) as kept:
        for turn in plan.turns:
            with _asked(plan, turn, kept, address) as found:
                findings += _judged(found, plan, turn, shapes, ways)
    made = document(findings, plan.about())
    report.give(made, markdown(made), out, as_json=as_json)


def _shapes(sizes: str) -> dict[str, Shape]:
    names = [each.strip() for each in sizes.split(",")]
    unknown = [each for each in names if each not in SIZES]
    if unknown:
        raise typer.BadParameter(f"--sizes {sizes}: there is no {unknown[0]!r}; there is {', '.join(SIZES)}")
    return {name: SIZES[name] for name in names}


@contextmanager
def _asked(plan: Plan, turn: Turn, kept: Path, address: str | None) -> Iterator[Server]:
    """The server that was named, or one that does not know the readers of this turn."""
    if address is not None:
        with server.reached(address) as found:
            yield found
        return
    with asking.serving(plan, turn, kept) as own:
        yield own.server


def _ways(plan: Plan, compared: str) -> dict[str, Way]:
    """The page, and what it is compared with; rows of a property only where one is named."""
    known: dict[str, Way] = {"flat": flat, "independent": independent}
    if plan.key is not None:
        known["property"] = PropertyRows(plan.key, plan.material.properties)
    names = [each.strip() for each in compared.split(",")]
    unknown = [each for each in names if each not in {*known, "property"}]
    if unknown:
        raise typer.BadParameter(f"--ways {compared}: there is no {unknown[0]!r}; there is flat, independent, property")
    return {judging.OWN: page, **{name: known[name] for name in names if name in known}}


def _judged(
    found: Server, plan: Plan, turn: Turn, shapes: Mapping[str, Shape], ways: Mapping[str, Way]
) -> Iterator[Finding]:
    material, divided = plan.material, turn.round.split
    known = material.data.known
    ids = known.items.item_ids(range(len(known.items)))
    alike = likeness_of(rounds.held_out(material.data, divided), material.properties, ids)
    events = Events(rounds.popularity(material.data, divided), turn.seed)
    readers = plan.asked(turn)
    for size, shape in shapes.items():
        with progress(f"asking for {size} pages, seed {turn.seed}", len(readers)) as done:
            asked = Asking(found, known.items, shape)
            yield Finding(size, turn.seed, judging.judge(asked, readers, ways, alike, events, done))
