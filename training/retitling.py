"""Which segments an external titler is asked about, and which of its answers become titles.

A segment that the titler titled before, in the snapshot whose ids live on, keeps that title while three quarters of its
strongest items were in it then: a paid model is asked once, not every night. A title that another segment has is
refused, as is an answer that is none; then all stops, unless the titler is optional.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from index.segments import Segments
from index.snapshot import Snapshot
from index.types import JSON
from index.vocabulary import Vocabulary
from training.errors import TitlerError
from training.titler import Question, Titler, ask, parsed

TOLD = 12
"""Strongest items that are told of a segment."""
SAME_ITEMS = 24
"""Strongest items that are compared with those of before."""
STAYED = 0.75
"""Part of them that must have been there."""
PROVENANCE = "titled_by_titler"
"""What a snapshot's provenance calls the ids of segments whose titles are the titler's."""

logger = logging.getLogger(__name__)


class Retitled(NamedTuple):
    """Segments with their final titles."""

    segments: Segments
    """With the titler's titles."""
    titled: tuple[str, ...]
    """Ids of those whose titles are the titler's, of now or before, ascending."""
    n_asked: int
    """Segments that it was asked about."""


class _Titles:
    """What segments are called by the titler, each as no other segment is."""

    def __init__(self, found: Segments) -> None:
        self.by_id: dict[str, str] = {}
        self._own = {each.title.casefold(): each.segment_id for each in found.segments}

    def is_free(self, segment_id: str, title: str) -> bool:
        """Whether no other segment is called so."""
        folded = title.casefold()
        return self._own.get(folded, segment_id) == segment_id and folded not in map(str.casefold, self.by_id.values())

    def accept(self, segment_id: str, answer: str) -> None:
        """Take an answer; null leaves the segment its own title. Raises TitlerError for what is no title."""
        title = parsed(answer)
        if title is None:
            return
        if not self.is_free(segment_id, title):
            raise TitlerError(f"{title!r} is what another segment is called already")
        self.by_id[segment_id] = title


def retitle(
    found: Segments,
    items: Vocabulary,
    properties: Sequence[Mapping[str, JSON]],
    previous: Snapshot | None,
    titler: Titler,
    told: Callable[[str], None],
) -> Retitled:
    """Ask the titler; items and properties are row-aligned, `told` hears how far it is.

    Raises TitlerError where an answer is missing or no title, unless the titler is optional: own titles stay then, and
    a warning says of how many.
    """
    titles = _Titles(found)
    for segment_id, title in _before(found, items, previous):
        if titles.is_free(segment_id, title):
            titles.by_id[segment_id] = title
    asked = [number for number, each in enumerate(found.segments) if each.segment_id not in titles.by_id]
    failed = _ask(titler, [question(found, number, properties) for number in asked], titles, told) if asked else []
    if failed:
        error = failed[0]
        if not titler.optional:
            raise TitlerError(
                f"{error}; nothing was published, --titler-optional would go on with own titles"
            ) from error
        logger.warning("the titler failed %d times, where segments keep their own titles: %s", len(failed), error)
    chosen = tuple(replace(each, title=titles.by_id.get(each.segment_id, each.title)) for each in found.segments)
    return Retitled(replace(found, segments=chosen), tuple(sorted(titles.by_id)), len(asked))


def _ask(
    titler: Titler, questions: Sequence[Question], titles: _Titles, told: Callable[[str], None]
) -> list[TitlerError]:
    """Fill the titles; what went wrong, only the first where the titler is not optional."""
    failed: list[TitlerError] = []
    answers = ask(titler, questions)
    try:
        for place, (asked, answer) in enumerate(zip(questions, answers, strict=True), 1):
            told(f"asking the titler, {place} of {len(questions)}")
            try:
                titles.accept(asked["segment_id"], answer)
            except TitlerError as error:
                failed.append(error)
                if not titler.optional:
                    break
    except TitlerError as error:
        failed.append(error)
    finally:
        answers.close()
    return failed


def question(found: Segments, number: int, properties: Sequence[Mapping[str, JSON]]) -> Question:
    """What the titler is told of a segment."""
    segment = found.segments[number]
    return {
        "segment_id": segment.segment_id,
        "title": segment.title,
        "terms": list(segment.terms),
        "size": segment.size,
        "items": [dict(properties[row]) for row in found.items_of(number)[:TOLD]],
    }


def _before(found: Segments, items: Vocabulary, previous: Snapshot | None) -> Iterator[tuple[str, str]]:
    """The titles that the titler gave before to segments which are nearly the same."""
    if previous is None:
        return
    titled = set(previous.manifest.provenance.get(PROVENANCE, ()))  # type: ignore[arg-type]  # a list of ids
    for number, segment in enumerate(found.segments):
        other = previous.found_segments.number(segment.segment_id) if segment.segment_id in titled else None
        if other is not None:
            now = items.item_ids(found.items_of(number)[:SAME_ITEMS])
            then = set(previous.items.item_ids(previous.found_segments.items_of(other)))
            if sum(item_id in then for item_id in now) >= STAYED * len(now):
                yield segment.segment_id, previous.found_segments.segments[other].title
