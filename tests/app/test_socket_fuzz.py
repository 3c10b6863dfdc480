"""Bytes that nobody should send, on real sockets to a real server process: it answers or closes, and goes on serving.

FUZZ_BYTES=20000 pytest tests/app/test_socket_fuzz.py makes a long run of it, of other cases than the usual one.
"""

import asyncio
import json
import os
import random
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest

from app.protocol import MAX_HEADER_BYTES, MAX_HEADERS
from app.server import KEEP_ALIVE_SECONDS
from benchmarks.faults.rig import Rig

pytestmark = pytest.mark.anyio

CASES = int(os.environ.get("FUZZ_BYTES", "400"))
SEED = random.randrange(2**32) if "FUZZ_BYTES" in os.environ else 0
AT_A_TIME = 200

RECEIVE_SECONDS = 2
"""As the server is set: a request that is not whole by then gets 408, and its connection ends."""

GRACE_SECONDS = 8
"""More than that, for noisy machines: a connection that is open then must be idle, and answer at once."""

HANG_SECONDS = 60

BODY = json.dumps({"history": [{"item_id": "i1"}], "count": 3}).encode()
EVENTS = json.dumps({"events": [{"user_id": "u", "item_id": "i1", "kind": "view"}]}).encode()
KEPT = b"GET /livez HTTP/1.1\r\nHost: s\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
JSON = b"Host: s\r\nConnection: close\r\nContent-Type: application/json\r\n"
POST = b"POST /v1/recommend HTTP/1.1\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"POST /v1/events HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
IN_CHUNKS = CHUNKED + b"".join(
    b"%x\r\n%s\r\n" % (len(EVENTS[at : at + 9]), EVENTS[at : at + 9]) for at in range(0, 99, 9)
)
GOOD = [
    KEPT,
    LAST,
    POST,
    POST.replace(b"Connection: close\r\n", b""),
    IN_CHUNKS + b"0\r\n\r\n",
    b"GET /v1/users/u HTTP/1.1\r\nHost: s\r\n\r\n",
]

TOKENS = [
    *(b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"/", b"*", b"/v1/recommend"),
    *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b"%00%ff"),
    *(b"Host: s\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 9999999999999999999\r\n"),
    *(b"Content-Length: 1000000000000\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"X-Request-ID: \xff\x00\r\n", b" folded\r\n", b": \r\n"),
    *(b"0\r\n\r\n", b"ffffffffffffffff1\r\n", b"-5\r\n", b"5;a=b\r\nabcde\r\n", b"\xff\xfe", b"\xed\xa0\x80"),
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"{", b'{"count": 1e999}', b"[" * 500),
]  # fmt: skip


class Case(NamedTuple):
    """What a client does with a connection."""

    parts: Sequence[bytes]
    end: str
    """open: waits for the server; half: will send no more; close; reset."""


def mutated(draw: random.Random) -> bytes:
    data = bytearray(draw.choice(GOOD))
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice([1, 2, 10]))
        data[at:to] = draw.choice([b"", draw.randbytes(to - at), bytes(data[at:to]) * 2, draw.choice(TOKENS)])
    return bytes(data)


def broken_chunks(draw: random.Random) -> bytes:
    sizes = [b"5", b"05", b"0", b"-1", b"5 ", b"x", b"", b"fffffffff", b"5;" + b"e" * draw.choice([1, 40_000])]
    pieces = [draw.choice(sizes) + draw.choice([b"\r\n", b"\n", b""]) + b"abcde" + b"\r\n" for _ in range(5)]
    return CHUNKED + b"".join(pieces) + draw.choice([b"", b"0\r\n\r\n", b"0\r\n" + b"a: b\r\n" * 300])


def large_headers(draw: random.Random) -> bytes:
    size = draw.choice([1, 100, MAX_HEADER_BYTES, 10 * MAX_HEADER_BYTES])
    number = draw.choice([1, 2, MAX_HEADERS + 1]) if size > 100 else draw.choice([1, MAX_HEADERS, 5000])
    return b"GET /livez HTTP/1.1\r\n" + (b"x" + b": " + b"y" * size + b"\r\n") * number + draw.choice([b"", b"\r\n"])


