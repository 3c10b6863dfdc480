"""The page: titled rows of items for one user, most relevant first, no item twice.

Stage-wise page construction: candidate rows are made independently, then placed from the top, each seeing what earlier
rows took. A candidate is not used where more than `max_overlap` of its best items are taken, or too little is left to
fill it. Segment rows follow matching pursuit (Mallat and Zhang, IEEE Trans. Signal Processing, 1993): after a segment
is chosen its direction is taken out of the query, so that the next row serves the taste that the rows so far leave
unserved.
One scoring pass of the user's query makes the page: it ranks the top picks, the candidates of because-rows and the
items of every segment. The query of a because-row's own item scores these candidates only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, islice, tee
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.opinions import NO_OPINIONS, Opinion
from app.ordering import PLAIN, Likeness, Ordering, Rank, listed, order
from app.popular import popular, popular_in_segment
from app.recommend import Profile, because, best, crowd, rank_segments, reasons_of_segments, segment_reasons, titles
from app.selection import EVERYTHING, Selection
from index.query import encode_item
from index.search import Hits
from index.snapshot import Snapshot

RowKind = Literal["top_picks", "because", "segment", "popular"]

POOL = 1000
"""Best items of a user from which top picks and because-rows are made."""

FLOOR = 0.5
FLOOR_RANK = 100
"""An item in a because-row or a personal segment row scores at least FLOOR times what the user's FLOOR_RANK-th best
item scores: a segment whose best items the user knows already would otherwise fill its row with what is left of it."""

TYPICAL = 0.6
"""A member of a segment stands in a personal row of it if it is at least so strong, as a part of the strongest."""

LEANING = 0.05
"""A personal segment row needs this cosine between the query and the segment; below lies what all tastes share."""

SAME_TASTE = 0.7
"""Segments whose rows have a larger cosine are one taste: the second is not used."""

STRONG = 0.5
"""An item may head a because-row where its weight is at least this share of the user's largest."""

ANCHORS = 8
"""Newest strong items of the history among which the heads of because-rows are chosen."""

DISTINCT = 0.3
"""Items whose rows have a larger cosine do not both head a because-row."""

SPARE = 8
"""Segments tried beyond the number of rows: some overlap with earlier rows or cannot fill theirs."""

LARGE = 8
"""A page of so many rows shows a second because-row among the segments; a smaller one only where segments run out."""

CONVINCING = 2 / 3
"""A because-row is used where its best items score together at least this share of the best because-row's."""

MIN_FILL = 3
"""Fewest items of a row, or half the row size where that is more; a shorter row looks broken."""


class Size(NamedTuple):
    """The bounds of a page."""

    n_rows: int
    row_size: int
    max_overlap: float
    """Share of a candidate's best `row_size` items that may be on the page already."""
    reach: int = 0
    """A ranking is at least so long where an ordering makes rows of it."""
    shown: frozenset[str] = frozenset()
    """Ids of rows that are on the page already, further up: they are not used again."""

    @property
    def min_fill(self) -> int:
        """Fewest items a row may have."""
        return min(self.row_size, max(MIN_FILL, ceil(self.row_size / 2)))

    @property
    def depth(self) -> int:
        """Length a ranking needs so that a row can be filled whatever the others take."""
        return max(self.n_rows * self.row_size, self.reach)

    @property
    def n_segments(self) -> int:
        """Segments that are tried: some are shown already, some overlap with earlier rows or cannot fill theirs."""
        return self.n_rows + len(self.shown) + SPARE


class Row(NamedTuple):
    """A shelf: its words and its items."""

    kind: RowKind
    key: str
    """What it is about: a segment id, the item id of a because-row, else empty."""
    title: str
    reason: str
    hits: Hits
    crowd: bool = False
    """A segment with what is popular in it, instead of what the user would like."""

    @property
    def row_id(self) -> str:
        """Opaque, and the same for the same shelf in every snapshot."""
        return blake2b(f"{self.kind}:{self.key}".encode(), digest_size=8).hexdigest()

    @property
    def score(self) -> float:
        """Mean score of the items, comparable between rows of one kind."""
        return float(self.hits.scores.mean(dtype=np.float64))


