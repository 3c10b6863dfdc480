"""Whatever a request may hold has a bound, by the document that says what requests are."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings

DOCUMENT = create_app(Settings.model_validate({"redis_url": "redis://nowhere"})).openapi()

Schema = dict[str, Any]


def unbounded(schema: Schema, place: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Places of strings without a longest one, lists without a most, objects of any keys and numbers of any size."""
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    if name:
        if name not in seen:
            yield from unbounded(DOCUMENT["components"]["schemas"][name], place, seen | {name})
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(kind, ()):
            yield from unbounded(part, place, seen)
    if "enum" in schema or "const" in schema:
        return
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield from UNBOUNDED[kind](schema, place, seen)
    if not kinds and not {"anyOf", "oneOf", "allOf"} & schema.keys():
        yield f"{place}: anything"


def _string(schema: Schema, place: str, _: frozenset[str]) -> Iterator[str]:
    if "maxLength" not in schema and "format" not in schema:
        yield f"{place}: a string of any length"


def _array(schema: Schema, place: str, seen: frozenset[str]) -> Iterator[str]:
    if "maxItems" not in schema:
        yield f"{place}: any number of items"
    for number, part in enumerate([*schema.get("prefixItems", ()), schema.get("items", {"type": "null"})]):
        yield from unbounded(part, f"{place}[{number}]", seen)


def _object(schema: Schema, place: str, seen: frozenset[str]) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        if name == "filter":
            continue  # a language of its own, see below
        yield from unbounded(part, f"{place}.{name}", seen)
    more = schema.get("additionalProperties", True)
    if more is False:
        return
    if "maxProperties" not in schema:
        yield f"{place}: any number of keys"
    yield from _string(schema.get("propertyNames", {}), f"{place}{{key}}", seen)
    yield from unbounded({} if more is True else more, f"{place}{{}}", seen)


def _nothing(_schema: Schema, _place: str, _seen: frozenset[str]) -> Iterator[str]:
    return iter(())


UNBOUNDED: dict[str, Callable[[Schema, str, frozenset[str]], Iterator[str]]] = {
    "string": _string,
    "array": _array,
    "object": _object,
    # JSON has no NaN, Python's parser takes no digits without end, and validation refuses infinities.
    "number": _nothing,
    "integer": _nothing,
    "boolean": _nothing,
    "null": _nothing,
}


def bodies() -> Iterator[tuple[str, Schema]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"{method} {path}", content["schema"]
            for parameter in operation.get("parameters", ()):
                yield f"{method} {path} {parameter['name']}", parameter["schema"]


BODIES = list(bodies())


@pytest.mark.parametrize(("place", "schema"), BODIES, ids=[place for place, _ in BODIES])
def test_all_that_a_request_may_hold_has_a_bound(place: str, schema: Schema) -> None:
    assert list(unbounded(schema, place)) == []


def test_what_has_no_bound_is_found() -> None:
    loose: Schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "array", "items": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "string"}]}},
            "c": {"type": "object", "maxProperties": 2, "additionalProperties": {}},
        },
        "additionalProperties": False,
    }
    assert list(unbounded(loose, "x")) == [
        "x.a: a string of any length",
        "x.b: any number of items",
        "x.b[0]: a string of any length",
        "x.c{key}: a string of any length",
        "x.c{}: anything",
    ]
    assert next(unbounded({"type": "object"}, "x")) == "x: any number of keys"
    assert len(BODIES) > 15


SHELF = {"key": "shelf", "match": {"value": "Fantasy"}}


def nested(depth: int) -> dict[str, Any]:
    return SHELF if depth == 0 else {"must": [nested(depth - 1)]}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "conditions",
    [
        [SHELF] * 65,
        [nested(5)],
        [{"key": "shelf", "match": {"any": ["x"] * 1001}}],
        [{"key": "k" * 100_000, "match": {"value": "x"}}],
        [SHELF | {str(number): number for number in range(10_000)}],
    ],
    ids=["conditions", "depth", "values", "key", "keys"],
)
async def test_a_filter_has_bounds_too(client: httpx.AsyncClient, conditions: list[Any]) -> None:
    answer = await client.post("/v1/recommend", json={"filter": {"must": conditions}})
    assert answer.status_code == 422
    assert len(answer.content) < 5000
