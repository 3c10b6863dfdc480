"""What callers see when Redis is slow, hangs, breaks, refuses or forgets, and when several write at once."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from redis import Redis

from app.store.breaker import FAILURES
from app.store.users import Event, Interaction, StoreUnavailable, Users
from index.vocabulary import hash_id
from tests.app.stores import opened, settings_of

pytestmark = pytest.mark.anyio


def like(item_id: str, at: float = 1e9, *, user: str = "u", event_id: str | None = None) -> Event:
    return Event(user, Interaction(item_id, "like", 1.0, at), event_id)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1500):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came to hold")


async def available(users: Users) -> None:
    for _ in range(1500):
        with suppress(StoreUnavailable):
            await users.read("u")
            return
        await asyncio.sleep(0.01)
    pytest.fail("the store never came back")


# --- slow, hanging ----------------------------------------------------------------------------------------------------


async def test_a_slow_redis_is_waited_for(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await users.record([like("a")])
        redis.client_pause(200)
        states = await asyncio.gather(*(users.read("u") for _ in range(20)))
        assert [len(state.history) for state in states] == [1] * 20


async def test_a_redis_that_hangs_is_left_alone_and_nobody_waits_for_it_any_more(redis_server: Any) -> None:
    async with opened(settings_of(redis_server.url, store_timeout_ms=150)) as users:
        await users.record([like("a")])
        redis_server.freeze()
        for _ in range(FAILURES):
            with pytest.raises(StoreUnavailable):
                await users.read("u")
        assert users.connection.left_alone == 1
        started = asyncio.get_running_loop().time()
        for _ in range(100):
            with pytest.raises(StoreUnavailable):
                await users.read("u")
            with pytest.raises(StoreUnavailable):
                await users.record([like("b")])
        waited = asyncio.get_running_loop().time() - started
        assert waited < 100 * 0.15, "one time-out each would have been twice as long"
        redis_server._process.send_signal(signal.SIGCONT)
        await available(users)
        assert users.connection.left_alone == 0
        assert await users.record([like("b")]) == ["accepted"]


async def test_a_redis_that_is_not_there_is_left_alone_and_found_again(redis_server: Any) -> None:
    async with opened(settings_of(redis_server.url)) as users:
        await users.record([like("a")])
        for _ in range(2):
            redis_server.kill()
            for _ in range(2 * FAILURES):
                with pytest.raises(StoreUnavailable):
                    await users.read("u")
            assert users.connection.left_alone == 1
            redis_server.start()
            await available(users)


# --- connections that break -------------------------------------------------------------------------------------------


async def test_a_read_is_repeated_when_its_connection_breaks(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await users.record([like("a")])
        for _ in range(20):
            redis.client_kill_filter(_type="normal", skipme=True)
            assert len((await users.read("u")).history) == 1


class Relay:
    """Passes everything on to Redis; swallows the next reply to a script and hangs up when told to."""

    def __init__(self, redis_url: str) -> None:
        self.swallow = 0
        self._path = redis_url.removeprefix("unix://")
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(self._path)
        try:
            while data := await reader.read(2**20):
                to_redis.write(data)
                reply = await from_redis.read(2**20)
                if self.swallow and b"EVALSHA" in data:
                    self.swallow -= 1
                    return
                writer.write(reply)
        finally:
            to_redis.close()
            writer.close()
            for one in (to_redis, writer):
                with suppress(OSError):
                    await one.wait_closed()


async def test_events_with_an_id_are_sent_again_and_count_once(redis_url: str) -> None:
    relay = Relay(redis_url)
    async with relay.listening() as url, opened(settings_of(url)) as users:
        await users.record([like("a")])
        relay.swallow = 1
        events = [like("b", event_id="1"), like("c", event_id="2")]
        assert await users.record(events) == ["duplicate", "duplicate"], "recorded before the connection broke"
        assert [one.item_id for one in (await users.read("u")).history] == ["c", "b", "a"]


async def test_events_without_an_id_are_not_sent_again(redis_url: str) -> None:
    relay = Relay(redis_url)
    async with relay.listening() as url, opened(settings_of(url)) as users:
        await users.record([like("a")])
        for events in ([like("b")], [like("c", event_id="1"), like("d")]):
            relay.swallow = 1
            with pytest.raises(StoreUnavailable):
                await users.record(events)
        assert [one.item_id for one in (await users.read("u")).history] == ["d", "c", "b", "a"], "each of them once"


# --- refusals and forgetting ------------------------------------------------------------------------------------------


async def test_a_replica_is_read_and_refuses_events_until_it_is_the_master(redis_server: Any) -> None:
    async with opened(settings_of(redis_server.url)) as users:
        await users.record([like("a")])
        with redis_server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            client.config_set("replica-serve-stale-data", "yes")
            with pytest.raises(StoreUnavailable):
                await users.record([like("b")])
            assert len((await users.read("u")).history) == 1
            client.execute_command("REPLICAOF", "NO", "ONE")
        assert await users.record([like("b")]) == ["accepted"]


async def test_what_is_flushed_is_gone_and_the_store_goes_on(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        await users.record([like("a", event_id="1")])
        redis.flushall()
        redis.script_flush()
        assert (await users.read("u")).empty
        assert await users.record([like("a", event_id="1")]) == ["accepted"]


async def test_a_full_redis_can_be_read_and_forgets_and_keeps_steering(redis_server: Any) -> None:
    async with opened(settings_of(redis_server.url)) as users:
        await users.record([like("a"), like("a", user="v")])
        await users.steer("u", {"s": 1.0})
        with redis_server.client() as client:
            client.config_set("maxmemory", 1)
            for refused in (users.steer("u", {"t": 1.0}), users.merge("u", "v"), users.record([like("b")])):
                with pytest.raises(StoreUnavailable):
                    await refused
            state = await users.read("u")
            assert (len(state.history), dict(state.steering)) == (1, {"s": 1.0})
            assert len((await users.read("v")).history) == 1, "a merge that was refused loses nobody"
            await users.delete("u")
            assert (await users.read("u")).empty


# --- several at once --------------------------------------------------------------------------------------------------


async def test_an_event_is_visible_to_the_next_read_of_another_worker(redis_url: str) -> None:
    """10,000 trials over HTTP are `make faults`' work."""
    async with opened(settings_of(redis_url)) as one, opened(settings_of(redis_url)) as other:
        for number in range(500):
            writer, reader = (one, other) if number % 2 else (other, one)
            await writer.record([like(f"i{number}", 1e9 + number, event_id=f"{number}")])
            assert (await reader.read("u")).history[0].item_id == f"i{number}"


