import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from app import keys, log_files
from app.__main__ import _log_folder, main
from app.seeding import SeedingError, read_events
from app.server import is_loopback, reachable
from app.settings import Settings
from app.store.keys import log_key, partition
from app.store.process import RedisProcess
from index.publication import publish

EVERYWHERE = "0.0.0.0"  # noqa: S104  (what must not be listened on unasked)

SERVE = Path(sys.executable).parent / "sparrow-serve"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """A running sparrow-serve, what it said, and HTTP to it."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text: str) -> None:
        assert eventually(lambda: any(text in line for line in self.said) or self.process.poll() is not None)
        assert any(text in line for line in self.said), self.said

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(60)
        self._reader.join()
        self.client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold; the bound is for what never does."""
    for _ in range(3000):
        if holds():
            return True
        time.sleep(0.02)
    return False


def environment(**changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARROW_", "PROMETHEUS_"))}
    return kept | changed


@contextmanager
def started(*arguments: str | Path, **changed: str) -> Iterator[Served]:
    port = free_port()
    process = subprocess.Popen(
        [SERVE, "--port", str(port), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**changed),
    )
    served = Served(process, port)
    try:
        yield served
    finally:
        if process.poll() is None:
            served.stop()


def refused(*arguments: str | Path, **changed: str) -> tuple[int, str]:
    """Exit code and stderr of a sparrow-serve that does not start."""
    done = subprocess.run(
        [SERVE, *arguments], capture_output=True, text=True, env=environment(**changed), timeout=60, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


Refuse = Callable[..., tuple[int, str]]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Refuse]:
    """The same in this process, for what is refused before anything is started."""
    before = dict(os.environ)

    def run(*arguments: str | Path, **changed: str) -> tuple[int, str]:
        os.environ.clear()
        os.environ.update(environment(**changed))
        monkeypatch.setattr("sys.argv", ["sparrow-serve", *(str(argument) for argument in arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert said.out == ""
        assert isinstance(end.value.code, int)
        return end.value.code, said.err

    yield run
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def folders(snapshots: Path, tmp_path: Path) -> list[str | Path]:
    return ["--snapshots", snapshots, "--data", tmp_path / "data"]


EVENTS = [
    {"user_id": user_id, "item_id": f"book-{number}", "kind": "like"}
    for user_id in ("ann", "b/c", "\u00e9")
    for number in range(5)
]


def write_events(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(event) for event in events) + "\n\n")
    return path


def test_one_command_serves_with_a_store_of_its_own(folders: list[str | Path], tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", EVENTS)
    with started(*folders, "--events", events, SPARROW_EXAMPLE_USERS="ann,b/c") as served:
        served.wait_for("Sparrow is ready: http://127.0.0.1:")
        assert any("Posted the events of 3 users" in line for line in served.said)
        assert served.client.get("/info").json()["example_users"] == ["ann", "b/c"]
        assert served.client.get("/readyz").json()["store"] == "ok"
        assert len(served.client.get("/v1/users/b%2Fc").json()["history"]) == 5
        served.client.delete("/v1/users/ann")
        body = {"events": [{"user_id": "b/c", "item_id": "book-9", "kind": "hide"}]}
        assert served.client.post("/v1/events", json=body).status_code == 202
        assert served.stop() == 0
        assert not RedisProcess(tmp_path / "data" / "redis", Path()).alive()
    # Again: what was stored is there, and only the user without state gets the events.
    with started(*folders, "--events", events) as served:
        served.wait_for("Posted the events of 1 users; 2 have state already")
        served.wait_for("Sparrow is ready")
        assert len(served.client.get("/v1/users/b%2Fc").json()["history"]) == 6
        assert len(served.client.get("/v1/users/ann").json()["history"]) == 5
        assert served.stop(signal.SIGINT) == 0


def test_several_workers_share_the_store_and_add_up_their_metrics(folders: list[str | Path], tmp_path: Path) -> None:
    with started(*folders, "--workers", "2") as served:
        served.wait_for("Sparrow is ready")

        body = {"events": [{"user_id": "u", "item_id": "book-1", "kind": "like"}]}
        for _ in range(10):  # each on a connection of its own, so that any worker may answer
            assert httpx.post(served.client.base_url.join("/v1/events"), json=body).status_code == 202
        exposition = served.client.get("/metrics").text
        assert 'sparrow_events_total{status="accepted"} 10.0' in exposition
        assert exposition.count("sparrow_snapshot_info{") == 1
        assert len(served.client.get("/v1/users/u").json()["history"]) == 10
        assert served.stop() == 0
    assert not RedisProcess(tmp_path / "data" / "redis", Path()).alive()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_parent_leaves_the_port_and_the_data_to_the_next(
    folders: list[str | Path], tmp_path: Path, workers: str
) -> None:
    with started(*folders, "--workers", workers) as served:
        served.wait_for("Sparrow is ready")
        body = {"events": [{"user_id": "u", "item_id": "book-1", "kind": "like"}]}
        assert served.client.post("/v1/events", json=body).status_code == 202
        port = served.client.base_url.port
        served.client.close()
        served.process.kill()
        # The pipe ends when the last worker has: they notice that their parent is gone.
        served.wait()
    assert RedisProcess(tmp_path / "data" / "redis", Path()).alive()
    with started(*folders, "--port", str(port)) as second:
        second.client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        second.wait_for("Sparrow is ready")
        assert len(second.client.get("/v1/users/u").json()["history"]) == 1
        assert second.stop() == 0


def test_a_real_redis_is_used_where_one_is_named(folders: list[str | Path], tmp_path: Path, redis_url: str) -> None:
    with started(*folders, SPARROW_REDIS_URL=redis_url) as served:
        served.wait_for("Sparrow is ready")
        assert served.client.get("/readyz").json()["store"] == "ok"
        assert not (tmp_path / "data" / "redis").exists()


def test_it_keeps_an_event_log(folders: list[str | Path], tmp_path: Path) -> None:
    log = tmp_path / "data" / "log"
    with started(*folders) as served:
        served.wait_for("Sparrow is ready")
        like(served, "u", "book-1")
        (killed,) = collectors(served)
        os.kill(killed, signal.SIGKILL)
        like(served, "u", "book-2")
        assert eventually(lambda: set(collectors(served)) - {killed} != set())
        assert served.stop() == 0  # which writes what is left
    assert sorted(row["item_id"] for row in log_files.scan(log).collect().to_dicts()) == ["book-1", "book-2"]


def test_streams_are_left_to_a_collector_elsewhere(folders: list[str | Path], redis_url: str, redis: Redis) -> None:
    with started(*folders, SPARROW_REDIS_URL=redis_url, SPARROW_EVENT_LOG="true") as served:
        served.wait_for("Sparrow is ready")
        like(served, "u", "book-1")
        assert served.stop() == 0
    assert redis.xlen(log_key(partition("u"))) == 1


def test_without_polars_no_log_is_kept_and_that_is_said(
    folders: list[str | Path],
    tmp_path: Path,
    refuse: Refuse,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)  # as where it is not installed
    for arguments in ([*folders, "--log", tmp_path], ["collect"], ["rebuild"], ["compact"]):
        code, said = refuse(*arguments)
        assert code == 1
        assert "polars, which is not installed: pip install 'sparrow-recs[collect]'" in said
    settings = Settings(data=tmp_path)
    assert _log_folder(settings, None) is None
    assert "No event log is kept" in capsys.readouterr().out
    monkeypatch.delitem(sys.modules, "polars")
    assert _log_folder(settings, None) == tmp_path / "log"
    assert _log_folder(Settings(event_log=False), None) is None


def collectors(served: Served) -> list[int]:
    children = Path(f"/proc/{served.process.pid}/task").glob("*/children")
    found = [int(pid) for told in children for pid in told.read_text().split()]
    return [pid for pid in found if b"app.logcommands" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def like(served: Served, user_id: str, item_id: str) -> None:
    body = {"events": [{"user_id": user_id, "item_id": item_id, "kind": "like"}]}
    assert served.client.post("/v1/events", json=body).status_code == 202


def test_it_starts_before_anything_is_published(
    tmp_path: Path, build_books: Callable[..., str], redis_url: str
) -> None:
    root = tmp_path / "later"
    with started("--snapshots", root, "--data", tmp_path / "data", SPARROW_REDIS_URL=redis_url) as served:
        served.wait_for("nothing is published yet")
        assert served.client.get("/livez").status_code == 200
        assert served.client.get("/readyz").status_code == 503
        publish(root, build_books(root))
        served.wait_for("Sparrow is ready")
        assert served.client.post("/v1/homepage", json={"history": [{"item_id": "book-1"}]}).status_code == 200


def test_options_are_environment_variables_too(snapshots: Path, tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    changed = {"SPARROW_SNAPSHOTS": str(snapshots), "SPARROW_DATA": str(tmp_path), "SPARROW_REDIS_URL": redis_url}
    line = [SERVE]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, text=True, env=environment(**changed, SPARROW_PORT=str(port))
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Sparrow is ready: http://127.0.0.1:{port}\n"
        process.terminate()
        assert process.wait(60) == 0


def test_beyond_loopback_only_where_that_is_allowed(folders: list[str | Path], redis_url: str, refuse: Refuse) -> None:
    code, said = refuse(*folders, "--host", EVERYWHERE)
    assert (code, said.count("\n")) == (1, 1)
    assert "SPARROW_ALLOW_ANONYMOUS=true" in said
    with started(*folders, "--host", EVERYWHERE, SPARROW_ALLOW_ANONYMOUS="true", SPARROW_REDIS_URL=redis_url) as served:
        served.wait_for("Sparrow is ready: http://127.0.0.1:")


def test_with_keys_it_listens_everywhere_and_asks_for_them(
    folders: list[str | Path], tmp_path: Path, redis_url: str, refuse: Refuse
) -> None:
    file, everywhere = tmp_path / "keys", ("--host", EVERYWHERE)
    code, said = refuse(*folders, *everywhere, SPARROW_KEYS_FILE=str(file))
    assert (code, said.count("\n")) == (1, 1)
    assert "keys add makes it" in said
    secret = keys.add(file, "shop", "write")
    events = write_events(tmp_path / "events.jsonl", EVENTS)
    settings = {"SPARROW_REDIS_URL": redis_url, "SPARROW_KEYS_FILE": str(file), "SPARROW_KEY": secret}
    with started(*folders, *everywhere, "--workers", "2", "--events", events, **settings) as served:
        served.wait_for("Posted the events of 3 users")
        url, headers = served.client.base_url.join("/v1/users/ann"), {"Authorization": f"Bearer {secret}"}
        assert httpx.get(url).status_code == 401
        assert len(httpx.get(url, headers=headers).json()["history"]) == 5
        keys.revoke(file, "shop")
        # Each on a connection of its own, so that any worker may answer.
        assert eventually(lambda: all(httpx.get(url, headers=headers).status_code == 401 for _ in range(10)))
        assert not any(secret in line or "ann" in line.split() for line in served.said)


def test_workers_together_keep_to_the_rate(folders: list[str | Path], redis_url: str) -> None:
    with started(*folders, "--workers", "2", SPARROW_REDIS_URL=redis_url, SPARROW_RATE_LIMIT="5") as served:
        served.wait_for("Sparrow is ready")
        begun = time.monotonic()
        url = served.client.base_url.join("/v1/segments")
        statuses = [httpx.get(url).status_code for _ in range(60)]
        elapsed = time.monotonic() - begun
        assert set(statuses) <= {200, 429}
        assert 1 <= statuses.count(200) <= 5 + 5 * elapsed


def test_traces_that_cannot_be_made_are_said(folders: list[str | Path], refuse: Refuse) -> None:
    code, said = refuse(*folders, OTEL_TRACES_EXPORTER="jaeger")
    assert (code, said.count("\n")) == (1, 1)
    assert "OTEL_TRACES_EXPORTER is 'jaeger'" in said


def test_failures_are_one_sentence_and_exit_1(folders: list[str | Path], tmp_path: Path, refuse: Refuse) -> None:
    bad = write_events(tmp_path / "bad.jsonl", [{"item_id": "book-1"}])
    code, said = refuse(*folders, "--port", str(free_port()), "--events", bad)
    assert (code, said.count("\n")) == (1, 1)
    assert "bad.jsonl, line 1" in said
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    code, said = refused(*folders[:2], "--port", str(free_port()), "--data", blocked)
    assert (code, said.count("\n")) == (1, 1)
    assert "blocked" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = refused(*folders, "--port", port)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"Error: cannot listen on 127.0.0.1, port {port}: Address already in use")


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(folders: list[str | Path]) -> None:
    with started(*folders) as served:
        served.wait_for("Sparrow is ready")
        code, said = refused(*folders, "--port", str(free_port()))
        assert (code, said.count("\n")) == (1, 1)
        assert "another sparrow-serve" in said
        assert served.client.get("/readyz").json()["store"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "changed", "named"),
    [
        (["--port", "http"], {}, "--port"),
        (["--nonsense"], {}, "--nonsense"),
        (["--port", "0"], {}, "SPARROW_PORT"),
        ([], {"SPARROW_WORKERS": "many"}, "SPARROW_WORKERS"),
        ([], {"SPARROW_HISTORY_LIMIT": "0"}, "SPARROW_HISTORY_LIMIT"),
        ([], {"SPARROW_EVENT_WEIGHTS": "{"}, "event_weights"),
        ([], {"SPARROW_EVENT_WEIGHTS": '{"loved": 1}'}, "SPARROW_EVENT_WEIGHTS"),
        ([], {"SPARROW_LOG_LEVEL": "loud"}, "SPARROW_LOG_LEVEL"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], changed: dict[str, str], named: str, refuse: Refuse) -> None:
    code, said = refuse(*arguments, **changed)
    assert code == 2
    assert named in said


def test_events_that_cannot_be_posted_do_not_stop_the_server(
    folders: list[str | Path], tmp_path: Path, redis_url: str
) -> None:
    events = write_events(tmp_path / "events.jsonl", [{"user_id": "u", "item_id": "book-1", "kind": "loved"}])
    with started(*folders, "--events", events, SPARROW_REDIS_URL=redis_url) as served:
        served.wait_for("Sparrow is ready")
        assert any("the events were not posted" in line and "kind" in line for line in served.said)
        assert served.client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"user_id": "u"}\n{', "line 2 is not JSON"),
        (b"[]", "line 1 is not an event"),
        (b'{"user_id": 5}', "line 1 is not an event"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_events_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(SeedingError, match=said):
        read_events(path)
    with pytest.raises(SeedingError, match="cannot be read"):
        read_events(tmp_path / "missing.jsonl")


def test_events_are_kept_by_user_and_in_order(tmp_path: Path) -> None:
    found = read_events(write_events(tmp_path / "events.jsonl", EVENTS))
    assert list(found) == ["ann", "b/c", "\u00e9"]
    assert [event["item_id"] for event in found["ann"]] == [f"book-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")],
        *[(host, False) for host in (EVERYWHERE, "::", "10.0.0.1", "example.org", "127.0.0.1.example.org", "")],
    ],
)
def test_which_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_where_a_server_that_listens_everywhere_is_reached() -> None:
    assert reachable(EVERYWHERE, 80)[:2] == ("127.0.0.1", 80)
    assert reachable("::", 80)[:2] == ("::1", 80)
    assert reachable("127.0.0.1", 80)[:2] == ("127.0.0.1", 80)
