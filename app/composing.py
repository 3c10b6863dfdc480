"""From rankings to the words of the wire: items with what is asked of their properties and reasons, and rows of them.

Ids and properties are looked up for all of an answer at once: that takes a fraction of the time of one by one.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from app.errors import Invalid
from app.properties import about
from app.schemas.reasons import Reason
from app.schemas.retrieval import HomepageRow, ItemHit
from app.shelf import Row
from index.search import Hits
from index.snapshot import Snapshot


def property_keys(snapshot: Snapshot, wanted: bool | list[str]) -> tuple[str, ...] | None:
    """The keys that `include_properties` means, None for no properties; Invalid names a key that no item has."""
    if isinstance(wanted, bool):
        return snapshot.catalogue.keys if wanted else None
    unknown = [key for key in wanted if key not in snapshot.catalogue.keys]
    if unknown:
        raise Invalid(f"no item has a property {unknown[0]!r}; the known ones are {', '.join(snapshot.catalogue.keys)}")
    return tuple(wanted)


def item_hits(
    snapshot: Snapshot, hits: Hits, keys: tuple[str, ...] | None, reasons: Sequence[list[Reason]] | None = None
) -> list[ItemHit]:
    """Hits in the words of the wire, with their reasons where there are any."""
    found = list(map(ItemHit, snapshot.items.item_ids(hits.items), hits.scores.tolist()))
    if keys is not None:
        for item, properties in zip(found, snapshot.catalogue.properties(hits.items), strict=True):
            item.properties = {key: properties[key] for key in keys if key in properties}
    for item, own in zip(found, reasons or (), strict=False):
        item.reasons = own
    return found


def page_rows(
    snapshot: Snapshot, rows: Sequence[Row], keys: tuple[str, ...] | None, reasons: Sequence[list[Reason]] | None = None
) -> list[HomepageRow]:
    """Rows in the words of the wire; the reasons are those of the items of all rows."""
    items = iter(item_hits(snapshot, items_of(rows), keys, reasons))
    return [
        HomepageRow(
            row_id=row.row_id,
            kind=row.kind,
            title=row.title,
            segment_id=row.key if row.kind == "segment" else None,
            property=row.key if row.kind == "new" else about(row.key)[0] if row.kind == "property" else None,
            value=about(row.key)[1] if row.kind == "property" else None,
            reason=row.reason,
            score=row.score,
            items=list(islice(items, len(row.hits.items))),
        )
        for row in rows
    ]


def items_of(rows: Sequence[Row]) -> Hits:
    """The items of all rows, top first."""
    if not rows:
        return Hits(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
    items, scores = zip(*(row.hits for row in rows), strict=True)
    return Hits(np.concatenate(items), np.concatenate(scores))
