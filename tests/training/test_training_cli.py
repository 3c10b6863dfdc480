"""sparrow-train: exit codes, the JSON document, and an interrupted training that goes on."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from index import snapshot
from training.__main__ import main

QUICK = ["--set", "training.epochs=1", "--set", "model.n_dims=256", "--set", "training.batch_size=64"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]
POPULARITY = ["--recipes", "popularity", "--against", "popularity", "--seeds", "1"]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The console script, in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sparrow-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


def test_fit_reports_what_it_dropped_and_what_it_reached(train: Run, books_file: Path, tmp_path: Path) -> None:
    done = train("fit", "--interactions", books_file, "--min-item-support", 5, *QUICK, "--run", tmp_path / "run")
    assert done.code == 0
    assert "dropped: support below 1 (users) or 5 (items)" in " ".join(done.err.split())
    assert (
        "compressed-elsa: 20 of 300 users validate; 16 values per item; 64 users a step (5 steps an epoch)" in done.err
    )
    assert "ndcg@100 by epoch: " in done.out
    again = train(
        "fit", "--interactions", books_file, "--min-item-support", 5, *QUICK, "--run", tmp_path / "run", "--resume",
        "--json",
    )  # fmt: skip
    document: dict[str, Any] = json.loads(again.out.splitlines()[-1])
    assert document["run"] == str(tmp_path / "run")
    assert document["recipe"]["filters"]["min_item_support"] == 5
    assert 0 < document["validation"]["ndcg@100"] < 1
    published = train("publish", tmp_path / "run", "--snapshots", tmp_path / "snapshots", "--json")
    assert published.code == 0
    assert json.loads(published.out)["current"] is True
    coded = train(
        "publish", tmp_path / "run", "--snapshots", tmp_path / "snapshots", "--values", "int8", "--json"
    )  # fmt: skip
    version = json.loads(coded.out)["version"]
    assert snapshot.read_manifest(tmp_path / "snapshots", version).values == "int8"
    cut = train("publish", tmp_path / "run", "--snapshots", tmp_path / "snapshots", "--k", 4, "--json")
    manifest = snapshot.read_manifest(tmp_path / "snapshots", json.loads(cut.out)["version"])
    assert manifest.n_nonzeros <= 4 * manifest.n_items


def test_popularity_on_the_bundled_books(train: Run, tmp_path: Path) -> None:
    done = train("fit", "--dataset", "goodbooks", "--recipe", "popularity", "--run", tmp_path / "run", "--json")
    document = json.loads(done.out)
    assert document["items"] == {"file": "items.parquet", "rows": 10000, "used": 9882, "without": 0, "unknown": 118}
    assert 0.1 < document["validation"]["ndcg@100"] < 0.2


TUNE = ["tune", "--dataset", "goodbooks", "--out", "best.toml"]
WRONG_USAGE = [
    (["fit"], "name either --interactions FILE or --dataset NAME"),
    (["fit", "--dataset", "goodbooks", "--interactions", "x.csv"], "name either --interactions FILE or --dataset"),
    (["fit", "--dataset", "goodbooks", "--set", "model.kk=1"], "unknown key model.kk; known here: model.k,"),
    (["fit", "--dataset", "goodbooks", "--recipe", "easy"], "there is no recipe 'easy'"),
    (["fit", "--dataset", "goodbooks", "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    (["fit", "--datset", "goodbooks"], "No such option"),
    (["compare", "--recipes", "popularity"], "--against elsa is not one of --recipes popularity"),
    (["compare", "--dataset", "goodbooks", "--train", "x.csv"], "name either --interactions FILE or --dataset NAME"),
    (["compare", "--protocol", "leave-one-out"], "is not one of 'folds', 'given', 'prequential', 'reference'"),
    (["compare", "--test-after", "yesterday"], "'yesterday' is neither an ISO date or time nor unix seconds"),
    (["compare", "--test-after", "2011"], "'2011' is neither an ISO date or time nor unix seconds"),
    (["compare", "--test-after", "1700000000000"], "1700000000000 is no moment between 1970 and 2100, in unix seconds"),
    (["evaluate", "run"], "name either --interactions FILE or --dataset NAME"),
    (["evaluate", "--dataset", "goodbooks"], "Missing argument 'RUN...'"),
    (["examples"], "Missing option"),
    (["tune", "--dataset", "goodbooks"], "Missing option '--out'"),
    (["tune", "--dataset", "goodbooks", "--out", "best"], "--out best: a recipe is a .toml file"),
    ([*TUNE, "--minutes", "0"], "--minutes 0 must be above 0"),
    ([*TUNE, "--minutes", "nan"], "--minutes nan must be above 0"),
    ([*TUNE, "--trials", "0"], "Input should be greater than or equal to 1"),
    ([*TUNE, "--search", "model.kk=1..3"], "unknown key model.kk; known here: model.k,"),
    ([*TUNE, "--search", "model.k=3..1"], "model.k=3..1: the range is empty; the lower end comes first"),
    ([*TUNE, "--recipe", "popularity"], "there is no usual search for popularity beside what is set"),
    (["tune", "--out", "best.toml"], "name either --interactions FILE or --dataset NAME"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_USAGE)
def test_wrong_usage_exits_with_2(train: Run, arguments: list[str], message: str) -> None:
    done = train(*arguments)
    assert done.code == 2
    assert message in " ".join(done.err.replace("\u2502", "").split())


def test_failures_exit_with_1_and_one_sentence(train: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id\na,1\n,2\n")
    (tmp_path / "one.csv").write_text("user_id,item_id\na,1\na,2\n")
    failures = [
        ("fit", "--interactions", tmp_path / "a.csv"),
        ("fit", "--interactions", tmp_path / "absent.csv"),
        ("fit", "--dataset", "movies"),
        ("fit", "--dataset", "goodbooks", "--min-user-support", 1000),
        ("publish", tmp_path),
        ("evaluate", tmp_path, "--dataset", "goodbooks"),
        ("compare", "--test-after", "2020-01-01"),
        ("compare", "--protocol", "given"),
        ("compare", "--test", tmp_path / "a.csv"),
        ("compare", "--train", tmp_path / "one.csv", *POPULARITY),
        ("examples", "--dataset", "movies", "--out", tmp_path / "x.jsonl"),
    ]
    for arguments in failures:
        done = train(*arguments)
        assert done.code == 1
        assert done.out == ""
        assert done.err.startswith("Error: ")
        assert done.err.count("\n") == 1
    assert "a.csv: column 'user_id', row 2: the id is missing" in train(*failures[0]).err


def test_examples_prints_ids_and_writes_events(train: Run, tmp_path: Path) -> None:
    done = train("examples", "--dataset", "goodbooks", "--count", 5, "--out", tmp_path / "deep" / "events.jsonl")
    assert done.code == 0
    users = done.out.strip().split(",")
    assert len(users) == 5
    events = [json.loads(line) for line in (tmp_path / "deep" / "events.jsonl").read_text().splitlines()]
    assert {event["user_id"] for event in events} == set(users)
    again = train("examples", "--count", 5, "--out", tmp_path / "again.jsonl", "--json")
    assert json.loads(again.out) == {"users": users, "events": len(events), "file": str(tmp_path / "again.jsonl")}


def test_compare_writes_table_and_document(train: Run, tmp_path: Path) -> None:
    done = train("compare", *POPULARITY, "--folds", "1", "--out", tmp_path / "table")
    assert done.code == 0
    assert done.out == (tmp_path / "table.md").read_text()
    document = json.loads((tmp_path / "table.json").read_text())
    assert 0.1 < document["figures"]["popularity"]["ndcg@100"]["mean"] < 0.2


def test_fit_takes_what_tune_finds(train: Run, books_file: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "deep" / "best.toml", ["--interactions", books_file, "--min-item-support", 5]
    tuned = train(
        "tune", *data, "--recipe", "pruned-ease", "--search", "model.k=4,8", "--set", "model.k=2", "--out", out
    )
    assert tuned.code == 0
    assert "as it was" in tuned.out
    assert "trial 1: ndcg@100" in tuned.err
    assert "best.toml is there already; go on with --resume" in train("tune", *data, "--out", out).err
    found = json.loads(train("fit", *data, "--recipe", out, "--run", tmp_path / "run", "--json").out)
    assert f"{found['validation']['ndcg@100']:.4f}" in out.read_text()
    assert found["recipe"]["model"]["k"] == 8


@pytest.mark.parametrize("text", ["20260901", "2026-09-01", "2026-09-01T02:00:00+02:00", "1788220800"])
def test_a_moment_is_a_date_a_time_or_unix_seconds(train: Run, books_file: Path, tmp_path: Path, text: str) -> None:
    timed = tmp_path / "timed.parquet"
    pl.read_parquet(books_file).with_columns(at=pl.lit("2026-08-01")).write_parquet(timed)
    told = ["--interactions", timed, "--timestamp-column", "at", "--test-after", text, "--recipe", "popularity"]
    document = json.loads(train("fit", *told, "--run", tmp_path / "run", "--json").out)
    assert document["recipe"]["filters"]["before"] == 1_788_220_800


def test_a_dot_in_a_name_is_kept_and_its_folder_is_made(train: Run, tmp_path: Path) -> None:
    for name, stem in (("v1.5", "v1.5"), ("table.json", "table"), ("table.md", "table")):
        out = tmp_path / stem / "deep" / name
        assert train("compare", *POPULARITY, "--folds", "1", "--out", out).code == 0
        assert {each.name for each in out.parent.iterdir()} == {f"{stem}{end}" for end in (".json", ".md", ".trials")}
    assert json.loads((tmp_path / "v1.5" / "deep" / "v1.5.json").read_text())["dataset"] == "goodbooks"


def test_a_folder_that_is_taken_is_told_before_the_files_are_read(train: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    done = train("fit", "--interactions", tmp_path / "absent.csv", "--run", tmp_path)
    assert done.code == 1
    assert "is not empty; go on there with --resume, or name another --run" in done.err


def test_a_moment_cuts_what_trains_from_what_tests(train: Run, books_file: Path, tmp_path: Path) -> None:
    timed = tmp_path / "timed.parquet"
    moments = pl.int_range(pl.len()).hash(1) % 1000 + 1_600_000_000
    pl.read_parquet(books_file).with_columns(at=moments).write_parquet(timed)
    moment = ["--timestamp-column", "at", "--test-after", "2020-09-13T12:40:00"]
    options = ["--train", timed, "--min-item-support", 5, *moment]
    fitted = json.loads(train("fit", *options, *QUICK, "--run", tmp_path / "run", "--json").out)
    assert fitted["recipe"]["filters"]["before"] == 1_600_000_800
    assert fitted["data"]["dropped"][0]["reason"] == "time from 2020-09-13 12:40:00 on"
    given = json.loads(train("evaluate", tmp_path / "run", "--train", timed, "--json").out)
    assert given["exam"]["protocol"] == "given"
    walk = ["--protocol", "prequential", "--max-questions", 50]
    walked = train("evaluate", tmp_path / "run", "--train", timed, *walk, "--int8", "--out", tmp_path / "walk")
    assert walked.out == (tmp_path / "walk.md").read_text()
    document = json.loads((tmp_path / "walk.json").read_text())
    assert (document["exam"]["asked"], len(document["figures"])) == (50, 2)
    compared = json.loads(train("compare", *options, *walk, *POPULARITY, "--json").out)
    assert len(compared["trials"]) == 1
    assert compared["trials"][0]["exam"]["askable"] == document["exam"]["askable"]
    assert compared["recipes"]["popularity"]["filters"]["before"] == 1_600_000_800


def test_ctrl_c_leaves_a_checkpoint_that_goes_on(train: Run, books_file: Path, tmp_path: Path) -> None:
    """A real process gets a real SIGINT; resumed, the run ends with the embeddings of an undisturbed one."""
    options = ["--set", "training.epochs=3", "--set", "training.batch_size=8", "--set", "model.n_dims=256"]
    arguments = ["fit", "--interactions", str(books_file), "--min-item-support", "4", *options, "--run"]
    line = [str(Path(sys.executable).parent / "sparrow-train"), *arguments, str(tmp_path / "stopped")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=one_thread) as process:
        while process.poll() is None and not (tmp_path / "stopped" / "checkpoint.json").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Stopping after this step" in err
    # what is printed goes on, as it stands
    assert err.splitlines()[-1] == shlex.join(["sparrow-train", *line[1:], "--resume"])
    assert json.loads((tmp_path / "stopped" / "checkpoint.json").read_text())["arrays"].split("-")[-1] != "0.npz"
    assert "Traceback" not in err
    assert not (tmp_path / "stopped" / "metrics.json").exists()
    assert train(*arguments, tmp_path / "stopped", "--resume").code == 0
    assert train(*arguments, tmp_path / "undisturbed").code == 0
    one, other = (np.load(tmp_path / n / "embeddings" / "decoder_values.npy") for n in ("stopped", "undisturbed"))
    assert np.array_equal(one, other)


def test_ctrl_c_ends_a_model_that_is_solved_at_once(tmp_path: Path) -> None:
    """It has no step to wait for, and nothing that could be kept."""
    script = str(Path(sys.executable).parent / "sparrow-train")
    line = [script, "fit", "--dataset", "goodbooks", "--recipe", "pruned-ease", "--run", str(tmp_path / "run")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("pruned-ease: "):
            pass
        while not (tmp_path / "run" / "recipe.toml").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err == "Interrupted. Nothing is kept of a model that is solved at once\n"
