"""Which segments a page tries, by matching pursuit (Mallat and Zhang, IEEE Trans. Signal Processing, 1993).

After a segment is chosen its direction is taken out of the query, so that the next row serves the taste that the rows
so far leave unserved.
"""

from collections.abc import Sequence

from app.recommend import Profile, strongest_segments
from app.selection import Selection
from index import segments
from index.query import length
from index.snapshot import Snapshot

LEANING = 0.05
"""A personal segment row needs this cosine between the query and the segment; below lies what all tastes share."""

SAME_TASTE = 0.7
"""Segments whose rows have a larger cosine are one taste: the second is not used."""

LOOK = 4
"""So many times the number that is wanted are looked at."""


def pursue(
    snapshot: Snapshot,
    profile: Profile,
    count: int,
    leaning: float,
    selection: Selection,
    used: Sequence[int] = (),
) -> list[int]:
    """Up to `count` segment numbers, without two of the same taste, or of the taste of `used`."""
    least = leaning * length(profile.query)
    numbers, scores = strongest_segments(snapshot, profile, LOOK * count, selection, least)
    return segments.pursue(snapshot.segment_cosines, numbers, scores, count, SAME_TASTE, used)
