"""Rows of one value of a property that the user likes, such as an author: the best that the user has not seen."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from app.placing import Size
from app.recommend import Profile, because, titles
from app.shelf import Row
from index.columns import Column, Texts
from index.search import Hits
from index.snapshot import Snapshot

MOST = 2
"""Values of a property whose rows are candidates: those with the most items in the ranking."""


def property_rows(snapshot: Snapshot, profile: Profile, size: Size, ranking: Hits) -> Iterator[Row]:
    """Rows of values that the user likes an item of, the newest that they know, and the ranking can fill a row with."""
    columns = snapshot.filters.columns
    keys = columns.entities if size.emphasis.properties is None else size.emphasis.properties
    for column in (columns.by_key[key] for key in keys if key in columns.by_key):
        yield from _rows_of(snapshot, profile, size, ranking, column)


def _rows_of(snapshot: Snapshot, profile: Profile, size: Size, ranking: Hits, column: Column) -> Iterator[Row]:
    if not isinstance(column.values, Texts):
        return
    who, codes = column.elements(profile.items)
    liked = {code: place for place, code in zip(who[::-1].tolist(), codes[::-1].tolist(), strict=True)}  # the newest
    places, found = column.elements(ranking.items)
    counts = Counter(found.tolist())  # in Python: there are a few hundred, and NumPy takes three times as long
    fewest = size.min_fill
    fit = sorted((-n, code) for code, n in counts.items() if n >= fewest and code in liked)
    named = ((code, column.values.text(code)) for _, code in fit if profile.opinions[liked[code]].weight > 0)
    # a segment of that title would be the same row
    new = ((code, value) for code, value in named if value not in snapshot.segments.titles)
    for code, value in islice(new, MOST):
        head, own = profile.opinions[liked[code]], places[found == code]
        (title,) = titles(snapshot, [head.item])
        hits = Hits(ranking.items[own], ranking.scores[own])
        yield Row("property", key_of(column.key, value), value, because(head, title), hits)


def key_of(key: str, value: str) -> str:
    """What a row is about, as one text."""
    return json.dumps([key, value], ensure_ascii=False)


def about(key: str) -> tuple[str, str]:
    """Key and value of what `key_of` made."""
    name, value = json.loads(key)
    return name, value
