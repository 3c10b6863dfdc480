"""What the segments of a snapshot are like: sizes, coherence, the nearest other one, the strongest items."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from index import discovery
from index.blockwise import unit
from index.discovery import STRONGEST, Cluster, coherence
from index.segments import Segments
from index.snapshot import Snapshot
from index.types import Array, Float32, Int32

TOP = 8
"""Items told of a segment."""


def facts(opened: Snapshot) -> list[dict[str, Any]]:
    """Of each segment, by number: what it is called, how large, coherent and far from the others it is."""
    found, rows = opened.segments, opened.embeddings.decoder.floats()
    overlap, cosine = overlaps(found, len(opened.items)), cosines(found)
    groups = {group.group_id: group.title for group in found.groups}
    told = []
    for number, segment in enumerate(found.segments):
        items = found.items_of(number)
        told.append(
            {
                "segment_id": segment.segment_id,
                "title": segment.title,
                "group": None if segment.group is None else groups[segment.group],
                "terms": list(segment.terms),
                "size": segment.size,
                "typical": len(found.typical_of(number)),
                "coherence": coherence(rows, items),
                "coherence_of_first": coherence(rows, items[:STRONGEST]),
                "nearest": _nearest(found, number, overlap[number], cosine[number]),
                "top_items": names(opened, items[:TOP]),
            }
        )
    return told


def overlaps(found: Segments, n_items: int) -> Array:
    """Jaccard index of the items of each two segments, (n_segments, n_segments)."""
    sets = [Cluster(found.items_of(number), found.strengths_of(number)) for number in range(len(found))]
    return discovery.overlaps(sets, n_items)


def cosines(found: Segments) -> Float32:
    """Cosines of the centroids, (n_segments, n_segments)."""
    rows = [found.rows.dense_row(number) for number in range(len(found))]
    dense = unit(np.array(rows, np.float32).reshape(len(found), found.rows.n_dims))
    return dense @ dense.T


def _nearest(found: Segments, number: int, overlap: Array, cosine: Float32) -> dict[str, Any] | None:
    """The segment with the most items in common, of several the one with the nearest centroid; None: it is alone."""
    others = np.delete(np.arange(len(found)), number)
    if not len(others):
        return None
    nearest = int(others[np.lexsort((-cosine[others], -overlap[others]))[0]])
    other = found.segments[nearest]
    return {
        "segment_id": other.segment_id,
        "title": other.title,
        "overlap": float(overlap[nearest]),
        "cosine": float(cosine[nearest]),
    }


def names(opened: Snapshot, items: Int32) -> list[str]:
    """What items are called: the title or name, else the id."""
    ids = opened.items.item_ids(items)
    return [title or item_id for title, item_id in zip(opened.catalogue.titles(items.tolist()), ids, strict=True)]


def print_facts(console: Console, told: Sequence[Mapping[str, Any]]) -> None:
    """Show the facts as a table."""
    table = Table("segment", "title", "group", "items", "coherence", "nearest", "overlap", "strongest items")
    for each in told:
        near = each["nearest"]
        cells = (
            each["segment_id"],
            each["title"],
            each["group"] or "",
            f"{each['size']:,}",
            f"{each['coherence']:.3f}",
            near["title"] if near else "",
            f"{near['overlap']:.2f}" if near else "",
            "; ".join(each["top_items"][:3]),
        )
        # as text, since a title may hold what rich takes for markup
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
