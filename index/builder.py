"""From embeddings and what is known about the items to a stored snapshot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from index import integrity, snapshot
from index.embeddings import SparseItemEmbeddings
from index.errors import InvalidEmbeddings
from index.segments import Segments
from index.snapshot import SnapshotContent
from index.types import JSON, Float32


def build(
    root: Path,
    *,
    embeddings: SparseItemEmbeddings,
    properties: Sequence[Mapping[str, JSON]],
    popularity: Float32,
    segments: Segments,
) -> str:
    """Check everything, store a snapshot under `root` and return its version; publication.publish makes it current.

    `properties` and `popularity` (users of each item in training) are aligned with the item rows.
    InvalidEmbeddings, before anything is written, if the parts do not fit together.
    """
    if len(properties) != embeddings.n_items:
        raise InvalidEmbeddings(f"properties are given for {len(properties)} items, of {embeddings.n_items}")
    integrity.check(embeddings, popularity, segments)
    return snapshot.write(root, SnapshotContent(embeddings, properties, popularity, segments))