SORTS: Sequence[Callable[[random.Random], bytes]] = [
    lambda draw: draw.randbytes(draw.choice([1, 10, 100, 5000, 100_000])),
    lambda draw: b"".join(draw.choices(TOKENS, k=draw.randint(1, 20))),
    lambda draw: b"GET / HTTP/1.1\r\n" + b"".join(draw.choices(TOKENS, k=draw.randint(1, 20))),
    mutated,
    mutated,
    lambda draw: (good := draw.choice(GOOD))[: draw.randrange(len(good))],
    broken_chunks,
    large_headers,
    lambda draw: b"".join(draw.choices([*GOOD, mutated(draw)], k=draw.choice([2, 10, 100]))),
    lambda draw: POST.replace(b"Content-Length: ", b"Content-Length: " + draw.choice([b"9", b"1\r\nContent-Length: "])),
    lambda draw: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(draw.choice([0, 9, 100])),
]  # fmt: skip


def case(number: int) -> Case:
    draw = random.Random(f"{SEED} {number}")
    data = draw.choice(SORTS)(draw)
    step = draw.choice([len(data), len(data), 1000, 7, 1])
    parts = [data[at : at + step] for at in range(0, min(len(data), 3000 * step), max(step, 1))]
    return Case(parts, draw.choice(["open", "open", "half", "close", "reset"]))


class Connection:
    """A client that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.heard = b""

    async def say(self, *parts: bytes) -> None:
        with suppress(ConnectionError):  # the server may have had enough
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
                if len(parts) > 1:
                    await asyncio.sleep(0)

    async def ended(self, seconds: float) -> bool:
        """Whether the server ends the connection within so long; what it says is heard."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while more := await self._reader.read(2**16):
                    self.heard += more
            return True
        return self._reader.at_eof() or self._reader.exception() is not None

    def reset(self) -> None:
        with suppress(OSError):  # the server ended it before
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def check_words(heard: bytes) -> list[int]:
    """The statuses of what a connection heard, in which nothing is wrong."""
    assert b"Traceback" not in heard
    assert b'File "' not in heard
    heads = re.findall(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n(.*?)\r\n\r\n", heard, re.DOTALL)
    assert bool(heads) == bool(heard)
    for status, headers in heads:
        assert status < b"500"
        assert (status < b"400") or b"application/problem+json" in headers
    return [int(status) for status, _ in heads]


async def check(port: int, one: Case) -> None:
    async with connected(port) as connection:
        await connection.say(*one.parts)
        if one.end == "half":
            with suppress(OSError):
                connection.writer.write_eof()
        if one.end in ("open", "half") and not await connection.ended(RECEIVE_SECONDS + GRACE_SECONDS):
            before = check_words(connection.heard)
            assert one.end == "open"
            await connection.say(LAST)
            assert await connection.ended(HANG_SECONDS)
            assert check_words(connection.heard) == [*before, 200]
        check_words(connection.heard)
        if one.end == "reset":
            connection.reset()
    found = await answers(port, POST)
    assert found == [200], found


async def answers(port: int, *parts: bytes) -> list[int]:
    """Statuses of the answers to a request, which is told to be the last one."""
    async with connected(port) as connection:
        await connection.say(*parts)
        assert await connection.ended(HANG_SECONDS)
    return check_words(connection.heard)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(
        n_workers=1,
        SPARROW_RECEIVE_SECONDS=str(RECEIVE_SECONDS),
        SPARROW_MAX_IN_FLIGHT="10000",
        SPARROW_MAX_QUEUE_MS="60000",
        SPARROW_DEADLINE_MS="60000",
        SPARROW_STORE_TIMEOUT_MS="10000",
    ) as made:
        yield made


async def test_whatever_bytes_come_the_server_goes_on(rig: Rig) -> None:
    port, workers = rig.server.port, rig.server.workers()
    some = asyncio.Semaphore(AT_A_TIME)

    async def guarded(number: int) -> None:
        async with some:
            try:
                await check(port, one := case(number))
            except Exception as error:
                raise AssertionError(f"seed {SEED}, case {number}: {one.end}, {b''.join(one.parts)[:300]!r}") from error

    start = time.monotonic()
    async with connected(port) as idle:
        await idle.say(KEPT)
        async with asyncio.TaskGroup() as group:
            for number in range(CASES):
                group.create_task(guarded(number))
        # Of a long run alone: in a short one its time has not come.
        assert time.monotonic() - start < KEEP_ALIVE_SECONDS + GRACE_SECONDS or await idle.ended(GRACE_SECONDS)
        assert check_words(idle.heard) in ([], [200])
    assert rig.server.workers() == workers
    assert "Traceback" not in rig.server.log()


@pytest.mark.parametrize("good", [POST, IN_CHUNKS + b"0\r\n\r\n"], ids=["whole", "chunked"])
async def test_a_request_may_come_in_any_two_pieces(rig: Rig, good: bytes) -> None:
    expected = [202 if good.startswith(CHUNKED) else 200]
    for at in range(1, len(good)):
        assert await answers(rig.server.port, good[:at], good[at:]) == expected, at
