"""The parent of the workers: uvicorn's, but that it looks at processes instead of asking them for a sign of life, and
that a restart can be cut short.

A worker that is killed while it is asked would be waited for as long as a successor may take to start, and a machine
that is busy would have its workers killed for answering late. Whether a worker has ended needs no answer.
"""

import logging
import signal
from socket import socket
from types import FrameType

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app.metrics import forget_levels

log = logging.getLogger(__name__)


class Workers(Multiprocess):
    """Keeps `config.workers` processes running; SIGHUP replaces each when its successor serves."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self._restarting = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told_to_end)

    def restart_all(self) -> None:
        """One after the other, until told to end."""
        self._restarting = True
        try:
            super().restart_all()
        finally:
            self._restarting = False

    def _told_to_end(self, number: int, _: FrameType | None) -> None:
        if self._restarting:
            self.should_exit.set()  # which a restart looks at; the main loop waits for it and must not be met there
        else:
            self.signal_queue.append(number)

    def keep_subprocess_alive(self) -> None:
        """Replace what has ended; where the application does not start at all, end."""
        for number, worker in enumerate(self.processes):
            if self.should_exit.is_set() or worker.process.is_alive():
                continue
            worker.join()
            log.error("worker process %s ended: exit code %s", worker.pid, worker.exitcode)
            forget_levels(worker.process.pid or 0)
            if worker.exitcode == STARTUP_FAILURE:
                self.should_exit.set()
                return
            successor = Process(self.config, self.sockets)
            successor.start()
            self.processes[number] = successor
