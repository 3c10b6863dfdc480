"""The short way answers what the long way answers, to the last field; what is uncommon goes the long way."""

import json
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app import answers
from app.routes import retrieval
from app.shortcut import Shortcut

pytestmark = pytest.mark.anyio

SHORT, LONG = "application/json", "application/json; charset=utf-8"
BODIES: list[tuple[str, Any]] = [
    ("recommend", {}),
    ("recommend", {"user_id": "ann", "count": 5}),
    ("recommend", {"user_id": "nobody", "include_properties": True}),
    ("recommend", {"history": [{"item_id": "book-1"}, {"item_id": "gone", "weight": 2}], "exclude_ids": ["book-2"]}),
    ("recommend", {"user_id": "ann", "explain": True, "max_per": {"shelf": 1}, "filter": {"must": []}}),
    ("recommend", {"user_id": "ann", "filter": {"must": [{"key": "shelf", "match": {"value": "Nowhere"}}]}}),
    ("recommend", {"user_id": "ann", "filter": {"must": [{"key": "colour", "match": {"value": "red"}}]}}),
    ("recommend", {"user_id": "ann", "colour": "red"}),
    ("recommend", {"count": "10"}),
    ("recommend", {"count": 0}),
    ("recommend", {"user_id": ""}),
    ("recommend", {"user_id": "."}),
    ("recommend", {"history": [{"item_id": "book-1", "weight": float("nan")}]}),
    ("recommend", {"rotation_rate": 0.5}),
    ("recommend", {"index_version": "20200101T000000Z-00000000"}),
    ("recommend", []),
    ("recommend", None),
    ("homepage", {"user_id": "ann"}),
    ("homepage", {"history": [{"item_id": "book-9"}], "n_rows": 2, "row_size": 3}),
    ("homepage", {"n_rows": 51}),
    ("similar", {"item_ids": ["book-3"], "user_id": "ann"}),
    ("similar", {"item_ids": ["gone"]}),
    ("similar", {"item_ids": []}),
]
OF_EACH = ("recomm_id", "took_ms", "request_id", "next_cursor", "page_cursor")
"""What no two answers share."""


def without(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {key: without(value) for key, value in answer.items() if key not in OF_EACH}
    return [without(one) for one in answer] if isinstance(answer, list) else answer


async def post(client: httpx.AsyncClient, name: str, content: bytes, media_type: str) -> httpx.Response:
    return await client.post(f"/v1/{name}", content=content, headers={"Content-Type": media_type})


@pytest.fixture
async def known(client: httpx.AsyncClient) -> httpx.AsyncClient:
    events = [{"user_id": "ann", "item_id": f"book-{n}", "kind": "like", "timestamp": 1e9 + n} for n in range(5)]
    (await client.post("/v1/events", json={"events": events})).raise_for_status()
    return client


@pytest.mark.parametrize(
    ("name", "body"), BODIES, ids=lambda one: json.dumps(one)[:60] if isinstance(one, dict) else None
)
async def test_both_ways_give_the_same(known: httpx.AsyncClient, name: str, body: Any) -> None:
    content = json.dumps(body).encode()
    short, long = [await post(known, name, content, media_type) for media_type in (SHORT, LONG)]
    assert short.status_code == long.status_code
    assert without(short.json()) == without(long.json())
    assert list(short.json()) == list(long.json())
    names = [sorted(answer.headers) for answer in (short, long)]
    assert names[0] == names[1]
    assert short.headers["content-type"] == long.headers["content-type"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"user_id": "\\ud800"}', '{"user_id": "ann"}'.encode("utf-16"), b"[" * 5000, b"\xff\xfe"]
)
async def test_what_is_no_plain_json_is_told_so_in_the_same_words(known: httpx.AsyncClient, content: bytes) -> None:
    short, long = [await post(known, "recommend", content, media_type) for media_type in (SHORT, LONG)]
    assert (short.status_code, without(short.json())) == (long.status_code, without(long.json()))


async def test_requests_are_counted_by_their_route_either_way(known: httpx.AsyncClient) -> None:
    def counted(text: str) -> float:
        lines = [line for line in text.splitlines() if line.startswith("sparrow_requests_total{")]
        return sum(float(line.split()[-1]) for line in lines if '"/v1/recommend"' in line)

    before = counted((await known.get("/metrics")).text)
    for media_type in (SHORT, LONG):
        assert (await post(known, "recommend", b"{}", media_type)).status_code == 200
    assert counted((await known.get("/metrics")).text) == before + 2


def scope_of(**other: Any) -> Scope:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    return {"type": "http", "method": "POST", "path": "/v1/recommend", "query_string": b"", "headers": headers, **other}


@pytest.mark.parametrize(
    "other",
    [
        {"method": "GET"},
        {"path": "/v1/events"},
        {"query_string": b"a=1"},
        {"type": "lifespan"},
        {"headers": [(b"content-type", b"application/json")]},
        {"headers": [(b"content-length", b"2")]},
        {"headers": [*scope_of()["headers"], (b"transfer-encoding", b"chunked")]},
    ],
    ids=str,
)
async def test_what_is_uncommon_is_left_to_fastapi_untouched(other: dict[str, Any]) -> None:
    seen: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        seen.append(scope)

    async def receive() -> Message:
        raise AssertionError("it was read")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = scope_of(**other)
    await Shortcut(application, retrieval.router.routes)(scope, receive, send)
    assert seen == [scope]


async def test_the_long_way_receives_what_the_short_way_did() -> None:
    """A body in parts, of which the short way makes nothing, and the end of the connection."""
    parts: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.request", "body": b"?", "more_body": False},
        {"type": "http.disconnect"},
    ]
    left, received = iter(parts), []

    async def application(_: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        received.extend([await receive() for _ in parts])

    async def receive() -> Message:
        return next(left)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await Shortcut(application, retrieval.router.routes)(scope_of(), receive, send)
    assert received == parts


async def test_what_fails_on_both_ways_is_logged_without_the_body(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(answers, "items", broken)
    # The short way does not read a lone surrogate, and says so with the body in its words.
    content = rb'{"user_id": "whoever", "filter": {"must": [{"key": "\ud800", "match": {"value": "x"}}]}}'
    assert (await post(client, "recommend", content, SHORT)).status_code == 500
    assert "out of order" in caplog.text
    assert "whoever" not in caplog.text