def page(
    snapshot: Snapshot,
    profile: Profile,
    size: Size,
    selection: Selection = EVERYTHING,
    ordering: Ordering = PLAIN,
    in_time: Callable[[], bool] = lambda: True,
) -> list[Row]:
    """At most `n_rows` rows of `min_fill` to `row_size` items, top first; inside a row by descending score.

    All rows obey the selection. The ordering makes each row of its ranking, of what earlier rows left of the best
    `POOL`: caps count within a row, so that a page may have a row of one author.

    A known user sees top picks, then because-rows and segments, and last what everybody likes; anybody else what
    everybody likes, then the segments of the crowd. What the user's taste does not fill, segments of the crowd do.

    Once `in_time` is false the page is what it is by then, one row at least, and what everybody likes.
    """
    if ordering is not PLAIN:
        size = size._replace(reach=POOL)
    placing = _Placing(snapshot, size, ordering, set(), in_time)
    hits = popular(snapshot, profile.exclude, size.depth, selection)
    everybody = Row("popular", "", "Popular with everyone", "Liked by the most people", hits)
    if not profile.personal:
        others = _timely(_crowd_rows(snapshot, profile, size, selection, ()), placing)
        rows = _place(chain([everybody], others), placing)
        return list(islice(rows, size.n_rows))
    # The last of three or more rows is kept for what everybody likes, unless that is not usable.
    body = _place(_timely(_personal_rows(snapshot, profile, size, selection), placing), placing)
    rows_above = list(islice(body, size.n_rows - 1 if size.n_rows >= 3 else size.n_rows))
    last = list(_place([everybody], placing)) if len(rows_above) < size.n_rows else []
    return [*rows_above, *islice(body, size.n_rows - len(rows_above) - len(last)), *last]


class _Placing(NamedTuple):
    """How candidates are made rows, and what has become of those before."""

    snapshot: Snapshot
    size: Size
    ordering: Ordering
    taken: set[int]
    """Items of earlier rows."""
    in_time: Callable[[], bool]


def _timely(candidates: Iterable[Row], placing: _Placing) -> Iterator[Row]:
    """The candidates until time is over, but at least until there is a row."""
    for row in candidates:
        if placing.taken and not placing.in_time():
            return
        yield row


def _place(candidates: Iterable[Row], placing: _Placing) -> Iterator[Row]:
    """The candidates that fit, cut to what earlier rows left; adds their items to `taken`."""
    size, taken = placing.size, placing.taken
    for row in candidates:
        if row.row_id in size.shown:
            continue
        best = row.hits.items[: size.row_size].tolist()
        if sum(item in taken for item in best) > size.max_overlap * len(best):
            continue
        hits = _left_of(row.hits, placing)
        if len(hits.items) >= size.min_fill:
            taken.update(hits.items.tolist())
            yield row._replace(hits=hits)


def _left_of(hits: Hits, placing: _Placing) -> Hits:
    """A row's worth of what earlier rows left of its ranking."""
    row_size, taken = placing.size.row_size, placing.taken
    free = (place for place, item in enumerate(hits.items.tolist()) if item not in taken)
    if placing.ordering is PLAIN:
        places = list(islice(free, row_size))
        return Hits(hits.items[places], hits.scores[places])
    places = list(free)
    ranking = listed(Hits(hits.items[places], hits.scores[places]))
    return order(placing.snapshot, ranking, row_size, EVERYTHING, placing.ordering)


def ranking(
    snapshot: Snapshot, before: Profile, given: NDArray[np.int32], kind: RowKind, key: str, *, crowd: bool
) -> Rank | None:
    """What comes after the given items (by row) in the ranking that a row was made of; None: there is no such row.

    `before` is the profile that does not exclude them. A row of a segment goes on below the score at which it ended on
    the page, down to the last typical member.
    """
    exclude = np.union1d(before.exclude, given).astype(np.int32)
    if kind == "popular":
        return lambda n, left: popular(snapshot, exclude, n, left)
    number = snapshot.segments.number(key) if kind == "segment" else None
    if number is not None and (crowd or not before.personal):
        return lambda n, left: popular_in_segment(snapshot, number, exclude, n, left)
    if not before.personal:
        return None
    if number is not None:
        members = _typical(snapshot, number)
        return lambda n, left: best(snapshot, before.query, n, exclude, left._replace(within=left.among(members)))
    if kind == "top_picks":
        return lambda n, left: best(snapshot, before.query, n, exclude, left)
    item = snapshot.items.row(key) if kind == "because" else None
    return None if item is None else lambda n, left: _first(_after(snapshot, before, item, given, left), n)


