"""The embedded store: a private, durable redis-server for where there is no other.

One parent owns a data folder, by a lock, and the server in it. A server that outlived its parent is found and taken
over, one that dies is started again on the same socket, and two never write to one folder (see `app.store.process`).
"""

import logging
import math
import os
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from redis.exceptions import RedisError

from app.store.binary import Binary, find_binary
from app.store.process import EmbeddedStoreError, RedisProcess, take_lock
from index.disk import replace_text

log = logging.getLogger(__name__)

TAKE_OVER_SECONDS = 10.0
"""Until a server that outlived its parent must answer, or else is replaced."""

STOP_SECONDS = 30.0
"""Until a stopping server must be gone: it syncs what it holds."""

SUPERVISE_SECONDS = 0.5

REWRITE_SECONDS = 86_400.0
"""Between rewrites of the append-only file: until then it can hold what was deleted. The first follows the start."""

SOCKET = "redis.sock"

MAX_SOCKET_PATH = 100
"""The system's bound is 104 to 108 bytes."""


class EmbeddedStore:
    """The redis-server of one data folder, from entering this context manager to leaving it.

    Entering raises EmbeddedStoreError, and NoBinary where no redis-server is installed.
    """

    def __init__(self, data: Path, binary: Binary | None = None) -> None:
        self._data = data.absolute()
        self._folder = self._data / "redis"
        self._binary = binary
        self._server = RedisProcess(self._folder, self._folder / SOCKET)
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True, name="embedded-store")

    @property
    def url(self) -> str:
        """For SPARROW_REDIS_URL."""
        return f"unix://{quote(str(self._server.socket))}"

    def __enter__(self) -> Self:
        for folder in (self._data, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(self._data / "lock")
        if lock is None:
            raise EmbeddedStoreError(
                f"another sparrow-serve keeps its users in {self._data}: stop it, or name another folder by --data"
            )
        try:
            self._open()
        except BaseException:
            # Also where a signal ends the wait for a long file.
            self._server.shut_down()
            self._server.ends_within(STOP_SECONDS)
            self._tidy()
            os.close(lock)
            raise
        self._lock = lock
        self._supervisor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._supervisor.join()
        self._server.shut_down()
        if not self._server.ends_within(STOP_SECONDS):
            self._end_by_signal()
        self._tidy()
        os.close(self._lock)

    def _open(self) -> None:
        """Take over the server that is there, or start one."""
        socket = self._recorded()
        if socket is not None:
            self._server = RedisProcess(self._folder, socket)
        if self._server.alive():
            if self._server.answers_within(TAKE_OVER_SECONDS):
                log.info("took over the redis-server that an earlier sparrow-serve left running")
                return
            self._end_by_signal()
        if socket is None or not _private(socket.parent):
            self._server = RedisProcess(self._folder, _new_socket())
        # Before the server runs: should this process be killed now, the next one finds it.
        replace_text(self._folder / "socket", str(self._server.socket))
        self._server.start(self._binary or find_binary())

    def _recorded(self) -> Path | None:
        """Where the last server of this folder listened."""
        try:
            socket = Path((self._folder / "socket").read_text())
        except FileNotFoundError:
            return None
        return socket if socket.is_absolute() and socket.name == SOCKET else None

    def _tidy(self) -> None:
        """Remove the socket's folder, unless a server lives in it after all."""
        if not self._server.alive():
            with suppress(OSError):
                self._server.socket.unlink(missing_ok=True)
                self._server.socket.parent.rmdir()  # of an empty folder only

    def _supervise(self) -> None:
        rewritten = -math.inf
        while not self._stopping.wait(SUPERVISE_SECONDS):
            if self._server.alive():
                if time.monotonic() - rewritten >= REWRITE_SECONDS:
                    self._rewrite()
                    rewritten = time.monotonic()
                continue
            log.error("the embedded redis-server died, starting it again; it said: %s", self._server.last_words())
            try:
                self._server.start(self._binary or find_binary())
            except Exception:
                log.exception("the embedded redis-server cannot be started again; trying on")

    def _rewrite(self) -> None:
        try:
            self._server.rewrite()
        except (RedisError, OSError) as error:
            log.warning("the embedded redis-server does not rewrite its file, deleted users stay in it: %s", error)

    def _end_by_signal(self) -> None:
        self._server.terminate()
        if not self._server.ends_within(STOP_SECONDS):
            raise EmbeddedStoreError(f"the redis-server in {self._folder} does not answer and does not end: end it")


def _private(folder: Path) -> bool:
    """Whether nobody else can put a socket there: the name was known to others since it was made."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700


def _new_socket() -> Path:
    """A path in a new folder of mode 700, short enough for a socket whatever TMPDIR is."""
    folder = tempfile.mkdtemp(prefix="sparrow-")
    if len(folder) > MAX_SOCKET_PATH - len(SOCKET) - 1:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="sparrow-", dir="/tmp")
    return Path(folder) / SOCKET
