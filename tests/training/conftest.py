"""What the tests of training share: a small part of the real books, planted tastes, and files written on the fly."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from training import datasets, interactions, items, recipe, run, trainer
from training.interactions import Filters, Interactions
from training.run import Material


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small products gain nothing from a second thread, and lose much where cores are shared."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def books_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The likes of the first 300 bundled readers."""
    path = tmp_path_factory.mktemp("books") / "likes.parquet"
    pl.read_parquet(datasets.bundled("goodbooks").interactions).filter(pl.col("user_id") < "u0300").write_parquet(path)
    return path


@pytest.fixture(scope="session")
def books(books_file: Path) -> Interactions:
    """The same, without the rare items."""
    data, _ = interactions.load(books_file, filters=Filters(min_item_support=5))
    return data


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, books_file: Path) -> Path:
    """A complete run of the small part of the books, quickly fitted."""
    directory = tmp_path_factory.mktemp("runs") / "fitted"
    quick = ["training.epochs=2", "training.batch_size=64", "model.n_dims=256", "filters.min_item_support=3"]
    data, loaded = interactions.load(books_file, filters=Filters(min_item_support=3))
    properties, described = items.load(datasets.bundled("goodbooks").items, data.items)
    material = Material(data, loaded, properties, described)
    run.fit(directory, recipe.load("compressed-elsa", quick), material, device="cpu", monitor=trainer.Silent())
    return directory


@pytest.fixture(scope="session")
def checkerboard() -> csr_array:
    """120 users in two groups; each likes two thirds of the 15 items of the own group and nothing else."""
    rng = np.random.default_rng(7)
    board = np.zeros((120, 30), np.float32)
    for user in range(120):
        own = 15 * (user % 2) + np.arange(15)
        board[user, rng.choice(own, 10, replace=False)] = 1
    return csr_array(board)


Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file: text as it is, rows (a list of dicts) by the suffix of the name."""

    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        elif path.suffix == ".csv":
            pl.DataFrame(content, infer_schema_length=None).write_csv(path)
        elif path.suffix == ".parquet":
            pl.DataFrame(content, infer_schema_length=None).write_parquet(path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
        return path

    return write