def _after(snapshot: Snapshot, before: Profile, item: int, given: NDArray[np.int32], selection: Selection) -> Hits:
    """What a because-row is made of, without what was given."""
    pool = best(snapshot, before.query, POOL, before.exclude, selection)
    pool = _above(pool, _floor(pool))
    hits = _alike(snapshot, item, pool.items, pool.scores / np.linalg.norm(before.query))
    new = ~np.isin(hits.items, given)
    return Hits(hits.items[new], hits.scores[new])


def _floor(pool: Hits) -> float:
    """The least score of an item in a because-row or a personal row of a segment."""
    return FLOOR * float(pool.scores[:FLOOR_RANK][-1]) if len(pool.scores) else 0.0


def _personal_rows(snapshot: Snapshot, profile: Profile, size: Size, selection: Selection) -> Iterator[Row]:
    """Candidates in the order in which a person meets them; lazy, so that only what the page needs is computed."""
    numbers = _pursue(snapshot, profile, size.n_segments, LEANING, selection)
    pool, found = _scored(snapshot, profile, [_typical(snapshot, number) for number in numbers], size, selection)
    yield Row("top_picks", "", "Top picks for you", "Picked from your whole history", _first(pool, size.depth))
    floor = _floor(pool)
    segments = _segment_rows(snapshot, profile, zip(numbers, found, strict=True), floor)
    # What top picks show is no reason for another row.
    rest = Hits(pool.items[size.row_size :], pool.scores[size.row_size :])
    reasons = _because_rows(snapshot, profile, size, _above(rest, floor))
    early = 2 if size.n_rows >= LARGE else 1
    yield from islice(reasons, 1)
    yield from islice(segments, 3)
    yield from islice(reasons, early - 1)
    yield from segments
    yield from reasons
    yield from _crowd_rows(snapshot, profile, size, selection, numbers)


def _scored(
    snapshot: Snapshot, profile: Profile, sets: Sequence[NDArray[np.int32]], size: Size, selection: Selection
) -> tuple[Hits, list[Hits]]:
    """The best items of all and of each set, by one pass over the postings; with a filter by two."""
    n = max(POOL, size.depth)
    searcher, exclude, boosts = snapshot.searcher, profile.exclude, selection.boosts
    if selection.within is None:
        best, *found = searcher.top_n_per_segment(profile.query, [None, *sets], n, exclude=exclude, boosts=boosts)
    else:
        best = searcher.top_n(profile.query, n, exclude=exclude, within=selection.within, boosts=boosts)
        chosen = [selection.among(items) for items in sets]
        found = searcher.top_n_per_segment(profile.query, chosen, n, exclude=exclude, boosts=boosts)
    return selection.cut(best), found


def _because_rows(snapshot: Snapshot, profile: Profile, size: Size, pool: Hits) -> Iterator[Row]:
    """What goes with single items of the history, from what top picks leave of the pool, most convincing row first.

    Items are ranked by the geometric mean of their likeness to the one item and the user's score over the length
    of the query. Likeness alone brings up oddities that few people know; the rest of the history corrects it.
    """
    if not (profile.opinions and len(pool.items)):  # where there are none, only steering is known
        return
    taste = pool.scores / np.linalg.norm(profile.query)
    anchors = _anchors(snapshot, profile)
    scores = np.stack([_likeness(snapshot, anchor.item, pool.items, taste) for anchor in anchors])
    worth = _sums_of_best(scores, size.row_size)
    titles_before: set[str] = set()
    for number in np.argsort(-worth, kind="stable").tolist():
        if worth[number] <= 0 or worth[number] < CONVINCING * worth.max():
            return
        anchor = anchors[number]
        (title,) = titles(snapshot, [anchor.item])
        if title not in titles_before:
            titles_before.add(title)
            hits = _first(_above(_ranked(pool.items, scores[number]), 0.0), size.depth)
            key = snapshot.items.item_id(anchor.item)
            yield Row("because", key, because(anchor, title), "Often liked by the same people", hits)


