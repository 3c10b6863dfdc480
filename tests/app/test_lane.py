"""One connection that many share, against a real Redis, and against servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import hiredis
import pytest
from redis import Redis

from app.store import lane as lanes
from app.store.lane import Address, Lost, Slow, Target, Unreachable, open_lane, pack, parse_url

pytestmark = pytest.mark.anyio

WORD = "hunter2"

GUESS = "guessed"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def target_of(url: str) -> Target:
    return parse_url(url).targets[0]


@asynccontextmanager
async def served(folder: Path, serve: Serve) -> AsyncIterator[Target]:
    """A server that does as the test likes."""
    server = await asyncio.start_unix_server(serve, folder / "socket")
    async with server:
        yield Target(str(folder / "socket"), 0)


async def test_replies_come_back_to_who_asked_for_them(redis_url: str) -> None:
    lane = await open_lane(target_of(redis_url), 10, None)

    async def own(number: int) -> None:
        key = f"key-{number}"
        commands = [pack(("SET", key, number)), pack(("GET", key)), pack(("INCR", key)), pack(("LPOP", key))]
        *replies, refused = await lane.ask(b"".join(commands), 4)
        assert replies == [b"OK", b"%d" % number, number + 1]
        assert isinstance(refused, hiredis.ReplyError), "a refusal is a reply"

    await asyncio.gather(*(own(number) for number in range(500)))
    lane.close(Lost("done"))


async def test_large_replies_are_put_together(redis_url: str, redis: Redis) -> None:
    value = bytes(range(256)) * 40_000
    redis.set("large", value)
    lane = await open_lane(target_of(redis_url), 10, None)
    found = await asyncio.gather(*(lane.ask(pack(("GET", "large")), 1) for _ in range(5)))
    assert found == [[value]] * 5
    lane.close(Lost("done"))


async def test_who_gives_up_takes_nobody_elses_reply(redis_url: str) -> None:
    lane = await open_lane(target_of(redis_url), 10, None)
    given_up = lane.ask(pack(("ECHO", "a")), 1)
    other = lane.ask(pack(("ECHO", "b")), 1)
    given_up.cancel()
    assert await other == [b"b"]
    lane.close(Lost("done"))


async def test_a_closed_one_tells_all_who_wait_and_all_who_come(redis_url: str) -> None:
    lane = await open_lane(target_of(redis_url), 10, None)
    waiting = [lane.ask(pack(("BLPOP", "nothing", 0)), 1) for _ in range(3)]
    lane.close(Lost("because"))
    for answer in [*waiting, lane.ask(pack(("PING",)), 1)]:
        with pytest.raises(Lost):
            await answer
    assert lane.closed


async def test_what_takes_too_long_is_slow_and_what_waits_behind_it_is_lost(redis_url: str) -> None:
    lane = await open_lane(target_of(redis_url), 0.1, None)
    first = lane.ask(pack(("BLPOP", "nothing", 0)), 1)
    await asyncio.sleep(0.05)
    second = lane.ask(pack(("PING",)), 1)
    found = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(one) for one in found] == [Slow, Lost]
    assert lane.closed


async def test_waiting_has_a_bound(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MAX_WAITING", 3)
    lane = await open_lane(target_of(redis_url), 10, None)
    asked = [lane.ask(pack(("ECHO", "x")), 1) for _ in range(5)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert found[:3] == [[b"x"]] * 3
    assert all(isinstance(one, Lost) for one in found[3:])
    assert await lane.ask(pack(("ECHO", "y")), 1) == [b"y"]
    lane.close(Lost("done"))


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-17\r\n", b"+OK\r\n+nobody asked\r\n"])
async def test_a_server_that_is_no_redis_is_left(tmp_path: Path, said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(said)
        await reader.read(100)
        writer.close()

    async with served(tmp_path, serve) as target:
        lane = await open_lane(target, 10, None)
        answer = lane.ask(pack(("PING",)), 1)
        if b"nobody" in said:
            assert await answer == [b"OK"]
        else:
            with pytest.raises(Lost, match="protocol"):
                await answer
        assert lane.closed


async def test_a_server_that_hangs_up_is_noticed(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    async with served(tmp_path, serve) as target:
        lane = await open_lane(target, 10, None)
        with pytest.raises(Lost, match="closed by the server"):
            await lane.ask(pack(("PING",)), 1)


async def test_nobody_there_is_said_at_once() -> None:
    for target in (Target("/nowhere/redis.sock", 0), Target("127.0.0.1", 1)):
        with pytest.raises(Unreachable, match=r"no connection to (/nowhere|127\.0\.0\.1:1)"):
            await open_lane(target, 10, None)


async def test_who_needs_a_password_is_let_in_by_it_only(redis_server: object) -> None:
    url: str = redis_server.url  # type: ignore[attr-defined]
    with redis_server.client() as client:  # type: ignore[attr-defined]
        client.config_set("requirepass", "hunter2")
    target = target_of(url)
    lane = await open_lane(target, 10, None)
    (refused,) = await lane.ask(pack(("GET", "x")), 1)
    assert str(refused).startswith("NOAUTH")
    lane.close(Lost("done"))
    for username in (None, "default"):
        lane = await open_lane(target._replace(username=username, password=WORD, db=3), 10, None)
        assert await lane.ask(pack(("SET", "x", 1)), 1) == [b"OK"]
        lane.close(Lost("done"))
    with pytest.raises(Unreachable, match="does not let us in: WRONGPASS") as caught:
        await open_lane(target._replace(password=GUESS), 10, None)
    assert GUESS not in str(caught.value)


URLS = {
    "redis://host": Address((Target("host", 6379),), cluster=False),
    "redis://host:1234/5": Address((Target("host", 1234, db=5),), cluster=False),
    "redis://:p%40ss@[::1]:7": Address((Target("::1", 7, False, None, "p@ss"),), cluster=False),
    "rediss://u:p@host": Address((Target("host", 6379, True, "u", "p"),), cluster=False),
    "unix:///a%20b/redis.sock": Address((Target("/a b/redis.sock", 0),), cluster=False),
    "unix://u:p@/redis.sock?db=2": Address((Target("/redis.sock", 0, False, "u", "p", 2),), cluster=False),
    "redis+cluster://a:1,b": Address((Target("a", 1), Target("b", 6379)), cluster=True),
    "rediss+cluster://u:p@a": Address((Target("a", 6379, True, "u", "p"),), cluster=True),
}


@pytest.mark.parametrize(("url", "address"), URLS.items(), ids=URLS)
def test_what_a_url_means(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://:hunter2@host", "must begin with"),
        ("host:6379", "must begin with"),
        ("redis://:hunter2@a,b", r"redis\+cluster"),
        ("redis+cluster://:hunter2@a/3", "only number 0"),
        ("redis://:hunter2@host/first", "not a number"),
        ("unix:///socket?db=x", "not a number"),
        ("rediss://:hunter2@host?ssl_cert_reqs=none", "SPARROW_REDIS_CA"),
        ("redis://:hunter2@host:70000", "[Pp]ort"),
    ],
)
def test_other_urls_are_refused_without_their_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)
