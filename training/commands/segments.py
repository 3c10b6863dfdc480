"""sparrow-train segments: what the segments of a recipe are worth, and whether another seed finds them again."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from training import bars, datasets, interactions, items, job, options, recipe, run, segment_study
from training.commands import report
from training.options import (
    AsJson,
    DatasetOrBooks,
    Device,
    DropMissing,
    InteractionsFile,
    ItemColumn,
    MinItemSupport,
    MinRating,
    MinUserSupport,
    Out,
    RatingColumn,
    TimestampColumn,
    TimestampUnit,
    UserColumn,
    WeightColumn,
)
from training.recipe import Recipe


def measure_segments(
    interactions_file: InteractionsFile = None,
    dataset: DatasetOrBooks = None,
    items_file: Annotated[Path | None, typer.Option("--items", help="Properties of the items, as of fit.")] = None,
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
    recipe_name: Annotated[str, typer.Option("--recipe", help="Whose segments: a name or a .toml file.")] = (
        recipe.DEFAULT
    ),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a value of the recipe.")
    ] = None,
    rival: Annotated[str, typer.Option(help="Dense vectors for k-means: a recipe of elsa, or none.")] = "elsa",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 3,
    test_share: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the users who judge and do not train.")
    ] = 0.25,
    out: Out = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure segments beside random sets and k-means of the same sizes, on users that nothing was fitted to."""
    about_data = options.about_data(locals())
    chosen = options.recipe_of(recipe_name, [*(overrides or ()), *about_data])
    dense = None if rival == "none" else options.recipe_of(rival, about_data)
    file, name = options.file_or_books(interactions_file, dataset)
    if interactions_file is None:
        items_file = items_file or datasets.bundled(name).items
    with bars.waiting(f"reading {file.name}"):
        material = _material(file, items_file, chosen)
    plan = segment_study.Plan(chosen, dense, seeds, test_share)
    with bars.counting("measuring segments", segment_study.n_steps(plan)) as done:
        found = segment_study.measure(plan, material, job.device_of(device), done)
    document = {"dataset": name, **found, "recipe": recipe.as_document(chosen), "data": asdict(material.loaded)}
    report.give(document, segment_study.markdown(document), out, as_json=as_json)


def _material(file: Path, items_file: Path | None, chosen: Recipe) -> run.Material:
    data, loaded = interactions.load(file, chosen.columns, chosen.filters)
    if items_file is None:
        return run.Material(data, loaded, [{} for _ in range(len(data.items))], None)
    return run.Material(data, loaded, *items.load(items_file, data.items, column=chosen.columns.item))
