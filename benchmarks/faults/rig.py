"""What the faults happen to: a redis-server that keeps a file, the way to it, and sparrow-serve with its workers."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.store.binary import find_binary
from benchmarks.faults import catalogue
from benchmarks.faults.clock import Clock
from benchmarks.faults.load import Caller, Load
from benchmarks.faults.proxy import Proxy
from index.publication import publish

SERVE = Path(sys.executable).parent / "sparrow-serve"

WAIT_SECONDS = 60.0


class RigError(Exception):
    """Something did not come about that had to; the message says what."""


def eventually(holds: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until it holds; RigError where it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RigError(f"{what} did not come about within {seconds:g} s")
        time.sleep(0.02)


class RedisServer:
    """A redis-server that writes an append-only file, as the embedded store does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def client(self) -> Redis:
        """To talk to it."""
        return Redis(unix_socket_path=str(self.socket), protocol=2, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    @property
    def process_id(self) -> int:
        """Of the server that runs."""
        if self._process is None:
            raise RigError("the redis-server does not run")
        return self._process.pid

    def start(self) -> None:
        """With what its file holds."""
        options = {
            "port": "0",
            "unixsocket": self.socket,
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": self.folder / "redis.log",
        }
        parts = (part for name, value in options.items() for part in (f"--{name}", str(value)))
        line = [str(find_binary().path), *parts]
        # SIGXFSZ stays ignored, as Python has it: a file that must not grow is then an error, as on a full disk.
        self._process = subprocess.Popen(line, stdout=subprocess.DEVNULL, restore_signals=False)
        eventually(self._answers, "redis-server")

    def kill(self) -> None:
        """As by a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def limit_files(self, n_bytes: int) -> None:
        """Files of it cannot grow beyond; RLIM_INFINITY lifts that."""
        hard = resource.prlimit(self.process_id, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process_id, resource.RLIMIT_FSIZE, (n_bytes, hard))

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False


class Server:
    """sparrow-serve with its workers."""

    def __init__(self, snapshots: Path, data: Path, redis: Path, n_workers: int, **environment: str) -> None:
        self.port = free_port()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPARROW_")},
            "SPARROW_REDIS_URL": f"unix://{redis}",
            "SPARROW_POLL_SECONDS": "0.1",
            **environment,
        }
        line = [SERVE, "--port", str(self.port), "--workers", str(n_workers), "--snapshots", snapshots, "--data", data]
        self._line = [str(part) for part in line]
        self._n_workers = n_workers
        self._data = data
        self._log = data.parent / "server.log"

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._line, env=self._environment, stdout=log, stderr=log)
        eventually(
            lambda: self.process.poll() is not None or len(self.ready_workers()) == self._n_workers, "all workers ready"
        )
        if self.process.poll() is not None:
            raise RigError(f"the server did not start: {self.log()[-2000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(WAIT_SECONDS)

    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def caller(self) -> Caller:
        """A connection to it."""
        return Caller(self.port)

    def workers(self) -> list[int]:
        """Process ids of all workers, those that start or end among them."""
        return [number for number in _children(self.process.pid) if b"spawn_main" in _command(number)]

    def ready_workers(self) -> list[int]:
        """Those that have the index open, which they have before they listen."""
        return [number for number in self.workers() if "/snapshots/" in _maps(number)]

    def roll(self) -> None:
        """Restart all workers, one after the other, and wait until that is done."""
        before = set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: not before & set(self.workers()), "a rolling restart")
        eventually(lambda: len(self.ready_workers()) == self._n_workers, "all workers ready")

    def kill_worker(self) -> None:
        """Kill one of them, and wait for the next."""
        victim = self.workers()[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in self.workers(), "the end of a worker")
        eventually(lambda: len(self.ready_workers()) == self._n_workers, "all workers ready")

    def rebuild(self) -> dict[str, int]:
        """Give back to users what the event log knows of them; what the command says it did."""
        line = [str(SERVE), "rebuild", "--data", str(self._data), "--json"]
        done = subprocess.run(line, env=self._environment, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RigError(f"rebuild: {done.stderr[-500:]}")
        found: dict[str, int] = json.loads(done.stdout)
        return found

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with closing(self.caller()) as caller:
            status, text = caller.ask("GET", "/metrics")
        if status != 200:
            raise RigError(f"/metrics answers {status}")
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


class Rig:
    """All of it, in a folder of its own, from entering to leaving."""

    def __init__(self, n_workers: int = 2, **environment: str) -> None:
        self._n_workers = n_workers
        self._environment = environment
        self._stack = ExitStack()
        self.numbers: dict[str, int] = {}
        """Of catalogues, by version."""

    def __enter__(self) -> Self:
        with self._stack:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sparrow-faults-")))
            self.snapshots = folder / "snapshots"
            self.publish()
            self.redis = RedisServer(folder)
            self.redis.start()
            self._stack.callback(self.redis.kill)
            self.network = self._stack.enter_context(Proxy(folder / "way.sock", self.redis.socket))
            self._stack.callback(self.network.mend)
            self.clock = Clock(folder)
            data, way = folder / "data", folder / "way.sock"
            environment = {**self.clock.environment, **self._environment}
            self.server = self._stack.enter_context(Server(self.snapshots, data, way, self._n_workers, **environment))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def store(self) -> str:
        """Store one more catalogue and return its version."""
        number = len(self.numbers)
        version = catalogue.store(self.snapshots, number)
        self.numbers[version] = number
        return version

    def publish(self) -> str:
        """Store one more and make it current."""
        version = self.store()
        publish(self.snapshots, version)
        return version

    def load(self, n_callers: int = 6, *, think_seconds: float = 0.005) -> Load:
        """Callers of the server."""
        numbers = self.numbers
        return Load(self.server.port, n_callers, lambda one: numbers.get(one, -1), think_seconds=think_seconds)

    def kept(self, pairs: list[tuple[str, str]]) -> int:
        """How many of these interactions (user_id, item_id) the server knows."""
        known = {}
        with closing(self.server.caller()) as caller:
            for user_id in sorted({user_id for user_id, _ in pairs}):
                known[user_id] = _history(caller, user_id)
        return sum(item_id in known[user_id] for user_id, item_id in pairs)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _history(caller: Caller, user_id: str) -> set[str]:
    """What a user has interacted with; another worker than the one that answered before may need a moment more."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        status, document = caller.ask("GET", f"/v1/users/{user_id}")
        if status == 404:
            return set()
        if status == 200:
            return {one["item_id"] for one in document["history"]}
        time.sleep(0.1)
    raise RigError(f"GET /v1/users answers {status}")


def _children(process_id: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process_id}/task").glob("*"):
        try:
            found += [int(number) for number in (task / "children").read_text().split()]
        except OSError:
            continue  # the thread has ended
    return found


def _command(process_id: int) -> bytes:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return b""


def _maps(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/maps").read_text()
    except OSError:
        return ""
