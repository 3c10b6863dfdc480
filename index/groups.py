"""Groups: the broad level of the hierarchy; each segment is of one group.

Which segments are one group is for whoever publishes to say (`training.groups`). Here groups get their ids: a group has
the id of the earlier one that had most of its segments, or one that was never used. Two groups never share an id.
"""

from base64 import b32encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import count

from index.segments import Group, Segments


def grouped(
    found: Segments, members: Sequence[Sequence[int]], titles: Sequence[str], previous: Segments | None
) -> Segments:
    """The segments in groups; members: numbers of segments, each in one group; titles parallel to it, unique."""
    ids = [segment.segment_id for segment in found.segments]
    names, retired = carry_over([[ids[number] for number in own] for own in members], previous)
    group_of = {number: name for name, own in zip(names, members, strict=True) for number in own}
    return replace(
        found,
        segments=tuple(replace(segment, group=group_of[number]) for number, segment in enumerate(found.segments)),
        groups=tuple(Group(name, title) for name, title in zip(names, titles, strict=True)),
        retired_groups=retired,
    )


def carry_over(members: Sequence[Sequence[str]], previous: Segments | None) -> tuple[tuple[str, ...], frozenset[str]]:
    """An id for each group of these segments, by their ids, and the ids that may not be used from now on."""
    before = {segment.segment_id: segment.group for segment in previous.segments} if previous else {}
    carried: dict[int, str] = {}
    for _, group_id, number in sorted(_matches(members, before)):
        if number not in carried and group_id not in carried.values():
            carried[number] = group_id
    known = {group.group_id for group in previous.groups} | previous.retired_groups if previous else set[str]()
    taken, names = set(known), list[str]()
    for number, own in enumerate(members):
        attempts = (_name(own, attempt) for attempt in count())
        names.append(carried.get(number) or next(name for name in attempts if name not in taken))
        taken.add(names[-1])
    return tuple(names), frozenset(known - set(names))


def _matches(members: Sequence[Sequence[str]], before: Mapping[str, str | None]) -> Iterator[tuple[int, str, int]]:
    """(minus the segments that they share, earlier group, group) of groups that have most segments from there."""
    for number, own in enumerate(members):
        for group_id, shared in Counter(map(before.get, own)).items():
            if group_id is not None and 2 * shared > len(own):
                yield -shared, group_id, number


def _name(segment_ids: Sequence[str], attempt: int) -> str:
    """A "g" with 10 letters or digits: the same for the same segments and attempt, in any order, on any machine."""
    told = "\0".join(sorted(segment_ids)).encode()
    digest = blake2b(told, digest_size=8, salt=attempt.to_bytes(16, "little"))
    return "g" + b32encode(digest.digest()).decode().lower()[:10]
