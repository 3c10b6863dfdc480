"""Steering: the segments that a user wants more or less of push the query, and those wanted never are left out.

    q' = q + |q| * sum over segments s of strength(s) * row(s)       before the cut to query_dims (see index.query)

row(s) has length 1, so at strength 1 a segment weighs as much as the whole history. Where there is no history, q is
the crowd's: everybody's taste, steered. What a request says about a segment replaces what is stored about it.
"""

from collections.abc import Mapping
from operator import itemgetter
from typing import Literal, NamedTuple

import numpy as np

from index.search import NONE
from index.segments import Segments
from index.snapshot import Snapshot
from index.types import Float32, Int32

Wish = float | Literal["never"]


class Steering(NamedTuple):
    """What one snapshot makes of a user's wishes."""

    strengths: tuple[tuple[int, float], ...]
    """Segment numbers, ascending, and how strongly each is wanted; none is 0."""
    tilt: Float32 | None
    """(n_dims,): the sum above; None without strengths."""
    never: Int32
    """Rows of the items that must not be in an answer."""
    n_unknown: int
    """Segments that this snapshot does not have."""


NO_STEERING = Steering((), None, NONE, 0)


def resolve(snapshot: Snapshot, stored: Mapping[str, Wish], given: Mapping[str, float]) -> Steering:
    """The stored wishes and those of the request, which win, as a snapshot sees them."""
    if not stored and not given:
        return NO_STEERING
    wishes = {**stored, **given}
    numbers = {segment_id: snapshot.segments.number(segment_id) for segment_id in wishes}
    known = _known(snapshot.segments, wishes, numbers)
    strengths = tuple((number, strength) for number, strength in known if strength != "never" and strength != 0)
    left_out = [snapshot.segments.items_of(number) for number, strength in known if strength == "never"]
    return Steering(
        strengths=strengths,
        tilt=_tilt(snapshot.segments, strengths),
        never=np.unique(np.concatenate([NONE, *left_out])),
        n_unknown=sum(number is None for number in numbers.values()),
    )


def _known(segments: Segments, wishes: Mapping[str, Wish], numbers: Mapping[str, int | None]) -> list[tuple[int, Wish]]:
    """What is wished of each segment, by ascending number.

    Of segments that are one by now the wish of a part counts where none is about the whole; never, before all others.
    """
    said: dict[int, Wish] = {}
    for segment_id, number in numbers.items():
        if number is not None:
            wish, whole = wishes[segment_id], segment_id not in segments.merged
            if wish == "never" or number not in said or (whole and said[number] != "never"):
                said[number] = wish
    return sorted(said.items(), key=itemgetter(0))


def _tilt(segments: Segments, strengths: tuple[tuple[int, float], ...]) -> Float32 | None:
    if not strengths:
        return None
    summed = np.zeros(segments.rows.n_dims)
    for number, strength in strengths:
        dims, values = segments.rows.row(number)
        summed[dims] += strength * values.astype(np.float64)
    return summed.astype(np.float32)
