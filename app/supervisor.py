"""The parent of the workers: it starts them on one listening socket, replaces those that end, and ends them in order.

    SIGTERM, SIGINT   every worker finishes what it has begun, then all is over
    SIGHUP            rolling restart: one worker at a time, told to end only when its successor serves

The listening socket stays open in the parent, and connections wait in it, whichever worker comes or goes: the port
never refuses. A worker has one channel to its parent. A byte on it means that the worker serves; its end, that the
other side is gone, however that came about. So no worker outlives its parent, and none is missed.
"""

import logging
import math
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

log = logging.getLogger(__name__)

READY = b"r"
"""What a worker sends when it serves."""

SUCCEEDED = b"s"
"""What it is sent when another one serves in its place."""

START_SECONDS = 600.0
"""For a worker to serve: the first one of a host reads every byte of the snapshot."""

YOUNG_SECONDS = 10.0
"""A worker that dies younger is started again after a pause."""

LONGEST_PAUSE_SECONDS = 30.0

TICK_SECONDS = 0.5


class ServerError(Exception):
    """The server cannot start; the message says why and what to do."""


@dataclass
class Worker:
    """A process."""

    slot: int
    """Which of the workers it is; its successor is the same one."""
    process: subprocess.Popen[bytes]
    channel: socket.socket
    """Readable when it serves and when it has ended."""
    started_at: float
    ready: bool = False
    """It serves."""
    ends_by: float | None = None
    """It was told to end, and is killed then."""


class Supervisor:
    """Keeps `n_workers` running, one in each slot, from `run` until a signal ends it."""

    def __init__(self, listening: socket.socket, n_workers: int, grace_seconds: float) -> None:
        self._listening = listening
        self._n_workers = n_workers
        self._grace_seconds = grace_seconds
        self._selector = selectors.DefaultSelector()
        self._serving: dict[int, Worker] = {}
        self._starting: dict[int, Worker] = {}
        self._ending: list[Worker] = []
        self._deaths: dict[int, int] = {}
        self._due: dict[int, float] = dict.fromkeys(range(n_workers), -math.inf)
        self._roll: deque[int] = deque()
        self._signals: list[int] = []
        self._was_ready = False
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; ServerError where the application does not start at all."""
        with self._heard():
            try:
                while not self._stopping or self._all():
                    self._act()
                    self._listen()
            finally:
                for worker in self._all():
                    worker.process.kill()
                    worker.process.wait()
        if not self._was_ready and self._deaths:
            raise ServerError("the application did not start; the lines above say why")

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Signals wake the selector, and are kept for it."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, lambda sent, _: self._signals.append(sent)) for number in numbers}
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._selector.register(ours, selectors.EVENT_READ)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            ours.close()
            theirs.close()

    def _listen(self) -> None:
        """Wait for a signal or a worker, and take note of it."""
        for key, _ in self._selector.select(TICK_SECONDS):
            assert isinstance(key.fileobj, socket.socket)  # noqa: S101  (narrows the type)
            try:
                heard = key.fileobj.recv(64)
            except ConnectionError:
                heard = b""
            if key.data is not None and heard:
                self._is_ready(key.data)
            elif key.data is not None:
                self._has_ended(key.data)
        while self._signals:
            self._told(self._signals.pop(0))

    def _act(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for worker in self._ending:
            if worker.ends_by is not None and now >= worker.ends_by:
                log.error("worker %d does not end in time, it is killed", worker.slot)
                worker.process.kill()
        for worker in self._starting.values():
            if now >= worker.started_at + START_SECONDS:
                log.error("worker %d does not start in time, it is killed", worker.slot)
                worker.process.kill()
        if self._stopping:
            return
        for slot, due in list(self._due.items()):
            if now >= due:
                del self._due[slot]
                self._start(slot)
        if self._roll and not (self._starting or self._ending or self._due):
            self._start(self._roll.popleft())

    def _told(self, number: int) -> None:
        if number == signal.SIGHUP and not self._stopping:
            log.info("restarting %d workers, one after the other", self._n_workers)
            self._roll = deque(range(self._n_workers))
        elif number != signal.SIGHUP:
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._all():
            self._end(worker)

    def _start(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        inherited = (self._listening.fileno(), theirs.fileno())
        # -P: what lies in the working directory is no part of the server.
        line = [sys.executable, "-P", "-m", "app.worker", *(str(number) for number in inherited)]
        with theirs:
            process = subprocess.Popen(line, stdin=subprocess.DEVNULL, pass_fds=inherited)
        worker = self._starting[slot] = Worker(slot, process, ours, time.monotonic())
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _is_ready(self, worker: Worker) -> None:
        worker.ready = self._was_ready = True
        log.info("worker %d serves: process %d", worker.slot, worker.process.pid)
        if self._starting.get(worker.slot) is not worker:
            return  # it was told to end meanwhile
        del self._starting[worker.slot]
        before = self._serving.get(worker.slot)
        self._serving[worker.slot] = worker
        if before is not None:
            self._end(before, succeeded=True)

    def _end(self, worker: Worker, *, succeeded: bool = False) -> None:
        """Tell it to finish what it has begun."""
        if worker.ends_by is None:
            worker.ends_by = time.monotonic() + self._grace_seconds
            for group in (self._serving, self._starting):
                if group.get(worker.slot) is worker:
                    del group[worker.slot]
            self._ending.append(worker)
            if succeeded:
                with suppress(OSError):  # it died by itself
                    worker.channel.send(SUCCEEDED)
            else:
                worker.process.terminate()

    def _has_ended(self, worker: Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()
        code = worker.process.wait()
        if worker.ends_by is not None:
            self._ending.remove(worker)
            if code not in (0, -signal.SIGTERM):
                log.error("worker %d did not end in order: %s", worker.slot, _words(code))
            return
        log.error("worker %d died: %s", worker.slot, _words(code))
        group = self._serving if worker.ready else self._starting
        del group[worker.slot]
        young = time.monotonic() - worker.started_at < YOUNG_SECONDS
        deaths = self._deaths[worker.slot] = self._deaths.get(worker.slot, 0) + 1 if young or not worker.ready else 0
        if not self._was_ready:
            self._stop()  # it would fail the same way again
        elif worker.slot in self._serving:
            log.error("the restart is given up, the workers that have not been restarted stay")
            self._roll.clear()
        else:
            pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** (deaths - 1)) if deaths else 0.0
            self._due[worker.slot] = time.monotonic() + pause

    def _all(self) -> list[Worker]:
        return [*self._serving.values(), *self._starting.values(), *self._ending]


def _words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
