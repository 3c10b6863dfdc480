"""From embeddings and what is known about the items to a stored snapshot."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from index import (
    arrays,
    catalogue,
    coding,
    columns,
    disk,
    embeddings,
    files,
    integrity,
    manifest,
    postings,
    snapshot,
    sparse,
    texts,
    versions,
)
from index.edits import NO_EDITS, Edits, to_document
from index.edits import check as check_edits
from index.embeddings import SparseItemEmbeddings
from index.errors import InvalidEmbeddings
from index.manifest import Manifest
from index.segments import Segments
from index.types import JSON, Array, Float32, Int32


@dataclass(frozen=True)
class SnapshotContent:
    """What a snapshot is made of."""

    embeddings: SparseItemEmbeddings
    """Ids, decoder, encoder, provenance."""
    properties: Sequence[Mapping[str, JSON]]
    """Of each item, by row."""
    popularity: Float32
    """(n_items,): users of each item in the data."""
    segments: Segments
    """As they were found; may be none."""
    edits: Edits = field(default_factory=dict)
    """What people say of them."""


def build(
    root: Path,
    *,
    embeddings: SparseItemEmbeddings,
    properties: Sequence[Mapping[str, JSON]],
    popularity: Float32,
    segments: Segments,
    edits: Edits = NO_EDITS,
) -> str:
    """Check everything, store a snapshot under `root` and return its version; publication.publish makes it current.

    `properties` and `popularity` (users of each item in the data) are aligned with the item rows. `edits` may name
    segments that are no more. InvalidEmbeddings or InvalidEdits, before anything is stored, if the parts do not fit.
    """
    if len(properties) != embeddings.n_items:
        raise InvalidEmbeddings(f"properties are given for {len(properties)} items, of {embeddings.n_items}")
    integrity.check(embeddings, popularity, segments)
    check_edits(edits)
    return write(root, SnapshotContent(embeddings, properties, popularity, segments, edits))


def write(root: Path, content: SnapshotContent, *, now: datetime | None = None) -> str:
    """Store checked content durably, all of it or nothing, and return its version."""
    root.mkdir(parents=True, exist_ok=True)
    with disk.writing(root):
        building = disk.temporary(root, "build")
        building.mkdir()
        try:
            _write_files(building, content)
            made = _manifest(building, content, versions.next_time(root, now or datetime.now(UTC)))
            (building / manifest.FILE_NAME).write_bytes(manifest.to_bytes(made))
            disk.publish_directory(building, root / made.version)
        except BaseException:
            if building.exists():
                disk.remove(building)
            raise
    return made.version


def _write_files(directory: Path, content: SnapshotContent) -> None:
    with ThreadPoolExecutor() as beside:  # the kernel, SQLite and the disk work without holding up Python
        under_way = [beside.submit(_write_postings, directory, content.embeddings)]
        popular = integrity.by_popularity(content.popularity)
        under_way.append(beside.submit(texts.write, directory, content.properties, popular))
        _write_arrays(directory, content, popular)
        under_way.append(beside.submit(disk.force, directory))
        edited = to_document(content.edits) if content.edits else {}
        document = json.dumps({**content.segments.to_json(), **edited}, indent=1, sort_keys=True, allow_nan=False)
        (directory / snapshot.SEGMENTS).write_text(document + "\n")
        catalogue.write(directory, content.properties)
        columns.save(directory, coding.build(content.properties))
        for part in under_way:
            part.result()


def _write_postings(directory: Path, model: SparseItemEmbeddings) -> None:
    arrays.save(directory, postings.to_arrays(postings.build(model)))


def _write_arrays(directory: Path, content: SnapshotContent, popular: Int32) -> None:
    segments = content.segments
    named: dict[str, Array] = {
        **embeddings.to_arrays(content.embeddings),
        **sparse.to_arrays("segment_centroids", segments.rows),
        "segment_starts": segments.starts,
        "segment_items": segments.items,
        "segment_strengths": segments.strengths,
        "popularity": content.popularity,
        "popular": popular,
    }
    arrays.save(directory, named)


def _manifest(directory: Path, content: SnapshotContent, created: datetime) -> Manifest:
    described = files.describe(directory)
    content_hash = snapshot.content_hash(content.embeddings, described)
    return Manifest(
        format=manifest.FORMAT,
        version=versions.name(created, content_hash),
        created_at=created.isoformat().replace("+00:00", "Z"),
        content_hash=content_hash,
        files=described,
        n_nonzeros=len(content.embeddings.decoder.dims),
        n_segments=len(content.segments),
        provenance=content.embeddings.provenance,
        **embeddings.header(content.embeddings),
    )
