"""Users in a real Redis Cluster of three nodes and a replica."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as N_SLOTS
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from app.collector import EDITS_FILE, EditsFile, drain
from app.metrics import Metrics
from app.rebuilding import rebuild
from app.settings import Settings
from app.store.binary import find_binary
from app.store.clients import open_store
from app.store.edits import NEVER_EDITED, EditStore, read_by
from app.store.keys import user_keys
from app.store.usage import measure
from app.store.users import Event, Interaction, StoreUnavailable, Users
from index.edits import read_file
from tests.app.stores import opened, settings_of

pytestmark = pytest.mark.anyio

USERS = [f"user-{number}" for number in range(100)]


def free_port() -> int:
    """One whose bus port, 10,000 above it, is free too."""
    for port in range(20_000 + int(time.time()) % 10_000, 45_000):
        with socket.socket() as one, socket.socket() as bus, suppress(OSError):
            one.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
    raise AssertionError("no port is free")


def eventually(holds: Callable[[], bool], what: str) -> None:
    for _ in range(1500):
        with suppress(RedisError, OSError):
            if holds():
                return
        time.sleep(0.02)
    pytest.fail(f"never: {what}")


class ClusterNode:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sparrow-test-"))
        self.port = free_port()
        self.start()
        self.id = str(self.ask("CLUSTER", "MYID"))

    def start(self) -> None:
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self.folder, "logfile": self.folder / "log", "save": "",
            "appendonly": "yes", "cluster-enabled": "yes", "cluster-node-timeout": 60_000,
            "cluster-require-full-coverage": "no", "cluster-replica-validity-factor": 0,
        }  # fmt: skip
        words = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([find_binary().path, *words])
        self.client = Redis(port=self.port, protocol=2, decode_responses=True, retry=Retry(NoBackoff(), 0))
        eventually(lambda: bool(self.client.ping()), "a node answers")

    def ask(self, *words: Any) -> Any:
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.client.close()
        self.kill()
        shutil.rmtree(self.folder)


class Cluster:
    """Three masters, and a replica of the first."""

    def __init__(self, stack: ExitStack) -> None:
        self.nodes = [stack.enter_context(closing(ClusterNode())) for _ in range(4)]
        self.masters, self.replica = self.nodes[:3], self.nodes[3]
        for number, node in enumerate(self.masters):
            node.ask("CLUSTER", "ADDSLOTS", *range(number * N_SLOTS // 3, (number + 1) * N_SLOTS // 3))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        eventually(lambda: all(node.ask("CLUSTER", "NODES").count("\n") == 4 for node in self.nodes), "all have met")
        self.replica.ask("CLUSTER", "REPLICATE", self.masters[0].id)
        eventually(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), "it is up")
        eventually(lambda: self.replica.client.info()["master_link_status"] == "up", "the replica follows")

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def flush(self) -> None:
        for node in self.masters:
            node.client.flushall()


@pytest.fixture(scope="module")
def _cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack)


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    _cluster.flush()
    return _cluster


def likes(user_id: str, *item_ids: str, at: float = 1e9) -> list[Event]:
    return [Event(user_id, Interaction(one, "like", 1.0, at + n), f"{one}") for n, one in enumerate(item_ids)]


async def names(users: Users, user_id: str) -> list[str]:
    return [one.item_id for one in (await users.read(user_id)).history]


def holds(node: ClusterNode, user_id: str) -> bool:
    stored: Any = node.client.keys()
    return user_keys(user_id).history.decode() in stored


async def test_users_live_on_all_nodes_and_are_read_written_merged_and_deleted_alike(cluster: Cluster) -> None:
    async with opened(settings_of(cluster.url)) as users:
        events = [one for user_id in USERS for one in likes(user_id, "a", user_id)]
        assert await users.record(events) == ["accepted"] * 200
        assert await users.record(events) == ["duplicate"] * 200
        for user_id in USERS:
            await users.steer(user_id, {"s": 0.5})
            await users.note_served(user_id, np.array([1, 2], dtype=np.uint64), 1e9)
        states = await users.read_many([*USERS, "stranger"], served=True)
        assert [[one.item_id for one in state.history] for state in states] == [[user_id, "a"] for user_id in USERS] + [
            []
        ]
        assert all(state.steering == {"s": 0.5} and len(state.served.hashes) == 2 for state in states[:-1])
        together = await asyncio.gather(*(users.read(one, served=True) for one in [*USERS, "stranger"]))
        assert [state.history for state in together] == [state.history for state in states]
        assert all(node.client.dbsize() > 0 for node in cluster.masters)
        measured = measure(Settings.model_validate({"redis_url": cluster.url}), 100_000)
        assert (measured.users, measured.event_ids) == (100, 200)
        for target, source in zip(USERS[::2], USERS[1::2], strict=True):
            await users.merge(target, source)
            assert set(await names(users, target)) == {"a", target, source}
            assert await names(users, source) == []
            await users.delete(target)
            assert (await users.read(target)).empty
        await users.ping()


async def test_what_happens_on_all_nodes_is_logged_and_can_be_rebuilt(cluster: Cluster, tmp_path: Path) -> None:
    settings = Settings.model_validate({"redis_url": cluster.url, "store_timeout_ms": 10_000, "event_log": True})
    users = Users(settings, Metrics())
    try:
        await users.record([one for user_id in USERS for one in likes(user_id, "a", user_id)])
        await users.merge(USERS[0], USERS[1])
        await users.delete(USERS[2])
        with open_store(settings) as client:
            assert drain(client, tmp_path) == 202
            assert drain(client, tmp_path) == 0
        before = await users.read_many(USERS)
        cluster.flush()
        shares: list[float] = []
        done = await rebuild(settings, tmp_path, shares.append)
        assert done.users.restored == 98
        after = await users.read_many(USERS)
        assert [one.history for one in after] == [one.history for one in before]
        assert all((one.seen == two.seen).all() for one, two in zip(after, before, strict=True))
    finally:
        await users.close()


async def test_edits_of_segments_are_changed_read_and_kept_as_by_one_redis(cluster: Cluster, tmp_path: Path) -> None:
    settings = settings_of(cluster.url)
    async with opened(settings) as users:
        store = EditStore(users.connection)
        assert await store.read() == (NEVER_EDITED, {})
        for number in range(3):
            stored = await store.change(lambda edits, number=number: {**edits, f"s{number}": {"hidden": True}})  # type: ignore[misc]
        assert await store.read() == stored
        assert stored.edits.keys() == {"s0", "s1", "s2"}
        assert await store.version() == stored.version
    with open_store(settings) as client:
        assert read_by(client) == stored
        EditsFile(tmp_path).keep(client)
    assert read_file(tmp_path / EDITS_FILE) == stored.edits


async def test_any_node_that_answers_will_do_to_begin_with(cluster: Cluster) -> None:
    async with opened(settings_of(f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.masters[1].port}")) as users:
        await users.record(likes("u", "a"))
        assert await names(users, "u") == ["a"]


async def test_one_redis_is_no_cluster_and_says_so(redis_server: Any) -> None:
    with redis_server.client() as client:
        client.config_set("port", free_port())
        port = client.config_get("port")["port"]
        async with opened(settings_of(f"redis+cluster://127.0.0.1:{port}")) as users:
            with pytest.raises(StoreUnavailable):
                await users.read("u")


async def test_a_slot_that_moves_is_followed_and_nothing_is_lost(cluster: Cluster) -> None:
    """In Redis' words: ASK while it moves, MOVED afterwards."""
    async with opened(settings_of(cluster.url)) as users:
        user_id = USERS[0]
        await users.record([one for other in USERS for one in likes(other, "a")])
        number = key_slot(user_keys(user_id).history)
        holds = 3 * number // N_SLOTS
        source, target = cluster.masters[holds], cluster.masters[(holds + 1) % 3]
        target.ask("CLUSTER", "SETSLOT", number, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", number, "MIGRATING", target.id)
        assert await names(users, user_id) == ["a"]
        for key in source.ask("CLUSTER", "GETKEYSINSLOT", number, 10_000):
            source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        assert await names(users, user_id) == ["a"]
        # Of several keys Redis wants to see the whole slot first (TRYAGAIN): refused, and not half recorded.
        with pytest.raises(StoreUnavailable):
            await users.record(likes(user_id, "b", at=1e9 + 1))
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", number, "NODE", target.id)
        assert await names(users, user_id) == ["a"]
        assert await users.record(likes(user_id, "b", at=1e9 + 1)) == ["accepted"]
        assert await names(users, user_id) == ["b", "a"]
        assert await users.record(likes(user_id, "c", at=1e9 + 2)) == ["accepted"]
        states = await users.read_many(USERS)
        assert [len(state.history) for state in states] == [3] + [1] * 99
    async with opened(settings_of(cluster.url)) as fresh:
        assert await names(fresh, user_id) == ["c", "b", "a"]


async def test_one_node_away_is_no_harm_to_the_others_and_its_replica_is_found(cluster: Cluster) -> None:
    """The last test: it breaks the cluster."""
    async with opened(settings_of(cluster.url)) as users:
        await users.record([one for user_id in USERS for one in likes(user_id, "a")])
        by_node = [[user_id for user_id in USERS if holds(node, user_id)] for node in cluster.masters]
        with suppress(RedisError):
            cluster.masters[0].ask("WAIT", 1, 1000)
        cluster.masters[0].kill()
        with pytest.raises(StoreUnavailable):
            await users.read(by_node[0][0])
        for user_id in (by_node[1][0], by_node[2][0]):
            assert await names(users, user_id) == ["a"]
        cluster.replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        for _ in range(1500):
            with suppress(StoreUnavailable):
                if await names(users, by_node[0][0]) == ["a"]:
                    break
            await asyncio.sleep(0.02)
        states = await users.read_many(USERS)
        assert all(len(state.history) == 1 for state in states)
        assert await users.record([one for user_id in USERS for one in likes(user_id, "b")]) == ["accepted"] * 100
        assert cluster.replica.client.exists(user_keys(by_node[0][0]).history)
