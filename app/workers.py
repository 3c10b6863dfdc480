"""The parent of the workers: uvicorn's, but that it looks at processes instead of asking them for a sign of life.

A worker that is killed while it is asked would be waited for as long as a successor may take to start, and a machine
that is busy would have its workers killed for answering late. Whether a worker has ended needs no answer.
"""

import logging

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

log = logging.getLogger(__name__)


class Workers(Multiprocess):
    """Keeps `config.workers` processes running; SIGHUP replaces each when its successor serves."""

    def keep_subprocess_alive(self) -> None:
        """Replace what has ended; where the application does not start at all, end."""
        for number, worker in enumerate(self.processes):
            if self.should_exit.is_set() or worker.process.is_alive():
                continue
            worker.join()
            log.error("worker process %s ended: exit code %s", worker.pid, worker.exitcode)
            if worker.exitcode == STARTUP_FAILURE:
                self.should_exit.set()
                return
            successor = Process(self.config, self.sockets)
            successor.start()
            self.processes[number] = successor
