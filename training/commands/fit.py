"""sparrow-train fit: a recipe on a file of interactions, to a run directory."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from index.cli import print_json
from training import bars, console, datasets, defaults, interactions, items, job, options, parallel, recipe, run, split
from training.models.registry import MODELS, Learnt
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


def fit(
    interactions_file: InteractionsFile = None,
    dataset: DatasetName = None,
    items_file: Annotated[
        Path | None, typer.Option("--items", help="CSV, Parquet or JSONL: one item a row, with any properties.")
    ] = None,
    title_column: Annotated[
        str | None, typer.Option(help="Column of --items with what an item is called.", show_default="title or name")
    ] = None,
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
        str, typer.Option("--recipe", help=f"One of {', '.join(recipe.names())}, or a .toml file.")
    ] = recipe.DEFAULT,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a value of the recipe.")
    ] = None,
    run_directory: Annotated[
        Path | None, typer.Option("--run", help="Directory of the run.", show_default="runs/RECIPE-TIME")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this run, if it has begun; do nothing if it is complete.")
    ] = False,
    device: Device = "auto",
    processes: Annotated[
        int, typer.Option(min=1, help="Share every step among so many processes: one a core, or one a GPU.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a recipe on a file of interactions, or on a bundled data set, and write a run directory."""
    chosen = options.recipe_of(recipe_name, [*(overrides or ()), *options.about_data(locals())])
    if processes > parallel.started():
        parallel.start(processes, "training", sys.argv[1:])
    directory = run_directory or Path("runs") / f"{chosen.model_name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if parallel.started() == 1:  # what is known before the files are read; of several processes the first writes soon
        run.refuse_occupied(directory, resume=resume)
    material = _material(interactions_file, dataset, items_file, chosen)
    where = job.device_of(device)
    with parallel.together(where):
        told = parallel.rank() == 0
        errors = Console(stderr=True, quiet=not told)
        console.print_report(errors, material.loaded, material.described)
        errors.print(_plan(chosen, material), highlight=False, soft_wrap=True)
        reached = _train(directory, chosen, material, where, resume=resume)
    if not told:
        return
    if as_json:
        print_json({"run": str(directory), **reached})
    else:
        users = reached["split"]["validation_users"]
        console.print_metrics(Console(), f"{directory}: {users} validation users", reached["validation"])
        if drawn := console.curve(reached["epochs"]):
            Console().print(drawn, highlight=False, soft_wrap=True)


def _material(
    interactions_file: Path | None, dataset: str | None, items_file: Path | None, chosen: Recipe
) -> run.Material:
    file = options.file_of(interactions_file, dataset)
    if dataset is not None:
        items_file = items_file or datasets.bundled(dataset).items
    if items_file is None and chosen.columns.title is not None:
        raise typer.BadParameter("--title-column is of a file of items; name it with --items")
    with bars.waiting(f"reading {file.name}", quiet=parallel.started() > 1):
        data, loaded = interactions.load(file, chosen.columns, chosen.filters)
    if items_file is None:
        return run.Material(data, loaded, [{} for _ in range(len(data.items))], None)
    properties, described = items.load(items_file, data.items, column=chosen.columns.item, title=chosen.columns.title)
    return run.Material(data, loaded, properties, described)


def _plan(chosen: Recipe, material: run.Material) -> str:
    data = material.interactions
    divided = split.holdout(len(data.users), split.VALIDATION_SEED, share=chosen.evaluation.validation_share)
    return defaults.told(chosen, divided, len(data.items))


def _train(directory: Path, chosen: Recipe, material: run.Material, device: str, *, resume: bool) -> dict[str, Any]:
    quiet = parallel.rank() > 0
    gently = isinstance(MODELS[chosen.model_name], Learnt) and parallel.size() == 1
    kept = console.telling_what_is_kept(_kept(chosen, directory), quiet=quiet)
    with kept, bars.training_bar(quiet=quiet, gently=gently) as bar:
        return run.fit(directory, chosen, material, device=device, monitor=bar, resume=resume)


def _kept(chosen: Recipe, directory: Path) -> str:
    """What is there after Ctrl-C, in words."""
    if not isinstance(MODELS[chosen.model_name], Learnt):
        return "Nothing is kept of a model that is solved at once"
    what = "What was done" if parallel.size() == 1 else "What was done until the last checkpoint"
    return f"{what} is kept; go on by\n{_again(sys.argv[1:], directory)}"


def _again(arguments: list[str], directory: Path) -> str:
    """The command that goes on with a run."""
    named = any(each == "--run" or each.startswith("--run=") for each in arguments)
    more = [*([] if named else ["--run", str(directory)]), *([] if "--resume" in arguments else ["--resume"])]
    return shlex.join(["sparrow-train", *arguments, *more])
