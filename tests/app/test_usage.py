"""What the store says that users take, against what Redis uses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis
from typer.testing import CliRunner

from app.__main__ import cli
from app.metrics import Metrics
from app.settings import Settings
from app.store.embedded import EmbeddedStore
from app.store.keys import user_keys
from app.store.usage import StoreUsageError, Usage, bound, measure, owner
from app.store.users import Event, Interaction, Users

pytestmark = pytest.mark.anyio


def settings_of(url: str, **changed: Any) -> Settings:
    return Settings.model_validate({"redis_url": url, "store_timeout_ms": 10_000, **changed})


def used(redis: Redis) -> int:
    info: Any = redis.info("memory")
    return int(info["used_memory"])


async def fill(settings: Settings, n_users: int, n_items: int, *, kind: str = "like", id_bytes: int = 8) -> None:
    users = Users(settings, Metrics())
    for number in range(n_users):
        user_id = f"user-{number}"
        events = [
            Event(user_id, Interaction(f"{item:0{id_bytes}}", kind, 1.0, 1e9 + item), None) for item in range(n_items)
        ]
        await users.record(events)
    await users.close()


async def test_the_measure_is_what_redis_uses(redis_server: Any) -> None:
    settings = settings_of(redis_server.url)
    with redis_server.client() as redis:
        await fill(settings, 1, 1)  # what a connection and a script take
        before = used(redis)
        await fill(settings, 1000, 40)
        found = measure(settings, 10_000)
        per_user = (used(redis) - before) / 999
    assert found.users == 1000
    assert abs(found.bytes_per_user / per_user - 1) < 0.15
    assert found.bytes_per_user <= found.largest < found.full_user_bytes


async def test_a_sample_stands_for_all(redis_url: str) -> None:
    settings = settings_of(redis_url)
    await fill(settings, 500, 10)
    users = Users(settings, Metrics())
    for number in range(250):  # some with more keys than others, which are met more often
        await users.steer(f"user-{number}", {"s": 1.0})
        await users.note_served(f"user-{number}", np.arange(100, dtype=np.uint64), 1e9)
    await users.record([Event("user-1", Interaction("a", "like", 1.0, 2e9), f"{n}") for n in range(200)])
    await users.close()
    whole, sampled = measure(settings, 100_000), measure(settings, 400)
    assert (whole.users, whole.event_ids) == (500, 200)
    assert sampled.sampled_keys == 400
    assert abs(sampled.users / 500 - 1) < 0.25
    assert abs(sampled.bytes_per_user / whole.bytes_per_user - 1) < 0.25


async def test_a_full_user_takes_no_more_than_the_bound(redis_url: str, redis: Redis) -> None:
    settings = settings_of(redis_url)
    users = Users(settings, Metrics())
    user_id = "\x01" * 256
    events = [Event(user_id, Interaction(f"{n:0256}", "hide", 1.0, 1e9 + n), None) for n in range(10_050)]
    await users.record(events)
    await users.steer(user_id, {f"{n:03}" + "\x01" * 253: "never" for n in range(100)})
    await users.note_served(user_id, np.arange(1500, dtype=np.uint64), 1e9)
    await users.close()
    assert [redis.strlen(key) for key in user_keys(user_id)[1:3]] == [160_000, 160_000]
    found = measure(settings, 1000)
    assert found.users == 1
    assert 0.5 * bound(settings) < found.bytes_per_user <= bound(settings)


def test_keys_of_others_belong_to_nobody() -> None:
    assert [owner(key) for key in user_keys("a:b}:c")] == ["a:b}:c"] * 5
    for key in (b"sparrow:{1}:event:abc", b"sparrow:limit:x{3}", b"celery", b"", b"other:{1}:seen:u"):
        assert owner(key) is None


def test_an_empty_store_and_one_that_is_away(redis_url: str) -> None:
    assert measure(settings_of(redis_url), 10)[:6] == Usage(0, 0.0, 0, 0, 0.0, bound(settings_of(redis_url)), 0, 0)[:6]
    for url in ("unix:///nowhere/redis.sock", "redis+cluster://127.0.0.1:1"):
        with pytest.raises(StoreUsageError, match="does not answer"):
            measure(settings_of(url), 10)


def test_the_command_finds_the_embedded_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARROW_REDIS_URL", raising=False)
    with EmbeddedStore(tmp_path) as store, Redis.from_url(store.url, protocol=2) as redis:
        redis.set(user_keys("u").seen, b"x" * 16)
        said = CliRunner().invoke(cli, ["store", "--data", str(tmp_path), "--json"])
        assert said.exit_code == 0, said.output
        assert json.loads(said.output)["users"] == 1
        words = CliRunner().invoke(cli, ["store", "--data", str(tmp_path), "--users", "5000000"]).output
    assert "5,000,000 users need" in words
    assert "a full user, at most" in words
    with pytest.raises(StoreUsageError, match="SPARROW_REDIS_URL"):
        CliRunner().invoke(cli, ["store", "--data", str(tmp_path / "none")], catch_exceptions=False)
