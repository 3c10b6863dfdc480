"""Verdicts on complete runs: the figures of the fit again, pairs, given tests, and runs that cannot be judged."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from training import interactions, later, metrics, recipe, run, trainer, verdict
from training.errors import RunError
from training.evaluate import COVERAGE, MAIN, METRICS, SparseRetriever
from training.interactions import Filters
from training.protocols import Protocol
from training.verdict import Verdict

QUICK = ["training.epochs=1", "training.batch_size=64", "model.n_dims=256", "filters.min_item_support=5"]
FOLDS = Protocol("folds")


def fit(directory: Path, file: Path, *overrides: str) -> Path:
    chosen = recipe.load("compressed-elsa", [*QUICK, *overrides])
    data, loaded = interactions.load(file, chosen.columns, chosen.filters)
    material = run.Material(data, loaded, [{} for _ in range(len(data.items))], None)
    run.fit(directory, chosen, material, device="cpu", monitor=trainer.Silent())
    return directory


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, books_file: Path) -> list[Path]:
    """Two runs of the same books, of different seeds."""
    root = tmp_path_factory.mktemp("judged")
    return [fit(root / seed, books_file, f"training.seed={seed}") for seed in ("1", "2")]


def judge(runs: list[Path], train: Path, test: Path | None, protocol: Protocol, *, int8: bool = False) -> Verdict:
    return verdict.judge(runs, verdict.data_of(runs[0], train, test), protocol, int8=int8, beta=metrics.BETA)


def test_folds_of_validation_users_are_what_the_fit_has_seen(runs: list[Path], books_file: Path) -> None:
    found = judge(runs[:1], books_file, None, FOLDS)
    document = found.document()
    expected = json.loads((runs[0] / "metrics.json").read_text())["validation"]
    own = document["figures"][str(runs[0])]
    assert own == pytest.approx({name: expected[name] for name in own})
    assert document["exam"]["note"] == verdict.OPTIMISTIC
    assert document["differences"] == {}


def test_runs_are_paired_with_the_first(runs: list[Path], books_file: Path) -> None:
    found = judge(runs, books_file, None, FOLDS, int8=True)
    one, rounded, two, _ = found.judged.values()
    document = found.document()
    assert list(document["differences"]) == [f"{runs[0]} (int8)", str(runs[1]), f"{runs[1]} (int8)"]
    difference = document["differences"][str(runs[1])][MAIN]
    assert difference["mean"] == pytest.approx(two.mean(MAIN) - one.mean(MAIN))
    paired = two.per_user[MAIN].values - one.per_user[MAIN].values
    assert difference["standard_error"] == pytest.approx(paired.std(ddof=1) / len(paired) ** 0.5)
    assert abs(rounded.mean(MAIN) - one.mean(MAIN)) < 0.02
    lines = verdict.markdown(document).splitlines()
    assert len(lines) == 2 + len(METRICS) + 1
    assert f"| {MAIN} | {one.mean(MAIN):.4f} (" in "\n".join(lines)
    assert lines[-1].startswith(f"| {COVERAGE} | {one.coverage:.4f} | ")
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_a_run_is_judged_with_fewer_values_per_item(runs: list[Path], books_file: Path) -> None:
    data = verdict.data_of(runs[0], books_file, None)
    found = verdict.judge(runs[:1], data, FOLDS, int8=True, sizes=[16, 2], beta=metrics.BETA)
    whole, _, same, _, small, rounded = found.judged.values()
    assert list(found.judged)[2:] == [f"{runs[0]} (k = {k}){form}" for k in (16, 2) for form in ("", " (int8)")]
    assert same.mean(MAIN) == pytest.approx(whole.mean(MAIN), abs=1e-6)
    assert small.mean(MAIN) < whole.mean(MAIN)
    assert rounded.mean(MAIN) == pytest.approx(small.mean(MAIN), abs=0.02)


def test_a_given_test_file(runs: list[Path], books_file: Path, tmp_path: Path) -> None:
    """Planted: what the first run answers is what is tested for."""
    data = later.load(books_file, None, interactions.Columns(), Filters(min_item_support=5))
    embeddings = run.load(runs[0]).embeddings
    retriever = SparseRetriever(embeddings)
    history = data.known.item[data.known.user == 7]
    (hits,) = retriever.retrieve([history], 30)
    wanted = [*data.known.items.item_ids(hits.items[:20]), "unheard of"]
    rows = {"user_id": [data.known.users.item_id(7)] * 21, "item_id": wanted}
    pl.DataFrame(rows).write_csv(tmp_path / "test.csv")
    found = judge(runs, books_file, tmp_path / "test.csv", Protocol("given"))
    one, two = found.judged.values()
    assert one.mean("recall@20") == pytest.approx(20 / 21)
    assert one.mean("calibrated_recall@20") == 1
    assert two.mean("recall@20") < 20 / 21
    assert found.exam.facts == {
        "protocol": "given", "users_without_history": 0, "targets_in_history": 0, "targets_unknown": 1,
    }  # fmt: skip
    assert found.document()["figures"][str(runs[0])][f"{MAIN}_se"] is None
    assert verdict.markdown(found.document()).count("(") == 0


def test_runs_that_cannot_be_judged(runs: list[Path], books_file: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no complete run \(it has no metrics.json\)"):
        verdict.data_of(tmp_path, books_file, None)
    fewer = tmp_path / "fewer.parquet"
    pl.read_parquet(books_file).head(5000).write_parquet(fewer)
    with pytest.raises(RunError, match=r"/1 is a run of other data; name the file it was fitted to"):
        judge(runs, fewer, None, FOLDS)
    other = fit(tmp_path / "other", books_file, "evaluation.validation_share=0.2")
    with pytest.raises(RunError, match=r"other held out a share 0.2 of the users, not 0.05: it trained on some"):
        judge([runs[0], other], books_file, None, FOLDS)


def test_the_rest_of_one_file_tests(books_file: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(books_file).with_row_index("t")
    frame.with_columns(pl.col("t").hash(1) % 1000).write_parquet(tmp_path / "timed.parquet")
    options = ["columns.timestamp=t", "filters.before=800"]
    directory = fit(tmp_path / "run", tmp_path / "timed.parquet", *options)
    given = judge([directory], tmp_path / "timed.parquet", None, Protocol("given"))
    walked = judge([directory], tmp_path / "timed.parquet", None, Protocol("prequential", max_questions=300))
    assert walked.exam.facts["asked"] == 300
    assert isinstance(walked.exam.facts["askable"], int)
    n_targets = sum(len(each.targets) for each in given.exam.questions)
    assert walked.exam.facts["askable"] == n_targets  # everybody has a history that trains
    assert 0 < walked.judged[str(directory)].mean("recall@20") < 1
    with pytest.raises(RunError, match="is a run of other data"):
        verdict.judge([directory], replace(given.data, known=books(books_file)), FOLDS, int8=False, beta=0)


def books(file: Path) -> interactions.Interactions:
    return interactions.load(file)[0]
