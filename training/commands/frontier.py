"""sparrow-train frontier: quality against bytes per item and postings per query, as a picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from index.cli import print_json
from training import bars, chart, console, curves, frontier, job, later, options, storage
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
from training.sweep import Sweep


def draw_frontier(
    out: Annotated[Path, typer.Option(help="The directory to write frontier.png and frontier.json into.")],
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
    recipe_names: RecipeNames = "compressed-elsa,two-hop,sansa,pruned-ease,item-knn,compressae,elsa,ease,popularity",
    k: Annotated[str, typer.Option("--k", help="Values per item of sparse models.")] = options.listed(Sweep.k),
    n_dims: Annotated[str, typer.Option("--dims", help="Widths of dense ELSA.")] = options.listed(Sweep.n_dims),
    pq_bytes: Annotated[
        str, typer.Option("--pq", help="Bytes per item of dense ELSA's vectors by product quantisation, or none.")
    ] = options.listed(Sweep.pq_bytes),
    l2_factors: Annotated[
        str, typer.Option("--l2-factors", help="Candidates for l2, where there is one: the recipe's times these.")
    ] = options.listed(Sweep.l2_factors),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1,
    groups: Annotated[int, typer.Option("--folds", min=1, help="Disjoint groups of test users per seed.")] = 1,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw what models are worth against bytes per item and postings per query.

    Whatever --out holds of it already is not measured again.
    """
    chosen = options.recipes_of(recipe_names, options.about_data(locals()))
    sweep = _sweep(k, n_dims, pq_bytes, l2_factors)
    chart.require_matplotlib()
    if sweep.pq_bytes and any(each.model_name == "elsa" for each in chosen.values()):
        storage.require_faiss()
    train, name = options.file_or_books(interactions_file, dataset)
    first = next(iter(chosen.values()))
    with bars.waiting(f"reading {train.name}"):
        data = later.load(train, test_file, first.columns, first.filters)
    how = options.protocol_of(protocol, data, max_questions=max_questions)
    study = frontier.Study(data, chosen, sweep, how, seeds, groups, out)
    points = frontier.open_points(study)
    counted = bars.counting("fitting", len(frontier.missing(study, points)))
    with console.telling_what_is_kept("What was measured is kept; the same command goes on"), counted as done:
        document = frontier.measure(study, points, {"dataset": name}, device=job.device_of(device), done=done)
    chart.draw(document, out / "frontier.png")
    for each in document["left_out"]:
        Console(stderr=True).print(f"left out: {each}", highlight=False, soft_wrap=True)
    if as_json:
        print_json({name: document[name] for name in ("about", "curves", "left_out")})
    else:
        typer.echo(curves.markdown(document), nl=False)


def _sweep(k: str, n_dims: str, pq_bytes: str, l2_factors: str) -> Sweep:
    return Sweep(
        k=options.parsed("--k", k, int),
        n_dims=options.parsed("--dims", n_dims, int),
        pq_bytes=() if pq_bytes == "none" else options.parsed("--pq", pq_bytes, int),
        l2_factors=options.parsed("--l2-factors", l2_factors, float),
    )
