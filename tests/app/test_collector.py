"""The event log: each change of a user's state is in it once, whatever is killed meanwhile."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from app import log_files
from app.collector import LogBusy, collect, drain, tend, writing
from app.erasure import erase
from app.store.binary import find_binary
from app.store.clients import open_store
from app.store.events import Event
from app.store.keys import PARTITIONS, log_key, partition
from app.store.process import RedisProcess
from app.store.streams import Entry
from app.store.users import Interaction, StoreUnavailable
from tests.app.conftest import RedisServer
from tests.app.stores import logging_of, opened

pytestmark = pytest.mark.anyio

EVENT = {"op": "event", "user_id": "u", "item_id": "a", "kind": "like", "weight": 1.0, "timestamp": 1e9}

DAY = 86_400_000


@contextmanager
def collector(redis_url: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPARROW_")}
    line = [sys.executable, "-m", "app.logcommands", "collect", "--log", str(log), "--every", "0.01"]
    process = subprocess.Popen(line, env={**kept, "SPARROW_REDIS_URL": redis_url}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("never")


def rows(log: Path) -> list[dict[str, Any]]:
    """All of them, in order of recording, repeats included."""
    return log_files.scan(log).sort("recorded_ms", "partition", "recorded_number").collect().to_dicts()


def items(log: Path) -> list[str]:
    return sorted(row["item_id"] for row in rows(log) if row["op"] == "event")


def undrained(redis: Redis) -> int:
    return sum(redis.xlen(log_key(p)) for p in range(PARTITIONS))


def event(number: int) -> Event:
    name = f"i{number}"
    return Event(f"u{number % 9}", Interaction(name, "like", 1.0, 1e9 + number), name, "r" if number % 2 else None)


async def test_rows_say_what_was_recorded(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    began = time.time() * 1000
    async with opened(logging_of(redis_url)) as users:
        await users.record([event(1), event(1)])
        await users.merge("t", "u1")
        await users.delete("t")
    with open_store(logging_of(redis_url)) as client:
        assert drain(client, tmp_path) == 3
        assert drain(client, tmp_path) == 0
    one, merge, delete = log_files.in_order(log_files.scan(tmp_path)).collect().to_dicts()
    assert began - 1 <= one.pop("recorded_ms") <= time.time() * 1000
    assert one == {
        "partition": partition("u1"), "recorded_number": 0, "op": "event", "user_id": "u1", "item_id": "i1",
        "kind": "like", "weight": 1.0, "timestamp": 1e9 + 1, "event_id": "i1", "recomm_id": "r", "source": None,
    }  # fmt: skip
    assert (merge["op"], merge["user_id"], merge["source"]) == ("merge", "t", "u1")
    assert (delete["op"], delete["user_id"]) == ("delete", "t")
    assert undrained(redis) == 0


async def test_nothing_is_lost_or_doubled_where_collector_and_redis_are_killed(tmp_path: Path) -> None:
    folder, log, n = tmp_path / "redis", tmp_path / "log", 0
    folder.mkdir()
    server = RedisProcess(folder, folder / "s")
    server.start(find_binary())
    url, moments = f"unix://{folder / 's'}", random.Random(7)
    try:
        async with opened(logging_of(url)) as users:
            for turn in range(4):
                with collector(url, log) as process:
                    # The first is killed before it works; later ones fall in the middle of it.
                    await eventually(lambda least=n * (turn > 0): len(set(items(log))) >= least)  # type: ignore[misc]
                    for _ in range(15):
                        await users.record([event(n + k) for k in range(20)])
                        n += 20
                    await asyncio.sleep(moments.random() / 10)
                    process.send_signal(signal.SIGKILL)
                if turn == 1:  # everysec: what was acknowledged is on disk after that long
                    await asyncio.sleep(1.5)
                    os.kill(int((folder / "redis.pid").read_text()), signal.SIGKILL)
                    server.ends_within(10)
                    server.start(find_binary())
                    while True:
                        try:
                            await users.ping()
                            break
                        except StoreUnavailable:
                            await asyncio.sleep(0.05)
                await users.record([event(n)])
                n += 1
            with collector(url, log) as process:
                await eventually(lambda: len(set(items(log))) == n)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
        with server._client() as redis:
            assert undrained(redis) == 0
    finally:
        server.shut_down()
        server.ends_within(10)
    assert items(log) == sorted(f"i{number}" for number in range(n))


async def test_a_crash_between_writing_and_trimming_doubles_nothing(
    redis_url: str, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(logging_of(redis_url)) as client:
        async with opened(logging_of(redis_url)) as users:
            await users.record([event(number) for number in range(30)])
            with monkeypatch.context() as crash:
                crash.setattr("app.collector.streams.trim", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    drain(client, tmp_path)
            await users.record([event(number) for number in range(30, 40)])
        assert drain(client, tmp_path) == 10
    assert items(tmp_path) == sorted(f"i{number}" for number in range(40))
    assert undrained(redis) == 0


def entry(ms: int, user_id: str = "u", p: int = 0, **said: Any) -> Entry:
    return Entry(p, ms, 0, {**EVENT, "user_id": user_id, "item_id": f"i{ms}", **said})


def test_days_are_folders_and_hours_become_one_file_each(tmp_path: Path) -> None:
    now = 1_800_000_000_000
    for ms in (now, now + 1, now + DAY, now + DAY, now + DAY + 1):
        log_files.add(tmp_path, [entry(ms)])
    assert [len(list((tmp_path / f"date={day}").iterdir())) for day in log_files.days(tmp_path)] == [2, 2]
    before = rows(tmp_path)
    tend(tmp_path, now / 1000 + 86_400, keep_days=0)
    assert [len(list((tmp_path / f"date={day}").iterdir())) for day in log_files.days(tmp_path)] == [1, 2]
    assert rows(tmp_path) == before
    assert log_files.add(tmp_path, [entry(now)]) == 0  # it is known, though in another file


def test_a_crash_while_compacting_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ms in range(5):
        log_files.add(tmp_path, [entry(ms)])
    with monkeypatch.context() as crash:
        crash.setattr(Path, "unlink", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            log_files.compact(tmp_path, 1e9)
    assert len(rows(tmp_path)) == 10  # each twice: a reader tells by the key
    log_files.compact(tmp_path, 1e9)
    assert items(tmp_path) == [f"i{ms}" for ms in range(5)]


def test_days_are_kept_as_long_as_wanted(tmp_path: Path) -> None:
    for day in range(5):
        log_files.add(tmp_path, [entry(day * DAY)])
    tend(tmp_path, 4.5 * 86_400, keep_days=2)
    assert log_files.days(tmp_path) == [date(1970, 1, day) for day in (3, 4, 5)]


def test_what_was_forgotten_is_dropped_with_those_who_were_merged(tmp_path: Path) -> None:
    said = [
        entry(1, "anonymous"), entry(2, "known"), entry(3, "other"),
        Entry(0, 4, 0, {"op": "merge", "user_id": "known", "source": "anonymous"}),
        entry(5, "anonymous"),
        Entry(0, 6, 0, {"op": "delete", "user_id": "known"}),
        entry(7, "known"),
    ]  # fmt: skip
    for one in said:
        log_files.add(tmp_path, [one])
    assert erase(tmp_path) == 2
    assert [row["recorded_ms"] for row in rows(tmp_path)] == [3, 4, 5, 6, 7]
    assert erase(tmp_path) == 0


def test_a_second_collector_is_refused(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(LogBusy, match="another collector"), writing(tmp_path):
        pass


async def test_what_cannot_be_read_or_reached_holds_up_nothing_else(
    redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings, stop = logging_of(redis_server.url), threading.Event()
    for ms in (1, 2):
        log_files.add(tmp_path, [entry(ms)])
    damaged, _ = log_files.files(tmp_path)
    damaged.write_bytes(b"PAR1")
    with open_store(settings) as client, caplog.at_level("INFO"):
        collecting = threading.Thread(target=collect, args=(client, tmp_path, 0.01, 0, stop))
        collecting.start()
        try:
            await eventually(lambda: "the event log cannot be compacted" in caplog.text)
            redis_server.kill()
            await eventually(lambda: "the event log cannot be written" in caplog.text)
            redis_server.start()
            async with opened(logging_of(redis_server.url)) as users:
                await users.record([event(1)])
            await eventually(lambda: len(log_files.files(tmp_path)) == 3)
            assert "the event log is written again" in caplog.text
        finally:
            stop.set()
            await asyncio.to_thread(collecting.join)
    damaged.unlink()
    assert items(tmp_path) == ["i1", "i2"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    log_files.add(tmp_path, [entry(1)])
    left = tmp_path / "date=1970-01-01" / ".tmp-0000000000001-0000000000001-0000000000000000.parquet"
    left.write_bytes(b"PAR1")
    (tmp_path / "date=of mine").mkdir()
    (tmp_path / "date=1970-01-01" / "notes").touch()
    assert len(rows(tmp_path)) == 1
    with writing(tmp_path):
        assert not left.exists()


def test_a_foreign_entry_stops_nothing(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    texts = ("{", "[]", '{"op": "else"}', "", '{"op": "event", "weight": "x"}')
    for fields in ({"x": "1"}, *({"e": text} for text in texts)):
        redis.xadd(log_key(0), fields)  # type: ignore[arg-type]
    with open_store(logging_of(redis_url)) as client:
        assert drain(client, tmp_path) == 6
    assert undrained(redis) == 0
    assert [row["op"] for row in rows(tmp_path)] == ["unreadable"] * 5 + ["event"]


def test_days_that_meet_on_a_stream_are_written_apart(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    for p, ms in ((0, DAY - 1), (0, DAY), (1, 5), (2, 2 * DAY)):
        redis.xadd(log_key(p), {"e": '{"op": "event", "item_id": "a"}'}, id=f"{ms}-0")
    with open_store(logging_of(redis_url)) as client:
        assert drain(client, tmp_path) == 4
    assert len(log_files.days(tmp_path)) == 3
    assert undrained(redis) == 0
