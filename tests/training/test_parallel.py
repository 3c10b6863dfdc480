"""Two processes train as one does."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.embeddings import SparseItemEmbeddings

SMALL = ["--set", "model.n_dims=256", "--set", "training.epochs=2", "--set", "training.batch_size=64"]


def fitted(run: Path, books_file: Path, n_processes: int, *more: str) -> tuple[list[dict[str, Any]], str]:
    """Fit; the records of all epochs, and what was told on stdout."""
    data = ["--interactions", str(books_file), "--min-item-support", "5", "--json"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "training",
            "fit",
            *data,
            "--run",
            str(run),
            "--processes",
            str(n_processes),
            *SMALL,
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()], done.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, books_file: Path) -> tuple[Path, list[dict[str, Any]]]:
    run = tmp_path_factory.mktemp("alone") / "run"
    return run, fitted(run, books_file, 1)[0]


def test_two_processes_have_the_loss_of_one(
    alone: tuple[Path, list[dict[str, Any]]], books_file: Path, tmp_path: Path
) -> None:
    one, records = alone
    found, told = fitted(tmp_path / "run", books_file, 2)
    assert len(found) == len(records) > 2
    for record, expected in zip(found, records, strict=True):
        assert record["stage"] == expected["stage"]
        assert record["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    embeddings, expected_embeddings = (SparseItemEmbeddings.load(run / "embeddings") for run in (tmp_path / "run", one))
    assert np.array_equal(embeddings.decoder.dims, expected_embeddings.decoder.dims)
    np.testing.assert_allclose(embeddings.decoder.values, expected_embeddings.decoder.values, atol=1e-4)
    assert json.loads(told)["run"] == str(tmp_path / "run")  # told by the first process only


def test_two_processes_compress_as_one_does(books_file: Path, tmp_path: Path) -> None:
    dense = ["model.dense_dims=16", "model.dense_epochs=1", "model.histories=true", "model.step_items=99"]
    options = ["--recipe", "compressae", *(part for each in dense for part in ("--set", each))]
    runs = [fitted(tmp_path / str(number), books_file, number, *options)[0] for number in (1, 2)]
    assert len(runs[0]) == 3
    for record, expected in zip(*runs, strict=True):
        assert record["loss"] == pytest.approx(expected["loss"], rel=1e-4)


def test_a_complete_run_is_told_to_both(alone: tuple[Path, list[dict[str, Any]]], books_file: Path) -> None:
    run, records = alone
    before = (run / "metrics.json").stat().st_mtime_ns
    assert fitted(run, books_file, 2, "--resume")[0] == records
    assert (run / "metrics.json").stat().st_mtime_ns == before


def test_what_ends_one_process_is_told_without_a_traceback(books_file: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "other").touch()
    options = ["--interactions", str(books_file), "--run", str(tmp_path / "run"), "--processes", "2"]
    line = [sys.executable, "-m", "training", "fit", *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run is not empty; go on there with --resume, or name another --run" in done.stderr
    assert "ChildFailedError" not in done.stderr


def test_ctrl_c_tells_once_what_is_kept(books_file: Path, tmp_path: Path) -> None:
    options = ["--interactions", str(books_file), "--run", str(tmp_path / "run"), "--processes", "2"]
    line = [sys.executable, "-m", "training", "fit", *options, *SMALL, "--set", "training.epochs=9000"]
    line += ["--set", "training.patience=9000"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (tmp_path / "run" / "checkpoint.json").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err.count("Interrupted. What was done until the last checkpoint is kept; go on by") == 1
    assert "SignalException" not in err
