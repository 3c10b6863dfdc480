"""Snapshots: immutable directories that hold one built index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.catalogue import Catalogue
from index.embeddings import SparseItemEmbeddings
from index.manifest import FileInfo, Manifest
from index.segments import Segments
from index.types import JSON, Float32, Int32
from index.vocabulary import Vocabulary

__all__ = ["FileInfo", "Manifest", "Snapshot", "SnapshotContent"]


@dataclass(frozen=True)
class SnapshotContent:
    """What a snapshot is made of."""

    embeddings: SparseItemEmbeddings
    """Ids, decoder, encoder, provenance."""
    properties: Sequence[Mapping[str, JSON]]
    """Of each item, by row."""
    popularity: Float32
    """(n_items,): users of each item in training."""
    segments: Segments
    """May be none."""


@dataclass(frozen=True)
class Snapshot:
    """One open snapshot; arrays are memory-mapped and read-only."""

    version: str
    """Its name."""
    directory: Path
    """Where it lies."""
    manifest: Manifest
    """What it is."""
    items: Vocabulary
    """Ids <-> rows."""
    embeddings: SparseItemEmbeddings
    """The model."""
    segments: Segments
    """The titled sets of items."""
    catalogue: Catalogue
    """Properties and text search."""
    popularity: Float32
    """(n_items,): users of each item in training."""
    popular: Int32
    """(n_items,): all rows by descending popularity, ties by row."""
