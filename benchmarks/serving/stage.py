"""A place with its servers running: what every question is asked about."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from benchmarks.serving import asking, servers
from benchmarks.serving.asking import Traffic
from benchmarks.serving.places import Place
from benchmarks.serving.plain import KEY
from benchmarks.serving.servers import Cores, Server

OURS = ("recommend", "homepage", "events", "mixed")
"""Traffic to the service."""
PLAIN = ("empty", "get", "bare")
"""Endpoints of the plain server, see `plain`."""
RECORD_BYTES = 28
"""Of an interaction in Redis, without its item id."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    users: int = 1000
    rounds: int = 5
    seconds: float = 4.0
    """Of each closed loop."""
    warm_up_seconds: float = 1.5
    latency_seconds: float = 8.0
    """Of each open loop."""
    closed_connections: int = 8
    """For each worker: enough that it never waits."""
    open_connections: int = 256
    """Of an open loop; more arrivals than that at a time wait, and that counts."""
    profile_seconds: float = 15.0


FULL = Scale()
QUICK = Scale(users=100, rounds=2, seconds=1.0, warm_up_seconds=0.5, latency_seconds=2.0, profile_seconds=3.0)


@dataclass(frozen=True)
class Stage:
    """What is measured, with everything that runs."""

    place: Place
    n_workers: int
    cores: Cores
    sparrow: Server
    plain: Server
    redis: Server
    traffic: Mapping[str, Traffic]
    """By name: `OURS` and `PLAIN`."""
    answer_bytes: int
    """Of a recommendation, and of the plain endpoints."""

    @property
    def name(self) -> str:
        """For tables."""
        return named(self.place.name, self.n_workers)

    def server(self, name: str) -> Server:
        """Who answers traffic of this name."""
        return self.plain if name in PLAIN else self.sparrow

    def cpu_seconds(self) -> float:
        """Of everything that runs."""
        return sum(each.cpu_seconds() for each in (self.sparrow, self.plain, self.redis))


def named(place: str, n_workers: int) -> str:
    """For tables."""
    return f"{place}, {n_workers} worker{'s' if n_workers > 1 else ''}"


@contextmanager
def running(place: Place, n_workers: int) -> Iterator[Stage]:
    """Start everything, and make the users."""
    where = servers.cores(n_workers)
    with ExitStack() as stack:
        with servers.pinned(where.others):
            redis = stack.enter_context(servers.redis())
        with servers.pinned(where.server):
            sparrow = stack.enter_context(servers.sparrow(place.snapshots, redis.port, n_workers))
        asking.make_users(sparrow, place.histories)
        user_ids = asking.users(len(place.histories))
        answer = asking.answer_to(sparrow, "/v1/recommend", {"user_id": user_ids[0], "count": asking.COUNT})
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparrow-plain-")))
        (folder / "answer.json").write_bytes(answer)
        with Redis(port=redis.port) as client:
            client.set(KEY, b"x" * sum(RECORD_BYTES + len(item_id) for item_id in place.histories[0]))
        with servers.pinned(where.server):
            plain = stack.enter_context(servers.plain(redis.port, folder / "answer.json"))
        stack.enter_context(servers.pinned(where.others))
        yield Stage(place, n_workers, where, sparrow, plain, redis, _traffic(place), len(answer))


def _traffic(place: Place) -> dict[str, Traffic]:
    user_ids = asking.users(len(place.histories))
    parts = {
        "recommend": asking.recommend(user_ids),
        "homepage": asking.homepage(user_ids),
        "events": asking.events(place.histories),
    }
    found = {name: asking.only(name, requests) for name, requests in parts.items()}
    found |= {name: asking.only(name, asking.recommend(user_ids, f"/{name}")) for name in PLAIN}
    return {**found, "mixed": asking.mixed(parts)}
