"""Several workers under load, through swaps, rolling restarts and kills: real processes."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults.load import BROKEN, Load, Outcome
from benchmarks.faults.rig import Rig, eventually


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    # Two noisy cores that other tests share: nothing may be refused for being slow.
    with Rig(n_workers=2, SPARROW_MAX_QUEUE_MS="60000", SPARROW_DEADLINE_MS="60000") as made:
        yield made


@pytest.fixture
def load(rig: Rig) -> Iterator[Load]:
    with rig.load(6) as running:
        assert running.wait(50)
        yield running


def is_whole(one: Outcome) -> bool:
    return one.status in (200, 202) and not one.degraded and not one.mixed


def failures(load: Load) -> list[Outcome]:
    return [one for one in load.outcomes if not is_whole(one)]


def test_ten_swaps_under_load_fail_nothing_and_every_answer_is_of_one_version(rig: Rig, load: Load) -> None:
    for _ in range(10):
        version = rig.publish()
        assert load.wait(6, lambda one, version=version: one.version == version)  # type: ignore[misc]
    assert failures(load) == []
    versions = {one.version for one in load.outcomes if one.version}
    assert len(versions) >= 10
    assert len(rig.server.workers()) == 2


def test_rolling_restarts_under_load_fail_nothing(rig: Rig, load: Load) -> None:
    for _ in range(3):
        before = set(rig.server.workers())
        rig.server.roll()
        assert not before & set(rig.server.workers())
        assert load.wait(30, is_whole)
    assert failures(load) == []
    acknowledged = list(load.acknowledged)
    assert rig.kept(acknowledged) == len(acknowledged)


def test_a_killed_worker_is_replaced_and_the_port_never_refuses(rig: Rig, load: Load) -> None:
    for _ in range(2):
        start = time.monotonic()
        rig.server.kill_worker()
        assert load.wait(30, is_whole)
        # What the killed worker had in hand is lost: at most one request a connection.
        broken = [one for one in load.since(0.0) if one.status == BROKEN and one.ended_at >= start]
        assert len(broken) <= 6
    assert {one.status for one in failures(load)} <= {BROKEN}
    with socket.create_connection(("127.0.0.1", rig.server.port), timeout=10):
        pass
    acknowledged = list(load.acknowledged)
    assert rig.kept(acknowledged) == len(acknowledged)
    assert len(rig.server.workers()) == 2


def test_workers_use_the_fast_loop_and_parser_and_share_the_maps_of_the_index(rig: Rig) -> None:
    for number in rig.server.workers():
        maps = Path(f"/proc/{number}/maps").read_text()
        assert "uvloop/loop." in maps
        assert "httptools/parser/" in maps
        mapped = [line for line in maps.splitlines() if "/snapshots/" in line and line.endswith(".npy")]
        assert mapped
        assert all(" r--s " in line or " r--p " in line for line in mapped)  # of the page cache, which all share


def test_a_successor_that_does_not_start_leaves_the_old_workers(rig: Rig, load: Load) -> None:
    before = set(rig.server.workers())
    rig.server.process.send_signal(signal.SIGHUP)
    eventually(lambda: set(rig.server.workers()) > before, "a successor")
    (successor,) = set(rig.server.workers()) - before
    os.kill(successor, signal.SIGKILL)
    eventually(lambda: "aborting the restart" in rig.server.log(), "the end of the restart")
    assert set(rig.server.workers()) == before
    assert load.wait(30, is_whole)
    assert failures(load) == []


def test_the_last_request_is_answered_when_all_is_over(load: Load, rig: Rig) -> None:
    # The last test of this module: it ends the server, and a restart that has just begun.
    before = set(rig.server.workers())
    rig.server.process.send_signal(signal.SIGHUP)
    eventually(lambda: set(rig.server.workers()) > before, "a successor")
    rig.server.process.terminate()
    met = set(before)
    while rig.server.process.poll() is None:
        met |= set(rig.server.workers())
        time.sleep(0.01)
    assert rig.server.process.wait(60) == 0
    assert len(met) == 3, "one successor was on its way, and no other followed"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", rig.server.port), timeout=10)
    # Until the port was closed nothing failed: an answer begun was finished, or its connection closed before it began.
    first = min((one.ended_at for one in failures(load)), default=float("inf"))
    assert all(is_whole(one) for one in load.outcomes if one.ended_at < first)
    assert "Traceback" not in rig.server.log()
