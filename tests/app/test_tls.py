"""TLS to a real Redis: its own where the redis-server has it, and else of a relay in front of it."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis import Redis
from redis.exceptions import RedisError

from app.metrics import Metrics
from app.settings import Settings
from app.store.users import Event, Interaction, StoreUnavailable, Users

pytestmark = pytest.mark.anyio

LIKE = Event("u", Interaction("a", "like", 1.0, 1e9), None)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def speaks_tls(binary: Path) -> bool:
    """A server that was built without it does not know the option."""
    said = subprocess.run([binary, "--tls-port", "x"], capture_output=True, text=True, check=False, timeout=10)
    return "argument couldn't be parsed" in said.stdout + said.stderr


@asynccontextmanager
async def secured(server: Any, authority: trustme.CA, folder: Path) -> AsyncIterator[str]:
    """The URL of the server behind TLS, by a certificate for localhost."""
    issued = authority.issue_cert("localhost")
    if speaks_tls(server.binary):
        for name, pem in {"cert": issued.cert_chain_pems[0], "key": issued.private_key_pem}.items():
            pem.write_to_path(folder / name)
        authority.cert_pem.write_to_path(folder / "ca")
        port = free_port()
        options = {
            "tls-cert-file": folder / "cert", "tls-key-file": folder / "key", "tls-ca-cert-file": folder / "ca",
            "tls-auth-clients": "no", "tls-port": port, "port": 0, "save": "", "logfile": folder / "log",
            "dir": folder,
        }  # fmt: skip
        words = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        process = subprocess.Popen([server.binary, *words])  # noqa: ASYNC220
        try:
            for _ in range(500):
                with suppress(RedisError, OSError), Redis("localhost", port, ssl=True, ssl_cert_reqs="none") as client:
                    client.ping()
                    break
                time.sleep(0.02)  # noqa: ASYNC251
            yield f"rediss://localhost:{port}"
        finally:
            process.kill()
            process.wait()
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    relays: list[asyncio.Task[None]] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(server.socket)

        async def pour(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
            while data := await source.read(2**16):
                drain.write(data)
            drain.close()

        with suppress(OSError, ssl.SSLError):
            await asyncio.gather(pour(reader, to_redis), pour(from_redis, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.create_task(relay(reader, writer)))

    async with await asyncio.start_server(accept, "localhost", 0, ssl=context) as listening:
        yield f"rediss://localhost:{listening.sockets[0].getsockname()[1]}"
        await asyncio.gather(*relays)


def settings(url: str, ca: Path | None) -> Settings:
    return Settings.model_validate({"redis_url": url, "redis_ca": ca, "store_timeout_ms": 10_000})


async def test_users_behind_tls(any_redis: Any, authority: trustme.CA, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    async with secured(any_redis, authority, tmp_path) as url:
        users = Users(settings(url, ca), Metrics())
        assert await users.record([LIKE]) == ["accepted"]
        assert [one.item_id for one in (await users.read("u")).history] == ["a"]
        await users.close()


async def test_a_server_that_nobody_vouches_for_is_not_talked_to(
    any_redis: Any, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    async with secured(any_redis, authority, tmp_path) as url:
        for ca in (None, other):
            users = Users(settings(url, ca), Metrics())
            with pytest.raises(StoreUnavailable):
                await users.record([LIKE])
            await users.close()
    assert caplog.text.count("CERTIFICATE_VERIFY_FAILED") == 2


async def test_a_certificate_for_another_name_is_not_taken(
    any_redis: Any, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    async with secured(any_redis, authority, tmp_path) as url:
        users = Users(settings(url.replace("localhost", "127.0.0.1"), ca), Metrics())
        with pytest.raises(StoreUnavailable):
            await users.record([LIKE])
        await users.close()
    assert "not valid for '127.0.0.1'" in caplog.text


async def test_what_holds_no_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("nothing")
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(ValueError, match="SPARROW_REDIS_CA"):
            Users(settings("rediss://localhost", path), Metrics())
