"""The client is what the contract says, field by field, works with the real application, and retries as it says."""

import inspect
import random
from collections.abc import Callable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.main import create_app
from app.settings import Settings
from sparrow_client import (
    AsyncClient,
    AsyncEventBuffer,
    Client,
    EventBuffer,
    Problem,
    Retrying,
    Unreachable,
    operations,
)
from sparrow_client.answers import EventResult
from sparrow_client.asked import Event
from sparrow_client.operations import MAX_EVENTS, Operation

FILES = ("/", "/web/{path}")
"""What is no part of the contract, where a document has it."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = create_app(Settings.model_validate({"redis_url": "redis://localhost"})).openapi()
    return found


def ours() -> dict[str, Operation[Any]]:
    return {name: value for name, value in vars(operations).items() if isinstance(value, Operation)}


def test_every_operation_has_a_method_of_both_clients(document: dict[str, Any]) -> None:
    theirs = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert {(one.method, one.path) for one in ours().values()} == {one for one in theirs if one[1] not in FILES}
    for name in ours():
        assert inspect.signature(getattr(Client, name.lower())).parameters.keys()
        assert inspect.iscoroutinefunction(getattr(AsyncClient, name.lower()))


def test_both_clients_are_the_same_but_for_waiting() -> None:
    names = {name for name in vars(Client) if not name.startswith("_")}
    assert names == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in names:
        one, other = (inspect.signature(getattr(each, name)) for each in (Client, AsyncClient))
        assert one == other, name


# Fields: ours against theirs, schema by schema.


class Fields:
    """Compares types with schemas, each pair once."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._seen: set[tuple[str, str]] = set()
        self.wrong: list[str] = []
        self.n_compared = 0

    def compare(self, ours: Any, schema: dict[str, Any], where: str) -> None:
        """Note what one has and the other has not, and go down."""
        schema = self._resolved(schema)
        if "properties" in schema and self._is_ours(ours):
            self._fields(ours, schema, where)
            return
        parts = [part for part in get_args(ours) if part is not type(None)]
        if (variants := schema.get("anyOf") or schema.get("oneOf")) and get_origin(ours) in (Union, UnionType):
            self._variants(parts, variants, where)
        elif variants:
            self._variants([ours], variants, where)
        elif get_origin(ours) in (Union, UnionType):
            for part in parts:
                if self._is_ours(part) or get_args(part):
                    self.compare(part, schema, where)
        elif schema.get("type") == "array" and parts:
            self.compare(parts[0], schema["items"], f"{where}[]")

    def _fields(self, ours: Any, schema: dict[str, Any], where: str) -> None:
        if (ours.__name__, schema.get("title", where)) in self._seen:
            return
        self._seen.add((ours.__name__, schema.get("title", where)))
        self.n_compared += 1
        hints = get_type_hints(ours)
        for name in set(hints) ^ set(schema["properties"]):
            self.wrong.append(f"{where}.{name} is only in the {'client' if name in hints else 'contract'}")
        if is_typeddict(ours) and ours.__required_keys__ != set(schema.get("required", ())):
            self.wrong.append(f"{where} requires {sorted(ours.__required_keys__ ^ set(schema.get('required', ())))}")
        for name in set(hints) & set(schema["properties"]):
            self.compare(hints[name], schema["properties"][name], f"{where}.{name}")

    def _variants(self, parts: list[Any], variants: list[dict[str, Any]], where: str) -> None:
        """Those with fields, each by the one of ours that fits best."""
        ours = [part for part in parts if self._is_ours(part)]
        for variant in map(self._resolved, variants):
            if "properties" in variant and ours:
                wanted = set(variant["properties"])
                literal = variant["properties"].get("endpoint", {}).get("const")
                fits = [(self._endpoint(one) == literal, -len(wanted ^ set(get_type_hints(one)))) for one in ours]
                self.compare(ours[fits.index(max(fits))], variant, where)
            elif variant.get("type") == "array":
                for part in parts:
                    if get_args(part):
                        self.compare(part, variant, where)

    @staticmethod
    def _endpoint(ours: Any) -> str | None:
        hint = get_type_hints(ours).get("endpoint")
        return get_args(hint)[0] if get_origin(hint) is Literal else None

    @staticmethod
    def _is_ours(ours: Any) -> bool:
        return is_typeddict(ours) or (isinstance(ours, type) and issubclass(ours, BaseModel))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        return schema


