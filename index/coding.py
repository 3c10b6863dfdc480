"""From the properties of the items to columns to filter by.

A value is a text, a number or a boolean; a list stands for its elements; null and an empty list for none. A key whose
texts are all ISO 8601 dates or times holds times. A key has no column, and `Columns.unfilterable` says why, where

    its values are of several kinds           it holds an object, or a list in a list
    a whole number is beyond +-2^53           a 64-bit float would not hold it; ids are better written as texts
    its texts are prose or addresses          the distinct ones of over 128 characters on average, or all with "://"
    no item has a value                       256 other keys, which more items have, have columns already

Texts are judged after every 65,536 items and at the end. Equal properties give equal columns on every machine.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain, count, islice
from typing import Any, TypeAlias

import numpy as np

from index import columns, times
from index.columns import Column, Columns, Kind, Numbers, Texts
from index.errors import InvalidEmbeddings
from index.types import JSON, Int32, Int64

MAX_COLUMNS = 256
"""Keys that have a column; each is up to four files to open."""
MAX_MEAN_CHARACTERS = 128
"""Of the distinct texts of a column; longer ones are prose, which nobody matches as a whole."""
CHUNK_ITEMS = 1 << 16
"""Items that are read before their values are numbered and packed."""

_COMMON = 8
"""A key that one item in so many has is worth asking all for."""
_Values: TypeAlias = tuple[Int32, list[JSON]]
"""Values and the items that have them, by ascending row."""
_KINDS: tuple[tuple[type, Kind], ...] = ((bool, "boolean"), (int, "number"), (float, "number"), (str, "text"))


@dataclass
class _Gathered:
    """What is known about one key so far."""

    wanted: Kind | None = None
    """What kind a column must have that is there already; None: any, and only what can be filtered by."""
    kind: Kind | None = None
    """Of its values; times are told from other texts at the end."""
    seen: defaultdict[Any, int] = field(default_factory=lambda: defaultdict(count().__next__))
    """Each distinct value, numbered as it is first asked for."""
    n_characters: int = 0
    """Of the distinct texts."""
    rows: list[Int32] = field(default_factory=list)
    """The item of each value, ascending, chunk by chunk."""
    numbers: list[Int32] = field(default_factory=list)
    """What `seen` says of each value; parallel to `rows`."""
    problem: str | None = None
    """Why it cannot be filtered by; then no values are kept."""

    def take(self, rows: Int32, values: list[JSON]) -> None:
        """Add the values of further items, in row order."""
        if self.problem is None:
            rows, values = _present(*_flat(rows, values))
            self.problem = self._misfit(rows, values) or self._add(rows, values)
        if self.problem is not None:
            self.seen.clear()
            self.rows, self.numbers = [], []

    def _misfit(self, rows: Int32, values: list[JSON]) -> str | None:
        """Tell of the first value that is not of the kind of those before it."""
        kinds = {each: _kind(each) for each in set(map(type, values))}
        if self.kind is None and values:
            self.kind = kinds[type(values[0])]
        if set(kinds.values()) <= {self.kind} - {None}:
            return None
        fits = (kinds[type(value)] == self.kind is not None for value in values)
        place = next(place for place, fit in enumerate(fits) if not fit)
        return _told(int(rows[place]), values[place], self.kind)

    def _add(self, rows: Int32, values: list[JSON]) -> str | None:
        """Number the values; tell why they cannot be filtered by, if so."""
        known = len(self.seen)
        self.rows.append(rows)
        self.numbers.append(np.fromiter(map(self.seen.__getitem__, values), dtype=np.int32, count=len(values)))
        new = list(islice(self.seen, known, None))
        if self.kind == "number":
            return next((_unheld(number) for number in new if not columns.holds(number)), None)
        if self.kind == "text" and self.wanted is None:
            self.n_characters += sum(map(len, new))
            return _no_label(self.seen, self.n_characters)
        return None


def build(properties: Iterable[Mapping[str, JSON]], kinds: Mapping[str, Kind] | None = None) -> Columns:
    """Make columns of the properties of all items, in row order; they are read once.

    With `kinds` of columns, make exactly these, as far as the properties have such values: for what an earlier Sparrow
    stored, whatever it held for worth filtering by.
    """
    gathered: dict[str, _Gathered] = {}
    n_items = 0
    for chunk in _chunks(properties):
        for key, (rows, values) in _by_key(chunk, n_items).items():
            if key not in gathered:
                gathered[key] = _begun(key, kinds)
            gathered[key].take(rows, values)
        n_items += len(chunk)
    made = {key: _column(key, found, n_items) for key, found in gathered.items() if found.seen}
    refused = {key: found.problem or "no item has a value" for key, found in gathered.items() if not found.seen}
    order = sorted(made, key=lambda key: (-made[key].n_present, key))
    rare = order[MAX_COLUMNS:] if kinds is None else []
    refused |= dict.fromkeys(rare, f"{MAX_COLUMNS} other keys, which more items have, have columns already")
    kept = {key: made[key] for key in sorted(made.keys() - set(rare))}
    return Columns(n_items, kept, dict(sorted(refused.items())))


def check(stored: Columns, properties: Iterable[Mapping[str, JSON]]) -> None:
    """Refuse columns that do not hold what the properties say with InvalidEmbeddings naming the file.

    Every key must have a column or a reason why not; whether the reason is good is not asked.
    """
    built = build(properties, {key: column.kind for key, column in stored.by_key.items()})
    told, expected = columns.to_json(stored), columns.to_json(built)
    same_keys = stored.unfilterable.keys() == built.unfilterable.keys()
    if stored.n_items != built.n_items or told["columns"] != expected["columns"] or not same_keys:
        raise InvalidEmbeddings(f"{columns.FILE_NAME} does not belong to the properties of the catalogue")
    rebuilt = columns.to_arrays(built)
    for name, array in columns.to_arrays(stored).items():
        if not np.array_equal(array, rebuilt[name]):
            raise InvalidEmbeddings(f"{name} does not belong to the properties of the catalogue")


def _begun(key: str, kinds: Mapping[str, Kind] | None) -> _Gathered:
    if kinds is None:
        return _Gathered()
    if key not in kinds:
        return _Gathered(problem="it has no column")
    return _Gathered(wanted=kinds[key], kind="text" if kinds[key] == "time" else kinds[key])


def _chunks(properties: Iterable[Mapping[str, JSON]]) -> Iterator[list[Mapping[str, JSON]]]:
    items = iter(properties)
    while chunk := list(islice(items, CHUNK_ITEMS)):
        yield chunk


def _by_key(chunk: Sequence[Mapping[str, JSON]], first_row: int) -> Mapping[str, _Values]:
    """What the items have of each key; a key that many have is asked of all, null standing for nothing."""
    rows = np.arange(first_row, first_row + len(chunk), dtype=np.int32)
    counts = Counter(chain.from_iterable(chunk))
    common = {key for key, number in counts.items() if number * _COMMON >= len(chunk)}
    found: dict[str, _Values] = {key: (rows, [own.get(key) for own in chunk]) for key in common}
    return found if len(found) == len(counts) else found | _by_rare_key(chunk, first_row, common)


def _by_rare_key(chunk: Sequence[Mapping[str, JSON]], first_row: int, common: AbstractSet[str]) -> dict[str, _Values]:
    """As much work as there are values, however many keys there are."""
    found: defaultdict[str, tuple[list[int], list[JSON]]] = defaultdict(lambda: ([], []))
    for row, own in enumerate(chunk, first_row):
        for key in own.keys() - common:
            rows, values = found[key]
            rows.append(row)
            values.append(own[key])
    return {key: (np.array(rows, dtype=np.int32), values) for key, (rows, values) in found.items()}


def _flat(rows: Int32, values: list[JSON]) -> _Values:
    """The elements of lists in place of the lists."""
    if not any(issubclass(each, list | tuple) for each in set(map(type, values))):
        return rows, values
    lists: list[Sequence[JSON]] = [value if isinstance(value, list | tuple) else (value,) for value in values]
    return np.repeat(rows, list(map(len, lists))), list(chain.from_iterable(lists))


def _present(rows: Int32, values: list[JSON]) -> _Values:
    """The values that are not null."""
    if type(None) not in set(map(type, values)):
        return rows, values
    places = [place for place, value in enumerate(values) if value is not None]
    return rows[places], [values[place] for place in places]


def _kind(of: type) -> Kind | None:
    return next((kind for each, kind in _KINDS if issubclass(of, each)), None)


def _told(row: int, value: JSON, kind: Kind | None) -> str:
    found = _kind(type(value)) or ("list in a list" if isinstance(value, list | tuple) else "nested object")
    return f"item row {row} has a {found}" + (f", others have a {kind}" if kind else "")


def _unheld(number: float) -> str:
    return f"a 64-bit float does not hold {str(number)[:40]}; write such numbers as texts"


def _no_label(texts: Collection[str], n_characters: int) -> str | None:
    """Why these distinct texts are nothing to match as a whole, if so."""
    if n_characters > MAX_MEAN_CHARACTERS * len(texts):
        mean = n_characters / len(texts)
        return f"its texts have {mean:.0f} characters on average; up to {MAX_MEAN_CHARACTERS} can be matched"
    return "its texts are addresses" if texts and all("://" in text for text in texts) else None


def _column(key: str, found: _Gathered, n_items: int) -> Column:
    kind, values, code_of = _ordered(found)
    rows = np.concatenate(found.rows).astype(np.int64)
    # one entry for each value of each item, by row and then by code
    entries = np.sort(rows * len(values) + code_of[np.concatenate(found.numbers)])
    entries = entries[np.diff(entries, prepend=-1) > 0]
    rows, codes = entries // len(values), (entries % len(values)).astype(columns.code_type(len(values)))
    counts = np.bincount(rows, minlength=n_items)
    n_present = int(np.count_nonzero(counts))
    if n_present < len(rows):
        starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
        return Column(key, kind, n_present, values, codes, starts)
    single = np.full(n_items, len(values), dtype=codes.dtype)
    single[rows] = codes
    return Column(key, kind, n_present, values, single, None)


def _ordered(found: _Gathered) -> tuple[Kind, Texts | Numbers, Int64]:
    """The kind of the values, the distinct ones ascending, and the code of each of `seen`."""
    kind, distinct = found.kind or "text", list(found.seen)
    if kind == "text":
        moments = None if found.wanted == "text" else _moments(distinct)
        if moments is None:
            return _ordered_texts(distinct)
        kind, distinct = "time", moments
    # adding 0 makes of -0 the 0 that it equals
    numbers, codes = np.unique(np.array(distinct, dtype=np.float64) + 0.0, return_inverse=True)
    return kind, Numbers(numbers), codes.astype(np.int64)


def _moments(texts: Iterable[str]) -> list[float] | None:
    """Unix seconds, if all texts are dates or times."""
    moments = []
    for text in texts:
        moment = times.seconds(text)
        if moment is None:
            return None
        moments.append(moment)
    return moments


def _ordered_texts(distinct: Sequence[str]) -> tuple[Kind, Texts, Int64]:
    order = sorted(range(len(distinct)), key=distinct.__getitem__)
    codes = np.empty(len(distinct), dtype=np.int64)
    codes[order] = np.arange(len(distinct))
    encoded = [distinct[place].encode("utf-8", "surrogatepass") for place in order]
    starts = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(raw) for raw in encoded], out=starts[1:])
    return "text", Texts(np.frombuffer(b"".join(encoded), dtype=np.uint8), starts), codes
