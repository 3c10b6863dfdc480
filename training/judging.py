"""What a judge of titles is given: segments drawn at random with their top items, and a blind test with its key.

A trial of the blind test shows the top items of a segment and four titles in random order: the segment's, that of the
nearest segment (by cosine of the centroids), and those of two others. An item that its segment's title names ("More
like Dune and Foundation") is left out of the top items, or the title would be found without any sense.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from index.snapshot import Snapshot
from index.types import Float32
from training import forms, terms
from training.errors import DataError
from training.terms import Properties

TOP = 8
CHOICES = "ABCD"
LONGEST = 70  # of what is told of an item


@dataclass(frozen=True)
class Case:
    """A segment to be judged, and its trial."""

    segment_id: str
    """Of the snapshot."""
    title: str
    """What it is called."""
    size: int
    """Number of items."""
    terms: tuple[str, ...]
    """The most distinctive ones."""
    top: tuple[str, ...]
    """Its strongest items that the title does not name: name and maker."""
    choices: tuple[str, ...]
    """Four titles."""
    right: str
    """The letter of its own."""


class Score(NamedTuple):
    """How a blind judge did."""

    right: int
    """Trials that were answered rightly."""
    trials: int
    """All of them; one without an answer is wrong."""


def draw(snapshot: Snapshot, count: int, seed: int) -> list[Case]:
    """Cases of `count` segments (or all, if there are fewer), the same for the same seed.

    Raises DataError where there are too few segments to choose from.
    """
    n_segments = len(snapshot.segments)
    if n_segments < len(CHOICES):
        raise DataError(f"{snapshot.version} has {n_segments} segments; a blind test needs {len(CHOICES)}")
    rng = np.random.default_rng(seed)
    drawn = rng.choice(n_segments, min(count, n_segments), replace=False)
    properties = list(snapshot.catalogue.all_properties())
    name, maker = terms.name_key(properties), _maker(properties)
    return [_case(snapshot, int(number), properties, (name, maker), rng) for number in drawn]


def _case(
    snapshot: Snapshot,
    number: int,
    properties: Sequence[Properties],
    keys: tuple[str | None, str | None],
    rng: np.random.Generator,
) -> Case:
    segment = snapshot.segments.segments[number]
    numbers = [number, *_others(snapshot.segment_cosines[number], number, rng)]
    numbers = [numbers[place] for place in rng.permutation(len(numbers))]
    rows = [row for row in snapshot.segments.items_of(number) if not _names(segment.title, properties[row], keys[0])]
    return Case(
        segment.segment_id,
        segment.title,
        segment.size,
        segment.terms,
        tuple(
            _told(properties[row], keys) or item_id
            for row, item_id in zip(rows[:TOP], snapshot.items.item_ids(np.array(rows[:TOP])), strict=True)
        ),
        tuple(snapshot.segments.segments[each].title for each in numbers),
        CHOICES[numbers.index(number)],
    )


def _others(cosines: Float32, number: int, rng: np.random.Generator) -> list[int]:
    """The nearest segment and two of the rest."""
    order = [int(other) for other in np.argsort(-cosines, kind="stable") if other != number]
    return [order[0], *rng.choice(order[1:], len(CHOICES) - 2, replace=False).tolist()]


def _names(title: str, properties: Properties, key: str | None) -> bool:
    name = forms.shortened(terms.name_of(properties, key)).casefold()
    return bool(name) and name in title.casefold()


def _maker(properties: Sequence[Properties]) -> str | None:
    """The first property of short texts that is no name."""
    name = terms.name_key(properties)
    texts = ((key, value) for each in properties for key, value in each.items() if key != name)
    return next((key for key, value in texts if isinstance(value, str) and len(value.split()) <= terms.LONG_TEXT), None)


def _told(properties: Properties, keys: tuple[str | None, str | None]) -> str:
    texts = [value for key in keys if key is not None and isinstance(value := properties.get(key), str)]
    return " | ".join(" ".join(text.split())[:LONGEST] for text in texts)


def sheet(cases: Sequence[Case]) -> str:
    """The cases as Markdown, with a place for the number of items that fit."""
    parts = ["# Titles and the strongest items of their segments\n"]
    for place, case in enumerate(cases, 1):
        said = "; ".join(case.terms)
        parts.append(f"## {place}. {case.title}\n\n{case.segment_id}, {case.size} items: {said}\n\n{_list(case.top)}\n")
        parts.append(f"Fit: __ of {len(case.top)}\n")
    return "\n".join(parts)


def blind(cases: Sequence[Case]) -> str:
    """The trials as Markdown, without the key."""
    parts = ["# Which of four titles is that of these items?\n\nAnswer with lines such as `1 B`.\n"]
    for place, case in enumerate(cases, 1):
        options = "\n".join(f"{letter}. {title}" for letter, title in zip(CHOICES, case.choices, strict=True))
        parts.append(f"## Trial {place}\n\n{_list(case.top)}\n\n{options}\n")
    return "\n".join(parts)


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def key(cases: Sequence[Case]) -> dict[str, str]:
    """The right letter of each trial."""
    return {str(place): case.right for place, case in enumerate(cases, 1)}


def score(answers: str, right: Mapping[str, str]) -> Score:
    """Count the right ones of lines such as "1 B"; raises DataError for a line that is none or a second answer."""
    given: dict[str, str] = {}
    for line in filter(None, map(str.strip, answers.splitlines())):
        trial, _, letter = (part.strip(" .:") for part in line.partition(" "))
        if trial not in right or letter.upper() not in tuple(CHOICES) or trial in given:
            raise DataError(f"{line!r} is no answer such as '1 B' to one of {len(right)} trials, each once")
        given[trial] = letter.upper()
    return Score(sum(given.get(trial) == letter for trial, letter in right.items()), len(right))
