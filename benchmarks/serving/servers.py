"""The processes of a measurement: a real redis-server, the service as it runs in production, the plain endpoints.

The service has cores of its own, and everything else (generator, Redis) the others, where there are enough.
"""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.locking import CannotLock, check_lockable
from app.store.binary import find_binary
from benchmarks.machine import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 300.0
"""For a server to be ready: the first one on a snapshot reads every byte of it."""
READY = (200, 404, 405, 422)
"""Statuses of a server that is up; the plain one has no /readyz."""


@dataclass(frozen=True)
class Cores:
    """Who runs where."""

    server: frozenset[int]
    others: frozenset[int]

    @property
    def shared(self) -> bool:
        """The server has no core to itself."""
        return bool(self.server & self.others)


def cores(n_workers: int) -> Cores:
    """A core a worker, from the last on; the rest, if any, for all others."""
    there = sorted(os.sched_getaffinity(0))
    own = frozenset(there[-n_workers:])
    return Cores(own, frozenset(there) - own or frozenset(there))


@contextmanager
def pinned(where: frozenset[int]) -> Iterator[None]:
    """What is started meanwhile runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, where)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Server:
    """A process that listens."""

    port: int
    process: subprocess.Popen[bytes]

    def tree(self) -> list[int]:
        """Its pid and those of all that it has started and that run."""
        found, seen = [self.process.pid], 0
        while seen < len(found):
            found += _children(found[seen])
            seen += 1
        return found

    def busiest(self) -> int:
        """The process that has worked most so far: one that answers."""
        return max(self.tree(), key=_cpu_seconds)

    def cpu_seconds(self) -> float:
        """CPU time of all of them so far, without those that have ended."""
        return sum(_cpu_seconds(pid) for pid in self.tree())

    def resident_bytes(self) -> int:
        """Of all of them, without what is mapped from files: pages of a snapshot are shared."""
        return sum(_resident_bytes(pid) for pid in self.tree())


@contextmanager
def redis() -> Iterator[Server]:
    """An empty redis-server that keeps nothing on disk."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
    with tempfile.TemporaryDirectory(prefix="sparrow-redis-") as folder:
        command = [str(find_binary().path), *options, "--dir", folder, "--logfile", "redis.log"]
        with _running(command, port, {}) as server:
            _await_port(server)
            yield server


@contextmanager
def sparrow(snapshots: Path, redis_port: int, n_workers: int) -> Iterator[Server]:
    """sparrow-serve on a published snapshot."""
    port, data = free_port(), tempfile.mkdtemp(prefix="sparrow-http-")
    environment = {
        "SPARROW_SNAPSHOTS": str(snapshots.absolute()),
        "SPARROW_REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "SPARROW_DATA": data,
        "SPARROW_PORT": str(port),
        "SPARROW_WORKERS": str(n_workers),
        "SPARROW_LOG_LEVEL": "warning",
        "SPARROW_LOCK_MEMORY": str(lockable()),
    }
    try:
        with _running([sys.executable, "-m", "app"], port, environment) as server:
            _await(server, "/readyz", (200,))
            while len(server.tree()) <= n_workers:
                time.sleep(0.05)
            yield server
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def plain(redis_port: int, answer: Path) -> Iterator[Server]:
    """The endpoints that do next to nothing."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.plain", str(port), f"redis://127.0.0.1:{redis_port}"]
    with _running([*command, str(answer)], port, {}) as server:
        _await(server, "/", READY)
        yield server


def lockable() -> bool:
    """Whether memory may be locked: else a machine that reclaims what looks idle is measured, and not the service."""
    try:
        check_lockable()
    except CannotLock:
        return False
    return True


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def _running(command: Sequence[str], port: int, environment: Mapping[str, str]) -> Iterator[Server]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPARROW_", "OTEL_"))}
    process = subprocess.Popen(command, cwd=ROOT, env={**inherited, **environment}, stdout=subprocess.DEVNULL)
    try:
        yield Server(port, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(server: Server, path: str, statuses: Sequence[int]) -> None:
    """Ask until it answers; ChildProcessError where it ends or never does."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status in statuses:
                return
        except OSError:
            pass  # not yet
        finally:
            connection.close()
        time.sleep(0.05)
    raise ChildProcessError(f"{server.process.args!r} is not ready, see above")


def _await_port(server: Server) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        time.sleep(0.02)
    raise ChildProcessError("redis-server does not listen")


def _children(pid: int) -> list[int]:
    try:
        told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended meanwhile
    return [int(child) for each in told for child in each.split()]


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    return 1024 * int(named.get("RssAnon", "0 kB").split()[0])
