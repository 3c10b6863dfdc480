"""Small indexes to test with."""

import runpy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from index import builder, publication, sparse
from index.builder import SnapshotContent
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.vocabulary import Vocabulary

Make: TypeAlias = Callable[..., SparseItemEmbeddings]


def random_rows(rng: np.random.Generator, n_rows: int, n_dims: int, density: float, steps: int) -> SparseRows:
    """Values are multiples of 1/steps: few steps make ties, many make rounding."""
    dense = rng.integers(-steps, steps + 1, (n_rows, n_dims)) * (rng.random((n_rows, n_dims)) < density) / steps
    owners, dims = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=n_rows))])
    return SparseRows.from_csr(starts, dims, dense[owners, dims], n_dims)


@pytest.fixture(scope="session")
def make() -> Make:
    """Make random embeddings: make(seed, n_items, n_dims, density, steps, int8, **fields of SparseItemEmbeddings)."""

    def made(
        seed: int = 0, n_items: int = 20, n_dims: int = 8, density: float = 0.4, steps: int = 997, **given: Any
    ) -> SparseItemEmbeddings:
        rng = np.random.default_rng(seed)
        fields: dict[str, Any] = {
            "items": Vocabulary.build([f"item-{row}" for row in range(n_items)]),
            "decoder": random_rows(rng, n_items, n_dims, density, steps),
            "item_scale": None,
            "encoder": "tied",
            "query_dims": None,
            "dims_are": "latents",
            "provenance": {},
        }
        if given.pop("own_encoder", False):
            fields["encoder"] = random_rows(rng, n_items, n_dims, density, steps)
        int8 = given.pop("int8", False)
        model = SparseItemEmbeddings(**fields | given)
        return replace(model, decoder=sparse.quantised(model.decoder)) if int8 else model

    return made


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """The names of tests/golden/make.py."""
    return runpy.run_path(str(Path(__file__).parents[1] / "golden" / "make.py"))


@pytest.fixture(scope="session")
def content(golden: dict[str, Any]) -> SnapshotContent:
    """A small content with every optional part."""
    made = golden["content"]()
    assert isinstance(made, SnapshotContent)
    return made


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, content: SnapshotContent) -> Path:
    """A directory of snapshots with one published version, not to be changed."""
    directory = tmp_path_factory.mktemp("published")
    assert publication.publish(directory, builder.write(directory, content))
    return directory


@pytest.fixture
def root(tmp_path: Path, published: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(published, tmp_path / "snapshots"))
