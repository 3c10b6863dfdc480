"""Bytes on a socket: slow, endless, too large or no HTTP at all; and connections that are drained."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from uvicorn import Server

from app.errors import Problem
from app.main import create_app
from app.protocol import MAX_HEADER_BYTES, MAX_HEADERS, Protocol
from app.server import config_of
from app.settings import Settings

pytestmark = pytest.mark.anyio

GET = b"GET /livez HTTP/1.1\r\nHost: sparrow\r\n\r\n"
BODY = json.dumps({"history": [{"item_id": "book-1"}]}).encode()
POST = b"POST /v1/recommend HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
    BODY
)


class ServerHere(Server):
    """A worker's server in the test's own loop."""

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1])


@asynccontextmanager
async def serving(settings: Settings, **changed: Any) -> AsyncIterator[ServerHere]:
    settings = settings.model_copy(update={"port": 0, **changed})
    config = config_of(settings, lambda: create_app(settings))
    config.port, config.log_config = 0, None
    server = ServerHere(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


class Connection:
    """A client that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def problem(self, status: int) -> None:
        """A whole error, and then the end."""
        found, headers, body = await asyncio.wait_for(self.answer(), 30)
        assert found == status
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        problem = Problem.model_validate_json(body)
        assert problem.status == status
        assert problem.request_id == headers["x-request-id"]
        assert await self.ended()

    async def ended(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), 30) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(server: ServerHere) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "said",
    [
        b"GET /livez HTTP/1.1\r\nHost: s",
        POST,
        POST + BODY[:5],
        POST.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked") + b"5\r\nabc",
        GET + b"GET /",
    ],
)
async def test_a_request_that_does_not_end_gets_408(settings: Settings, said: bytes) -> None:
    async with serving(settings, receive_seconds=0.2) as server, connected(server) as connection:
        await connection.say(said)
        if said.startswith(GET):
            assert (await connection.answer())[0] == 200
        await connection.problem(408)


async def test_dripping_bytes_do_not_win_time(settings: Settings) -> None:
    async with serving(settings, receive_seconds=0.3) as server, connected(server) as connection:
        await connection.say(b"GET /livez HTTP/1.1\r\n")

        async def drip() -> None:
            with suppress(ConnectionError):
                while True:
                    await connection.say(b"x: y\r\n")
                    await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        await connection.problem(408)
        dripping.cancel()


async def test_a_connection_that_says_nothing_is_closed(settings: Settings) -> None:
    async with serving(settings, receive_seconds=0.1) as server, connected(server) as connection:
        assert await connection.ended()


async def test_a_whole_request_is_not_hurried(settings: Settings) -> None:
    async with serving(settings, receive_seconds=0.1) as server, connected(server) as connection:
        for _ in range(3):
            await connection.say(POST)
            await connection.say(BODY)
            assert (await connection.answer())[0] == 200
            await asyncio.sleep(0.15)  # between requests there is time


@pytest.mark.parametrize(
    "said",
    [
        b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"GET /livez HTTP/1.1\r\nlong: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n",
        b"GET /" + b"x" * MAX_HEADER_BYTES + b" HTTP/1.1\r\nHost: s\r\n\r\n",
    ],
)
async def test_headers_over_their_bounds_get_431(settings: Settings, said: bytes) -> None:
    async with serving(settings) as server, connected(server) as connection:
        await connection.say(said)
        await connection.problem(431)


async def test_a_header_without_end_is_cut_off(settings: Settings) -> None:
    async with serving(settings) as server, connected(server) as connection:
        await connection.say(b"GET /livez HTTP/1.1\r\nendless: ")
        with suppress(ConnectionError):
            for _ in range(64):
                await connection.say(b"x" * 4096)
        await connection.problem(431)


async def test_headers_within_their_bounds_are_taken(settings: Settings) -> None:
    async with serving(settings) as server, connected(server) as connection:
        for _ in range(3):
            long = b"long: " + b"x" * (MAX_HEADER_BYTES // 2) + b"\r\n"
            await connection.say(
                b"GET /livez HTTP/1.1\r\nHost: s\r\n" + long + b"a: b\r\n" * (MAX_HEADERS - 2) + b"\r\n"
            )
            assert (await connection.answer())[0] == 200


@pytest.mark.parametrize(
    "said", [b"\x00\x01\x02\r\n\r\n", b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
)
async def test_what_is_no_http_gets_400(settings: Settings, said: bytes) -> None:
    async with serving(settings) as server, connected(server) as connection:
        await connection.say(said)
        await connection.problem(400)


async def test_any_bytes_are_answered_or_closed_and_never_with_a_traceback(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(0)
    async with serving(settings, receive_seconds=0.5) as server:

        async def fuzz(seed: int) -> None:
            own = random.Random(seed)
            said = bytearray(own.choice([GET, POST + BODY, GET + POST + BODY]))
            for _ in range(own.randint(1, 8)):
                said[own.randrange(len(said))] = own.randrange(256)
            async with connected(server) as connection:
                with suppress(ConnectionError):
                    await connection.say(bytes(said[: own.randint(1, len(said))]))
                    connection.writer.write_eof()
                    raw = await asyncio.wait_for(connection.reader.read(), 30)
                    assert b"Traceback" not in raw
                    assert raw == b"" or raw.startswith(b"HTTP/1.1 ")

        await asyncio.gather(*(fuzz(chance.randrange(2**32)) for _ in range(300)))
        async with connected(server) as connection:
            await connection.say(GET)
            assert (await connection.answer())[0] == 200
    assert not [record for record in caplog.records if record.exc_info]


async def test_requests_that_are_sent_ahead_wait_outside(settings: Settings) -> None:
    """Who sends thousands and reads late fills the memory of neither the server nor the kernel."""
    one = b"GET /livez HTTP/1.1\r\nHost: sparrow\r\nX-Padding: " + b"x" * 1000 + b"\r\n\r\n"
    async with serving(settings) as server, connected(server) as connection:
        connection.writer.write(one * 3000)
        await connection.reader.readuntil(b"\r\n\r\n")
        (protocol,) = server.server_state.connections
        assert isinstance(protocol, Protocol)
        most = 0
        for _ in range(2999):
            await connection.reader.readuntil(b"HTTP/1.1 200")
            most = max(most, len(protocol.pipeline))
    assert 0 < most < 2 * 262_144 / len(one)  # asyncio reads so many bytes at a time


async def test_a_drained_connection_is_told_and_its_next_request_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.protocol.LINGER_SECONDS", 30)
    async with serving(settings) as server, connected(server) as busy, connected(server) as idle:
        for connection in (busy, idle):
            await connection.say(GET)
            _, headers, _ = await connection.answer()
            assert "connection" not in headers
        server.should_exit = True
        for _ in range(3000):
            if not server.servers[0].sockets:
                break
            await asyncio.sleep(0.005)
        await busy.say(GET)
        status, headers, _ = await busy.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await busy.ended()
        await idle.say(POST + BODY)
        assert (await idle.answer())[0] == 200


async def test_a_stalled_client_does_not_hold_up_the_end(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(settings) as server, connected(server) as connection:
        await connection.say(POST + BODY[:5])
        await asyncio.sleep(0.05)
        server.should_exit = True
        await connection.problem(408)
    assert not [record for record in caplog.records if record.exc_info]
