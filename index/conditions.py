"""Filters on properties, in Qdrant's shape: what may be written, and its canonical form.

    {"must": [C, ...], "should": [C, ...], "must_not": [C, ...]}          all; at least one, if there are any; none
    C = {"key": K, "match": {"value": V}}                                 an element is V
      | {"key": K, "match": {"any": [V, ...]}}                            an element is one of these
      | {"key": K, "match": {"except": [V, ...]}}                         an element is none of these
      | {"key": K, "range": {"gt"|"gte"|"lt"|"lte": B, ...}}              an element keeps all bounds
      | a filter

An item has the elements of a list, else its one value, else none: without one it passes no condition, and every
must_not. {} passes all items, "any": [] none, "except": [] those that have a value. V is of the kind of the column,
compared exactly; B is a number, an ISO 8601 date or time, or {"now": "-30d"}, times being Unix seconds. Unlike in
Qdrant, a key that no item has, a value of another kind and a range without a bound are errors.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import Any, TypeAlias

from index import columns, times
from index.columns import Column, Columns
from index.errors import FilterError
from index.types import JSON

MAX_CONDITIONS = 64
"""Conditions of a filter, nested filters and their conditions included."""
MAX_DEPTH = 4
"""Filters inside each other, the outermost included."""
MAX_VALUES = 1000
"""Values of all conditions of a filter."""
NOW_SECONDS = 60
"""{"now": ...} steps by so much: within one minute a filter is the same filter."""

Value: TypeAlias = Any
"""Of a column of texts a text, else a number: booleans as 0 and 1, times as Unix seconds."""

_CLAUSES = ("must", "should", "must_not")
_BOUNDS = ("gt", "gte", "lt", "lte")
_SHOWN_KEYS = 30
_WANTED = {
    "text": "a text",
    "number": "a number",
    "boolean": "true or false",
    "time": "an ISO 8601 date or time, or Unix seconds",
}


@dataclass(frozen=True)
class Match:
    """Items with an element that is one of the values; `negated`, that is none of them."""

    key: str
    """Name of a column."""
    values: tuple[Value, ...]
    """Of one type, ascending, none twice."""
    negated: bool
    """Whether it was "except"."""


@dataclass(frozen=True)
class Range:
    """Items with an element that keeps all bounds."""

    key: str
    """Name of a column of numbers or times."""
    bounds: tuple[tuple[str, float], ...]
    """Pairs such as ("gte", 3.0), ascending."""


@dataclass(frozen=True)
class Group:
    """A filter; conditions are in an order of their own, none twice, so that equal filters are equal."""

    must: "tuple[Condition, ...]" = ()
    """All of these hold."""
    should: "tuple[Condition, ...]" = ()
    """At least one of these holds, if there are any."""
    must_not: "tuple[Condition, ...]" = ()
    """None of these holds."""


Condition: TypeAlias = Match | Range | Group


def parse(given: JSON, columns: Columns, now: float) -> Group:
    """Check a filter against the columns and put it in its canonical form; FilterError naming what is wrong."""
    return _Parser(columns, math.floor(now / NOW_SECONDS) * NOW_SECONDS).group(given, "", 1)


def column_of(columns: Columns, key: JSON, place: str) -> Column:
    """The column of a key; FilterError that names the place of the key, and the known ones."""
    if isinstance(key, str) and key in columns.by_key:
        return columns.by_key[key]
    if isinstance(key, str) and key in columns.unfilterable:
        raise FilterError(f"{place} is {_shown(key)}, which cannot be filtered by: {columns.unfilterable[key]}")
    known = ", ".join(map(_shown, list(columns.by_key)[:_SHOWN_KEYS])) or "none"
    more = f" and {len(columns.by_key) - _SHOWN_KEYS} more" if len(columns.by_key) > _SHOWN_KEYS else ""
    raise FilterError(f"{place} is {_shown(key)}, which no item has; known are {known}{more}")


class _Parser:
    """Reads one filter, counting what it holds."""

    def __init__(self, columns: Columns, now: int) -> None:
        self._columns = columns
        self._now = now
        self._n_conditions = 0
        self._n_values = 0

    def group(self, given: JSON, place: str, depth: int) -> Group:
        """A filter."""
        known = "must, should and must_not"
        if not isinstance(given, Mapping):
            raise FilterError(f"{place or 'filter'} is {_shown(given)}; must be an object of {known}")
        if strange := [name for name in given if name not in _CLAUSES]:
            raise FilterError(f"{place or 'filter'} has {_shown(strange[0])}; a filter has {known}")
        if depth > MAX_DEPTH:
            raise FilterError(f"{place} is a filter in {depth - 1} others; at most {MAX_DEPTH} may lie in each other")
        start = place + "." if place else ""
        return Group(**{name: self._clause(clause, start + name, depth) for name, clause in given.items()})

    def _clause(self, given: JSON, place: str, depth: int) -> tuple[Condition, ...]:
        conditions = {
            self._condition(each, f"{place}[{number}]", depth) for number, each in enumerate(_list(given, place))
        }
        return tuple(sorted(conditions, key=repr))

    def _condition(self, given: JSON, place: str, depth: int) -> Condition:
        self._n_conditions += 1
        if self._n_conditions > MAX_CONDITIONS:
            raise FilterError(f"{place} is one condition too many; a filter has at most {MAX_CONDITIONS}")
        if isinstance(given, Mapping) and (not given or any(name in given for name in _CLAUSES)):
            return self.group(given, place, depth + 1)
        if not isinstance(given, Mapping) or given.keys() not in ({"key", "match"}, {"key", "range"}):
            raise FilterError(f"{place} is {_shown(given)}; must be {{key, match}}, {{key, range}} or a filter")
        column = column_of(self._columns, given["key"], place + ".key")
        if "match" in given:
            return self._match(given["match"], place + ".match", column)
        return self._range(given["range"], place + ".range", column)

    def _match(self, given: JSON, place: str, column: Column) -> Match:
        if not isinstance(given, Mapping) or given.keys() not in ({"value"}, {"any"}, {"except"}):
            raise FilterError(
                f"{place} is {_shown(given)}; must be {{value: V}}, {{any: [V, ...]}} or {{except: [V, ...]}}"
            )
        ((name, wanted),) = given.items()
        place = f"{place}.{name}"
        if name == "value":
            return Match(column.key, (self._value(wanted, place, column),), negated=False)
        values = {self._value(each, f"{place}[{number}]", column) for number, each in enumerate(_list(wanted, place))}
        return Match(column.key, tuple(sorted(values)), negated=name == "except")

    def _value(self, given: JSON, place: str, column: Column) -> Value:
        self._n_values += 1
        if self._n_values > MAX_VALUES:
            raise FilterError(f"{place} is one value too many; a filter has at most {MAX_VALUES}")
        value: Value = None
        if column.kind == "text":
            value = given if isinstance(given, str) else None
        elif column.kind == "boolean":
            value = float(given) if isinstance(given, bool) else None
        else:
            value = _moment(given) if column.kind == "time" else _number(given)
        if value is None:
            raise FilterError(f"{place} is {_shown(given)}; {_shown(column.key)} needs {_WANTED[column.kind]}")
        return value

    def _range(self, given: JSON, place: str, column: Column) -> Range:
        if column.kind not in ("number", "time"):
            raise FilterError(f"{place}: {_shown(column.key)} holds {column.kind}s, which have no range; use match")
        if not isinstance(given, Mapping) or not given or not given.keys() <= set(_BOUNDS):
            raise FilterError(f"{place} is {_shown(given)}; must be an object of gt, gte, lt or lte")
        bounds = [(name, self._bound(bound, f"{place}.{name}")) for name, bound in given.items()]
        return Range(column.key, tuple(sorted(bounds)))

    def _bound(self, given: JSON, place: str) -> float:
        bound = _moment(given)
        if isinstance(given, Mapping) and given.keys() == {"now"} and isinstance(given["now"], str):
            offset = times.offset(given["now"])
            bound = None if offset is None else float(self._now + offset)
        if bound is None:
            wanted = 'a number, an ISO 8601 date or time, or {"now": "-30d"} (w, d, h, m or s)'
            raise FilterError(f"{place} is {_shown(given)}; must be {wanted}")
        return bound


def _list(given: JSON, place: str) -> Sequence[JSON]:
    if not isinstance(given, list | tuple):
        raise FilterError(f"{place} is {_shown(given)}; must be a list")
    return given


def _moment(given: JSON) -> float | None:
    return times.seconds(given) if isinstance(given, str) else _number(given)


def _number(given: JSON) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not columns.holds(given):
        return None
    return float(given)


def _shown(given: object) -> str:
    """A value for a message, cut where it is long."""
    shortened = Repr()
    shortened.maxstring = shortened.maxother = shortened.maxlong = 60
    return shortened.repr(given)
