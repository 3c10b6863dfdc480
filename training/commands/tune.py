"""sparrow-train tune: better values of a recipe's keys, by search on the validation users."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from index.cli import print_json
from training import bars, console, interactions, job, options, recipe
from training.errors import RecipeError
from training.options import (
    AsJson,
    DatasetName,
    Device,
    DropMissing,
    InteractionsFile,
    ItemColumn,
    MinItemSupport,
    MinRating,
    MinUserSupport,
    RatingColumn,
    TestAfter,
    TimestampColumn,
    TimestampUnit,
    UserColumn,
    WeightColumn,
)
from training.recipe import Recipe

if TYPE_CHECKING:
    from training.spaces import Space


def tune_recipe(
    out: Annotated[
        Path,
        typer.Option(help="The best recipe: a .toml file, always up to date. Beside it, the journal of all trials."),
    ],
    minutes: Annotated[float, typer.Option(help="The budget of time; what runs at its end is finished.")] = 10.0,
    n_trials: Annotated[int | None, typer.Option("--trials", min=1, help="Trials at most.")] = None,
    searches: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="SECTION.KEY=WHAT",
            help="Try LOW..HIGH, LOW..HIGH:log or VALUE,VALUE,... for a key.",
            show_default="what is usual for the model",
        ),
    ] = None,
    interactions_file: InteractionsFile = None,
    dataset: DatasetName = None,
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
    test_after: TestAfter = None,
    recipe_name: Annotated[
        str, typer.Option("--recipe", help="Where the search begins: a bundled recipe's name, or a .toml file.")
    ] = recipe.DEFAULT,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Fix a value for all trials.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fit each trial with so many seeds, and average.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of the search.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search beside OUT, if it has begun; budgets are of both.")
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Search for better values of a recipe's keys, on the validation users, and write the best recipe for `fit`."""
    chosen = options.recipe_of(recipe_name, [*(overrides or ()), *options.about_data(locals())])
    if out.suffix != ".toml":
        raise typer.BadParameter(f"--out {out}: a recipe is a .toml file")
    if not 0 < minutes < float("inf"):
        raise typer.BadParameter(f"--minutes {minutes:g} must be above 0")
    from training import study, tuning  # optuna takes as long to import as a small model to fit

    plan = study.Plan(chosen, _space(chosen, searches, overrides or ()), minutes, n_trials, seeds, seed)
    file = options.file_of(interactions_file, dataset)
    with bars.waiting(f"reading {file.name}"):
        data, loaded = interactions.load(file, chosen.columns, chosen.filters)
    console.print_report(Console(stderr=True), loaded, None)
    kept = f"{out} is the best recipe so far, if one was fitted; repeat with --resume to go on"
    with console.telling_what_is_kept(kept), bars.searching() as bar:
        found = tuning.tune(out, plan, data, bar, device=job.device_of(device), resume=resume)
    if as_json:
        print_json({"file": str(out), "journal": str(study.journal_of(out)), **study.document(plan, found)})
    else:
        console.print_found(Console(), f"{out}: the best of {study.told(found)}", study.table(plan, found))


def _space(chosen: Recipe, searches: Sequence[str] | None, overrides: Sequence[str]) -> "Space":
    """What is searched: as --search says, or else what is usual but for what --set says."""
    from training import spaces

    fixed = [each.partition("=")[0].strip() for each in overrides]
    try:
        return spaces.parse(chosen, searches) if searches else spaces.usual(chosen, fixed)
    except RecipeError as error:
        raise typer.BadParameter(str(error)) from error
