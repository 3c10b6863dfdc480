"""Edits of segments between real processes: workers, what kills them, the collector, the command line."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from app.collector import EDITS_FILE, EditsFile, collect
from app.settings import Settings
from app.store.clients import open_store
from app.store.edits import EditStore
from app.store.keys import EDITS, EDITS_VERSION
from benchmarks.faults.load import Caller
from benchmarks.faults.rig import SERVE, Rig, eventually
from index.edits import Edits, read_file
from tests.app.stores import opened, settings_of
from tests.app.visibility import PATIENT, caller_of


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(n_workers=2, **PATIENT) as made:
        yield made


def title_of(caller: Caller, segment_id: str) -> str:
    status, document = caller.ask("GET", f"/v1/segments/{segment_id}")
    assert status == 200
    title: str = document["title"]
    return title


def test_an_edit_is_in_both_workers_and_no_kill_loses_it(rig: Rig) -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(caller_of(rig, worker)) for worker in rig.server.workers())
        for number, (writing, reading) in enumerate([(one, other), (other, one)]):
            title = f"Edited {number}"
            assert writing.ask("PATCH", "/v1/segments/s0", {"title": title})[0] == 200
            assert title_of(writing, "s0") == title, "at once"
            eventually(lambda reading=reading, title=title: title_of(reading, "s0") == title, "the edit there")  # type: ignore[misc]
        assert one.ask("PATCH", "/v1/segments/s0", {"title": "The last"})[0] == 200
        for worker in rig.server.workers():
            os.kill(worker, signal.SIGKILL)
    eventually(lambda: len(rig.server.ready_workers()) == 2, "new workers")
    with ExitStack() as stack:
        for worker in rig.server.workers():
            assert title_of(stack.enter_context(caller_of(rig, worker)), "s0") == "The last", "from the first answer on"


def test_a_killed_redis_keeps_what_was_acknowledged(rig: Rig) -> None:
    with caller_of(rig, rig.server.workers()[0]) as caller:
        assert caller.ask("PATCH", "/v1/segments/s1", {"hidden": True})[0] == 200
        rig.redis.kill()
        assert caller.ask("GET", "/v1/segments/s1")[1]["hidden"]
        assert caller.ask("PATCH", "/v1/segments/s1", {"hidden": False})[0] == 503
        rig.redis.start()
        eventually(lambda: caller.ask("GET", "/v1/segments/edits")[1]["edits"].get("s1") == {"hidden": True}, "it")


def edits_command(rig: Rig, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPARROW_")}
    line = [str(SERVE), "edits", *words]
    told = {**kept, "SPARROW_PORT": str(rig.server.port), **environment}
    return subprocess.run(line, env=told, capture_output=True, text=True, timeout=60, check=False)


def test_edits_go_out_of_a_server_and_into_it(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    wanted: Edits = {"s2": {"title": "<b>Two</b>", "hidden": None}, "gone": {"merged_into": "s2"}}
    file.write_text(json.dumps({"edits": wanted}))
    done = edits_command(rig, "import", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 segments are edited, 1 of which the index does not have" in done.stdout
    out = tmp_path / "out.json"
    done = edits_command(rig, "export", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    exported = read_file(out)
    assert {segment_id: exported[segment_id] for segment_id in wanted} == wanted


def test_what_cannot_go_in_or_out_says_why(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    file.write_text('{"edits": {"s2": {"title": ""}}}')
    done = edits_command(rig, "import", str(file))
    assert (done.returncode, done.stderr) == (1, f"Error: {file}: title of 's2' must not be ''\n")
    file.write_text("{")
    assert f"Error: {file} is no JSON" in edits_command(rig, "import", str(file)).stderr
    nobody = edits_command(rig, "export", str(file), SPARROW_PORT="1")
    assert nobody.returncode == 1
    assert nobody.stderr.startswith("Error: no server answers at 127.0.0.1, port 1 (--host, --port)")


def kept_by_a_collector(url: str, folder: Path, until: threading.Event) -> threading.Thread:
    settings = Settings.model_validate({"redis_url": url})

    def run() -> None:
        with open_store(settings) as client:
            collect(client, folder, 0.02, 0, until)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.anyio
async def test_the_collector_keeps_edits_beside_the_log(redis_url: str, tmp_path: Path) -> None:
    log, stop = tmp_path / "log", threading.Event()
    thread = kept_by_a_collector(redis_url, log, stop)
    try:
        async with opened(settings_of(redis_url)) as users:
            store = EditStore(users.connection)
            for title in ("One", "Two"):
                edits: Edits = {"s1": {"title": title}, "s2": {"hidden": None}}
                await store.change(lambda _, edits=edits: edits)  # type: ignore[misc]
                eventually(lambda: (log / EDITS_FILE).is_file() and read_file(log / EDITS_FILE) == edits, "the file")  # noqa: B023
    finally:
        stop.set()
        thread.join()


@pytest.mark.anyio
async def test_a_store_that_lost_the_edits_takes_none_from_the_file(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    edits: Edits = {"s1": {"title": "One"}}
    file = EditsFile(tmp_path)
    file.keep(redis)
    assert not (tmp_path / EDITS_FILE).exists(), "nobody has edited anything"
    async with opened(settings_of(redis_url)) as users:
        await EditStore(users.connection).change(lambda _: edits)
        file.keep(redis)
        redis.flushall()
        for one in (file, EditsFile(tmp_path)):
            one.keep(redis)
            assert read_file(tmp_path / EDITS_FILE) == edits
        await EditStore(users.connection).change(lambda _: {})
    file.keep(redis)
    assert read_file(tmp_path / EDITS_FILE) == edits, "that changed nothing"


@pytest.mark.anyio
async def test_what_is_no_edit_does_not_stop_the_collector(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    redis.hset(EDITS, "s1", "{")
    redis.set(EDITS_VERSION, "x")
    log, stop = tmp_path / "log", threading.Event()
    thread = kept_by_a_collector(redis_url, log, stop)
    try:
        redis.hset(EDITS, "s1", '{"hidden": true}')
        eventually(lambda: (log / EDITS_FILE).is_file(), "the file")
    finally:
        stop.set()
        thread.join()
    assert read_file(log / EDITS_FILE) == {"s1": {"hidden": True}}