def json_of(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part["content"]["application/json"]["schema"]
    return found


def compared(document: dict[str, Any]) -> Fields:
    fields = Fields(document)
    for name, one in ours().items():
        operation = document["paths"][one.path][one.method.lower()]
        if "requestBody" in operation:
            assert one.body is not None, name
            fields.compare(one.body, json_of(operation["requestBody"]), name)
        else:
            assert one.body is None, name
        queries = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        assert queries == (set() if one.query is None else set(get_type_hints(one.query))), name
        answer = next(each for status, each in operation["responses"].items() if status.startswith("2"))
        if "application/json" in answer.get("content", {}):
            fields.compare(one.answer, json_of(answer), f"{name} answer")
    return fields


def test_every_field_of_requests_and_answers_has_its_counterpart(document: dict[str, Any]) -> None:
    fields = compared(document)
    assert not fields.wrong
    assert fields.n_compared >= 45


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("RecommendRequest", "RECOMMEND.colour is only in the contract"),
        ("HistoryEntry", "RECOMMEND.history[].colour is only in the contract"),
        ("EventBody", "EVENTS.events[].colour is only in the contract"),
        ("SimilarRequest", "SIMILAR.colour is only in the contract"),
        ("ExplainCall", "BATCH.requests[].colour is only in the contract"),
        ("Reason", "RECOMMEND answer.items[].reasons[].colour is only in the contract"),
    ],
)
def test_a_field_that_the_client_lacks_is_named(document: dict[str, Any], schema: str, told: str) -> None:
    schemas = document["components"]["schemas"]
    wider = {**schemas[schema], "properties": {**schemas[schema]["properties"], "colour": {"type": "string"}}}
    fields = compared({**document, "components": {"schemas": {**schemas, schema: wider}}})
    assert fields.wrong == [told]


# With the real application.


@pytest.fixture
async def application(settings: Settings) -> Any:
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


def of(application: FastAPI) -> AsyncClient:
    return AsyncClient("http://sparrow", transport=httpx.ASGITransport(application))


@pytest.mark.anyio
async def test_everything_works_with_the_real_application(application: FastAPI) -> None:
    async with of(application) as sparrow:
        assert (await sparrow.live()).status == "ok"
        assert (await sparrow.ready()).store == "ok"
        assert "sparrow_requests_total" in await sparrow.metrics()
        info = await sparrow.info()
        assert info.index is not None
        assert [one.version for one in (await sparrow.versions()).versions] == [info.index.version]
        found = await sparrow.items(query="dune", filter={"must": [{"key": "year", "range": {"gte": 1900}}]}, limit=3)
        dune = found.items[0].item_id
        assert (await sparrow.item(dune)).properties["title"] == "Dune"

        results = await sparrow.events([{"user_id": "a/b", "item_id": dune, "kind": "like"}])
        assert [one.status for one in results] == ["accepted"]
        items = await sparrow.recommend(
            user_id="a/b", count=3, include_properties=["title"], explain=True, cursors=True
        )
        assert len(items.items) == 3
        assert items.items[0].reasons
        assert dune not in {one.item_id for one in items.items}
        assert items.next_cursor is not None
        more = await sparrow.more(cursor=items.next_cursor, count=2)
        assert more.items is not None
        assert not {one.item_id for one in more.items} & {one.item_id for one in items.items}
        page = await sparrow.homepage(user_id="a/b", n_rows=3, row_size=4)
        assert page.rows
        assert (await sparrow.similar(item_ids=[dune], count=2)).items
        (why,) = (await sparrow.explain(user_id="a/b", item_ids=[items.items[0].item_id])).explanations
        assert why.score == pytest.approx(items.items[0].score, rel=1e-4)

        segments = (await sparrow.segments()).segments
        assert (await sparrow.segment(segments[0].segment_id)).top_items
        edited = await sparrow.edit_segment(segments[0].segment_id, title="Mine", hidden=True)
        assert (edited.title, edited.found_title) == ("Mine", segments[0].title)
        assert len((await sparrow.segments(hidden=True)).segments) == len((await sparrow.segments()).segments) + 1
        edits = (await sparrow.segment_edits()).model_dump(exclude_unset=True)["edits"]
        assert edits == {segments[0].segment_id: {"title": "Mine", "hidden": True}}
        assert (await sparrow.replace_edits(edits=edits)).unknown_segments == []
        await sparrow.edit_segment(segments[0].segment_id, title=None, hidden=None)
        assert (await sparrow.segment_items(segments[0].segment_id, user_id="a/b")).items
        assert (await sparrow.segments_for(user_id="a/b", count=2)).segments
        batch = await sparrow.batch(
            requests=[
                {"endpoint": "recommend", "body": {"user_id": "a/b", "count": 2}},
                {"endpoint": "homepage", "body": {"n_rows": 2}},
                {"endpoint": "segments/recommend", "body": {"user_id": "a/b"}},
                {"endpoint": "explain", "body": {"user_id": "a/b", "item_ids": [dune]}},
            ],
            distinct=True,
        )
        kinds = [type(one).__name__ for one in batch.answers]
        assert kinds == ["Items", "Page", "Segments", "Explanations"]

        steering = await sparrow.steer("a/b", steering={segments[0].segment_id: 0.5, "gone": "never"})
        assert steering.unknown_segments == ["gone"]
        await sparrow.events([{"user_id": "guest", "item_id": "book-1", "kind": "view"}])
        await sparrow.merge("a/b", "guest")
        user = await sparrow.user("a/b", limit=10, include_properties=True)
        assert {one.item_id for one in user.history} == {dune, "book-1"}
        assert (await sparrow.export("a/b")).steering["gone"] == "never"
        await sparrow.forget("a/b")
        with pytest.raises(Problem) as caught:
            await sparrow.user("a/b")
        assert (caught.value.status, caught.value.type) == (404, "urn:sparrow:not-found")
        assert caught.value.request_id


