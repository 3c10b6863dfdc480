"""Where the user store is: what a URL says, read strictly, for a mistake in it must not become another store."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit


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
