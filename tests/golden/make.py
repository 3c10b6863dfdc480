"""Make the golden snapshots of the current format, one of each kind: `python tests/golden/make.py`.

Run it only for a new format number.

Its content comes from whole numbers alone, so that it is the same on every machine and under every version of NumPy.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from index import builder, disk, manifest, publication, query, search, snapshot, sparse
from index.builder import SnapshotContent
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.segments import Segment, Segments
from index.snapshot import Snapshot
from index.types import JSON, Float32, Int32
from index.vocabulary import Vocabulary

HERE = Path(__file__).parent
ROOT = HERE / f"format-{manifest.FORMAT}"
EXPECTED = HERE / f"format-{manifest.FORMAT}.json"
BUILT_AT = datetime(2026, 11, 21, 8, 12, 0, tzinfo=UTC)
N_ITEMS, N_DIMS, N_SEGMENTS = 36, 12, 3
KINDS = ("float32", "int8", "factor")
HISTORIES = {"one": {"7": 1.0}, "three": {"0": 1.0, "b\u00fccher-5": 0.5, "11": -0.25}, "all": {"1": 1.0, "2": 2.0}}

FILTERS: dict[str, JSON] = {
    "text": {
        "must": [{"key": "title", "match": {"any": ["The \u00c9migr\u00e9 4", "\u65e5\u672c\u306e\u672c 2", "none"]}}]
    },
    "list": {"must": [{"key": "authors", "match": {"except": ["Ann", "Author 1"]}}]},
    "number": {"must": [{"key": "rating", "range": {"gte": 1.25, "lt": 4}}, {"key": "year", "range": {"gt": 1907}}]},
    "time": {"should": [{"key": "added", "range": {"gt": {"now": "-82d"}}}, {"key": "year", "match": {"value": 1901}}]},
    "boolean": {"must_not": [{"key": "in_print", "match": {"value": True}}]},
}


def rows(n_rows: int, step: int, divisor: int = 3) -> SparseRows:
    """A sparse matrix out of a linear congruence; thirds, so that the order of summation shows in the last bit."""
    numbers = (np.arange(n_rows * N_DIMS, dtype=np.int64) * step * 7919 + 104729) % 101
    dense = np.where(numbers < 30, numbers - 15, 0).reshape(n_rows, N_DIMS)
    dense[:, 0] += dense.any(axis=1) == 0
    owners, dims = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=n_rows))])
    return SparseRows.from_csr(starts, dims, dense[owners, dims] / divisor, N_DIMS)


def segments() -> Segments:
    """Three segments of overlapping items, and an id that is not used any more."""
    sizes = [5, 8, 3]
    items = [(np.arange(size, dtype=np.int32) * 5 + number) % N_ITEMS for number, size in enumerate(sizes)]
    strengths = [1 / (1 + np.arange(size, dtype=np.float32)) for size in sizes]
    described = tuple(
        Segment(f"s{number}", f"Segment {number}", ("d\u00e9j\u00e0", "vu"), ((number, 1), (number + 4, -1)), size)
        for number, size in enumerate(sizes)
    )
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return Segments(
        segments=described,
        starts=starts,
        items=np.concatenate(items),
        strengths=np.concatenate(strengths).astype(np.float32),
        rows=rows(N_SEGMENTS, 5),
        retired=frozenset({"sold", "sgone"}),
    )


def properties(row: int) -> dict[str, Any]:
    """Texts in several scripts, lists, numbers, times, what cannot be filtered by, nothing at all."""
    if row % 9 == 8:
        return {}
    titles = ["The \u00c9migr\u00e9", "O'Brien's \"Book\"", "\u65e5\u672c\u306e\u672c", "Plain tale"]
    return {
        "title": f"{titles[row % 4]} {row}",
        "authors": [f"Author {row % 5}", "Ann"],
        "year": 1900 + row,
        "rating": row / 4 if row % 3 else None,
        "added": f"2026-{1 + row % 12:02}-01T12:00:00.5+02:00",
        "in_print": row % 5 > 1,
        "shelf": row if row % 2 else f"{row} B",
    }


def factor() -> Float32:
    """A query factor in halves: with an encoder in quarters all its sums are exact, in whatever order."""
    numbers = (np.arange(N_DIMS * 5, dtype=np.int64) * 7919 + 104729) % 101 % 7 - 3
    return (numbers.reshape(N_DIMS, 5) / 2).astype(np.float32)


def kind_of(opened: Snapshot) -> str:
    """What `content` was asked for."""
    return "factor" if opened.manifest.query_width else opened.manifest.values


def content(kind: str = "float32") -> SnapshotContent:
    """Optional parts of the format are there: item scale, an encoder of its own (or int8), query_dims, segments."""
    ids = [f"b\u00fccher-{row}" if row % 5 == 0 and row else str(row) for row in range(N_ITEMS)]
    int8, encoder = kind == "int8", rows(N_ITEMS, 3, 4 if kind == "factor" else 3)
    model = SparseItemEmbeddings(
        items=Vocabulary.build(ids),
        decoder=sparse.quantised(rows(N_ITEMS, 1)) if int8 else rows(N_ITEMS, 1),
        item_scale=((1 + np.arange(N_ITEMS) % 4) / 4).astype(np.float32),
        encoder="tied" if int8 else encoder,
        query_dims=5,
        dims_are="latents",
        provenance={"model": "golden", "metrics": {"ndcg@100": 0.5}},
        query_factor=factor() if kind == "factor" else None,
    )
    popularity = (np.arange(N_ITEMS) * 7 % 13).astype(np.float32)
    return SnapshotContent(model, [properties(row) for row in range(N_ITEMS)], popularity, segments())


def answers(opened: Snapshot) -> dict[str, Any]:
    """What the snapshot answers, scores to the last bit."""
    found: dict[str, Any] = {"content_hash": opened.manifest.content_hash, "histories": {}}
    for name, history in HISTORIES.items():
        items: Int32 = opened.items.rows(list(history))
        weights = np.array(list(history.values()), dtype=np.float32)
        user = query.encode(opened.embeddings, items, weights)
        hits = opened.searcher.top_n(user, 10, exclude=items)
        leaning = search.score_segments(opened.segments, user)
        found["histories"][name] = {
            "items": dict(zip(opened.items.item_ids(hits.items), map(float.hex, hits.scores.tolist()), strict=True)),
            "segments": [float.hex(score) for score in leaning.tolist()],
        }
    for name, given in FILTERS.items():
        bitmap = opened.filters.compile(given, BUILT_AT.timestamp())
        found.setdefault("filters", {})[name] = opened.items.item_ids(bitmap.rows())
    for text in ("", "emigre", "ann book", "\u65e5", "auth"):
        found.setdefault("texts", {})[text] = opened.items.item_ids(opened.catalogue.search(text, 5))
    return found


def main() -> None:
    """Replace the golden snapshots and the answers that are expected of them, by version."""
    shutil.rmtree(ROOT, ignore_errors=True)
    versions = [builder.write(ROOT, content(kind), now=BUILT_AT) for kind in KINDS]
    publication.publish(ROOT, versions[0])
    (ROOT / disk.LOCK).unlink()
    expected = {version: answers(snapshot.open_snapshot(ROOT, version)) for version in versions}
    EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
