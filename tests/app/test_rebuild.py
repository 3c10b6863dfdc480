"""A flushed Redis gets back what the log knows: what it held, and nobody who was forgotten."""

import asyncio
import json
import random
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis

from app import log_files, rebuilding
from app.__main__ import main
from app.collector import drain
from app.rebuilding import Rebuilt, groups
from app.replay import Row, replay
from app.settings import Settings
from app.store.clients import open_store
from app.store.events import Event
from app.store.keys import user_keys
from app.store.merging import Bounds
from app.store.restoring import Outcome, restore
from app.store.streams import Entry
from app.store.users import Interaction
from tests.app.conftest import RedisServer
from tests.app.stores import logging_of, opened

pytestmark = pytest.mark.anyio

NAMES = string.ascii_lowercase[:6]

KINDS = ("impression", "view", "like", "hide")

SMALL = {"history_limit": 5, "seen_limit": 8, "hidden_limit": 3}


def event(user: str, number: int, at: float | None = None, *, kind: str = "like", weight: float = 1.0) -> Event:
    return Event(user, Interaction(f"i{number}", kind, weight, 1e9 + number if at is None else at), None)


def held(redis: Redis, users: Sequence[str] = NAMES) -> dict[str, list[Any]]:
    """Histories, seen and hidden items as they are stored."""
    return {user: [redis.get(key) for key in user_keys(user)[:3]] for user in users}


def drained(settings: Settings, log: Path) -> None:
    with open_store(settings) as client:
        drain(client, log)


async def rebuild(settings: Settings, log: Path) -> Rebuilt:
    shares: list[float] = []
    done = await rebuilding.rebuild(settings, log, shares.append)
    assert sum(shares) == pytest.approx(1)
    return done


def flush_users(redis: Redis) -> None:
    """What FLUSHALL leaves where the collector was in time: nothing. Streams that it was not in time for are kept."""
    for key in redis.scan_iter():
        if not key.endswith(b":log"):
            redis.delete(key)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["event"] * 6 + ["delete", "merge", "drain"]),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(0, 9),
        st.sampled_from(KINDS),
    ),
    max_size=40,
)


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
async def test_a_flushed_store_is_what_it_was(
    redis_url: str, redis: Redis, tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str, str, int, str]]
) -> None:
    redis.flushall()
    settings, log = logging_of(redis_url, **SMALL), tmp_path_factory.mktemp("log")
    async with opened(settings) as users:
        for number, (act, one, other, item, kind) in enumerate(acts):
            if act == "event":
                at = 1e9 + number - 3 * (number % 4)  # not all come in order
                await users.record([Event(one, Interaction(f"i{item}", kind, 1.0, at), None)])
            elif act == "delete":
                await users.delete(one)
            elif act == "merge" and one != other:
                await users.merge(one, other)
                await asyncio.sleep(0.002)  # order across partitions is known to the millisecond
            elif act == "drain":
                drained(settings, log)
            if act == "delete":
                await asyncio.sleep(0.002)
    before = held(redis)
    assert (await rebuild(settings, log)).users.restored == 0
    assert held(redis) == before
    flush_users(redis)
    once = await rebuild(settings, log)
    assert held(redis) == before
    assert once.users.restored == sum(any(values) for values in before.values())
    assert (await rebuild(settings, log)).users == Outcome(whole=once.users.restored)
    assert held(redis) == before


async def test_it_goes_by_passes_and_merged_users_stay_together(
    redis_url: str, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "ROWS", 10)
    settings, chance = logging_of(redis_url), random.Random(1)
    names = [f"u{number}" for number in range(40)]
    async with opened(settings) as users:
        await users.record([event(chance.choice(names), number) for number in range(200)])
        await asyncio.sleep(0.002)
        for number in range(0, 40, 2):
            await users.merge(names[number], names[number + 1])
            await asyncio.sleep(0.002)
        await users.merge(names[0], names[2])
    before = held(redis, names)
    drained(settings, tmp_path)
    redis.flushall()
    done = await rebuild(settings, tmp_path)
    assert done.events == 200
    assert done.undrained == 0
    assert held(redis, names) == before


