"""What an operator may set: every field is the environment variable SPARROW_ + its name in capitals."""

import re
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.emphasis import DIVERSITY, STABILITY, WEIGHTS, Emphasis
from app.store.address import parse_url

EVENT_WEIGHTS = {
    "impression": 0.0,
    "view": 0.3,
    "click": 0.5,
    "cart": 0.8,
    "purchase": 1.0,
    "like": 1.0,
    "rating": 1.0,
    "dislike": -0.5,
    "hide": -0.2,
}
"""What an event says about the user's taste where it carries no weight of its own. 0: nothing."""

MAX_WEIGHT = 100.0
"""Bound of every weight, in both directions."""


_ORIGIN = re.compile(r"https?://[^/\s*]+")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin: scheme and host in small letters, as https://shop.example")
    return value


def _complete_weights(value: dict[str, float]) -> dict[str, float]:
    unknown = sorted(value.keys() - EVENT_WEIGHTS.keys())
    if unknown:
        raise ValueError(f"no event kind is called {unknown[0]!r}; the kinds are {', '.join(EVENT_WEIGHTS)}")
    if any(abs(weight) > MAX_WEIGHT for weight in value.values()):
        raise ValueError(f"weights lie between -{MAX_WEIGHT:g} and {MAX_WEIGHT:g}")
    return EVENT_WEIGHTS | value


def _row_weights(value: dict[str, float]) -> dict[str, float]:
    unknown = sorted(value.keys() - WEIGHTS.keys())
    if unknown:
        raise ValueError(f"rows of kind {unknown[0]!r} have no weight; the kinds that have are {', '.join(WEIGHTS)}")
    return {**WEIGHTS, **value}


def _redis_scheme(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        parse_url(value.get_secret_value())
    return value


Weight = Annotated[float, Field(ge=0, le=100)]


class Settings(BaseSettings):
    """Settings of one server; the environment first, then these defaults."""

    model_config = SettingsConfigDict(env_prefix="SPARROW_", env_ignore_empty=True, frozen=True, allow_inf_nan=False)

    snapshots: Path = Path("snapshots")
    """Folder that sparrow-train publishes into; its CURRENT is served."""
    redis_url: Annotated[SecretStr | None, AfterValidator(_redis_scheme)] = None
    """Of the user store, see `app.store.address.parse_url`. None: sparrow-serve starts a private one."""
    redis_ca: Path | None = None
    """Certificates (PEM) of who may vouch for a rediss:// server; None: those that the system trusts."""
    data: Path = Path(".sparrow")
    """Private folder of this host: the embedded store and the marks of verified snapshots."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port to listen on."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Server processes."""
    allow_anonymous: bool = False
    """Listen beyond loopback although nobody has to say who they are."""
    keys_file: Path | None = None
    """Names, roles and hashes of the keys that callers need; None: nobody needs one."""
    key: SecretStr | None = None
    """A key for what sparrow-serve asks of a server: `--events` and `edits`; the server itself needs none."""
    rate_limit: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """Requests a second to /v1 of each key, over all workers; without keys, of everybody together. 0: any number."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_origins)] = ()
    """Origins whose pages may read answers in a browser, separated by commas; * for all."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Names in the Host header that this server answers to, separated by commas; none: to all."""
    example_users: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """User ids that the page offers, separated by commas."""
    event_weights: Annotated[dict[str, float], AfterValidator(_complete_weights)] = EVENT_WEIGHTS
    """Weight by event kind, as a JSON object; kinds left out keep their default."""
    user_ttl_days: Annotated[int, Field(ge=1, le=3650)] = 180
    """A user without an event for so long is forgotten."""
    history_limit: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Newest interactions of a user that are scored."""
    seen_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Newest items of a user that are left out of answers; older ones may come back."""
    hidden_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Newest disliked or hidden items of a user that never come back."""
    event_log: bool = False
    """Put events on streams as well, for `sparrow-serve collect`; sparrow-serve does both where this is not set."""
    max_undrained: Annotated[int, Field(ge=64)] = 640_000
    """Entries of all streams together; events get 503 when a 64th of it waits in the stream of one partition."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 2 * 2**20
    """Largest request body."""
    store_timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 1000
    """Longest wait for the user store before an answer is made without it."""
    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """How often CURRENT is looked at."""
    max_open_versions: Annotated[int, Field(ge=2, le=64)] = 4
    """Index versions open at a time in each worker: the current one, the one before, and those that requests name."""
    deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 1000
    """When an answer is given with what is there, where the request does not say."""
    page_weights: Annotated[dict[str, Weight], AfterValidator(_row_weights)] = dict(WEIGHTS)
    """Of rows of a page by kind, as a JSON object: what a row gains counts so many times. 0: only if asked for."""
    page_diversity: Annotated[float, Field(ge=0, le=1)] = DIVERSITY
    """How much the likeness of two segments takes from what the second one gains."""
    page_stability: Annotated[float, Field(ge=0, le=10)] = STABILITY
    """How much more a row of the user's last page gains: 0.1 is a tenth."""
    page_properties: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_split)] = None
    """Properties that make rows, separated by commas; none: those of texts that 1.2 to 50 items share on average."""
    page_new: str | None = None
    """The property of times or numbers that tells how new an item is."""
    lock_memory: bool = False
    """Whether workers keep their memory, the index above all, from being taken away (mlockall)."""
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = 128
    """Requests that a worker answers at a time; what comes on top gets 503."""
    max_queue_ms: Annotated[int, Field(ge=1, le=60_000)] = 300
    """How long a request may wait for its turn, and how late a worker's event loop may be, before 503 is answered."""
    receive_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """For a client to send a whole request, headers and body."""
    secret: Annotated[SecretStr | None, Field(min_length=16)] = None
    """What cursors are signed with, the same on all hosts; None: a file in `data`, made once."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """debug also logs every request."""

    @cached_property
    def emphasis(self) -> Emphasis:
        """What pages set store by."""
        kinds = MappingProxyType(self.page_weights)
        return Emphasis(kinds, self.page_diversity, self.page_stability, self.page_properties, self.page_new)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.history_limit > self.seen_limit:
            raise ValueError("history_limit must not be above seen_limit: what is scored counts as seen")
        if self.page_weights["new"] and self.page_new is None:
            raise ValueError("page_weights has rows of what is new: name the property that tells by SPARROW_PAGE_NEW")
        return self