@pytest.mark.anyio
async def test_what_is_wrong_with_a_request_is_told_field_by_field(application: FastAPI) -> None:
    async with of(application) as sparrow:
        with pytest.raises(Problem) as caught:
            await sparrow.recommend(user_id="u", count=0)
    assert caught.value.status == 422
    assert caught.value.errors[0].field == "body.count"
    assert "body.count" in str(caught.value)
    assert str(caught.value.request_id) in str(caught.value)


@pytest.mark.anyio
async def test_events_of_any_number_are_sent_and_counted_once(application: FastAPI) -> None:
    events: list[Any] = [{"user_id": f"u{n % 7}", "item_id": f"book-{n % 32}", "kind": "view"} for n in range(1203)]
    events[0]["event_id"] = "mine"
    async with of(application) as sparrow:
        results = await sparrow.events(events)
        assert [one.status for one in results] == ["accepted"] * 1203
        async with AsyncEventBuffer(sparrow, size=2, seconds=1e9) as buffer:
            await buffer.add({"user_id": "u0", "item_id": "book-0", "kind": "like", "event_id": "mine"})
            assert (await sparrow.user("u0")).history[0].kind == "view"
            await buffer.add({"user_id": "u9", "item_id": "book-0", "kind": "like"})
            assert (await sparrow.user("u9")).history[0].kind == "like"
            await buffer.add({"user_id": "u8", "item_id": "book-0", "kind": "like"})
        assert (await sparrow.user("u8")).history
        assert all(one.kind == "view" for one in (await sparrow.user("u0")).history)


# Retries, by a transport of the test.


class Script(httpx.BaseTransport):
    """Answers one after the other, or raises."""

    def __init__(self, *outcomes: httpx.Response | httpx.TransportError) -> None:
        self._outcomes = list(outcomes)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, httpx.TransportError):
            raise outcome
        return outcome


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("sparrow_client.client.time.sleep", taken.append)
    return taken


def busy(status: int = 503, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


LIVE = httpx.Response(200, json={"status": "ok"})


def test_what_was_refused_for_now_is_asked_again_after_the_time_that_the_server_says(pauses: list[float]) -> None:
    script = Script(busy(retry_after="2"), busy(429, retry_after="1"), busy(), LIVE)
    with Client("http://sparrow", transport=script) as sparrow:
        assert sparrow.live().status == "ok"
    assert len(script.requests) == 4
    assert [2 < pauses[0] <= 2.15, 1 < pauses[1] <= 1.3, 0.2 <= pauses[2] <= 0.6] == [True] * 3


def test_jitter_is_drawn_anew(pauses: list[float]) -> None:
    for seed in range(20):
        random.seed(seed)
        with Client("http://sparrow", transport=Script(busy(retry_after="1"), LIVE)) as sparrow:
            sparrow.live()
    assert len(set(pauses)) == 20


def test_connections_that_break_are_tried_again_and_then_told(pauses: list[float]) -> None:
    broken = [httpx.ReadError("gone"), httpx.ConnectError("refused")]
    with Client("http://sparrow", transport=Script(*broken, LIVE)) as sparrow:
        assert sparrow.live().status == "ok"
    with (
        Client("http://sparrow", transport=Script(*broken), retrying=Retrying(times=1)) as sparrow,
        pytest.raises(Unreachable, match="GET /livez: refused"),
    ):
        sparrow.live()
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("outcome", "ask"),
    [
        (busy(500), Client.live),
        (busy(404), Client.live),
        (busy(503, retry_after="3600"), Client.live),
        (busy(503), Client.ready),
    ],
    ids=["500", "404", "too long", "not ready"],
)
def test_what_waiting_would_not_mend_is_told_at_once(
    pauses: list[float], outcome: httpx.Response, ask: Callable[[Client], object]
) -> None:
    script = Script(outcome)
    with Client("http://sparrow", transport=script) as sparrow, pytest.raises(Problem) as caught:
        ask(sparrow)
    assert caught.value.status == outcome.status_code
    assert pauses == []