async def test_workers_that_write_at_once_lose_nothing(redis_url: str) -> None:
    async with opened(settings_of(redis_url)) as one, opened(settings_of(redis_url)) as other:

        async def write(users: Users, worker: int) -> None:
            for number in range(0, 90, 3):
                events = [like(f"{worker}-{number + n}", 1e9 + number + n, event_id=f"e{number + n}") for n in range(3)]
                await users.record([*events, like("both", 1e9, user="v", event_id=f"{worker}-{number}")])

        await asyncio.gather(write(one, 1), write(other, 2), write(one, 3))
        state = await one.read("u")
        assert sorted(float(time) for time in state.history.times) == [1e9 + n for n in range(90)], "each id once"  # type: ignore[attr-defined]
        assert set(state.seen.tolist()) == {hash_id(event.item_id) for event in state.history}
        assert len((await one.read("v")).history) == 90


async def test_a_merge_keeps_what_comes_in_meanwhile(redis_url: str) -> None:
    async with (
        opened(settings_of(redis_url, history_limit=1000)) as one,
        opened(settings_of(redis_url, history_limit=1000)) as other,
    ):
        await one.record([like(f"s{n}", 1e9 + n, user="source") for n in range(50)])

        async def write(user: str) -> None:
            for number in range(30):
                await other.record([like(f"{user}-{number}", 2e9 - 1e9 + number, user=user)])

        async def merge() -> None:
            done = 0
            while done < 5:
                with suppress(StoreUnavailable):  # too busy: repeating it is the caller's part
                    await one.merge("target", "source")
                    done += 1

        await asyncio.gather(write("target"), write("source"), merge())
        await one.merge("target", "source")
        kept = {event.item_id for event in (await one.read("target")).history}
        expected = {f"s{n}" for n in range(50)} | {f"{user}-{n}" for user in ("target", "source") for n in range(30)}
        assert kept == expected
        assert (await one.read("source")).empty


async def test_a_merge_that_was_cut_short_is_completed_by_the_next(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings_of(redis_url)) as users:
        await users.record([like("a", user="source"), like("b", user="target")])
        whole = users._forget
        cut: list[str] = []

        async def crash(user_id: str, *values: Any) -> bool:
            if user_id == "source" and not cut:
                cut.append(user_id)
                raise StoreUnavailable("as by a crash: the target is written, the source is not deleted")
            return await whole(user_id, *values)

        monkeypatch.setattr(users, "_forget", crash)
        with pytest.raises(StoreUnavailable):
            await users.merge("target", "source")
        assert len((await users.read("source")).history) == 1
        for _ in range(2):
            await users.merge("target", "source")
            assert sorted(one.item_id for one in (await users.read("target")).history) == ["a", "b"]
            assert (await users.read("source")).empty


async def test_what_was_served_is_kept_within_its_bound_and_for_its_own_time(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        for start in range(0, 1200, 100):
            await users.note_served("u", np.arange(start, start + 100, dtype=np.uint64), time.time() + start)
        await users.note_served("u", np.array([5, 1150], dtype=np.uint64), time.time() + 5000)
        state = await users.read("u", served=True)
        assert state.empty, "what was served tells nothing about the user's taste"
        assert state.served.hashes.tolist() == [*range(201, 1150), *range(1151, 1200), 5, 1150]
        assert len(state.served.times) == len(state.served.hashes)
        assert 6 * 86_400 < redis.ttl(next(iter(redis.keys()))) <= 7 * 86_400
        assert (await users.read("u")).served.hashes.tolist() == []
        await users.delete("u")
        assert redis.keys() == []
