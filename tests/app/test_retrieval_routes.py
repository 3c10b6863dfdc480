"""POST /v1/recommend, /v1/homepage and /v1/similar through the real application, store and snapshot."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.main import create_app
from app.schemas.retrieval import HomepageRequest, RecommendRequest
from app.settings import Settings

pytestmark = pytest.mark.anyio

FANTASY = [f"book-{number}" for number in range(8)]
MYSTERY = [f"book-{number}" for number in range(16, 24)]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    application = create_app(settings)
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://sparrow") as client,
    ):
        yield client


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def record(client: httpx.AsyncClient, user_id: str, *events: tuple[str, str]) -> None:
    body = {"events": [{"user_id": user_id, "item_id": item, "kind": kind} for item, kind in events]}
    assert (await client.post("/v1/events", json=body)).status_code == 202


def liked(*item_ids: str) -> list[dict[str, str]]:
    return [{"item_id": item_id} for item_id in item_ids]


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def on_page(page: dict[str, Any]) -> list[str]:
    return [item["item_id"] for row in page["rows"] for item in row["items"]]


def codes(answer: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in answer["warnings"]]


async def test_an_answer_says_what_it_is(client: httpx.AsyncClient, snapshots: Path) -> None:
    answer = await client.post("/v1/recommend", json={"user_id": "u1", "history": liked("book-0"), "count": 3})
    found = answer.json()
    assert set(found) == {"recomm_id", "index_version", "took_ms", "degraded", "warnings", "items"}
    assert found["index_version"] == (snapshots / "CURRENT").read_text().strip()
    assert (len(found["recomm_id"]), found["degraded"]) == (24, False)
    assert found["took_ms"] > 0
    stages = [part.split(";")[0] for part in answer.headers["Server-Timing"].split(", ")]
    assert stages == ["state", "encode", "search", "compose", "total"]
    again = await post(client, "/v1/recommend", history=liked("book-0"), count=3)
    assert again["recomm_id"] != found["recomm_id"]


async def test_a_history_is_answered_in_kind(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/recommend", history=liked("book-0", "book-1"), count=6)
    assert set(ids(found)) == set(FANTASY[2:])
    assert codes(found) == []
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)
    assert "properties" not in found["items"][0]


async def test_events_are_the_history_of_the_next_answer(client: httpx.AsyncClient) -> None:
    await record(client, "u1", ("book-16", "like"), ("book-17", "purchase"), ("book-18", "hide"))
    found = await post(client, "/v1/recommend", user_id="u1", count=5)
    assert set(ids(found)) == set(MYSTERY[3:])
    seen = await post(client, "/v1/recommend", user_id="u1", count=7, exclude_seen=False)
    assert set(ids(seen)) == set(MYSTERY) - {"book-18"}


async def test_a_request_history_is_added_and_not_stored(client: httpx.AsyncClient) -> None:
    await record(client, "u1", ("book-16", "like"))
    both = await post(client, "/v1/recommend", user_id="u1", history=liked("book-0"), count=14)
    assert set(ids(both)) == set(FANTASY[1:]) | set(MYSTERY[1:])
    assert (await client.get("/v1/users/u1")).json()["n_seen"] == 1


async def test_the_weight_of_a_request_is_its_own_or_its_kinds(client: httpx.AsyncClient, settings: Settings) -> None:
    history = [{"item_id": "book-0", "kind": "view"}, {"item_id": "book-16", "kind": "view", "weight": 5}]
    first = await post(client, "/v1/recommend", history=history, count=7)
    assert set(ids(first)) == set(MYSTERY[1:])
    weights = {"event_weights": {**settings.event_weights, "view": 9.0}}
    async with serving(settings.model_copy(update=weights)) as other:
        changed = await post(other, "/v1/recommend", history=history, count=7)
    assert set(ids(changed)) == set(FANTASY[1:])


async def test_a_timestamp_orders_the_history_and_none_means_now(client: httpx.AsyncClient) -> None:
    """Of two opinions of equal weight the newer counts, wherever it stands in the list."""
    was_disliked = {"item_id": "book-0", "weight": -1, "timestamp": 1_000_000_000}
    now_liked = {"item_id": "book-0", "weight": 1}
    for history in ([was_disliked, now_liked], [now_liked, was_disliked]):
        assert codes(await post(client, "/v1/recommend", history=history)) == []
    was_liked, now_disliked = {**was_disliked, "weight": 1}, {**now_liked, "weight": -1}
    for history in ([was_liked, now_disliked], [now_disliked, was_liked]):
        assert codes(await post(client, "/v1/recommend", history=history)) == ["popular_fallback"]


async def test_excluded_items_are_not_in_the_answer(client: httpx.AsyncClient) -> None:
    excluded = ["book-1", "book-2", "no such book"]
    found = await post(client, "/v1/recommend", history=liked("book-0"), exclude_ids=excluded, count=5)
    assert set(ids(found)) == set(FANTASY[3:])
    assert codes(found) == []


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({}, ["popular_fallback"]),
        ({"user_id": "nobody"}, ["unknown_user", "popular_fallback"]),
        ({"history": [{"item_id": "no such book"}]}, ["unknown_items", "popular_fallback"]),
        ({"user_id": "nobody", "history": [{"item_id": "book-0"}]}, ["unknown_user"]),
        ({"history": [{"item_id": "book-0"}, {"item_id": "no such book"}]}, ["unknown_items"]),
    ],
)
@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/homepage", "/v1/segments/recommend"])
async def test_what_could_not_be_used_is_said(
    client: httpx.AsyncClient, path: str, who: dict[str, object], expected: list[str]
) -> None:
    found = await post(client, path, **who)
    assert codes(found) == expected
    assert found["degraded"] is False


async def test_without_a_history_popular_items_are_returned(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/recommend", count=3)
    assert [item["score"] for item in found["items"]] == [100, 99, 98]


@pytest.mark.parametrize(
    ("wanted", "keys"), [(True, {"title", "shelf", "year"}), (["year"], {"year"}), ([], set()), (False, None)]
)
async def test_properties_come_as_asked(client: httpx.AsyncClient, wanted: object, keys: set[str] | None) -> None:
    for path in ("/v1/recommend", "/v1/homepage"):
        found = await post(client, path, history=liked("book-0"), include_properties=wanted)
        items = found["items"] if path == "/v1/recommend" else found["rows"][0]["items"]
        assert [None if "properties" not in item else set(item["properties"]) for item in items] == [keys] * len(items)


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/homepage", "/v1/similar", "/v1/segments/sfantasy/items"])
async def test_an_unknown_property_is_refused_and_the_known_are_named(client: httpx.AsyncClient, path: str) -> None:
    body: dict[str, object] = {"include_properties": ["year", "colour"]}
    if path == "/v1/similar":
        body["item_ids"] = ["book-0"]
    answer = await client.post(path, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "no item has a property 'colour'; the known ones are shelf, title, year"


async def test_a_homepage_is_made_of_titled_rows(client: httpx.AsyncClient) -> None:
    page = await post(client, "/v1/homepage", history=liked("book-0", "book-16"), row_size=3, max_overlap=1)
    assert page["rows"][0]["kind"] == "top_picks"
    assert "Because you liked The Fellowship of the Ring" in [row["title"] for row in page["rows"]]
    assert len({row["title"] for row in page["rows"]}) == len({row["row_id"] for row in page["rows"]}) == 6
    segments = [row for row in page["rows"] if row["kind"] == "segment"]
    assert all(row["segment_id"] == f"s{row['title'].lower().replace(' ', '')}" for row in segments)
    assert all("segment_id" not in row for row in page["rows"] if row["kind"] != "segment")
    shown = on_page(page)
    assert len(set(shown)) == len(shown)
    assert not {"book-0", "book-16"} & set(shown)


@pytest.mark.parametrize(
    ("asked", "row_size"),
    [({"device": "phone"}, 6), ({"device": "tablet"}, 9), ({}, 12), ({"device": "phone", "row_size": 4}, 4)],
)
async def test_the_device_sets_the_row_size_unless_it_is_given(
    client: httpx.AsyncClient, asked: dict[str, object], row_size: int
) -> None:
    page = await post(client, "/v1/homepage", **asked)
    assert row_size / 2 <= len(page["rows"][0]["items"]) <= row_size
    assert len((await post(client, "/v1/homepage", **asked, n_rows=1))["rows"]) == 1


async def test_a_hide_changes_the_page_at_once(client: httpx.AsyncClient) -> None:
    await record(client, "u1", ("book-0", "like"), ("book-16", "like"))
    hidden = on_page(await post(client, "/v1/homepage", user_id="u1"))[0]
    await record(client, "u1", (hidden, "hide"))
    for exclude_seen in (True, False):
        assert hidden not in on_page(await post(client, "/v1/homepage", user_id="u1", exclude_seen=exclude_seen))


async def test_similar_items_are_alike(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/similar", item_ids=["book-0", "book-1"], count=6, include_properties=["shelf"])
    assert {item["properties"]["shelf"] for item in found["items"]} == {"Fantasy"}
    assert set(ids(found)) == set(FANTASY[2:])


async def test_similar_items_leave_out_what_the_user_has_seen_or_hidden(client: httpx.AsyncClient) -> None:
    await record(client, "u1", ("book-2", "view"), ("book-3", "hide"))
    found = await post(client, "/v1/similar", item_ids=["book-0"], user_id="u1", count=5)
    assert set(ids(found)) == set(FANTASY) - {"book-0", "book-2", "book-3"}
    assert codes(found) == []


@pytest.mark.parametrize(
    ("item_ids", "user_id", "n_items", "expected"),
    [
        (["no such book"], None, 0, ["unknown_items"]),
        (["book-0", "no such book"], None, 5, ["unknown_items"]),
        (["book-0"], "nobody", 5, ["unknown_user"]),
    ],
)
async def test_similar_says_what_it_could_not_use(
    client: httpx.AsyncClient, item_ids: list[str], user_id: str | None, n_items: int, expected: list[str]
) -> None:
    found = await post(client, "/v1/similar", item_ids=item_ids, user_id=user_id, count=5)
    assert len(found["items"]) == n_items
    assert codes(found) == expected


@pytest.mark.parametrize("weight", [1e-6, 1e-7, 1e-25, 1e-30, 1e-44, -1e-25])
@pytest.mark.parametrize("stored", [True, False])
async def test_however_small_a_weight_scores_are_numbers(
    client: httpx.AsyncClient, weight: float, stored: bool
) -> None:
    counts = weight >= 1e-6
    who: dict[str, Any] = {"history": [{"item_id": "book-0", "weight": weight}]}
    if stored:
        event = {"user_id": "u1", "item_id": "book-0", "kind": "like", "weight": weight}
        assert (await client.post("/v1/events", json={"events": [event]})).status_code == 202
        who = {"user_id": "u1"}
        assert (await post(client, "/v1/similar", user_id="u1", item_ids=["book-9"]))["items"]
    for path in ("/v1/recommend", "/v1/segments/sfantasy/items"):
        found = await post(client, path, **who)
        assert found["items"]
        assert all(isinstance(item["score"], float) and item["score"] > 0 for item in found["items"])
        assert codes(found) == ([] if counts else ["popular_fallback"])
    for row in (await post(client, "/v1/homepage", **who))["rows"]:
        assert all(isinstance(one["score"], float) for one in (row, *row["items"]))
    for segment in (await post(client, "/v1/segments/recommend", **who))["segments"]:
        assert isinstance(segment["score"], float)


async def test_without_a_store_the_history_sent_along_serves(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr(f"unix://{tmp_path}/no.sock")})
    async with serving(away) as client:
        for path in ("/v1/recommend", "/v1/homepage", "/v1/segments/recommend", "/v1/segments/sfantasy/items"):
            found = await post(client, path, user_id="u1", history=liked("book-0"))
            assert (found["degraded"], codes(found)) == (True, ["store_unavailable"])
            alone = await post(client, path, user_id="u1")
            assert (alone["degraded"], codes(alone)) == (True, ["store_unavailable", "popular_fallback"])
            anonymous = await post(client, path, history=liked("book-0"))
            assert (anonymous["degraded"], codes(anonymous)) == (False, [])
        found = await post(client, "/v1/similar", user_id="u1", item_ids=["book-0"])
        assert (found["degraded"], codes(found)) == (True, ["store_unavailable"])


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/homepage", "/v1/similar", "/v1/segments/recommend"])
async def test_before_anything_is_published_the_answer_is_503(settings: Settings, tmp_path: Path, path: str) -> None:
    empty = settings.model_copy(update={"snapshots": tmp_path / "empty"})
    async with serving(empty) as client:
        answer = await client.post(path, json={"item_ids": ["book-0"]} if path == "/v1/similar" else {})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"].isdecimal()
    assert answer.json()["type"] == "urn:sparrow:unavailable"


REFUSED: list[tuple[str, str, str]] = [
    ("/v1/recommend", '{"count": 0}', "body.count"),
    ("/v1/recommend", '{"count": 1001}', "body.count"),
    ("/v1/recommend", '{"count": "10"}', "body.count"),
    ("/v1/recommend", '{"count": true}', "body.count"),
    ("/v1/recommend", '{"colour": "red"}', "body.colour"),
    ("/v1/recommend", '{"user_id": ""}', "body.user_id"),
    ("/v1/recommend", '{"user_id": 7}', "body.user_id"),
    ("/v1/recommend", '{"user_id": "\\ud800"}', "body.user_id"),
    ("/v1/recommend", '{"user_id": "' + "\u00fc" * 129 + '"}', "body.user_id"),
    ("/v1/recommend", '{"history": [{"item_id": "1", "weight": NaN}]}', "body.history.0.weight"),
    ("/v1/recommend", '{"history": [{"item_id": "1", "weight": 1e999}]}', "body.history.0.weight"),
    ("/v1/recommend", '{"history": [{"item_id": "1", "weight": 101}]}', "body.history.0.weight"),
    ("/v1/recommend", '{"history": [{"item_id": "1", "kind": "love"}]}', "body.history.0.kind"),
    ("/v1/recommend", '{"history": [{"item_id": "1", "timestamp": 1763700000000}]}', "body.history.0.timestamp"),
    ("/v1/recommend", '{"history": [{}]}', "body.history.0.item_id"),
    ("/v1/recommend", '{"exclude_seen": "yes"}', "body.exclude_seen"),
    ("/v1/recommend", '{"include_properties": ["\\ud800"]}', "body.include_properties"),
    ("/v1/recommend", "[1]", "body"),
    ("/v1/homepage", '{"n_rows": 51}', "body.n_rows"),
    ("/v1/homepage", '{"row_size": 101}', "body.row_size"),
    ("/v1/homepage", '{"max_overlap": 1.5}', "body.max_overlap"),
    ("/v1/homepage", '{"device": "watch"}', "body.device"),
    ("/v1/homepage", '{"count": 5}', "body.count"),
    ("/v1/similar", "{}", "body.item_ids"),
    ("/v1/similar", '{"item_ids": []}', "body.item_ids"),
    ("/v1/segments/recommend", '{"include_properties": true}', "body.include_properties"),
]


@pytest.mark.parametrize(("path", "body", "field"), REFUSED)
async def test_bad_input_is_refused_by_name(client: httpx.AsyncClient, path: str, body: str, field: str) -> None:
    answer = await client.post(path, content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"].startswith(field)


@pytest.mark.parametrize("field", ["history", "exclude_ids"])
async def test_lists_are_bounded(client: httpx.AsyncClient, field: str) -> None:
    entry: object = {"item_id": "book-0"} if field == "history" else "book-0"
    await post(client, "/v1/recommend", **{field: [entry] * 1000})
    answer = await client.post("/v1/recommend", json={field: [entry] * 1001})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"body.{field}")


@hypothesis_settings(deadline=None, max_examples=200)
@given(st.text(st.characters(), max_size=300))
@example(".")
@example("..")
def test_an_id_is_accepted_exactly_if_it_has_1_to_256_bytes(text: str) -> None:
    """Of a user it must not be one of the two that no path can name."""
    good = 1 <= len(text.encode("utf-8", "surrogatepass")) <= 256 and not any("\ud800" <= c <= "\udfff" for c in text)
    assert accepts({"exclude_ids": [text]}) == good
    assert accepts({"user_id": text}) == (good and text not in (".", ".."))


def accepts(body: dict[str, object]) -> bool:
    try:
        RecommendRequest.model_validate(body)
    except ValidationError:
        return False
    return True


def test_a_layout_is_the_devices_unless_it_is_given() -> None:
    assert HomepageRequest(device="tablet").size().row_size == 9
    assert HomepageRequest(device="tablet", n_rows=3).size().n_rows == 3
