"""The layout of a page: rows that the caller asks for by name, at a place or anywhere, whatever they gain."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.anchors import because_row, because_rows
from app.errors import Invalid
from app.notices import Notice, skipped
from app.novelty import new_row, newest
from app.ordering import NO_HITS
from app.placing import FIXED, Laid, Size
from app.popular import popular, popular_in_segment
from app.properties import key_of, property_rows
from app.recommend import Profile, best
from app.schemas.layout import LayoutRow
from app.selection import Selection, compiled
from app.shelf import Row
from app.unfinished import continue_row
from index.arrays import among
from index.assembly import Part
from index.search import Hits
from index.snapshot import Snapshot
from index.types import Int32


class Place(NamedTuple):
    """What rows of a layout are made of."""

    snapshot: Snapshot
    profile: Profile
    size: Size
    selection: Selection
    ranking: Hits
    """The user's best items; where nothing is known about them, the most popular ones."""


def laid_out(place: Place, layout: Sequence[LayoutRow]) -> list[Laid]:
    """The rows of a layout that have items and were not shown, none twice; Invalid where one cannot be."""
    found: dict[str, Laid] = {}
    for number, asked in enumerate(layout):
        row = _row(place, asked, f"body.layout.{number}")
        if row is None or not len(row.hits.items) or row.row_id in place.size.shown:
            continue
        lead = _lead(place, asked)
        row = row.holding(_led(lead, row.hits))
        if asked.title is not None:
            row = row._replace(title=asked.title)
        at = -1 if asked.position is None else asked.position - 1
        claims = asked.kind in FIXED or bool(asked.item_ids)
        part = Part(asked.row_size or place.size.row_size, at=at, wanted=True, claims=claims)
        fixed = len(row.hits.items) if asked.kind in FIXED else len(lead.items)
        found.setdefault(row.row_id, Laid(row, part, fixed))
    return list(found.values())


def cells(size: Size, layout: Sequence[LayoutRow]) -> int:
    """Cells that a page with this layout may have."""
    return sum((one.row_size or size.row_size) - size.row_size for one in layout) + size.n_rows * size.row_size


def unknown_in(snapshot: Snapshot, layout: Sequence[LayoutRow]) -> tuple[Notice, ...]:
    """What of a layout this index version does not know."""
    segments = [one.segment_id for one in layout if one.segment_id is not None]
    items = [item_id for one in layout for item_id in one.item_ids]
    known = ((one, snapshot.segments.number(one) is not None) for one in segments)
    rows = snapshot.items.rows(items)
    return (
        *skipped("unknown_segments", "the layout's segments", known),
        *skipped("unknown_items", "the layout's item_ids", zip(items, (rows >= 0).tolist(), strict=True)),
    )


def _listed(place: Place, item_ids: Sequence[str]) -> Hits:
    """Named items in their order, with the user's scores, but for those that must not be in an answer."""
    rows = place.snapshot.items.rows(list(dict.fromkeys(item_ids)))
    rows = rows[rows >= 0]
    rows = rows[place.selection.allows(rows) & ~among(rows, place.profile.exclude)]
    if not place.profile.personal:
        return Hits(rows, place.snapshot.popularity[rows])
    return Hits(rows, place.snapshot.searcher.score_items(place.profile.query, rows))


def _best_of(place: Place, items: Int32) -> Hits:
    """Some items as the user would rank them; of whom nothing is known, the most popular first."""
    snapshot, profile, n = place.snapshot, place.profile, place.size.depth
    chosen = place.selection._replace(within=place.selection.among(items))
    if not profile.personal:
        return popular(snapshot, profile.exclude, n, chosen)
    return best(snapshot, profile.query, n, profile.exclude, chosen)


def _lead(place: Place, asked: LayoutRow) -> Hits:
    """The items that the caller put before the ranking of a row."""
    return NO_HITS if asked.kind in ("list", "because") else _listed(place, asked.item_ids)


def _led(lead: Hits, hits: Hits) -> Hits:
    """A ranking behind the items that the caller put first."""
    if not len(lead.items):
        return hits
    rest = ~np.isin(hits.items, lead.items)
    return Hits(np.concatenate([lead.items, hits.items[rest]]), np.concatenate([lead.scores, hits.scores[rest]]))


def _row(place: Place, asked: LayoutRow, field: str) -> Row | None:
    """The row that is asked for, perhaps without items; None where there is none."""
    match asked.kind:
        case "top_picks":
            return top_picks(place) if place.profile.personal else popular_row(place)
        case "popular":
            return popular_row(place)
        case "because":
            return _because(place, asked)
        case "segment":
            return _segment(place, asked.segment_id or "")
        case "property":
            return _property(place, asked, field)
        case "new":
            return _new(place, asked, field)
        case "continue":
            return continue_row(place.profile, place.selection)
        case "list":
            title = asked.title or ""
            return Row("list", title, title, "Chosen for this page", _listed(place, asked.item_ids))


def top_picks(place: Place) -> Row:
    """What the user's whole history speaks for."""
    return Row("top_picks", "", "Top picks for you", "Picked from your whole history", place.ranking)


def popular_row(place: Place) -> Row:
    """What everybody likes."""
    hits = popular(place.snapshot, place.profile.exclude, place.size.depth, place.selection)
    return Row("popular", "", "Popular with everyone", "Liked by the most people", hits)


def _because(place: Place, asked: LayoutRow) -> Row | None:
    snapshot, profile = place.snapshot, place.profile
    if not profile.personal:
        return None
    if not asked.item_ids:
        return next(because_rows(snapshot, profile, place.size, place.ranking), None)
    item = snapshot.items.row(asked.item_ids[0])
    return None if item is None else because_row(snapshot, profile, place.size, place.ranking, item)


def _segment(place: Place, segment_id: str) -> Row | None:
    snapshot, profile = place.snapshot, place.profile
    number = snapshot.segments.number(segment_id)
    if number is None or number >= snapshot.segments.n_shown:
        return None
    segment = snapshot.segments.segments[number]
    if not profile.personal:
        hits = popular_in_segment(snapshot, number, profile.exclude, place.size.depth, place.selection)
        return Row("segment", segment.segment_id, segment.title, "Liked by many people", hits, crowd=True)
    hits = _best_of(place, snapshot.segments.typical_of(number))
    return Row("segment", segment.segment_id, segment.title, "", hits, segment=number)


def _property(place: Place, asked: LayoutRow, field: str) -> Row | None:
    snapshot, profile, key = place.snapshot, place.profile, asked.property or ""
    texts = snapshot.filters.columns.of_kinds("text")
    if key not in texts:
        raise Invalid(
            f"{key!r} is no property of texts that can be matched; those are {', '.join(texts)}", f"{field}.property"
        )
    if asked.value is None:
        size = place.size._replace(emphasis=place.size.emphasis._replace(properties=(key,)))
        return next(property_rows(snapshot, profile, size, place.ranking), None) if profile.opinions else None
    passing = compiled(snapshot, {"must": [{"key": key, "match": {"value": asked.value}}]}, f"{field}.value")
    return Row("property", key_of(key, asked.value), asked.value, "Asked for", _best_of(place, passing.rows()))


def _new(place: Place, asked: LayoutRow, field: str) -> Row | None:
    key = asked.property or place.size.emphasis.newness
    if key is None:
        raise Invalid("name the property that tells how new an item is", f"{field}.property")
    passing = newest(place.snapshot, key, f"{field}.property")
    return new_row(key, _best_of(place, passing.rows()), personal=place.profile.personal)
