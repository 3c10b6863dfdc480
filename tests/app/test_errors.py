import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.errors import MAX_ERRORS, Problem
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

JSON_BODY = {"content-type": "application/json"}


def problem_of(answer: httpx.Response, status: int) -> Problem:
    """The one shape of every error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.content)
    assert found.status == status
    assert found.request_id == answer.headers["x-request-id"]
    assert found.type.startswith("urn:sparrow:")
    assert found.title
    assert found.detail
    return found


async def test_a_path_that_is_not_there(client: httpx.AsyncClient) -> None:
    assert "/openapi.json" in problem_of(await client.get("/v1/nowhere"), 404).detail


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/users/u", {"GET", "DELETE"}),
        ("GET", "/v1/events", {"POST"}),
        ("DELETE", "/livez", {"GET", "HEAD"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("OPTIONS", "/v1/recommend", {"POST"}),
        ("BREW", "/v1/recommend", {"POST"}),
    ],
)
async def test_a_method_that_a_path_does_not_take(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    problem_of(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allowed


MALFORMED = {
    "nothing": (b"", 422),
    "half an object": (b'{"events": [', 400),
    "words": (b"hello", 400),
    "not UTF-8": (b'{"events": "\xff\xfe"}', 400),
    "a deep nest": (b"[" * 100_000, 400),
    "a closed deep nest": (b"[" * 100_000 + b"]" * 100_000, 400),
    "a huge number": (b'{"events": ' + b"9" * 10_000 + b"}", 400),
    "a number": (b"5", 422),
    "null": (b"null", 422),
    "a string": (b'"events"', 422),
    "a comma too many": (b'{"events": [],}', 400),
}


@pytest.mark.parametrize(("body", "status"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("path", ["/v1/events", "/v1/homepage"])
async def test_what_is_not_a_request(client: httpx.AsyncClient, path: str, body: bytes, status: int) -> None:
    problem_of(await client.post(path, content=body, headers=JSON_BODY), status)


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
@pytest.mark.parametrize("body", [b"{}", b'{"events": []}', b"\xff"])
async def test_what_does_not_call_itself_json(client: httpx.AsyncClient, content_type: str | None, body: bytes) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    found = problem_of(await client.post("/v1/events", content=body, headers=headers), 422)
    assert "Content-Type: application/json" in found.detail
    assert [one.field for one in found.errors or []] == ["body"]


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/a+json"])
async def test_what_calls_itself_json_is_read(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"content-type": content_type}
    assert (await client.post("/v1/recommend", content=b"{}", headers=headers)).status_code == 200
    found = problem_of(await client.post("/v1/recommend", content=b"[]", headers=headers), 422)
    assert "Content-Type" not in found.detail


# In ids, in names of fields, in values of other types: what JSON can say and UTF-8 or a key cannot.
TEXTS = ["\\ud800", "\\udfff\\ud800", "\\u0000", "\\u0000\\u0001", "a\\nb", "\\ufffe"]
REQUESTS = {
    "an id": '{"events": [{"user_id": "%s", "item_id": "book-1", "kind": "like"}]}',
    "an item": '{"events": [{"user_id": "u", "item_id": "%s", "kind": "like"}]}',
    "a kind": '{"events": [{"user_id": "u", "item_id": "book-1", "kind": "%s"}]}',
    "a field": '{"events": [{"user_id": "u", "item_id": "book-1", "kind": "like", "%s": 1}]}',
    "an event id": '{"events": [{"user_id": "u", "item_id": "book-1", "kind": "like", "event_id": "%s"}]}',
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("text", TEXTS)
async def test_strange_text_never_breaks_the_server(client: httpx.AsyncClient, request_: str, text: str) -> None:
    answer = await client.post("/v1/events", content=request_.replace("%s", text), headers=JSON_BODY)
    if "ud8" in text or request_ in (REQUESTS["a kind"], REQUESTS["a field"]):
        problem_of(answer, 422)
    else:
        assert answer.status_code == 202, answer.text


async def test_a_lone_surrogate_in_a_recommendation(client: httpx.AsyncClient) -> None:
    for body in ('{"user_id": "\\ud800"}', '{"history": [{"item_id": "\\ud800"}]}', '{"exclude_ids": ["\\ud800"]}'):
        problem_of(await client.post("/v1/recommend", content=body, headers=JSON_BODY), 422)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/v1/events", "/v1/recommend", "/v1/homepage", "/v1/similar", "/v1/segments/recommend"]),
    field=st.sampled_from(["events", "user_id", "history", "exclude_ids", "count", "item_ids", "n_rows", "x"]),
    value=ANYTHING,
)
async def test_any_value_of_any_field_gets_an_answer(
    client: httpx.AsyncClient, path: str, field: str, value: object
) -> None:
    answer = await client.post(path, content=json.dumps({field: value}), headers=JSON_BODY)
    assert answer.status_code in (200, 202, 422)
    if answer.status_code == 422:
        problem_of(answer, 422)


async def test_what_is_wrong_is_named_and_what_was_sent_is_not_repeated(client: httpx.AsyncClient) -> None:
    body = {"events": [{"user_id": "u", "item_id": 123456, "kind": "secretly"}]}
    found = problem_of(await client.post("/v1/events", json=body), 422)
    assert found.errors is not None
    assert [error.field for error in found.errors] == ["body.events.0.item_id", "body.events.0.kind"]
    assert found.detail.startswith("body.events.0.item_id: ")
    assert "(and 1 more)" in found.detail
    assert "123456" not in found.model_dump_json()
    assert "secretly" not in found.model_dump_json()


async def test_a_thousand_mistakes_are_answered_in_short(client: httpx.AsyncClient) -> None:
    body = {"events": [{"x" * 10_000: 1}] * 100}
    answer = await client.post("/v1/events", json=body)
    found = problem_of(answer, 422)
    assert found.errors is not None
    assert len(found.errors) == MAX_ERRORS
    assert len(answer.content) < 10_000


HEAP = {f"{number:x}": 1 for number in range(230)}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/events", {"events": [HEAP] * 1000}, "body.events.{}.0"),
        ("/v1/recommend", {"history": [HEAP] * 1000}, "body.history.{}.0"),
        ("/v1/events", {"events": [{"item_id": "book-1", **HEAP, "kind": "like"}] * 1000}, "body.events.{}.0"),
        ("/v1/homepage", HEAP, "body.0"),
    ],
)
async def test_heaps_of_unknown_keys_are_one_error_an_object(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    found = problem_of(await client.post(path, json=body), 422)
    n_objects = 1 if "{}" not in field else 1000
    assert found.errors is not None
    assert [one.field for one in found.errors] == [field.format(number) for number in range(min(n_objects, MAX_ERRORS))]
    assert {one.message for one in found.errors} == {"Extra inputs are not permitted"}
    assert found.detail.endswith("(and 999 more)") == (n_objects == 1000)


async def test_an_object_of_as_many_keys_as_fields_has_all_its_errors(client: httpx.AsyncClient) -> None:
    body = {"history": [{"item_id": 1, "kind": "like", "more": 1, "still more": 1}]}
    found = problem_of(await client.post("/v1/recommend", json=body), 422)
    places = [one.field for one in found.errors or []]
    assert places == ["body.history.0.item_id", "body.history.0.more", "body.history.0.still more"]


@pytest.mark.parametrize("key", ["\\ud800", "\\u0000", "\\u00e9"])
async def test_heaps_of_strange_keys(client: httpx.AsyncClient, key: str) -> None:
    body = "{" + ", ".join(f'"{key}{number}": 1' for number in range(20)) + "}"
    problem_of(await client.post("/v1/recommend", content=body, headers=JSON_BODY), 422)


async def chunks(n_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(n_bytes // 1024):
        yield b" " * 1024


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit(settings: Settings, serving: Any, announced: bool) -> None:
    async with serving(settings.model_copy(update={"max_body_bytes": 4096})) as client:
        for n_bytes, status in ((4096, 400), (5120, 413), (1024 * 1024, 413)):
            content: Any = b" " * n_bytes if announced else chunks(n_bytes)
            answer = await client.post("/v1/events", content=content, headers=JSON_BODY)
            found = problem_of(answer, status)
            assert status == 400 or "4096 bytes" in found.detail
        # The limit is on what comes in: an honest request still passes.
        body = {"events": [{"user_id": "u", "item_id": "book-1", "kind": "like"}]}
        assert (await client.post("/v1/events", json=body)).status_code == 202


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "9" * 5000, ""])
async def test_a_strange_content_length(client: httpx.AsyncClient, length: str) -> None:
    answer = await client.post("/v1/events", content=b"{}", headers={**JSON_BODY, "content-length": length})
    problem_of(answer, 413 if length.startswith("9") else 422)


async def test_a_bug_is_a_problem_without_a_traceback(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    application = create_app(settings)

    @application.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("book-1 of u")

    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://sparrow") as client:
        answer = await client.get("/bug", headers={"x-request-id": "my-id"})
        exposition = await client.get("/metrics")
    found = problem_of(answer, 500)
    assert found.request_id == "my-id"
    assert "book-1" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert any(record.exc_info for record in caplog.records)
    assert 'sparrow_requests_total{method="GET",route="/bug",status="500"} 1.0' in exposition.text


async def test_where_nothing_is_published_retrieval_is_unavailable(
    settings: Settings, serving: Any, tmp_path: Any
) -> None:
    async with serving(settings.model_copy(update={"snapshots": tmp_path / "nothing"})) as client:
        for answer in (
            await client.post("/v1/recommend", json={}),
            await client.post("/v1/homepage", json={}),
            await client.get("/v1/items/book-1"),
            await client.get("/readyz"),
        ):
            assert "sparrow-train publish" in problem_of(answer, 503).detail
            assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("given_", "kept"),
    [("abc-123", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("\u00e9", False), ("", False)],
)
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, given_: str, kept: bool) -> None:
    answer = await client.get("/livez", headers={b"x-request-id": given_.encode()})
    assert (answer.headers["x-request-id"] == given_) == kept
    assert answer.headers["x-request-id"]


def operations(application: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    found = application.openapi()
    return [
        (f"{method} {path}", operation) for path, item in found["paths"].items() for method, operation in item.items()
    ]


def test_the_document_declares_every_error_as_a_problem(settings: Settings) -> None:
    application = create_app(settings)
    document = application.openapi()
    assert document["components"]["schemas"]["Problem"]["properties"].keys() == Problem.model_fields.keys()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name, operation in operations(application):
        errors = {status: found for status, found in operation["responses"].items() if int(status) >= 400}
        assert {"408", "422", "431", "500"} <= errors.keys(), name
        assert ("requestBody" not in operation) or {"400", "413"} <= errors.keys(), name
        for found in errors.values():
            schema = found["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, name
            assert found["content"].keys() == {"application/problem+json"}, name


def test_what_takes_no_body_declares_no_error_of_one(settings: Settings) -> None:
    for name, operation in operations(create_app(settings)):
        assert ("requestBody" in operation) == ({"400", "413"} <= operation["responses"].keys()), name
        assert ("requestBody" in operation) or not {"400", "413"} & operation["responses"].keys(), name


@pytest.mark.parametrize("name", ["%ff", "a%C3", "%ED%A0%80", "%FE/b"])
@pytest.mark.parametrize(("method", "where"), [("GET", "users"), ("DELETE", "users"), ("GET", "items")])
async def test_a_path_that_is_not_utf_8_names_nothing(
    client: httpx.AsyncClient, method: str, where: str, name: str
) -> None:
    event = {"user_id": "\ufffd", "item_id": "book-1", "kind": "like"}
    assert (await client.post("/v1/events", json={"events": [event]})).status_code == 202
    assert "not UTF-8" in problem_of(await client.request(method, f"/v1/{where}/{name}"), 404).detail
    assert (await client.get("/v1/users/%EF%BF%BD")).status_code == 200, "the user of that name is untouched"
