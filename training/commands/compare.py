"""sparrow-train compare: recipes against each other, on questions that nothing was chosen on."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from training import bars, compare, console, job, later, options, trials
from training.commands import report
from training.later import Data
from training.options import (
    AsJson,
    DatasetOrBooks,
    Device,
    DropMissing,
    InteractionsFile,
    ItemColumn,
    MaxQuestions,
    MinItemSupport,
    MinRating,
    MinUserSupport,
    Out,
    ProtocolName,
    RatingColumn,
    RecipeNames,
    TestAfter,
    TestFile,
    TimestampColumn,
    TimestampUnit,
    UserColumn,
    WeightColumn,
)
from training.protocols import Protocol


def compare_recipes(
    interactions_file: InteractionsFile = None,
    dataset: DatasetOrBooks = None,
    test_file: TestFile = None,
    test_after: TestAfter = None,
    protocol: ProtocolName = None,
    max_questions: MaxQuestions = 10_000,
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    timestamp_column: TimestampColumn = None,
    timestamp_unit: TimestampUnit = None,
    weight_column: WeightColumn = None,
    rating_column: RatingColumn = None,
    drop_missing: DropMissing = False,
    min_rating: MinRating = None,
    min_user_support: MinUserSupport = None,
    min_item_support: MinItemSupport = None,
    recipe_names: RecipeNames = "popularity,elsa,compressed-elsa",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 3,
    groups: Annotated[int, typer.Option("--folds", min=1, help="Disjoint groups of test users per seed.")] = 5,
    against: Annotated[str, typer.Option(help="The recipe that the others are compared with.")] = "elsa",
    int8: Annotated[bool, typer.Option("--int8", help="Judge sparse ones also as published with int8 values.")] = False,
    out: Out = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure recipes on questions that nothing was chosen on: the tables of RESULTS.md.

    Without --test or --test-after users are held out, a tenth of them per group. With --out every fit is kept, in
    OUT.trials: what was judged there before, of the same recipe, data, protocol and seed, is not fitted again.
    """
    chosen = options.recipes_of(recipe_names, options.about_data(locals()))
    if against not in chosen:
        raise typer.BadParameter(f"--against {against} is not one of --recipes {recipe_names}")
    train, name = options.file_or_books(interactions_file, dataset)
    with bars.waiting(f"reading {train.name}"):
        data = later.load(train, test_file, chosen[against].columns, chosen[against].filters)
    how = options.protocol_of(protocol, data, max_questions=max_questions)
    archive = None if out is None else trials.Archive(report.beside(out, ".trials"))
    kept = "Nothing is kept without --out" if archive is None else "Every fit is kept; the same command goes on"
    counted = bars.counting("fitting recipes", len(chosen) * seeds * (groups if data.later is None else 1))
    with console.telling_what_is_kept(kept), counted as done:
        where = job.device_of(device)
        found = compare.trials(
            data, chosen, how, seeds=seeds, groups=groups, int8=int8, device=where, archive=archive, done=done
        )
        about = _about(name, test_file, data, how, groups=groups, seeds=seeds)
        document = compare.report(list(found), chosen, against, about)
    report.give(document, compare.markdown(document), out, as_json=as_json)


def _about(name: str, test_file: Path | None, data: Data, how: Protocol, *, groups: int, seeds: int) -> dict[str, Any]:
    """What was measured on what."""
    held_out = {"groups": groups, "test_share": compare.TEST_SHARE} if data.later is None else {}
    asked = {"dataset": name, "test": test_file and test_file.name, "protocol": how.name}
    return {**asked, **held_out, "seeds": seeds, "data": asdict(data.loaded)}