async def test_events_that_come_in_meanwhile_are_kept(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    settings = logging_of(redis_url)
    async with opened(settings) as users:
        for start in range(0, 300, 100):
            await users.record([event(NAMES[number % 6], number) for number in range(start, start + 100)])
        drained(settings, tmp_path)
        redis.flushall()

        async def coming() -> None:
            for number in range(300, 400):
                await users.record([event(NAMES[number % 6], number)])

        await asyncio.gather(coming(), rebuild(settings, tmp_path))
        for at, name in enumerate(NAMES):
            state = await users.read(name)
            assert {one.item_id for one in state.history} == {f"i{number}" for number in range(at, 400, 6)}


async def test_who_is_forgotten_while_it_runs_stays_forgotten(
    any_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = logging_of(any_redis.url)
    async with opened(settings) as users:
        await users.record([event("a", 1), event("b", 2), event("c", 3)])
        drained(settings, tmp_path)
        with any_redis.client() as redis:
            redis.flushall()

        async def later(*given: Any) -> Outcome:
            await users.delete("a")
            await users.merge("c", "b")
            return await restore(*given)

        monkeypatch.setattr("app.rebuilding.restore", later)
        assert (await rebuild(settings, tmp_path)).users == Outcome(restored=1, gone=2)
        assert [(await users.read(name)).empty for name in "abc"] == [True, True, False]


async def test_time_to_live_goes_on_where_it_was(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    settings = logging_of(redis_url, user_ttl_days=1)
    async with opened(settings) as users:
        await users.record([event("a", 1), event("b", 2)])
    drained(settings, tmp_path)
    (path,) = log_files.files(tmp_path)
    frame = log_files.scan(tmp_path).collect()
    path.unlink()
    hour = 3_600_000
    shift = {"a": 25 * hour, "b": 20 * hour}
    for row in frame.iter_rows(named=True):
        said = {name: row[name] for name in ("op", "user_id", "item_id", "kind", "weight", "timestamp")}
        ms = row["recorded_ms"] - shift[row["user_id"]]
        log_files.add(tmp_path, [Entry(row["partition"], ms, row["recorded_number"], said)])
    redis.flushall()
    assert (await rebuild(settings, tmp_path)).users == Outcome(restored=1)
    assert 3 * 3600 < redis.ttl(user_keys("b").history) <= 4 * 3600


def test_files_that_are_compacted_while_they_are_read_are_read_anew(tmp_path: Path) -> None:
    for ms in range(3):
        said = {"op": "event", "user_id": "u", "item_id": f"i{ms}", "kind": "like", "weight": 1.0, "timestamp": 1e9}
        log_files.add(tmp_path, [Entry(0, ms, 0, said)])
    tries = []

    def make() -> pl.LazyFrame:
        tries.append(log_files.scan(tmp_path))
        log_files.compact(tmp_path, 1e9)  # after the files were listed
        return tries[-1]

    assert rebuilding._read(make)["item_id"].sort().to_list() == ["i0", "i1", "i2"]
    assert len(tries) == 2


def test_a_user_who_was_forgotten_by_time_begins_anew() -> None:
    day = 86_400_000

    def row(ms: int, item: str) -> Row:
        return Row("event", "u", None, ms, item, "like", 1.0, 1e9)

    past = replay([row(0, "a"), row(2 * day, "b"), row(2 * day + 1, "c")], Bounds(9, 9, 9), 86_400)["u"]
    assert len(past.values(Bounds(9, 9, 9)).seen) == 2 * 16


def test_groups_are_of_all_who_were_merged() -> None:
    names = groups(iter([("a", "b"), ("c", "d"), ("b", "c"), ("x", "y"), ("a", "d")]))
    assert {names.get(user, user) for user in "abcd"} == {"a"}
    assert {names.get(user, user) for user in "xy"} == {"x"}
    assert names.get("z", "z") == "z"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sparrow-serve", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_the_command_says_what_it_did(
    redis_url: str, redis: Redis, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = logging_of(redis_url)
    monkeypatch.setenv("SPARROW_REDIS_URL", redis_url)

    async def record() -> None:
        async with opened(settings) as users:
            await users.record([event("a", 1), event("a", 2), event("b", 3)])

    asyncio.run(record())
    drained(settings, tmp_path)
    redis.flushall()
    code, out, _ = command("rebuild", "--log", str(tmp_path), "--json")
    assert code == 0
    assert json.loads(out) == {"events": 3, "undrained": 0, "restored": 2, "whole": 0, "gone": 0}
    code, out, _ = command("rebuild", "--log", str(tmp_path))
    assert "steering" in out
    assert "users who missed nothing                2" in out
    code, _, err = command("rebuild", "--log", str(tmp_path / "none"))
    assert (code, "there is no event log" in err) == (1, True)
    code, out, _ = command("compact", "--log", str(tmp_path))
    assert (code, "dropped" in out) == (0, True)


def test_a_redis_that_is_away_is_said(tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARROW_REDIS_URL", f"unix://{tmp_path}/none")
    code, _, err = command("rebuild", "--log", str(tmp_path))
    assert code == 1
    assert err.startswith("Error: the store does not answer")
