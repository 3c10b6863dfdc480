"""sparrow-train: from interactions to embeddings, and from embeddings to a published snapshot."""

import json
import os
import shlex
import sys

# Waiting threads sleep: with OpenMP's default they burn the cores that another process may need, and a step
# takes several times as long on a busy machine. Has to be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from rich.console import Console

from index import disk
from index.cli import main_for, print_json
from index.errors import InvalidEmbeddings, SnapshotError
from training import (
    chart,
    compare,
    console,
    datasets,
    defaults,
    examples,
    frontier,
    interactions,
    items,
    job,
    later,
    metrics,
    parallel,
    protocols,
    recipe,
    release,
    run,
    split,
    storage,
    tables,
    trials,
    verdict,
)
from training.errors import RecipeError, TrainingError
from training.recipe import Recipe

cli = typer.Typer(name="sparrow-train", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
main = main_for(cli, TrainingError, SnapshotError, InvalidEmbeddings)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train; auto: cuda if there is one.")]
DatasetName = Annotated[str | None, typer.Option("--dataset", help="A bundled data set: goodbooks.")]
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


Number = TypeVar("Number", int, float)


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def _numbers(option: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    """Numbers above 0, comma-separated."""
    try:
        numbers = tuple(kind(each) for each in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text}: numbers are expected, separated by commas") from error
    if min(numbers) <= 0:
        raise typer.BadParameter(f"{option} {text}: all numbers must be above 0")
    return tuple(dict.fromkeys(numbers))


def _moment(text: str) -> int:
    """Unix seconds, or an ISO date or time in UTC."""
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither an ISO date or time nor unix seconds") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


TestAfter = Annotated[
    int | None,
    typer.Option(
        parser=_moment, metavar="TIME", help="Train on what is before (ISO date or time in UTC, or unix seconds) only."
    ),
]
TestFile = Annotated[Path | None, typer.Option("--test", help="Interactions to test with, a file like the other.")]
ProtocolName = Annotated[
    protocols.Name | None,
    typer.Option("--protocol", help="How to ask.", show_default="given if interactions follow, else folds"),
]
MaxQuestions = Annotated[int, typer.Option(min=1, help="Questions at most, of prequential; more are sampled.")]
Out = Annotated[Path | None, typer.Option(help="Write OUT.json and OUT.md.")]


@cli.command()
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
    chosen = _recipe(recipe_name, [*(overrides or ()), *_about_data(locals())])
    if processes > parallel.started():
        parallel.start(processes, "training", sys.argv[1:])
    directory = run_directory or Path("runs") / f"{chosen.model_name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
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


def _plan(chosen: Recipe, material: run.Material) -> str:
    data = material.interactions
    divided = split.holdout(len(data.users), split.VALIDATION_SEED, share=chosen.evaluation.validation_share)
    return defaults.told(chosen, divided, len(data.items))


def _train(directory: Path, chosen: Recipe, material: run.Material, device: str, *, resume: bool) -> dict[str, Any]:
    with console.training_bar(quiet=parallel.rank() > 0, gently=parallel.size() == 1) as bar:
        try:
            return run.fit(directory, chosen, material, device=device, monitor=bar, resume=resume)
        except KeyboardInterrupt:
            text = f"Interrupted. What was done is kept; go on by\n{_again(sys.argv[1:], directory)}"
            Console(stderr=True).print(text, highlight=False, soft_wrap=True)
            raise


def _again(arguments: list[str], directory: Path) -> str:
    """The command that goes on with a run."""
    named = any(each == "--run" or each.startswith("--run=") for each in arguments)
    options = [*([] if named else ["--run", str(directory)]), *([] if "--resume" in arguments else ["--resume"])]
    return shlex.join(["sparrow-train", *arguments, *options])


def _about_data(options: Mapping[str, Any]) -> list[str]:
    """Overrides of a recipe by those options of a command that say what its files hold."""
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


def _recipe(name: str, overrides: list[str]) -> Recipe:
    try:
        return recipe.load(name, overrides)
    except RecipeError as error:
        raise typer.BadParameter(str(error)) from error


def _material(
    interactions_file: Path | None, dataset: str | None, items_file: Path | None, chosen: Recipe
) -> run.Material:
    if dataset is not None and interactions_file is None:
        files = datasets.bundled(dataset)
        interactions_file, items_file = files.interactions, items_file or files.items
    elif dataset is not None or interactions_file is None:
        raise typer.BadParameter("name either --interactions FILE or --dataset NAME")
    if items_file is None and chosen.columns.title is not None:
        raise typer.BadParameter("--title-column is of a file of items; name it with --items")
    data, loaded = interactions.load(interactions_file, chosen.columns, chosen.filters)
    if items_file is None:
        return run.Material(data, loaded, [{} for _ in range(len(data.items))], None)
    properties, described = items.load(items_file, data.items, column=chosen.columns.item, title=chosen.columns.title)
    return run.Material(data, loaded, properties, described)


@cli.command()
def publish(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a complete run.")],
    snapshots: Annotated[
        Path, typer.Option("--snapshots", envvar="SPARROW_SNAPSHOTS", help="The directory of snapshots.")
    ] = Path("snapshots"),
    values: Annotated[
        Literal["float32", "int8"], typer.Option(help="How to store each item's values; int8 takes a quarter.")
    ] = "float32",
    k: Annotated[
        int | None, typer.Option("--k", min=1, help="Keep so many values per item, the largest.", show_default="all")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find and title segments, build a snapshot, verify it and make it the served one."""
    with console.steps("publishing", release.N_STEPS) as step:
        released = release.publish(run_directory, snapshots, step, values=values, k=k)
    if as_json:
        print_json(asdict(released))
        return
    kept = f"{released.n_segments} segments, {released.n_carried} of them known before"
    served = "is served now" if released.current else "is stored; another version is pinned and stays served"
    print(f"{released.version} {served}: {released.n_items:,} items, {kept}")


@cli.command("evaluate")
def evaluate_runs(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Complete runs; the first is compared with.")],
    interactions_file: InteractionsFile = None,
    dataset: DatasetName = None,
    test_file: TestFile = None,
    protocol: ProtocolName = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of a history, of folds.")] = 5,
    max_questions: MaxQuestions = 10_000,
    beta: Annotated[float, typer.Option(min=0, help="How strongly penalised_recall counts popularity.")] = metrics.BETA,
    int8: Annotated[bool, typer.Option("--int8", help="Judge each also as published with int8 values.")] = False,
    k: Annotated[
        str | None, typer.Option("--k", help="Judge each also with so many values per item: numbers, comma-separated.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Judge complete runs through the search that serves; what they were fitted to has to be named again.

    Asked is what --test holds, or what follows the --test-after of the fit, or the users whom the fit held out.
    """
    if dataset is not None and interactions_file is None:
        interactions_file = datasets.bundled(dataset).interactions
    elif dataset is not None or interactions_file is None:
        raise typer.BadParameter("name either --interactions FILE or --dataset NAME")
    data = verdict.data_of(runs[0], interactions_file, test_file)
    how = _protocol(protocol, data, folds=folds, max_questions=max_questions)
    sizes = () if k is None else _numbers("--k", k, int)
    document = verdict.judge(runs, data, how, int8=int8, sizes=sizes, beta=beta).document()
    _report(document, verdict.markdown(document), out, as_json=as_json)


def _protocol(name: protocols.Name | None, data: later.Data, **how: int) -> protocols.Protocol:
    usual: protocols.Name = "folds" if data.later is None else "given"
    return protocols.Protocol(name or usual, n_folds=how.get("folds", 5), max_questions=how["max_questions"])


def _report(document: dict[str, Any], table: str, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
        out.with_suffix(".md").write_text(table)
    if as_json:
        print_json(document)
    else:
        print(table, end="")


@cli.command("compare")
def compare_recipes(
    interactions_file: InteractionsFile = None,
    dataset: Annotated[
        str | None, typer.Option(help="A bundled data set.", show_default="goodbooks, without --interactions")
    ] = None,
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
    recipe_names: Annotated[
        str, typer.Option("--recipes", help="Recipes, comma-separated: bundled names or .toml files.")
    ] = "popularity,elsa,compressed-elsa",
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
    overrides = _about_data(locals())
    if against not in recipe_names.split(","):
        raise typer.BadParameter(f"--against {against} is not one of --recipes {recipe_names}")
    if dataset is not None and interactions_file is not None:
        raise typer.BadParameter("name either --interactions FILE or --dataset NAME")
    chosen = {name: _recipe(name, overrides) for name in recipe_names.split(",")}
    train = interactions_file or datasets.bundled(dataset or "goodbooks").interactions
    data = later.load(train, test_file, chosen[against].columns, chosen[against].filters)
    how = _protocol(protocol, data, max_questions=max_questions)
    about: dict[str, Any] = {
        "dataset": dataset or train.name,
        "test": test_file and test_file.name,
        "protocol": how.name,
    }
    if data.later is None:
        about |= {"groups": groups, "test_share": compare.TEST_SHARE}
    n_fits = len(chosen) * seeds * (groups if data.later is None else 1)
    with console.counting("fitting recipes", n_fits) as done:
        found = compare.trials(
            data,
            chosen,
            how,
            seeds=seeds,
            groups=groups,
            int8=int8,
            device=job.device_of(device),
            archive=None if out is None else trials.Archive(out.with_suffix(".trials")),
            done=done,
        )
        document = compare.report(list(found), chosen, against, {**about, "seeds": seeds, "data": asdict(data.loaded)})
    _report(document, compare.markdown(document), out, as_json=as_json)


@cli.command("frontier")
def draw_frontier(
    out: Annotated[Path, typer.Option(help="The directory to write frontier.png and frontier.json into.")],
    interactions_file: InteractionsFile = None,
    dataset: Annotated[
        str | None, typer.Option(help="A bundled data set.", show_default="goodbooks, without --interactions")
    ] = None,
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
    recipe_names: Annotated[
        str, typer.Option("--recipes", help="Recipes, comma-separated: bundled names or .toml files.")
    ] = "compressed-elsa,two-hop,sansa,pruned-ease,item-knn,compressae,elsa,ease,popularity",
    k: Annotated[str, typer.Option("--k", help="Values per item of sparse models.")] = _listed(frontier.Sweep.k),
    n_dims: Annotated[str, typer.Option("--dims", help="Widths of dense ELSA.")] = _listed(frontier.Sweep.n_dims),
    pq_bytes: Annotated[
        str, typer.Option("--pq", help="Bytes per item of dense ELSA's vectors by product quantisation, or none.")
    ] = _listed(frontier.Sweep.pq_bytes),
    l2_factors: Annotated[
        str, typer.Option("--l2-factors", help="Candidates for l2, where there is one: the recipe's times these.")
    ] = _listed(frontier.Sweep.l2_factors),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1,
    groups: Annotated[int, typer.Option("--folds", min=1, help="Disjoint groups of test users per seed.")] = 1,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw what models are worth against bytes per item and postings per query.

    Whatever --out holds of it already is not measured again.
    """
    overrides = _about_data(locals())
    if dataset is not None and interactions_file is not None:
        raise typer.BadParameter("name either --interactions FILE or --dataset NAME")
    chosen = {name: _recipe(name, overrides) for name in recipe_names.split(",")}
    pq = () if pq_bytes == "none" else _numbers("--pq", pq_bytes, int)
    factors = _numbers("--l2-factors", l2_factors, float)
    sweep = frontier.Sweep(_numbers("--k", k, int), _numbers("--dims", n_dims, int), pq, factors)
    chart.require_matplotlib()
    if pq and any(each.model_name == "elsa" for each in chosen.values()):
        storage.require_faiss()
    train = interactions_file or datasets.bundled(dataset or "goodbooks").interactions
    first = next(iter(chosen.values()))
    data = later.load(train, test_file, first.columns, first.filters)
    how = _protocol(protocol, data, max_questions=max_questions)
    study = frontier.Study(data, chosen, sweep, how, seeds, groups, out)
    points = frontier.open_points(study)
    about = {"dataset": interactions_file.name if interactions_file else dataset or "goodbooks"}
    with console.counting("fitting", len(frontier.missing(study, points))) as done:
        document = frontier.measure(study, points, about, device=job.device_of(device), done=done)
    chart.draw(document, out / "frontier.png")
    for each in document["left_out"]:
        Console(stderr=True).print(f"left out: {each}", highlight=False, soft_wrap=True)
    if as_json:
        print_json({name: document[name] for name in ("about", "curves", "left_out")})
    else:
        print(frontier.markdown(document), end="")


@cli.command("tune")
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
    from training import spaces, study, tuning  # optuna takes as long to import as a small model to fit

    if out.suffix != ".toml":
        raise typer.BadParameter(f"--out {out}: a recipe is a .toml file")
    if not 0 < minutes < float("inf"):
        raise typer.BadParameter(f"--minutes {minutes:g} must be above 0")
    chosen = _recipe(recipe_name, [*(overrides or ()), *_about_data(locals())])
    fixed = [each.partition("=")[0].strip() for each in overrides or ()]
    try:
        space = spaces.parse(chosen, searches) if searches else spaces.usual(chosen, fixed)
    except RecipeError as error:
        raise typer.BadParameter(str(error)) from error
    plan = study.Plan(chosen, space, minutes, n_trials, seeds, seed)
    material = _material(interactions_file, dataset, None, chosen)
    console.print_report(Console(stderr=True), material.loaded, None)
    try:
        with console.searching() as bar:
            found = tuning.tune(out, plan, material.interactions, bar, device=job.device_of(device), resume=resume)
    except KeyboardInterrupt:
        text = f"Interrupted. {out} is the best recipe so far, if one was fitted; repeat with --resume to go on"
        Console(stderr=True).print(text, soft_wrap=True)
        raise
    if as_json:
        print_json({"file": str(out), "journal": str(study.journal_of(out)), **study.document(plan, found)})
    else:
        console.print_found(Console(), f"{out}: the best of {study.told(found)}", study.table(plan, found))


@cli.command("examples")
def write_examples(
    out: Annotated[Path, typer.Option(help="The file to write: one event a line, as POST /v1/events takes them.")],
    dataset: Annotated[str, typer.Option(help="A bundled data set.")] = "goodbooks",
    count: Annotated[int, typer.Option(min=1, help="How many readers.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Write the histories of a few readers with diverse tastes as events; print their ids, comma-separated."""
    data, _ = interactions.load(datasets.bundled(dataset).interactions)
    readers = examples.choose(data, count)
    events = list(examples.events(data, readers))
    lines = "".join(json.dumps(event) + "\n" for event in events).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    disk.replace(out, lambda file: file.write(lines))
    ids = data.users.item_ids(readers)
    if as_json:
        print_json({"users": ids, "events": len(events), "file": str(out)})
    else:
        print(",".join(ids))


if __name__ == "__main__":
    main()
