"""Bytes by part, and what is expected of more items, against snapshots that are really that large."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import builder, sizes
from index.builder import SnapshotContent
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.postings import BLOCK
from index.segments import Segments
from index.snapshot import Snapshot, open_snapshot
from index.vocabulary import Vocabulary

K = 8


def random_snapshot(root: Path, n_items: int, n_dims: int, content: SnapshotContent) -> Snapshot:
    """Rows of K non-zeros, some dimensions far more frequent than others; ids of one length."""
    rng = np.random.default_rng(n_items)
    step = n_dims // K
    within = np.minimum((rng.random((n_items, K)) ** 2 * step).astype(np.int64), step - 1)
    dims = (np.arange(K) * step + within).astype(np.uint16)
    values = rng.standard_normal(n_items * K).astype(np.float32)
    rows = SparseRows(np.arange(n_items + 1, dtype=np.int64) * K, dims.ravel(), values, n_dims)
    ids = Vocabulary.build([f"{row:08}" for row in range(n_items)])
    none = content.segments
    segments = Segments(
        (),
        none.starts[:1],
        none.items[:0],
        none.strengths[:0],
        SparseRows.from_csr(np.zeros(1, dtype=np.int64), np.empty(0), np.empty(0), n_dims),
        frozenset(),
    )
    model = SparseItemEmbeddings(ids, rows, None, "tied", None, "latents", {})
    popularity = np.ones(n_items, dtype=np.float32)
    properties = [{"year": 1900 + row % 100} for row in range(n_items)]
    version = builder.build(root, embeddings=model, properties=properties, popularity=popularity, segments=segments)
    return open_snapshot(root, version)


@pytest.mark.parametrize(("n_dims", "n_items"), [(2048, 20_000), (256, BLOCK + 4000)])
def test_what_is_expected_is_what_comes(tmp_path: Path, content: SnapshotContent, n_dims: int, n_items: int) -> None:
    small = random_snapshot(tmp_path, 4000, n_dims, content)
    large = random_snapshot(tmp_path, n_items, n_dims, content)
    expected, measured = sizes.expected(small, n_items), sizes.measured(large.manifest)
    assert (expected.n_items, expected.n_nonzeros) == (n_items, measured.n_nonzeros) == (n_items, n_items * K)
    for part in sizes.SEARCHED:
        assert expected.parts[part] == pytest.approx(measured.parts[part], rel=0.02), part
    assert expected.searched_bytes_per_nonzero == pytest.approx(measured.searched_bytes_per_nonzero, rel=0.02)
    assert expected.memory_bytes == pytest.approx(measured.memory_bytes, rel=0.02)
    assert expected.disk_bytes == pytest.approx(measured.disk_bytes, rel=0.02)
    # padding is not in proportion: of a fixed number of bytes a non-zero this test could not tell
    naive = sizes.measured(small.manifest).parts[sizes.LINES] * n_items / 4000
    assert naive > 1.05 * measured.parts[sizes.LINES]


def test_expected_lines_are_the_mean_over_all_outcomes() -> None:
    """Against the sum over every possible count, weighted by how likely it is."""
    for share, n_items in ((0.3, 50), (0.01, 40), (1.0, 17), (0.0, 9)):
        odds = np.ones(1)
        for _ in range(n_items):
            odds = np.convolve(odds, [1 - share, share])
        mean = float(odds @ np.ceil(np.arange(n_items + 1) / 16))
        assert sizes._expected_lines(np.array([share]), n_items) == pytest.approx(mean)
        assert sizes._expected_lines(np.array([share] * 3), n_items) == pytest.approx(3 * mean)
    assert sizes._expected_lines(np.array([0.5]), 0) == pytest.approx(0)


def test_int8_takes_a_byte_a_non_zero_and_four_an_item(tmp_path: Path, golden: dict[str, Any]) -> None:
    opened = open_snapshot(tmp_path, builder.write(tmp_path, golden["content"]("int8")))
    found = sizes.measured(opened.manifest)
    assert found.parts["row values"] == 128 + found.n_nonzeros + 128 + 4 * found.n_items
    assert found.disk_bytes == sum(info.bytes for info in opened.manifest.files.values())


def test_every_file_belongs_to_one_part(root: Path, golden: dict[str, Any]) -> None:
    opened = open_snapshot(root, builder.write(root, golden["content"]("factor")))
    measured = sizes.measured(opened.manifest)
    assert measured.disk_bytes == sum(info.bytes for info in opened.manifest.files.values())
    files = opened.manifest.files
    assert measured.parts["ids"] == sum(
        files[f"item_{name}.npy"].bytes for name in ("id_bytes", "id_starts", "sorted_hashes", "hash_rows")
    )
    assert measured.parts["text search"] == files["texts.sqlite"].bytes
    once = files["query_factor.npy"].bytes
    assert measured.parts["query factor"] == sizes.expected(opened, 10_000).parts["query factor"] == once
    assert measured.disk_bytes - measured.memory_bytes == sum(measured.parts[part] for part in sizes.ON_DEMAND)
    assert all(measured.parts[part] > 0 for part in measured.parts if part != "columns")
