"""Every operation of the contract, once: what the clients send and what they get. A test holds it to OpenAPI.

All may be repeated without harm: those that change something are idempotent, events by the event_id that each is given.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, TypeAdapter

from sparrow_client import answers, asked

A = TypeVar("A")

MAX_EVENTS = 1000
"""In one request."""


class Call(NamedTuple, Generic[A]):
    """One request."""

    method: str
    path: str
    answer: type[A]
    content: bytes | None
    query: dict[str, str]

    def read(self, content: bytes) -> A:
        """The answer to it."""
        if self.answer is str:
            return content.decode()  # type: ignore[return-value]  # A is str
        if issubclass(self.answer, BaseModel):
            return self.answer.model_validate_json(content)
        return TypeAdapter(self.answer).validate_json(content or b"null")


class Operation(NamedTuple, Generic[A]):
    """A method and a path."""

    method: str
    path: str
    answer: type[A]
    body: type | None = None
    """A typed dictionary."""
    query: type | None = None
    """A typed dictionary."""

    def call(
        self, *, ids: Mapping[str, str] | None = None, body: object = None, query: Mapping[str, Any] | None = None
    ) -> Call[A]:
        """A request of this operation. `ids` are put into the path."""
        path = self.path.format(**{name: _segment(given) for name, given in (ids or {}).items()})
        content = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        return Call(self.method, path, self.answer, content, dict(_parameters(query or {})))


def _segment(given: str) -> str:
    """An id in a path. Dots alone would be resolved on the way."""
    return given.replace(".", "%2E") if given in (".", "..") else quote(given, safe="")


def _parameters(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        if value is not None:
            yield name, value if isinstance(value, str) else json.dumps(value)


RECOMMEND = Operation("POST", "/v1/recommend", answers.Items, asked.Recommend)
HOMEPAGE = Operation("POST", "/v1/homepage", answers.Page, asked.Homepage)
SIMILAR = Operation("POST", "/v1/similar", answers.Items, asked.Similar)
MORE = Operation("POST", "/v1/next", answers.More, asked.Next)
BATCH = Operation("POST", "/v1/batch", answers.Batch, asked.Batch)
EXPLAIN = Operation("POST", "/v1/explain", answers.Explanations, asked.Explain)
EVENTS = Operation("POST", "/v1/events", answers.EventResults, asked.Events)
SEGMENTS = Operation("GET", "/v1/segments", answers.SegmentList, query=asked.SegmentsQuery)
SEGMENTS_FOR = Operation("POST", "/v1/segments/recommend", answers.Segments, asked.SegmentsFor)
SEGMENT = Operation("GET", "/v1/segments/{segment_id}", answers.SegmentDetail)
EDIT_SEGMENT = Operation("PATCH", "/v1/segments/{segment_id}", answers.SegmentDetail, asked.Edit)
SEGMENT_EDITS = Operation("GET", "/v1/segments/edits", answers.SegmentEdits)
REPLACE_EDITS = Operation("PUT", "/v1/segments/edits", answers.ReplacedEdits, asked.Edits)
SEGMENT_ITEMS = Operation("POST", "/v1/segments/{segment_id}/items", answers.Items, asked.Recommend)
ITEMS = Operation("GET", "/v1/items", answers.CataloguePage, query=asked.ItemsQuery)
ITEM = Operation("GET", "/v1/items/{item_id}", answers.CatalogueItem)
USER = Operation("GET", "/v1/users/{user_id}", answers.User, query=asked.UserQuery)
EXPORT = Operation("GET", "/v1/users/{user_id}/export", answers.Export)
STEER = Operation("PUT", "/v1/users/{user_id}/steering", answers.Steering, asked.Steer)
MERGE = Operation("PUT", "/v1/users/{target}/merge/{source}", type(None))
FORGET = Operation("DELETE", "/v1/users/{user_id}", type(None))
VERSIONS = Operation("GET", "/v1/versions", answers.Versions)
INFO = Operation("GET", "/info", answers.Info)
LIVE = Operation("GET", "/livez", answers.Live)
READY = Operation("GET", "/readyz", answers.Ready)
METRICS = Operation("GET", "/metrics", str)


def event_calls(events: Iterable[asked.Event]) -> Iterator[Call[answers.EventResults]]:
    """Requests of at most `MAX_EVENTS` events; each event gets an event_id, unless it has one."""
    named = [{**event, "event_id": event.get("event_id") or uuid4().hex} for event in events]
    for start in range(0, len(named), MAX_EVENTS):
        yield EVENTS.call(body={"events": named[start : start + MAX_EVENTS]})