def _sums_of_best(scores: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """The sum of the n largest scores in each row."""
    n_columns = scores.shape[1]
    if n < n_columns:
        scores = np.partition(scores, n_columns - n, axis=1)[:, n_columns - n :]
    sums: NDArray[np.float64] = np.sort(scores, axis=1).sum(axis=1, dtype=np.float64)
    return sums


def _alike(snapshot: Snapshot, item: int, items: NDArray[np.int32], taste: NDArray[np.float32]) -> Hits:
    """Items of a pool that are like one item, by the mean that because-rows are ranked by; never the item itself."""
    return _above(_ranked(items, _likeness(snapshot, item, items, taste)), 0.0)


def _likeness(
    snapshot: Snapshot, item: int, items: NDArray[np.int32], taste: NDArray[np.float32]
) -> NDArray[np.float32]:
    likeness = snapshot.searcher.score_items(encode_item(snapshot.embeddings, item), items)
    scores = np.sqrt(np.maximum(likeness, 0) * taste).astype(np.float32)
    scores[items == item] = 0  # where seen items are allowed
    return scores


def _anchors(snapshot: Snapshot, profile: Profile) -> list[Opinion]:
    """Strong, recent items of the history that are not alike.

    Only the better known half of them: what is like an item is noise where the item has few users.
    """
    weights = profile.opinions.weights
    liked = np.flatnonzero(weights >= STRONG * weights.max())
    users = snapshot.popularity[profile.opinions.items[liked]]
    tried = liked[users >= np.median(users)][:ANCHORS]
    likeness = Likeness(snapshot, profile.opinions.items[tried])
    nearest = np.full(len(tried), -1.0, dtype=np.float32)
    chosen = []
    for place, number in enumerate(tried.tolist()):
        if nearest[place] <= DISTINCT:
            chosen.append(profile.opinions[number])
            np.maximum(nearest, likeness.to(place), out=nearest)
    return chosen


def _segment_rows(
    snapshot: Snapshot, profile: Profile, ranked: Iterable[tuple[int, Hits]], floor: float
) -> Iterator[Row]:
    """Segments (by number) with their items as the user ranks them, down to a score."""
    numbered, found = tee(ranked)
    reasons = reasons_of_segments(snapshot, profile, (number for number, _ in numbered))
    for (number, hits), reason in zip(found, reasons, strict=True):
        yield _segment_row(snapshot, number, reason, _above(hits, floor))


def _crowd_rows(
    snapshot: Snapshot, profile: Profile, size: Size, selection: Selection, used: Sequence[int]
) -> Iterator[Row]:
    """The segments that most people like, with their most popular items."""
    everybody = profile._replace(query=crowd(snapshot), opinions=NO_OPINIONS, personal=False)
    for number in _pursue(snapshot, everybody, size.n_segments, 0.0, selection, used):
        hits = popular_in_segment(snapshot, number, profile.exclude, size.depth, selection)
        (reason,) = segment_reasons(snapshot, everybody, [number])
        yield _segment_row(snapshot, number, reason, hits)._replace(crowd=True)


def _typical(snapshot: Snapshot, number: int) -> NDArray[np.int32]:
    """The members that the title speaks of; a reader who has used them up gets another row instead of what is left."""
    strengths = snapshot.segments.strengths_of(number)  # they descend
    return snapshot.segments.items_of(number)[: np.count_nonzero(strengths >= TYPICAL * strengths[0])]


def _segment_row(snapshot: Snapshot, number: int, reason: str, hits: Hits) -> Row:
    segment = snapshot.segments.segments[number]
    return Row("segment", segment.segment_id, segment.title, reason, hits)


def _pursue(
    snapshot: Snapshot,
    profile: Profile,
    count: int,
    leaning: float,
    selection: Selection,
    used: Sequence[int] = (),
) -> list[int]:
    """Up to `count` segment numbers by matching pursuit, without two of the same taste, or of the taste of `used`."""
    least = leaning * float(np.linalg.norm(profile.query))
    ranked = [one for one in rank_segments(snapshot, profile, 4 * count, selection) if one.score >= least]
    if not ranked:
        return []
    numbers = [one.number for one in ranked]
    near = snapshot.segment_cosines[numbers]
    left = np.array([one.score for one in ranked])
    if used:
        left[(near[:, list(used)] > SAME_TASTE).any(axis=1)] = -np.inf
    cosines = near[:, numbers]
    alike = cosines > SAME_TASTE
    np.fill_diagonal(alike, val=True)
    chosen: list[int] = []
    while len(chosen) < count:
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        left -= max(float(left[best]), 0.0) * cosines[best]
        left[alike[best]] = -np.inf
        chosen.append(numbers[best])
    return chosen


def _ranked(items: NDArray[np.int32], scores: NDArray[np.float32]) -> Hits:
    """By descending score, ties by item row."""
    order = np.lexsort((items, -scores))
    return Hits(items[order], scores[order])


def _above(hits: Hits, floor: float) -> Hits:
    """The hits with scores of at least `floor`, and above 0."""
    return _first(hits, int(np.count_nonzero((hits.scores >= floor) & (hits.scores > 0))))


def _first(hits: Hits, n: int) -> Hits:
    return Hits(hits.items[:n], hits.scores[:n])
