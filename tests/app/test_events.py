import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.attribution import hash_name, read
from app.routes.events import FOREIGN, MAX_AHEAD_SECONDS, refusal
from app.settings import EVENT_WEIGHTS, Settings

pytestmark = pytest.mark.anyio


def event(**changed: Any) -> dict[str, Any]:
    return {"user_id": "u", "item_id": "book-1", "kind": "like", **changed}


async def post(client: httpx.AsyncClient, *events: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post("/v1/events", json={"events": events})
    assert answer.status_code == 202, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def history(client: httpx.AsyncClient, user_id: str = "u") -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/users/{user_id}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["history"]
    return found


async def test_each_event_has_its_result_in_order(client: httpx.AsyncClient) -> None:
    results = await post(
        client,
        event(event_id="1"),
        event(item_id="no such book"),
        event(timestamp=time.time() + 3600),
        event(event_id="1"),
        event(item_id="no such book", event_id="2"),
        event(item_id="no such book", event_id="2"),
    )
    statuses = [result["status"] for result in results]
    assert statuses == ["accepted", "unknown_item", "refused", "duplicate", "unknown_item", "duplicate"]
    assert ["detail" in result for result in results] == [False, False, True, False, False, False]


async def test_the_next_request_sees_what_was_posted(client: httpx.AsyncClient) -> None:
    before = time.time()
    await post(client, event(item_id="book-2", timestamp=1e9), event(kind="view"))
    newest, oldest = await history(client)
    assert oldest == {"item_id": "book-2", "kind": "like", "weight": EVENT_WEIGHTS["like"], "timestamp": 1e9}
    assert newest["weight"] == EVENT_WEIGHTS["view"]
    assert before <= newest["timestamp"] <= time.time()


@pytest.mark.parametrize("weight", [0.25, -3, 100, -100])
async def test_a_weight_overrides_that_of_the_kind(client: httpx.AsyncClient, weight: float) -> None:
    await post(client, event(kind="purchase", weight=weight))
    assert [one["weight"] for one in await history(client)] == [weight]


async def test_a_weight_of_0_is_seen_and_not_scored(client: httpx.AsyncClient) -> None:
    await post(client, event(weight=0))
    answer = (await client.get("/v1/users/u")).json()
    assert (answer["history"], answer["n_seen"], answer["n_hidden"]) == ([], 1, 0)


@pytest.mark.parametrize("kind", EVENT_WEIGHTS)
async def test_what_each_kind_does(client: httpx.AsyncClient, kind: str) -> None:
    await post(client, event(kind=kind))
    answer = await client.get("/v1/users/u")
    if kind == "impression":
        assert answer.status_code == 404
    else:
        found = answer.json()
        assert [one["kind"] for one in found["history"]] == [kind]
        assert (found["n_seen"], found["n_hidden"]) == (1, int(kind in ("dislike", "hide")))


async def test_weights_of_kinds_are_a_setting(settings: Settings, serving: Any) -> None:
    changed = settings.model_copy(update={"event_weights": EVENT_WEIGHTS | {"view": 0.7, "impression": 0.1}})
    async with serving(changed) as client:
        await post(client, event(kind="view", timestamp=1.1e9), event(kind="impression", timestamp=1e9))
        assert [one["weight"] for one in await history(client)] == [0.7, 0.1]


@pytest.mark.parametrize(
    ("timestamp", "said"),
    [
        (None, None),
        (1e9, None),
        (946_684_800, None),
        (946_684_799, "before the year 2000"),
        (0, "before the year 2000"),
        (-1e300, "before the year 2000"),
        (1.7e9 + MAX_AHEAD_SECONDS, None),
        (1.7e9 + MAX_AHEAD_SECONDS + 1, "5 minutes ahead"),
        (1.6e12, "milliseconds"),
        (1e300, "5 minutes ahead"),
    ],
)
def test_which_timestamps_are_refused(timestamp: float | None, said: str | None) -> None:
    refused = refusal(timestamp, now=1.7e9)
    assert (refused is None) == (said is None)
    assert said is None or said in str(refused)


async def test_a_refused_event_stops_no_other_and_leaves_no_trace(client: httpx.AsyncClient) -> None:
    milliseconds = int(time.time() * 1000)
    results = await post(client, event(timestamp=milliseconds, event_id="1"), event(item_id="book-3", event_id="2"))
    assert [result["status"] for result in results] == ["refused", "accepted"]
    assert "milliseconds" in results[0]["detail"]
    assert [one["item_id"] for one in await history(client)] == ["book-3"]
    assert [result["status"] for result in await post(client, event(event_id="1"))] == ["accepted"]


async def test_only_refused_events_are_no_error(client: httpx.AsyncClient) -> None:
    assert [result["status"] for result in await post(client, event(timestamp=0))] == ["refused"]


BAD: dict[str, Any] = {
    "no events": {"events": []},
    "too many events": {"events": [event()] * 1001},
    "no body": None,
    "a list": [event()],
    "an unknown field": {"events": [event(device="phone")]},
    "an unknown field outside": {"events": [event()], "dry_run": True},
    "an unknown kind": {"events": [event(kind="loved")]},
    "no item": {"events": [{"user_id": "u", "kind": "like"}]},
    "an id that no path can name": {"events": [event(user_id="..")]},
    "an empty id": {"events": [event(user_id="")]},
    "a number for an id": {"events": [event(item_id=5)]},
    "a long id": {"events": [event(item_id="x" * 257)]},
    "an id that is long in UTF-8": {"events": [event(item_id="\u00e9" * 129)]},
    "a long event id": {"events": [event(event_id="x" * 257)]},
    "a string for a weight": {"events": [event(weight="1")]},
    "a bool for a weight": {"events": [event(weight=True)]},
    "a weight out of bounds": {"events": [event(weight=100.5)]},
    "a string for a time": {"events": [event(timestamp="2026-11-21")]},
    "one bad event of two": {"events": [event(), event(kind="")]},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
async def test_bad_requests_are_refused_as_a_whole(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("/v1/events", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "body" in answer.json()["detail"]
    assert (await client.get("/v1/users/u")).status_code == 404


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 400])
@pytest.mark.parametrize("field", ["weight", "timestamp"])
async def test_only_finite_numbers_are_taken(client: httpx.AsyncClient, field: str, number: str) -> None:
    body = json.dumps({"events": [event(**{field: 0})]}).replace(f'"{field}": 0', f'"{field}": {number}')
    answer = await client.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["detail"]


async def test_a_full_request_of_the_longest_ids_is_taken(client: httpx.AsyncClient) -> None:
    long = "\u00e9" * 128
    events = [event(user_id=long, item_id=long, event_id=f"{n:03}" + "x" * 253, recomm_id=long) for n in range(1000)]
    body = {"events": events}
    results = await client.post("/v1/events", json=body)
    assert results.status_code == 202, results.text
    assert [result["status"] for result in results.json()["results"]] == ["unknown_item"] * 1000


async def test_events_are_taken_before_anything_is_published(settings: Settings, serving: Any, tmp_path: Path) -> None:
    async with serving(settings.model_copy(update={"snapshots": tmp_path / "nothing"})) as client:
        assert await post(client, event(item_id="anything")) == [{"status": "accepted"}]


async def test_without_a_store_the_answer_says_so_and_when_to_come_again(settings: Settings, serving: Any) -> None:
    gone = Settings.model_validate({**settings.model_dump(), "redis_url": "unix:///nowhere/redis.sock"})
    async with serving(gone) as client:
        answer = await client.post("/v1/events", json={"events": [event()]})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert "event_id" in answer.json()["detail"]


async def test_what_becomes_of_events_is_counted(client: httpx.AsyncClient) -> None:
    await post(client, event(event_id="1"), event(event_id="1"), event(timestamp=0), event(item_id="?"))
    exposition = (await client.get("/metrics")).text
    for status in ("accepted", "duplicate", "refused", "unknown_item"):
        assert f'sparrow_events_total{{status="{status}"}} 1.0' in exposition


async def test_events_without_a_time_keep_their_order_at_the_bounds(settings: Settings, serving: Any) -> None:
    """Both ways round, since equal times are ordered by the hashes of items."""
    tight = settings.model_copy(update={"hidden_limit": 2, "seen_limit": 2, "history_limit": 2})
    books = [f"book-{number}" for number in range(6)]
    async with serving(tight) as client:
        for user_id, order in (("up", books), ("down", books[::-1])):
            await post(client, *(event(user_id=user_id, item_id=item_id, kind="hide") for item_id in order))
            answer = await client.post("/v1/recommend", json={"user_id": user_id, "count": 1000})
            found = {item["item_id"] for item in answer.json()["items"]}
            assert [item_id for item_id in order if item_id not in found] == order[-2:]


async def test_events_are_attributed_to_the_answer_that_they_name(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/v1/recommend", json={"user_id": "u", "count": 3, "scenario": "home-top"})).json()
    ours = answer["recomm_id"]
    found = read(ours)
    assert found is not None
    assert (found.scenario, found.version) == (hash_name("home-top", 2), hash_name(answer["index_version"], 4))
    results = await post(
        client,
        event(kind="click", recomm_id=ours, event_id="1"),
        event(kind="click", recomm_id=ours, event_id="1"),
        event(kind="purchase", recomm_id=ours),
        event(kind="purchase", recomm_id="of another service"),
        event(kind="click", item_id="no such book", recomm_id=ours),
        event(kind="click", timestamp=0, recomm_id=ours),
    )
    assert [one["status"] for one in results] == [
        "accepted", "duplicate", "accepted", "accepted", "unknown_item", "refused",
    ]  # fmt: skip
    assert [one.get("detail") for one in results[:5]] == [None, None, None, FOREIGN, None]
    exposition = (await client.get("/metrics")).text
    assert 'sparrow_attributed_events_total{kind="click"} 2.0' in exposition
    assert 'sparrow_attributed_events_total{kind="purchase"} 1.0' in exposition


@pytest.mark.parametrize("endpoint", ["/v1/recommend", "/v1/homepage", "/v1/segments/recommend"])
async def test_a_scenario_has_1_to_64_characters(client: httpx.AsyncClient, endpoint: str) -> None:
    for scenario, status in (("x" * 64, 200), ("x" * 65, 422), ("", 422), (5, 422)):
        assert (await client.post(endpoint, json={"scenario": scenario})).status_code == status
