"""A network between the server and its Redis that can be made slow, or cut: a proxy from one unix socket to another.

What is sent into a cut network is held, as by TCP, and comes through when the network is whole again.
"""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

CHUNK = 65_536


class Proxy:
    """Listens on `socket`, from entering to leaving."""

    def __init__(self, socket: Path, upstream: Path) -> None:
        self._socket = socket
        self._upstream = upstream
        self.delay_seconds = 0.0
        """Of everything that is sent, in each direction half."""
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._ready = threading.Event()
        self._pumps: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Nothing comes through."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Everything does, at once."""
        self.delay_seconds = 0.0
        self._loop.call_soon_threadsafe(self._whole.set)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._whole.set()
        server = await asyncio.start_unix_server(self._connected, str(self._socket))
        self._ready.set()
        await self._stop.wait()
        server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(self._upstream))
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, upstream_writer), (upstream_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(CHUNK):
                    if self.delay_seconds:
                        await asyncio.sleep(self.delay_seconds / 2)
                    await self._whole.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()
