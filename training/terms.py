"""What the properties of items say: entities, words and names, counted by item, for any catalogue.

Properties are arbitrary JSON. Each key is read by what its values look like: short strings that repeat are entities (an
author, a brand, a genre; several in one string or list are taken apart), long texts give words and pairs of words,
whole numbers that look like years give decades. The key called title or name (else the first text) holds an item's
name; a numbered part in parentheses at its end, "(Discworld, #5)", names the series.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import numpy as np

from index import arrays
from index.types import JSON, Float32, Int32, Int64
from training.language import LANGUAGES
from training.words import MIN_ITEMS, Kind, Term, words_of

Properties: TypeAlias = Mapping[str, JSON]

LONG_TEXT = 12  # words: a property whose median is higher holds texts
NAME_KEYS = ("title", "name")
SERIES = re.compile(r"\(([^()]+)\)\s*$")
NUMBERING = re.compile(r"[\s,:-]*(?:#|\b(?:vol|volume|book|part|no|issue)\b\.?\s*#?)\s*[\d.\u2013-]*.*$", re.IGNORECASE)
SEPARATOR = re.compile(r"\s*[;|/]\s*|,\s+(?!(?:jr|sr|inc|ltd|ph\.?d|m\.?d)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Terms:
    """Which terms hold for which items, by item: terms of row r are numbers[starts[r]:starts[r + 1]]."""

    terms: tuple[Term, ...]
    """By number."""
    starts: Int64
    """(n_items + 1,)"""
    numbers: Int32
    """Term numbers, item by item, none twice in an item."""
    share: Float32
    """(n_terms,): part of all items that have the term."""

    def shares_in(self, items: Int32, weights: Float32) -> Float32:
        """Part of these items, by weight, that have each term, (n_terms,)."""
        numbers, places = self._of(items)
        weighted = np.bincount(numbers, weights=weights[places], minlength=len(self.terms))
        return (weighted / max(float(weights.sum()), 1e-12)).astype(np.float32)

    def entities_of(self, row: int) -> set[int]:
        """Numbers of the entities of one item."""
        numbers = self.numbers[self.starts[row] : self.starts[row + 1]].tolist()
        return {number for number in numbers if self.terms[number].kind == "entity"}

    def _of(self, items: Int32) -> tuple[Int32, Int64]:
        """Term numbers of these items, and the place in `items` that each belongs to."""
        first = self.starts[items]
        counts = self.starts[items.astype(np.int64) + 1] - first
        return self.numbers[arrays.ranges(first, counts)], np.repeat(np.arange(len(items)), counts)


def name_key(properties: Sequence[Properties]) -> str | None:
    """The property that names an item: title or name, else the first one that holds text, else None."""
    keys = dict.fromkeys(key for each in properties for key, value in each.items() if isinstance(value, str))
    named = [key for wanted in NAME_KEYS for key in keys if key.casefold() == wanted]
    return next(iter([*named, *keys]), None)


def name_of(properties: Properties, key: str | None) -> str:
    """The name of an item without its series; "" if it has none."""
    value = properties.get(key) if key is not None else None
    return SERIES.sub("", value).strip() if isinstance(value, str) else ""


def read(properties: Sequence[Properties]) -> Terms:
    """Count what the properties of items (row-aligned) say; terms of fewer than MIN_ITEMS items are left out."""
    name = name_key(properties)
    found: list[dict[Term, None]] = [{} for _ in properties]
    long_keys = []
    for key in dict.fromkeys(key for each in properties for key in each):
        values = [each.get(key) for each in properties]
        if key == name:
            _add(found, ((Term(part, "series") for part in _series(value)) for value in values))
        elif _are_years(values):
            _add(found, ([Term(_years(value), "years")] if _is_whole(value) else [] for value in values))
        elif _are_long(values):
            long_keys.append(key)
        else:
            kind: Kind = "language" if "language" in key.casefold() else "entity"
            _add(found, ((Term(part, kind) for part in _entities(kind, value)) for value in values))
    described = [" . ".join(text for key in long_keys if isinstance(text := each.get(key), str)) for each in properties]
    _add(found, words_of([name_of(each, name) for each in properties], described))
    return _counted(found)


def _add(found: Sequence[dict[Term, None]], more: Iterable[Iterable[Term]]) -> None:
    for terms, new in zip(found, more, strict=True):
        terms.update(dict.fromkeys(new))


def _counted(found: Sequence[Mapping[Term, None]]) -> Terms:
    n_items = Counter(term for terms in found for term in terms)
    number = {term: i for i, term in enumerate(t for t, count in n_items.items() if count >= MIN_ITEMS)}
    numbers = [[number[term] for term in terms if term in number] for terms in found]
    return Terms(
        terms=tuple(number),
        starts=np.concatenate(([0], np.cumsum([len(each) for each in numbers]))).astype(np.int64),
        numbers=np.array([i for each in numbers for i in each], dtype=np.int32),
        share=np.array([n_items[term] / len(found) for term in number], dtype=np.float32),
    )


def _series(value: JSON) -> Iterator[str]:
    """Name each series: Discworld and Rincewind in "(Discworld, #5; Rincewind #3)"."""
    match = SERIES.search(value) if isinstance(value, str) else None
    for part in match.group(1).split(";") if match else ():
        bare = NUMBERING.sub("", part).strip(" ,:-")
        if any(letter.isalpha() for letter in bare) and bare != part.strip():
            yield bare


def _are_years(values: Sequence[JSON]) -> bool:
    numbers = [value for value in values if _is_whole(value)]
    inside = sum(1400 <= value <= 2100 for value in numbers)
    return bool(numbers) and inside >= 0.95 * len(numbers)


def _is_whole(value: JSON) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _years(year: int) -> str:
    if year < 1000:
        return "Before 1000"
    return f"{year // 10}0s" if year >= 1900 else f"{year // 100 + 1}th century"


def _are_long(values: Sequence[JSON]) -> bool:
    lengths = sorted(value.count(" ") + 1 for value in values if isinstance(value, str) and value.strip())
    return bool(lengths) and lengths[len(lengths) // 2] > LONG_TEXT


def _entities(kind: Kind, value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        parts: Iterable[str] = () if "://" in value else SEPARATOR.split(value)
    else:
        parts = (part for part in value if isinstance(part, str)) if isinstance(value, Sequence) else ()
    for part in (" ".join(part.split()) for part in parts):
        if kind == "language":
            yield LANGUAGES.get(re.split("[-_]", part.casefold())[0], part)
        elif any(letter.isalpha() for letter in part):
            yield part
