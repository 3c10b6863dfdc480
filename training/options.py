"""What the commands of sparrow-train share: options, and what is made of them.

Every option about files and columns is declared here once; `about_data` turns those that a command was given into
overrides of its recipe, so that a run remembers them. Wrong usage is a `typer.BadParameter`, which exits with 2.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from training import datasets, later, protocols, recipe, tables
from training.errors import RecipeError
from training.recipe import Recipe


def moment(text: str) -> int:
    """Unix seconds, or an ISO date or time in UTC: 20260901 is a date, not a moment in 1970."""
    if text.isdecimal() and len(text) > len("20260901"):
        seconds = int(text)
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r} is neither an ISO date or time nor unix seconds") from error
        seconds = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    if not 0 <= seconds <= tables.MAX_TIMESTAMP:
        raise typer.BadParameter(f"{text} is no moment between 1970 and 2100, in unix seconds or as ISO text")
    return seconds


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train; auto: cuda if there is one.")]
DatasetName = Annotated[str | None, typer.Option("--dataset", help="A bundled data set: goodbooks.")]
DatasetOrBooks = Annotated[
    str | None, typer.Option("--dataset", help="A bundled data set.", show_default="goodbooks, without --interactions")
]
InteractionsFile = Annotated[
    Path | None,
    typer.Option("--interactions", "--train", help="CSV, Parquet, JSONL or NPZ (scipy): one interaction a row."),
]
UserColumn = Annotated[str | None, typer.Option(help="Column of user ids.", show_default="user_id")]
ItemColumn = Annotated[str | None, typer.Option(help="Column of item ids, in all files.", show_default="item_id")]
TimestampColumn = Annotated[
    str | None, typer.Option(help="Column of times: dates and times, ISO text (UTC without a zone), or numbers.")
]
TimestampUnit = Annotated[
    tables.Unit | None, typer.Option(help="What the numbers of that column count since 1970.", show_default="s")
]
WeightColumn = Annotated[str | None, typer.Option(help="Column of positive weights.")]
RatingColumn = Annotated[str | None, typer.Option(help="Column of ratings, for --min-rating.")]
DropMissing = Annotated[bool, typer.Option("--drop-missing", help="Drop rows with a missing value, and count them.")]
MinRating = Annotated[float | None, typer.Option(help="Drop rows with a lower rating.")]
MinUserSupport = Annotated[int | None, typer.Option(help="Drop users with fewer items.", show_default="1")]
MinItemSupport = Annotated[int | None, typer.Option(help="Drop items with fewer users.", show_default="1")]
TestAfter = Annotated[
    int | None,
    typer.Option(
        parser=moment, metavar="TIME", help="Train on what is before (ISO date or time in UTC, or unix seconds) only."
    ),
]
TestFile = Annotated[Path | None, typer.Option("--test", help="Interactions to test with, a file like the other.")]
ProtocolName = Annotated[
    protocols.Name | None,
    typer.Option("--protocol", help="How to ask.", show_default="given if interactions follow, else folds"),
]
MaxQuestions = Annotated[int, typer.Option(min=1, help="Questions at most, of prequential; more are sampled.")]
RecipeNames = Annotated[str, typer.Option("--recipes", help="Recipes, comma-separated: bundled names or .toml files.")]
Out = Annotated[Path | None, typer.Option(help="Write OUT.json and OUT.md.")]

Number = TypeVar("Number", int, float)


def listed(numbers: Sequence[float]) -> str:
    """Numbers as `parsed` reads them."""
    return ",".join(f"{number:g}" for number in numbers)


def parsed(option: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    """Numbers above 0, comma-separated; one that is repeated counts once."""
    try:
        numbers = tuple(kind(each) for each in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text}: numbers are expected, separated by commas") from error
    if min(numbers) <= 0:
        raise typer.BadParameter(f"{option} {text}: all numbers must be above 0")
    return tuple(dict.fromkeys(numbers))


def about_data(options: Mapping[str, Any]) -> list[str]:
    """Overrides of a recipe by those options of a command that say what its files hold.

    options: all of the command's by name, as `locals()` has them when it begins.
    """
    keys = {
        "columns.user": "user_column",
        "columns.item": "item_column",
        "columns.timestamp": "timestamp_column",
        "columns.timestamp_unit": "timestamp_unit",
        "columns.weight": "weight_column",
        "columns.rating": "rating_column",
        "columns.title": "title_column",
        "filters.drop_missing": "drop_missing",
        "filters.min_rating": "min_rating",
        "filters.min_user_support": "min_user_support",
        "filters.min_item_support": "min_item_support",
        "filters.before": "test_after",
    }
    given = {key: options[name] for key, name in keys.items() if options.get(name) not in (None, False)}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]


def recipe_of(name: str, overrides: Sequence[str]) -> Recipe:
    """The recipe of --recipe; what is wrong with it is wrong usage."""
    try:
        return recipe.load(name, overrides)
    except RecipeError as error:
        raise typer.BadParameter(str(error)) from error


def recipes_of(names: str, overrides: Sequence[str]) -> dict[str, Recipe]:
    """Those of --recipes, by name."""
    return {name: recipe_of(name, overrides) for name in map(str.strip, names.split(","))}


def file_of(interactions_file: Path | None, dataset: str | None) -> Path:
    """The file of interactions, of which --interactions or --dataset says which it is."""
    if interactions_file is not None and dataset is None:
        return interactions_file
    if interactions_file is not None or dataset is None:
        raise typer.BadParameter("name either --interactions FILE or --dataset NAME")
    return datasets.bundled(dataset).interactions


def file_or_books(interactions_file: Path | None, dataset: str | None) -> tuple[Path, str]:
    """The file of interactions, and what it is called; the bundled books if neither option is given."""
    if interactions_file is None and dataset is None:
        dataset = "goodbooks"
    file = file_of(interactions_file, dataset)
    return file, dataset or file.name


def protocol_of(
    name: protocols.Name | None, data: later.Data, *, folds: int = 5, max_questions: int
) -> protocols.Protocol:
    """How to ask: as --protocol says, or as is usual for the data."""
    usual: protocols.Name = "folds" if data.later is None else "given"
    return protocols.Protocol(name or usual, n_folds=folds, max_questions=max_questions)
