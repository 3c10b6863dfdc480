"""How much memory users take in Redis: measured on a sample, bounded by the settings, and multiplied.

Keys are looked at in the order of Redis' hash table, which is as good as chance. A user with m keys is met m times as
often as one with a single key, so each meeting counts 1/m (Horvitz and Thompson, 1952).
"""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from redis import Redis

from app.settings import Settings
from app.store.clients import AWAY, NoStore, each_server
from app.store.keys import UserKeys, user_keys
from app.store.state import COUNT, ENTRY, MARK, MAX_STEERED
from app.store.users import SERVED_LIMIT
from index.vocabulary import MAX_ID_BYTES

EXPIRY_BYTES = 64
"""Of a key's time to live, which MEMORY USAGE leaves out: an entry of a second hash table, and its bucket."""

KEY_BYTES = 160
"""Of a key besides name, value and time to live, at most."""

ROUNDING = 1.25
"""The allocator's, at most: sizes in steps of a quarter of a power of two."""

ESCAPED = 6
"""Bytes of one byte of an id in JSON, at most."""


class StoreUsageError(Exception):
    """Usage cannot be measured; the message says why."""


class Usage(NamedTuple):
    """What the users of one store take."""

    users: int
    """Estimated from the sample."""
    bytes_per_user: float
    """Mean, all keys together."""
    largest: int
    """Bytes of the largest user in the sample."""
    event_ids: int
    """Estimated; each is kept for 24 hours."""
    bytes_per_event_id: float
    full_user_bytes: int
    """No user takes more, whatever is sent: all limits reached, by the longest ids."""
    sampled_keys: int
    used_memory: int
    """Of Redis as a whole, with everything else in it."""


def bound(settings: Settings) -> int:
    """Bytes of a user with all limits reached and ids of the greatest length."""
    values = (
        COUNT.size + settings.history_limit * (ENTRY.size + MAX_ID_BYTES),
        settings.seen_limit * MARK.size,
        settings.hidden_limit * MARK.size,
        MAX_STEERED * (ESCAPED * MAX_ID_BYTES + 32),
        SERVED_LIMIT * MARK.size,
    )
    names = [len(key) + MAX_ID_BYTES for key in user_keys("")]
    per_key = [ROUNDING * (value + name) + KEY_BYTES + EXPIRY_BYTES for value, name in zip(values, names, strict=False)]
    return round(sum(per_key))


def measure(settings: Settings, sample: int) -> Usage:
    """Look at about `sample` keys; StoreUsageError where Redis does not answer."""
    clients: list[Redis] = []
    try:
        clients += each_server(settings)
        n_keys = sum(int(client.dbsize()) for client in clients)
        used = sum(int(client.info("memory")["used_memory"]) for client in clients)
        share = max(1, sample // len(clients))
        met = [(client, key) for client in clients for key in islice(client.scan_iter(count=1000), share)]
        return _usage(settings, met, n_keys, used)
    except NoStore as error:
        raise StoreUsageError(str(error)) from error
    except (*AWAY, OSError) as error:
        raise StoreUsageError(f"the store does not answer: {error}") from error
    finally:
        for client in clients:
            client.close()


def _usage(settings: Settings, met: Sequence[tuple[Redis, bytes]], n_keys: int, used: int) -> Usage:
    weights, weighted, largest, n_events, event_bytes = 0.0, 0.0, 0, 0, 0
    for client, key in met:
        user_id = owner(key)
        if user_id is not None:
            sizes = [size for size in _sizes(client, user_keys(user_id)) if size]
            if sizes:  # else it expired meanwhile
                weights += 1 / len(sizes)
                weighted += sum(sizes) / len(sizes)
                largest = max(largest, sum(sizes))
        elif b"}:event:" in key[:20]:
            n_events += 1
            event_bytes += sum(_sizes(client, [key]))
    scale = n_keys / max(len(met), 1)
    return Usage(
        users=round(scale * weights),
        bytes_per_user=weighted / weights if weights else 0.0,
        largest=largest,
        event_ids=round(scale * n_events),
        bytes_per_event_id=event_bytes / n_events if n_events else 0.0,
        full_user_bytes=bound(settings),
        sampled_keys=len(met),
        used_memory=used,
    )


def owner(key: bytes) -> str | None:
    """The user that a key belongs to; None for any other key."""
    tag, _, rest = key.partition(b"}:")
    field, _, user_id = rest.partition(b":")
    if not tag.startswith(b"sparrow:{") or field.decode("latin-1") not in UserKeys._fields:
        return None
    return user_id.decode(errors="replace")


def _sizes(client: Redis, keys: Sequence[bytes]) -> list[int]:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.memory_usage(key)
        return [size + EXPIRY_BYTES if size else 0 for size in pipeline.execute()]


def store(
    sample: Annotated[int, typer.Option(min=1, help="Keys to look at.")] = 10_000,
    users: Annotated[int, typer.Option(min=1, help="For how many users to say what they need.")] = 1_000_000,
    data: Annotated[Path | None, typer.Option(envvar="SPARROW_DATA", help="Folder of the embedded store.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say how much memory users take in Redis: measured, at most, and of so many users."""
    settings = Settings() if data is None else Settings(data=data)
    found = measure(settings, sample)
    if as_json:
        typer.echo(json.dumps(found._asdict()))
        return
    typer.echo(f"users stored              {found.users:>15,}  (estimated from {found.sampled_keys:,} keys)")
    typer.echo(f"bytes a user              {found.bytes_per_user:>15,.0f}  (largest of the sample: {found.largest:,})")
    typer.echo(
        f"event ids stored          {found.event_ids:>15,}  ({found.bytes_per_event_id:.0f} bytes each, 24 hours)"
    )
    typer.echo(f"a full user, at most      {found.full_user_bytes:>15,}  (all limits reached, by the longest ids)")
    typer.echo(
        f"{users:,} users need".ljust(26)
        + f"{found.bytes_per_user * users / 2**30:>15,.2f}  GiB if they are like these"
    )
    typer.echo("".ljust(26) + f"{found.full_user_bytes * users / 2**30:>15,.2f}  GiB if all of them were full")
    typer.echo(f"Redis uses                {found.used_memory / 2**30:>15,.2f}  GiB now, with everything in it")
