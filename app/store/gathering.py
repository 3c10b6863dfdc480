"""Reads that come in together, as one command: the store is asked once for all requests of one turn of the event loop.

A command costs a client about as much as the rest of a recommendation, whether it asks for one user or for twenty. So
who reads waits until the loop has turned once, and whoever came in meanwhile is asked for along. An idle server reads
at once; the more there is to do, the more share a command. Each reader keeps a clock of their own.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

from app.store.connection import Connection, StoreUnavailable
from app.store.keys import PARTITIONS

MOST = 64
"""Readers that share a command: Redis answers nobody else while it answers one."""

Values = list[bytes | None]
"""Of keys, None for none."""


class _Reader(NamedTuple):
    keys: Sequence[bytes]
    values: asyncio.Future[Values]


class Gathering:
    """Between who reads a user and the connection. In a cluster only users of one partition share a command."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._n_groups = PARTITIONS if connection.cluster else 1
        self._readers: dict[int, list[_Reader]] = {}  # by group: of commands that are not sent yet
        self._sending: set[asyncio.Task[None]] = set()

    async def get(self, partition: int, keys: Sequence[bytes], within: float | None) -> Values:
        """The values of keys of one partition; StoreUnavailable; TimeoutError where `within` seconds were too few."""
        loop = asyncio.get_running_loop()
        reader = _Reader(keys, loop.create_future())
        self._join(partition, reader)
        if within is None:
            return await reader.values
        clock = loop.call_later(within, _too_late, reader.values)  # a third of the cost of asyncio.timeout
        try:
            return await reader.values
        finally:
            clock.cancel()

    async def close(self) -> None:
        """Give up what was not answered yet."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _join(self, partition: int, reader: _Reader) -> None:
        group = partition % self._n_groups
        readers = self._readers.get(group)
        if readers is not None and len(readers) < MOST:
            readers.append(reader)
            return
        self._readers[group] = readers = [reader]
        task = asyncio.create_task(self._send(partition, group, readers))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, partition: int, group: int, readers: list[_Reader]) -> None:
        """One command. A task begins when the loop has turned: by then everybody has joined."""
        if self._readers.get(group) is readers:
            del self._readers[group]
        try:
            found = await self._connection.get([(partition, reader.keys) for reader in readers], "reading")
        except asyncio.CancelledError:
            _fail(readers, StoreUnavailable("the user store was closed"))
        except Exception as error:  # noqa: BLE001  (whatever it is, it is theirs)
            _fail(readers, error)
        else:
            for reader, values in zip(readers, found, strict=True):
                if not reader.values.done():
                    reader.values.set_result(values)


def _fail(readers: list[_Reader], error: Exception) -> None:
    for reader in readers:
        if not reader.values.done():
            # Each raises their own: a traceback that several tasks write to says nothing.
            reader.values.set_exception(copy(error))


def _too_late(values: asyncio.Future[Values]) -> None:
    if not values.done():
        values.set_exception(TimeoutError())
