"""Events one by one in, many at a time out.

    with EventBuffer(client) as events:
        events.add({"user_id": "u1", "item_id": "2", "kind": "view"})

Sent when there are `size` of them, when one is added `seconds` after the first, on `flush` and at the end. There is no
thread behind it: what is added last leaves with the next `add` or `flush`. An event that could not be sent stays.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import uuid4

from sparrow_client.answers import EventResult
from sparrow_client.asked import Event
from sparrow_client.async_client import AsyncClient
from sparrow_client.client import Client
from sparrow_client.operations import MAX_EVENTS

Refused = Callable[[Event, EventResult], None]


class _Waiting:
    """Events that were not sent yet."""

    def __init__(self, size: int, seconds: float, refused: Refused | None) -> None:
        if not 1 <= size <= MAX_EVENTS:
            raise ValueError(f"size is {size}, and must be from 1 to {MAX_EVENTS}, as many as one request takes")
        self._size, self._seconds, self._refused = size, seconds, refused
        self.events: list[Event] = []
        self._since = 0.0

    def add(self, event: Event) -> bool:
        """Whether it is time to send. Sent twice an event shall count once, so it is named now."""
        if not self.events:
            self._since = time.monotonic()
        self.events.append({**event, "event_id": event.get("event_id") or uuid4().hex})
        return len(self.events) >= self._size or time.monotonic() - self._since >= self._seconds

    def sent(self, results: list[EventResult]) -> None:
        """So many of the first have been."""
        done, self.events = self.events[: len(results)], self.events[len(results) :]
        for event, result in zip(done, results, strict=True):
            if self._refused is not None and result.status == "refused":
                self._refused(event, result)


class EventBuffer:
    """Over a `Client`; not for several threads. `refused` is called with each event that the server does not take."""

    def __init__(
        self, client: Client, *, size: int = 500, seconds: float = 1.0, refused: Refused | None = None
    ) -> None:
        self._client, self._waiting = client, _Waiting(size, seconds, refused)

    def add(self, event: Event) -> None:
        """Keep it, or send all there are."""
        if self._waiting.add(event):
            self.flush()

    def flush(self) -> None:
        """Send all there are."""
        if self._waiting.events:
            self._waiting.sent(self._client.events(self._waiting.events))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flush()


class AsyncEventBuffer:
    """The same over an `AsyncClient`; not for several tasks."""

    def __init__(
        self, client: AsyncClient, *, size: int = 500, seconds: float = 1.0, refused: Refused | None = None
    ) -> None:
        self._client, self._waiting = client, _Waiting(size, seconds, refused)

    async def add(self, event: Event) -> None:
        """Keep it, or send all there are."""
        if self._waiting.add(event):
            await self.flush()

    async def flush(self) -> None:
        """Send all there are."""
        if self._waiting.events:
            self._waiting.sent(await self._client.events(list(self._waiting.events)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.flush()
