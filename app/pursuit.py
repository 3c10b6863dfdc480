"""Which of the crowd's segments a page tries, by matching pursuit (Mallat and Zhang, IEEE Trans. Signal Proc., 1993).

After a segment is chosen its direction is taken out of the query, so that the next row serves the taste that the rows
so far leave unserved.
"""

from app.recommend import Profile, strongest_segments
from app.selection import Selection
from index import segments
from index.snapshot import Snapshot

SAME_TASTE = 0.7
"""Segments whose rows have a larger cosine are one taste: the second is not used."""

LOOK = 4
"""So many times the number that is wanted are looked at."""


def pursue(snapshot: Snapshot, profile: Profile, count: int, selection: Selection) -> list[int]:
    """Up to `count` segment numbers, without two of the same taste."""
    numbers, scores = strongest_segments(snapshot, profile, LOOK * count, selection)
    return segments.pursue(snapshot.segment_cosines, numbers, scores, count, SAME_TASTE)
