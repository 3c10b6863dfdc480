"""From a complete run to a published snapshot: find segments, title them, keep their ids, build, publish."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from index import builder, publication, segments, snapshot, sparse
from index.edits import NO_EDITS, Edits, over, settled
from index.errors import SnapshotError
from index.groups import grouped
from index.snapshot import Snapshot
from index.types import JSON
from training import groups, run
from training.cut import cut
from training.labels import read, titles
from training.retitling import PROVENANCE, retitle
from training.titler import Titler

N_STEPS = 5
"""How often `publish` reports that a step begins; once more with a titler."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Released:
    """What was stored."""

    version: str
    """Of the snapshot."""
    current: bool
    """Whether it is served now; False while another version is pinned."""
    n_items: int
    """Items in it."""
    n_segments: int
    """Segments in it."""
    n_carried: int
    """Segments that kept the id of an earlier snapshot."""
    n_titled: int = 0
    """Segments whose titles are an external titler's."""
    n_asked: int = 0
    """Segments that it was asked about."""
    n_edited: int = 0
    """Segments that people have edited."""
    n_waiting: int = 0
    """Edits of segments that are no more: kept, and without effect."""


def publish(
    directory: Path,
    root: Path,
    step: Callable[[str], None],
    *,
    values: Literal["float32", "int8"] = "float32",
    k: int | None = None,
    titler: Titler | None = None,
    told: Callable[[str], None] = lambda _: None,
    edits: Edits = NO_EDITS,
) -> Released:
    """Publish the run in `directory` under `root`; `step` is told what begins.

    `values` is what the decoder's values are stored as. Segments are found before it is rounded. k: of each item only
    so many of the largest values; segments are found among these. titler: who gives titles instead; `told` hears how
    far it is. edits: what people say of segments; what the snapshot before was built with lives on below, as ids do.
    Raises TitlerError before anything is stored, RunError for a run that is incomplete or has no embeddings,
    InvalidEdits for edits that cannot be together, SnapshotError or InvalidEmbeddings for the rest.
    """
    step("reading the run")
    return release(run.load(directory), root, step, values=values, k=k, titler=titler, told=told, edits=edits)


def release(
    material: run.Run,
    root: Path,
    step: Callable[[str], None],
    *,
    values: Literal["float32", "int8"] = "float32",
    k: int | None = None,
    titler: Titler | None = None,
    told: Callable[[str], None] = lambda _: None,
    edits: Edits = NO_EDITS,
) -> Released:
    """Publish what a run made, as `publish` does."""
    embeddings, previous = material.embeddings, _current(root)
    if k is not None:
        embeddings = cut(embeddings, k)
    step("finding segments")
    found = segments.find(embeddings, material.popularity, previous)
    step("titling segments")
    reading = read(found, _named(material), material.popularity)
    labels = titles(found, reading)
    carried = segments.carry_over(found, embeddings, previous)
    chosen = segments.assemble(
        found, carried, [each.title for each in labels], [each.terms for each in labels], embeddings.n_dims
    )
    together = groups.find(found, reading)
    chosen = grouped(chosen, together.members, together.titles, previous.found_segments if previous else None)
    titled: tuple[str, ...] = ()
    n_asked = 0
    if titler is not None:
        step("asking the titler")
        chosen, titled, n_asked = retitle(chosen, embeddings.items, material.properties, previous, titler, told)
        embeddings = replace(embeddings, provenance={**embeddings.provenance, PROVENANCE: list(titled)})
    laid = settled(over(previous.built_edits if previous else NO_EDITS, edits))
    step("building the snapshot")
    if values == "int8":
        embeddings = replace(embeddings, decoder=sparse.quantised(embeddings.decoder))
    version = builder.build(
        root,
        embeddings=embeddings,
        properties=material.properties,
        popularity=material.popularity,
        segments=chosen,
        edits=laid,
    )
    step("verifying and publishing")
    current = publication.publish(root, version)
    known = {each.segment_id for each in previous.found_segments.segments} if previous else set()
    n_carried = sum(each.segment_id in known for each in chosen.segments)
    n_edited = sum(chosen.number(segment_id) is not None for segment_id in laid)
    counts = (len(titled), n_asked, n_edited, len(laid) - n_edited)
    return Released(version, current, embeddings.n_items, len(chosen), n_carried, *counts)


def _named(material: run.Run) -> list[Mapping[str, JSON]]:
    """What is known about the items; one of which nothing is known is called by its id."""
    ids = material.embeddings.items.item_ids(np.arange(material.embeddings.n_items))
    return [known or {"name": item_id} for known, item_id in zip(material.properties, ids, strict=True)]


def _current(root: Path) -> Snapshot | None:
    """The snapshot whose segment ids live on: what is served or, where that is broken, the newest that is not.

    A broken one must not stop the publishing that replaces it.
    """
    try:
        served = publication.current(root)
        return None if served is None else snapshot.open_snapshot(root, served)
    except SnapshotError as error:
        older = next(_readable(root), None)
        ids = f"are carried on from {older.version}" if older else "are new"
        logger.warning("the current snapshot cannot be read (%s): ids of segments %s", error, ids)
        return older


def _readable(root: Path) -> Iterator[Snapshot]:
    """All snapshots that can be opened, newest first."""
    for version in reversed(publication.versions(root)):
        with suppress(SnapshotError):
            yield snapshot.open_snapshot(root, version)
