"""sparrow-train steering: what sliders do to lists, for readers that nothing was fitted to."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from index import publication
from index.cli import progress
from index.snapshot import open_snapshot
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
    Serving,
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
from training.pages import concepts, curve, steered
from training.pages.attention import Shape
from training.pages.curve import Point
from training.pages.rounds import Turn
from training.pages.steered import Wish
from training.pages.ways import Asking, PropertyRows
from training.recipe import DEFAULT

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
FACTORS = (1.0, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0)
LEAST = 3
"""Items that a value of a property must have to be a concept."""
SEGMENTS = (1, 5)
"""By how many segments a value is steered."""


def judge_steering(
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
    key: Property = None,
    settings: Environment = None,
    keep: Keep = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves into this PNG; needs matplotlib.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Judge steering: personal and concept nDCG@20 against its strength, beside boosts of a property.

    For every seed and group a snapshot is fitted without the readers and served on a free port. The formulas are in
    training/README.md.
    """
    plan = asking.plan_of(locals())
    points: list[Point] = []
    with asking.folder(keep) as kept:
        for turn in plan.turns:
            with asking.serving(plan, turn, kept) as found:
                points += _judged(found, plan, turn)
    made = curve.document(points, plan.about())
    if plot is not None:
        curve.draw(made, plot)
    report.give(made, curve.markdown(made), out, as_json=as_json)


def _judged(found: Serving, plan: Plan, turn: Turn) -> Iterator[Point]:
    """Every way to say "more of this", at every strength, to the readers of one turn."""
    material, readers = plan.material, plan.asked(turn)
    version = publication.current(found.snapshots)
    if version is None:
        raise typer.BadParameter(f"nothing is published in {found.snapshots}")
    asked = Asking(found.server, material.data.known.items, Shape(1, steered.AT))
    segments = concepts.of_segments(open_snapshot(found.snapshots, version).segments, len(asked.items))
    ask = partial(_points, asked, turn)
    by_segment = steered.steering(lambda concept: [segments.names[concept]])
    yield from ask("segment", steered.wanting(readers, segments), by_segment, STRENGTHS)
    if plan.key is None:
        return
    values = concepts.of_property(plan.key, material.properties, LEAST)
    wanted = steered.wanting(readers, values)
    boost = steered.boosting(values, PropertyRows(plan.key, material.properties))
    yield from ask(f"{plan.key}, boost", wanted, boost, FACTORS)
    numbers = sorted({each.concept for each in wanted})
    for count in SEGMENTS:
        nearest = steered.associated(asked, values, numbers, count)
        name = f"{plan.key}, steer {count}"
        yield from ask(name, wanted, steered.steering(nearest.__getitem__), STRENGTHS)


def _points(
    asked: Asking,
    turn: Turn,
    name: str,
    wanted: Sequence[steered.Wanting],
    wish: Wish,
    strengths: Sequence[float],
) -> Iterator[Point]:
    with progress(f"{name}, seed {turn.seed}", len(strengths)) as done:
        for strength in strengths:
            yield Point(name, strength, turn.seed, steered.judge(asked, wanted, wish, strength))
            done(1)
