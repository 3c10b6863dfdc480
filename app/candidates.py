"""The rows that a page may have, in the order in which a reader meets them; lazy, as a page seldom needs all."""

from collections.abc import Iterator, Sequence
from itertools import islice

from app.anchors import because_rows
from app.opinions import NO_OPINIONS
from app.placing import Size
from app.popular import popular, popular_in_segment
from app.pursuit import LEANING, pursue
from app.rankings import first, of_segments, pool_of
from app.recommend import Profile, crowd, segment_reasons
from app.selection import Selection
from app.shelf import Row
from index.search import Hits
from index.snapshot import Snapshot

LARGE = 8
"""A page of so many rows shows a second because-row among the segments; a smaller one only where segments run out."""


def everybody(snapshot: Snapshot, profile: Profile, size: Size, selection: Selection) -> Iterator[Row]:
    """What everybody likes."""
    hits = popular(snapshot, profile.exclude, size.depth, selection)
    yield Row("popular", "", "Popular with everyone", "Liked by the most people", hits)


def personal_rows(snapshot: Snapshot, profile: Profile, size: Size, selection: Selection) -> Iterator[Row]:
    """Top picks, because-rows, segments, and at last segments of the crowd."""
    numbers = pursue(snapshot, profile, size.n_segments, LEANING, selection)
    pool = pool_of(snapshot, profile, size.depth, selection)
    yield Row("top_picks", "", "Top picks for you", "Picked from your whole history", first(pool.hits, size.depth))
    rankings = of_segments(snapshot, profile, numbers, pool, size.depth, selection)
    segments = (
        _segment_row(snapshot, number, "", hits, number) for number, hits in zip(numbers, rankings, strict=True)
    )
    # What top picks show is no reason for another row.
    rest = Hits(pool.above.items[size.row_size :], pool.above.scores[size.row_size :])
    reasons = because_rows(snapshot, profile, size, rest)
    early = 2 if size.n_rows >= LARGE else 1
    yield from islice(reasons, 1)
    yield from islice(segments, 3)
    yield from islice(reasons, early - 1)
    yield from segments
    yield from reasons
    yield from crowd_rows(snapshot, profile, size, selection, numbers)


def crowd_rows(
    snapshot: Snapshot, profile: Profile, size: Size, selection: Selection, used: Sequence[int] = ()
) -> Iterator[Row]:
    """The segments that most people like, with their most popular items."""
    everybody = profile._replace(query=crowd(snapshot), opinions=NO_OPINIONS, personal=False)
    numbers = pursue(snapshot, everybody, size.n_segments, 0.0, selection, used)
    for number, reason in zip(numbers, segment_reasons(snapshot, everybody, numbers), strict=True):
        hits = popular_in_segment(snapshot, number, profile.exclude, size.depth, selection)
        yield _segment_row(snapshot, number, reason, hits)._replace(crowd=True)


def _segment_row(snapshot: Snapshot, number: int, reason: str, hits: Hits, unexplained: int | None = None) -> Row:
    segment = snapshot.segments.segments[number]
    return Row("segment", segment.segment_id, segment.title, reason, hits, segment=unexplained)
