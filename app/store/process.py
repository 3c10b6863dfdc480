"""One redis-server in one folder, on a unix socket: start it, ask whether it lives, end it.

The server inherits a lock on the file `running` and holds it as long as it lives, whoever its parent is: taking that
lock is the proof that no server writes to the folder.
"""

import fcntl
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from app.store.binary import Binary

START_SECONDS = 30.0
"""Until a new server must answer; reading its file does not count."""

POLL_SECONDS = 0.02


class EmbeddedStoreError(Exception):
    """The embedded store cannot be started or stopped; the message says why and what to do."""


class RedisProcess:
    """A redis-server, which this process may or may not have started."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self.folder = folder
        self.socket = socket
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, binary: Binary) -> None:
        """Start it and wait until it answers; EmbeddedStoreError where it does not."""
        self._check_files(binary)
        lock = take_lock(self.folder / "running")
        if lock is None:
            raise EmbeddedStoreError(f"a redis-server is running in {self.folder} already")
        try:
            with (self.folder / "redis.log").open("ab") as words:
                self._child = subprocess.Popen(
                    self._command(binary),
                    stdin=subprocess.DEVNULL,
                    stdout=words,  # not ours: it may outlive us, and who reads ours waits for its end
                    stderr=subprocess.STDOUT,
                    pass_fds=[lock],
                    start_new_session=True,  # Ctrl-C must not reach it before the workers have finished
                )
        finally:
            os.close(lock)  # the server has its copy
        if not self.answers_within(START_SECONDS):
            if self._child is not None:  # it lives but never answered, so nobody was told that it keeps anything
                self._child.kill()
                self._child.wait()
            raise EmbeddedStoreError(f"{binary.path} does not start: {self.last_words()}")

    def alive(self) -> bool:
        """Whether some server lives in the folder."""
        lock = take_lock(self.folder / "running")
        if lock is None:
            return True
        os.close(lock)
        if self._child is not None:
            self._child.wait()  # it let go of its lock, so this does not take long
            self._child = None
        return False

    def answers_within(self, seconds: float) -> bool:
        """Whether it answers in time; as long as it says that it is reading its file, time does not run."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive():
            try:
                with self._client() as client:
                    client.execute_command("PING")
                    return True
            except BusyLoadingError:
                deadline = time.monotonic() + seconds
            except (RedisError, OSError):
                pass  # not yet
            time.sleep(POLL_SECONDS)
        return False

    def shut_down(self) -> None:
        """Ask it to write and sync what it holds and to end."""
        with suppress(RedisError, OSError), self._client() as client:
            client.execute_command("SHUTDOWN")

    def rewrite(self) -> None:
        """Ask it to write its file anew, from what it holds now; RedisError or OSError where it does not begin to."""
        with self._client() as client:
            client.execute_command("BGREWRITEAOF")

    def terminate(self) -> None:
        """The same by a signal, for a server that cannot be asked, for example because its socket was removed."""
        with suppress(OSError, ValueError):
            if self.alive():  # else the number may belong to another process by now
                os.kill(int((self.folder / "redis.pid").read_text()), signal.SIGTERM)

    def ends_within(self, seconds: float) -> bool:
        """Whether it is gone in time."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = (self.folder / "redis.log").read_text(errors="replace").splitlines()
        except OSError as error:
            return f"its log cannot be read, {error}"
        return lines[-1] if lines else "it said nothing"

    def _client(self) -> Redis:
        # Without redis-py's own retries: a server that ends would be asked again for seconds.
        return Redis(unix_socket_path=str(self.socket), socket_timeout=5, protocol=2, retry=Retry(NoBackoff(), 0))

    def _command(self, binary: Binary) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "pidfile": self.folder / "redis.pid",
            "logfile": self.folder / "redis.log",
            "daemonize": "no",
        }
        return [str(binary.path), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]

    def _check_files(self, binary: Binary) -> None:
        """An older Redis does not look for the files of a newer one: it would start empty."""
        if (self.folder / "appendonlydir").exists() and binary.version < (7, 0):
            found = ".".join(str(part) for part in binary.version)
            raise EmbeddedStoreError(
                f"{self.folder} was written by Redis 7 or newer and {binary.path} is {found}: "
                "install the newer one again, or name another folder by --data"
            )


def take_lock(path: Path) -> int | None:
    """Lock a file and return its descriptor, or None where it is taken; it lasts until every copy is closed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
