"""Redis for command lines, which wait for it: the settings of `app.store.connection`, without its event loop."""

from collections.abc import Iterator
from typing import Any

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from app.settings import Settings
from app.store.address import Target, parse_url

Client = Redis | RedisCluster

AWAY = (RedisError, RedisClusterException)
"""What calls raise where Redis does not answer, or refuses."""

SOCKET_SECONDS = 10


class NoStore(Exception):  # noqa: N818  (the name says what is the matter)
    """There is no store to ask; the message says what to do."""


def open_store(settings: Settings) -> Client:
    """All of the store, by one client; NoStore."""
    address = parse_url(store_url(settings))
    first = address.targets[0]
    if address.cluster:
        return RedisCluster(first.place, first.port, **_options(settings, first))
    return _client(settings, first)


def each_server(settings: Settings) -> Iterator[Redis]:
    """A client for each server that holds users; NoStore."""
    address = parse_url(store_url(settings))
    first = address.targets[0]
    if not address.cluster:
        yield _client(settings, first)
        return
    with RedisCluster(first.place, first.port, **_options(settings, first)) as cluster:
        nodes = cluster.get_primaries()
    for node in nodes:
        yield _client(settings, first._replace(place=str(node.host), port=int(node.port)))


def store_url(settings: Settings) -> str:
    """Of the store that is set, or of the embedded one that runs on the data folder; NoStore."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    try:
        socket = (settings.data / "redis" / "socket").read_text()
    except OSError as error:
        raise NoStore(f"no store runs on {settings.data}: start sparrow-serve, or set SPARROW_REDIS_URL") from error
    return f"unix://{socket}"


def _client(settings: Settings, target: Target) -> Redis:
    options = {**_options(settings, target), "db": target.db, "retry": Retry(NoBackoff(), 0)}
    if not target.port:
        del options["ssl"], options["ssl_ca_certs"]
        return Redis(unix_socket_path=target.place, **options)
    return Redis(target.place, target.port, **options)


def _options(settings: Settings, target: Target) -> dict[str, Any]:
    return {
        "username": target.username, "password": target.password, "protocol": 2, "socket_timeout": SOCKET_SECONDS,
        "ssl": target.tls, "ssl_ca_certs": None if settings.redis_ca is None else str(settings.redis_ca),
    }  # fmt: skip
