"""A worker that hangs ends itself, so that its parent starts another: nobody else can tell it from one that is busy.

A loop that does not turn answers nobody, and keeps the connections that the kernel hands it. A thread looks from
beside: a second is missed where the loop has not turned in it, and so many missed in a row are no load any more. Time
in which the whole process stands still (a suspended machine, a debugger) is not counted: the thread stands still too.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import threading

log = logging.getLogger(__name__)

MISSED = 60
"""Looks in a row, a second each, at which the loop has not turned."""


class Watchdog(threading.Thread):
    """Kills its process, after it has said where each thread is, when the loop hangs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: int = MISSED, look_seconds: float = 1.0) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._loop = loop
        self._missed = missed
        self._look_seconds = look_seconds
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        turned = self._ask()
        missed = 0
        while not self._over.wait(self._look_seconds):
            if turned.is_set():
                turned, missed = self._ask(), 0
                continue
            missed += 1
            if missed >= self._missed:
                self._end()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _ask(self) -> threading.Event:
        turned = threading.Event()
        self._loop.call_soon_threadsafe(turned.set)
        return turned

    def _end(self) -> None:
        seconds = self._missed * self._look_seconds
        log.critical("the event loop has not turned for %g s: this worker ends, another takes its place", seconds)
        faulthandler.dump_traceback()
        os.kill(os.getpid(), signal.SIGKILL)  # what hangs heeds no other signal
