"""What a reader will turn out to want more of, as an oracle knows it: the concept that steering is judged by.

    concept = the group with the largest |targets in it| - |history in it|, of equal ones the first; none where no
              difference is above 0

Groups are the segments of a snapshot, or the values of a property (arXiv 2601.11182, whose groups are tags).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from index.segments import Segments
from index.types import JSON, Int32
from training.pages.ways import values_of
from training.split import Question


@dataclass(frozen=True)
class Groups:
    """Named sets of items."""

    names: tuple[str, ...]
    """Segment ids, or values."""
    members: csr_array
    """(n_groups, n_items), binary."""

    def items_of(self, number: int) -> Int32:
        """The items of a group, ascending."""
        starts = self.members.indptr
        return np.sort(self.members.indices[starts[number] : starts[number + 1]]).astype(np.int32)

    def concept(self, question: Question) -> int | None:
        """The number of the question's concept."""
        change = np.zeros(self.members.shape[1])
        change[question.targets[question.targets < len(change)]] = 1
        change[question.given] = -1
        differences = self.members @ change
        best = int(np.argmax(differences))
        return best if differences[best] > 0 else None


def of_segments(segments: Segments, n_items: int) -> Groups:
    """The segments of a snapshot."""
    names = tuple(each.segment_id for each in segments.segments)
    return Groups(names, csr_array((np.ones(len(segments.items)), segments.items, segments.starts),
                                   shape=(len(segments), n_items)))  # fmt: skip


def of_property(key: str, properties: Sequence[Mapping[str, JSON]], least: int) -> Groups:
    """The values of a property that `least` items or more have, in alphabetical order."""
    owners: dict[str, list[int]] = {}
    for row, each in enumerate(properties):
        for value in values_of(each.get(key)):
            owners.setdefault(value, []).append(row)
    names = tuple(sorted(value for value, rows in owners.items() if len(rows) >= least))
    starts = np.concatenate([[0], np.cumsum([len(owners[name]) for name in names])])
    items = np.concatenate([np.empty(0, np.int64), *(owners[name] for name in names)]).astype(np.int64)
    return Groups(names, csr_array((np.ones(len(items)), items, starts), shape=(len(names), len(properties))))
