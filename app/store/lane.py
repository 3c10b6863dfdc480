"""One connection to Redis that all requests of a process share.

Commands leave as they come and replies return in their order, so any number of requests wait at once: what would be a
pool's work for each request (take a connection, check it, give it back) is done by nobody. The parser is hiredis.
Measured against redis-py a round trip costs a third of the time in this process.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import hiredis

MAX_WAITING = 10_000
"""Calls that wait on one connection; more are refused at once, for their replies would come too late."""

pack = cast(Callable[[tuple[bytes | str | int, ...]], bytes], hiredis.pack_command)
"""A command in Redis' protocol; the types of hiredis know commands of one word only."""

Reply = Any
"""bytes, int, None, a list of these, or a hiredis.ReplyError: a refusal is an answer and is returned, not raised."""


class Lost(Exception):  # noqa: N818  (the name says what is the matter)
    """The connection broke: what was asked may or may not have been carried out."""


class Slow(Lost):
    """There was no answer in time."""


class Unreachable(Lost):
    """There is no connection: nothing was carried out, and asking again at once would meet the same."""


class Target(NamedTuple):
    """A server and how to be let in."""

    place: str
    """Host, or the path of a unix socket where `port` is 0."""
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0

    def __str__(self) -> str:
        return f"{self.place}:{self.port}" if self.port else self.place


class Address(NamedTuple):
    """What a URL of a user store says."""

    targets: tuple[Target, ...]
    """Several only for a cluster: any of its nodes."""
    cluster: bool


SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")


def parse_url(url: str) -> Address:
    """What redis://[user[:password]@]host[:port][/db] means.

    So does rediss:// over TLS, unix://[user[:password]@]/path[?db=N] for a socket, and redis+cluster:// or
    rediss+cluster:// with one or more nodes, separated by commas. ValueError, without the password, for anything else.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"must begin with {'://, '.join(SCHEMES)}://")
    login, _, hosts = parts.netloc.rpartition("@")
    username, colon, password = login.partition(":")
    known = (unquote(username) or None, unquote(password) if colon else None)
    cluster, tls = parts.scheme.endswith("+cluster"), parts.scheme.startswith("rediss")
    if parts.scheme == "unix":
        db = _db(parts.query.removeprefix("db="))
        return Address((Target(unquote(parts.path), 0, False, *known, db),), cluster=False)
    if parts.query:
        raise ValueError("has options behind a question mark, which are not taken; see SPARROW_REDIS_CA for TLS")
    db = _db(parts.path.strip("/"))
    if cluster and db:
        raise ValueError("names a database, but a Redis Cluster has only number 0")
    if "," in hosts and not cluster:
        raise ValueError(f"names several servers: write {parts.scheme}+cluster:// for the nodes of a Redis Cluster")
    return Address(tuple(Target(*_place(host), tls, *known, db) for host in hosts.split(",")), cluster)


def _db(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal():
        raise ValueError("names a database that is not a number")
    return int(text)


def _place(host: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    split = urlsplit(f"//{host}")
    return unquote(split.hostname or "localhost"), split.port or 6379


class _Waiting(NamedTuple):
    """Somebody who asked something."""

    answer: "asyncio.Future[list[Reply]]"
    n: int
    replies: list[Reply]
    deadline: float


class Lane(asyncio.Protocol):
    """An open connection; `closed` once it broke, and for good."""

    def __init__(self, timeout: float) -> None:
        self.closed = True
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._unsent: list[bytes] = []

    @property
    def waiting(self) -> int:
        """Calls that were sent and not answered yet."""
        return len(self._waiting)

    def ask(self, packed: bytes, n: int) -> "asyncio.Future[list[Reply]]":
        """Send n commands; their replies, or Lost, or Slow."""
        answer: asyncio.Future[list[Reply]] = self._loop.create_future()
        if self.closed or len(self._waiting) >= MAX_WAITING:
            answer.set_exception(Lost("the connection is closed" if self.closed else "too many calls wait already"))
            return answer
        deadline = self._loop.time() + self._timeout
        self._waiting.append(_Waiting(answer, n, [], deadline))
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._watch)
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(packed)
        return answer

    def close(self, reason: Lost) -> None:
        """End the connection; all who wait are told why."""
        self.closed = True
        self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                waiting.answer.set_exception(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self.closed = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        self.close(Lost(f"the connection was closed by the server{f': {exc}' if exc else ''}"))

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                head = waiting[0]
                head.replies.append(reply)
                if len(head.replies) == head.n:
                    waiting.popleft()
                    if not head.answer.done():  # nobody waits for it any more
                        head.answer.set_result(head.replies)
        except (hiredis.HiredisError, IndexError) as error:
            self.close(Lost(f"the server does not speak Redis' protocol: {error}"))

    def _send(self) -> None:
        """All that was asked in this turn of the event loop, by one system call."""
        packed, self._unsent = b"".join(self._unsent), []
        if not self.closed:
            self._transport.write(packed)

    def _watch(self) -> None:
        """Whoever waits longest decides: what was asked later is answered later."""
        self._timer = None
        if not self._waiting:
            return
        late, now = self._waiting[0], self._loop.time()
        if late.deadline > now:
            self._timer = self._loop.call_at(late.deadline, self._watch)
            return
        while self._waiting and self._waiting[0].deadline <= now:
            answer = self._waiting.popleft().answer
            if not answer.done():
                answer.set_exception(Slow(f"no answer within {1000 * self._timeout:.0f} ms"))
        self.close(Lost("an earlier call on this connection had no answer"))


async def open_lane(target: Target, patience: float, context: ssl.SSLContext | None) -> Lane:
    """Connect and be let in; Lost or Slow where that fails."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience):
            if target.port:
                tls = context if target.tls else None
                _, lane = await loop.create_connection(lambda: Lane(patience), target.place, target.port, ssl=tls)
            else:
                _, lane = await loop.create_unix_connection(lambda: Lane(patience), target.place)
    except TimeoutError as error:
        raise Slow(f"no connection to {target} within {1000 * patience:.0f} ms") from error
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(f"no connection to {target}: {error}") from error
    commands = _greeting(target)
    if commands:
        for reply in await lane.ask(b"".join(commands), len(commands)):
            if isinstance(reply, hiredis.ReplyError):
                refused = Unreachable(f"{target} does not let us in: {reply}")
                lane.close(refused)
                raise refused
    return lane


def _greeting(target: Target) -> list[bytes]:
    commands = []
    if target.password is not None:
        login = () if target.username is None else (target.username,)
        commands.append(pack(("AUTH", *login, target.password)))
    if target.db:
        commands.append(pack(("SELECT", target.db)))
    return commands