def test_events_keep_their_ids_when_they_are_sent_again(pauses: list[float]) -> None:
    script = Script(httpx.ReadTimeout("late"), httpx.Response(202, json={"results": [{"status": "accepted"}]}))
    with Client("http://sparrow", transport=script) as sparrow:
        sparrow.events([{"user_id": "u", "item_id": "i", "kind": "view"}])
    first, second = (request.content for request in script.requests)
    assert first == second
    assert b'"event_id": "' in first
    assert len(pauses) == 1


def test_a_buffer_keeps_what_could_not_be_sent_under_the_same_ids(pauses: list[float]) -> None:
    done = httpx.Response(202, json={"results": [{"status": "accepted"}, {"status": "refused", "detail": "old"}]})
    script = Script(httpx.ReadTimeout("late"), done)
    told: list[tuple[str, str | None]] = []

    def refused(event: Event, result: EventResult) -> None:
        told.append((event["item_id"], result.detail))

    with Client("http://sparrow", transport=script, retrying=Retrying(times=0)) as sparrow:
        buffer = EventBuffer(sparrow, size=2, refused=refused)
        buffer.add({"user_id": "u", "item_id": "i", "kind": "view"})
        with pytest.raises(Unreachable):
            buffer.add({"user_id": "u", "item_id": "j", "kind": "view"})
        with buffer:
            pass
    first, second = (request.content for request in script.requests)
    assert first == second
    assert told == [("j", "old")]
    assert pauses == []


def test_a_buffer_sends_what_waited_long_enough() -> None:
    done = [httpx.Response(202, json={"results": [{"status": "accepted"}]}) for _ in range(2)]
    script = Script(*done)
    with Client("http://sparrow", transport=script) as sparrow:
        buffer = EventBuffer(sparrow, seconds=0)
        for item_id in ("i", "j"):
            buffer.add({"user_id": "u", "item_id": item_id, "kind": "view"})
    assert len(script.requests) == 2


@pytest.mark.parametrize("size", [0, MAX_EVENTS + 1])
def test_a_buffer_of_a_size_that_no_request_takes_is_refused(size: int) -> None:
    with Client("http://sparrow") as sparrow, pytest.raises(ValueError, match="must be from 1 to 1000"):
        EventBuffer(sparrow, size=size)


@pytest.mark.parametrize(("user_id", "path"), [("a/b", b"a%2Fb"), (".", b"%2E"), ("..", b"%2E%2E"), ("a b", b"a%20b")])
def test_ids_stay_themselves_in_a_path(user_id: str, path: bytes) -> None:
    script = Script(httpx.Response(204))
    with Client("http://sparrow", key="secret", transport=script) as sparrow:
        sparrow.forget(user_id)
    (request,) = script.requests
    assert request.url.raw_path == b"/v1/users/" + path
    assert request.headers["authorization"] == "Bearer secret"


def test_an_error_of_something_in_between_is_a_problem_too() -> None:
    script = Script(httpx.Response(502, text="<html>Bad gateway</html>"))
    with Client("http://sparrow", transport=script) as sparrow, pytest.raises(Problem) as caught:
        sparrow.live()
    assert (caught.value.status, caught.value.title, caught.value.errors) == (502, "Bad Gateway", ())


def test_what_a_newer_server_adds_is_ignored() -> None:
    script = Script(httpx.Response(200, json={"status": "ok", "mood": "fine"}))
    with Client("http://sparrow", transport=script) as sparrow:
        assert sparrow.live().model_dump() == {"status": "ok"}
