"""The collector of sparrow-serve: a process beside it, started again when it ends, ending when it ends."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

SUPERVISE_SECONDS = 0.2

RESTART_SECONDS = 2.0
"""Before one that ended is started again."""

STOP_SECONDS = 60.0
"""Until it must have written what is left."""


class Draining:
    """A running collector, from entering this context manager to leaving it; leaving writes what is left."""

    def __init__(self, folder: Path, keep_days: int = 0) -> None:
        options = ("--log", str(folder), "--keep-days", str(keep_days), "--while-stdin")
        self._command = [sys.executable, "-m", "app.logcommands", "collect", *options]
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True, name="collector-watch")

    def __enter__(self) -> Self:
        self._child = self._start()
        self._supervisor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._supervisor.join()
        assert self._child.stdin is not None  # noqa: S101  (narrows the type: it was started with a pipe)
        self._child.stdin.close()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("the collector does not end; what it has not written stays on the streams")  # noqa: TRY400
            self._child.kill()
            self._child.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {"POLARS_MAX_THREADS": "1", **os.environ}  # the cores are the workers'
        # A session of its own: Ctrl-C must not reach it before the workers have finished.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment, start_new_session=True)

    def _supervise(self) -> None:
        while not self._stopping.wait(SUPERVISE_SECONDS):
            if self._child.poll() is not None:
                log.error("the collector ended, starting it again: exit code %s", self._child.returncode)
                if self._stopping.wait(RESTART_SECONDS):
                    return
                self._child = self._start()
