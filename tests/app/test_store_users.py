import asyncio
import string
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from redis import Redis

from app.metrics import Metrics
from app.settings import Settings
from app.store.events import BATCH
from app.store.keys import PARTITIONS, event_key, user_keys
from app.store.users import Event, EventResult, Interaction, StoreUnavailable, Users
from index.vocabulary import hash_id
from tests.app.stores import opened, settings_of

pytestmark = pytest.mark.anyio

DAY = 86_400

WITH_REDIS = hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""Examples share the server; each begins with an empty one."""


@pytest.fixture
async def users(redis_url: str) -> AsyncIterator[Users]:
    async with opened(settings_of(redis_url)) as users:
        yield users


def event(
    item_id: str,
    at: float = 1e9,
    *,
    user: str = "u",
    kind: str = "like",
    weight: float = 1.0,
    event_id: str | None = None,
) -> Event:
    return Event(user, Interaction(item_id, kind, weight, at), event_id)


def hashes(item_ids: Sequence[str]) -> set[int]:
    return {hash_id(item_id) for item_id in item_ids}


class Oracle:
    """What the store must hold, in the plainest words."""

    def __init__(self, history_limit: int, seen_limit: int, hidden_limit: int) -> None:
        self.limits = (history_limit, seen_limit, hidden_limit)
        self.history: list[Interaction] = []
        self.times: tuple[dict[str, float], dict[str, float]] = ({}, {})
        self.event_ids: set[str] = set()

    def record(self, event: Event) -> EventResult:
        if event.event_id is not None and event.event_id in self.event_ids:
            return "duplicate"
        if event.event_id is not None:
            self.event_ids.add(event.event_id)
        one = event.interaction
        if one.weight:
            self.history.append(one)
        for times, counts in zip(self.times, (one.kind != "impression", one.kind in ("dislike", "hide")), strict=True):
            if counts and one.timestamp > times.get(one.item_id, 0):
                times.pop(one.item_id, None)  # dicts keep the order of arrival
                times[one.item_id] = one.timestamp
        return "accepted"

    def trim(self) -> None:
        """As after each request; sorted() keeps the order of arrival where times are equal."""
        self.history = sorted(self.history, key=lambda one: one.timestamp)[-self.limits[0] :]
        for times, limit in zip(self.times, self.limits[1:], strict=True):
            for item_id in sorted(times, key=lambda item_id: times[item_id])[:-limit]:
                del times[item_id]

    def newest_first(self) -> tuple[Interaction, ...]:
        return tuple(reversed(self.history))


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["a", "b", "cc", "d" * 200, "\u00e9", "f"]),
        st.integers(0, 6).map(lambda step: 1e9 + step / 4),
        user=st.sampled_from(["u", "v"]),
        kind=st.sampled_from(["impression", "view", "like", "hide", "dislike"]),
        weight=st.sampled_from([0.0, 0.3, -0.5, 1.0]),
        event_id=st.none() | st.sampled_from(["1", "2", "3"]),
    ),
    min_size=1,
    max_size=12,
)


@WITH_REDIS
@given(st.lists(EVENTS, max_size=4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
async def test_the_store_holds_what_the_oracle_holds(
    redis: Redis, redis_url: str, requests: list[list[Event]], history: int, more: int, hidden: int
) -> None:
    seen = history + more
    redis.flushdb()
    oracles = {user: Oracle(history, seen, hidden) for user in "uv"}
    settings = settings_of(redis_url, history_limit=history, seen_limit=seen, hidden_limit=hidden)
    async with opened(settings) as users:
        for events in requests:
            assert await users.record(events) == [oracles[one.user_id].record(one) for one in events]
            for oracle in oracles.values():
                oracle.trim()
        for user_id, oracle in oracles.items():
            state = await users.read(user_id)
            assert state.history == oracle.newest_first()
            for found, times in zip((state.seen, state.hidden), oracle.times, strict=True):
                assert found.tolist() == [hash_id(one) for one in sorted(times, key=lambda item_id: times[item_id])]


async def test_nothing_is_known_about_a_stranger(users: Users) -> None:
    state = await users.read("stranger")
    assert state.empty
    assert state.history == ()
    assert state.seen.dtype == state.hidden.dtype == np.uint64
    assert len(state.seen) == len(state.hidden) == 0


async def test_it_works_on_every_redis_of_this_machine(any_redis: Any) -> None:
    async with opened(settings_of(any_redis.url, history_limit=2)) as users:
        recorded = await users.record([event("a", 1e9), event("b", 3e9, kind="hide"), event("c", 2e9, event_id="1")])
        assert recorded == ["accepted"] * 3
        assert await users.record([event("c", 2e9, event_id="1")]) == ["duplicate"]
        state = await users.read("u")
        assert [one.item_id for one in state.history] == ["b", "c"]
        assert set(state.seen.tolist()) == hashes(["a", "b", "c"])
        assert set(state.hidden.tolist()) == hashes(["b"])
        await users.delete("u")


async def test_equal_timestamps_are_ordered_by_arrival_beyond_ten_and_over_requests(users: Users) -> None:
    item_ids = [f"item-{number}" for number in range(300)]
    for start in (0, 7, 150):
        end = {0: 7, 7: 150, 150: 300}[start]
        await users.record([event(item_id) for item_id in item_ids[start:end]])
    state = await users.read("u")
    assert [one.item_id for one in state.history] == item_ids[::-1][:200]


async def test_an_old_event_takes_its_place_in_time_and_pushes_out_nothing_newer(redis_url: str) -> None:
    async with opened(settings_of(redis_url, history_limit=2)) as users:
        await users.record([event("new", 30), event("newer", 40)])
        await users.record([event("old", 20)])
        assert [one.item_id for one in (await users.read("u")).history] == ["newer", "new"]


async def test_results_keep_the_order_of_the_request_over_users_and_batches(users: Users) -> None:
    events = [event(f"i{n}", user="u" if n % 3 else "v", event_id=f"e{n // 2}") for n in range(3 * BATCH)]
    expected: list[EventResult] = []
    known: set[tuple[str, str | None]] = set()
    for one in events:
        expected.append("duplicate" if (one.user_id, one.event_id) in known else "accepted")
        known.add((one.user_id, one.event_id))
    assert "duplicate" in expected
    assert await users.record(events) == expected


async def test_an_event_id_counts_for_one_user_and_for_24_hours(users: Users, redis: Redis) -> None:
    assert await users.record([event("a", user="u", event_id="x"), event("a", user="v", event_id="x")]) == [
        "accepted",
        "accepted",
    ]
    assert await users.record([event("b", user="u", event_id="x")]) == ["duplicate"]
    assert DAY - 60 < redis.ttl(event_key("u", "x")) <= DAY
    redis.delete(event_key("u", "x"))
    assert await users.record([event("b", user="u", event_id="x")]) == ["accepted"]


async def test_every_key_has_a_bound_a_ttl_and_the_hash_tag_of_its_user(redis_url: str, redis: Redis) -> None:
    settings = settings_of(redis_url, history_limit=3, seen_limit=4, hidden_limit=2, user_ttl_days=2)
    async with opened(settings) as users:
        await users.record([event(f"i{n}", 1e9 + n, kind="hide", event_id=f"e{n}") for n in range(20)])
        keys = user_keys("u")
        assert [redis.strlen(key) for key in keys[:3]] == [4 + 3 * 28 + 3 * len("i19"), 4 * 16, 2 * 16]
        stored: set[Any] = set(redis.keys())
        assert stored == {*keys[:3], *(event_key("u", f"e{n}") for n in range(20))}
        tags = {key[key.index(b"{") : key.index(b"}") + 1] for key in stored}
        assert len(tags) == 1
        for key in stored:
            redis.persist(key)
        # A repeat changes nothing and still says that the user is alive.
        await users.record([event("i1", event_id="e1")])
        assert all(2 * DAY - 60 < redis.ttl(key) <= 2 * DAY for key in keys[:3])


async def test_deleting_removes_everything_and_leaves_no_trace_of_the_id(users: Users, redis: Redis) -> None:
    user_id = "somebody@example.org"
    await users.record([event("a", user=user_id, event_id="x"), event("b", user=user_id, kind="hide")])
    await users.delete(user_id)
    await users.delete(user_id)
    assert (await users.read(user_id)).empty
    assert redis.keys() == [event_key(user_id, "x")]
    assert user_id.encode() not in event_key(user_id, "x")


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text(
    "{}:\0\n u" + string.digits, min_size=1, max_size=20
)


@given(one=IDS, other=IDS)
def test_keys_of_users_never_meet(one: str, other: str) -> None:
    keys, others = user_keys(one), user_keys(other)
    assert len(set(keys)) == len(keys)
    assert (set(keys) == set(others)) == (one == other)
    assert bool(set(keys) & set(others)) == (one == other)
    # Redis Cluster takes what stands between the first { and the next }.
    assert {key.split(b"{", 1)[1].split(b"}", 1)[0] for key in keys} == {b"%d" % (hash_id(one) % PARTITIONS)}


@given(st.tuples(IDS, IDS), st.tuples(IDS, IDS))
def test_event_keys_tell_users_and_ids_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (event_key(*one) == event_key(*other)) == (one == other)
    assert event_key(*one).rsplit(b":", 1)[1] != event_key(one[0] + one[1][:1], one[1][1:]).rsplit(b":", 1)[1]
    assert event_key(*one).startswith(user_keys(one[0]).history[: len(b"sparrow:{")])


@WITH_REDIS
@given(user_id=IDS, item_id=IDS, event_id=IDS)
async def test_ids_come_back_as_they_were(
    users: Users, redis: Redis, user_id: str, item_id: str, event_id: str
) -> None:
    redis.flushdb()
    assert await users.record([event(item_id, 1.25e9, user=user_id, event_id=event_id)]) == ["accepted"]
    state = await users.read(user_id)
    assert state.history == (Interaction(item_id, "like", 1.0, 1.25e9),)
    assert state.seen.tolist() == [hash_id(item_id)]


async def test_reading_is_one_round_trip(redis_url: str, users: Users) -> None:
    await users.record([event(f"i{n}", kind="hide") for n in range(50)])
    async with counting(redis_url) as (url, requests), opened(settings_of(url)) as through:
        await through.read("u")  # opens the connection
        for _ in range(3):
            requests.clear()
            state = await through.read("u")
            assert len(state.history) == len(state.seen) == len(state.hidden) == 50
            assert len(requests) == 1
            assert b"MULTI" not in requests[0], "a transaction would make Redis wait with all of it"


async def test_recording_for_many_users_is_one_round_trip(redis_url: str) -> None:
    async with counting(redis_url) as (url, requests), opened(settings_of(url)) as through:
        await through.record([event("a")])  # opens the connection and loads the script
        requests.clear()
        await through.record([event(f"i{n}", user=f"u{n % 10}") for n in range(50)])
        assert len(requests) == 1


@asynccontextmanager
async def counting(redis_url: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A relay to Redis on a port, and what clients sent since the list was cleared, one entry a time they waited."""
    requests: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(redis_url.removeprefix("unix://"))

        async def upwards() -> None:
            while data := await reader.read(2**20):
                requests.append(data)
                to_redis.write(data)

        async def downwards() -> None:
            while data := await from_redis.read(2**20):
                writer.write(data)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.gather(upwards(), downwards())
        for one in (to_redis, writer):
            one.close()
            await one.wait_closed()

    relays: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(
        lambda reader, writer: relays.append(asyncio.create_task(relay(reader, writer))), "127.0.0.1", 0
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"redis://127.0.0.1:{port}", requests
        for task in relays:
            task.cancel()
        await asyncio.gather(*relays)


CALLS: dict[str, Callable[[Users], Any]] = {
    "read": lambda users: users.read("u"),
    "record": lambda users: users.record([event("a")]),
    "delete": lambda users: users.delete("u"),
    "ping": lambda users: users.ping(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere/redis.sock"])
async def test_a_store_that_was_never_there_is_unavailable(call: Callable[[Users], Any], url: str) -> None:
    async with opened(settings_of(url)) as users:
        with pytest.raises(StoreUnavailable):
            await call(users)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_store_that_goes_is_unavailable_and_is_used_again_when_it_is_back(
    redis_server: Any, call: Callable[[Users], Any]
) -> None:
    async with opened(settings_of(redis_server.url)) as users:
        await asyncio.gather(*(call(users) for _ in range(5)))
        redis_server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await call(users)
        redis_server.start()
        # At once, with connections that were open before, and with a script that the new server does not know.
        await asyncio.gather(*(call(users) for _ in range(5)))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_store_that_hangs_is_given_up(redis_server: Any, call: Callable[[Users], Any]) -> None:
    async with opened(settings_of(redis_server.url, store_timeout_ms=50)) as users:
        await call(users)
        redis_server.freeze()
        with pytest.raises(StoreUnavailable):
            await call(users)


async def test_a_full_store_refuses_events_and_changes_nothing(redis_server: Any) -> None:
    async with opened(settings_of(redis_server.url)) as users:
        await users.record([event("a", event_id="1")])
        with redis_server.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(StoreUnavailable):
                await users.record([event("b", event_id="2")])
            client.config_set("maxmemory", 0)
        assert await users.record([event("b", event_id="2")]) == ["accepted"]
        assert [one.item_id for one in (await users.read("u")).history] == ["b", "a"]


async def test_a_forgotten_script_is_loaded_again(users: Users, redis: Redis) -> None:
    await users.record([event("a")])
    redis.script_flush()
    assert await users.record([event("b", user=f"u{n}") for n in range(3)]) == ["accepted"] * 3


async def test_each_outage_is_counted_and_logged_once(redis_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "app.store")
    metrics = Metrics()
    users = Users(settings_of(redis_server.url), metrics)
    redis_server.kill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await users.read("u")
    redis_server.start()
    await users.read("u")
    await users.close()
    assert b"sparrow_store_errors_total 3.0" in metrics.exposition()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_store_needs_an_address() -> None:
    with pytest.raises(ValueError, match="SPARROW_REDIS_URL"):
        Users(Settings(redis_url=None), Metrics())


def test_the_address_is_not_shown() -> None:
    assert "hunter2" not in repr(Settings(redis_url=SecretStr("redis://:hunter2@host")))


async def test_timestamps_keep_their_microseconds(users: Users) -> None:
    now = time.time()
    await users.record([event("a", now)])
    assert (await users.read("u")).history[0].timestamp == now


async def test_a_full_redis_is_logged_once_though_it_can_be_read(
    redis_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app.store")
    silent = event("b", kind="impression", weight=0.0)
    async with opened(settings_of(redis_server.url)) as users:
        await users.record([event("a")])
        with redis_server.client() as client:
            client.config_set("maxmemory", 1)
            for _ in range(5):
                with pytest.raises(StoreUnavailable):
                    await users.record([event("b")])
                assert (await users.read("u")).history
                await users.ping()
                await users.delete("stranger")
                assert await users.record([silent]) == ["accepted"], "takes no memory"
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert "recording" in caplog.text
            assert "OutOfMemory" in caplog.text
            client.config_set("maxmemory", 0)
        await users.record([event("b")])
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
