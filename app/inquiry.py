"""What routes of retrieval share: from a request to a profile, and from rankings to the words of an answer.

The user is read once. A user store that is away makes the answer degraded, never an error: the request's own history or
popularity serves.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app import attribution
from app.errors import Invalid
from app.recommend import Notice, Profile, resolve
from app.schemas.retrieval import Caution, HistoryEntry, ItemHit, Who
from app.settings import Settings
from app.store.users import Interaction, StoreUnavailable, Users, UserState
from app.telemetry import Timings
from index.search import Hits
from index.snapshot import Snapshot

_NO_HASHES = np.empty(0, dtype=np.uint64)

NOBODY = UserState(history=(), seen=_NO_HASHES, hidden=_NO_HASHES)
"""What is known about a user who is not."""


class KnownUser(NamedTuple):
    """A user as the store knows them, or does not."""

    state: UserState
    notices: tuple[Notice, ...]
    degraded: bool
    """The store did not answer."""


async def read_user(user_id: str | None, users: Users, timings: Timings) -> KnownUser:
    """The stored state, in one round trip; the empty one, with a notice, where there is none or no store."""
    if user_id is None:
        return KnownUser(NOBODY, (), degraded=False)
    try:
        with timings.stage("state"):
            state = await users.read(user_id)
    except StoreUnavailable:
        notice = Notice("store_unavailable", "the user store does not answer: nothing stored about the user was used")
        return KnownUser(NOBODY, (notice,), degraded=True)
    unknown = Notice("unknown_user", "nothing is stored about this user")
    return KnownUser(state, (unknown,) if state.empty else (), degraded=False)


class Inquiry(NamedTuple):
    """All that an answer is made of, besides the request's body: one snapshot, one user, the settings, a clock."""

    snapshot: Snapshot
    settings: Settings
    timings: Timings
    user: KnownUser

    def profile(self, who: Who) -> Profile:
        """The profile of whom a request names."""
        with self.timings.stage("encode"):
            history = interactions(who.history, self.settings, time.time())
            exclude_ids, exclude_seen = who.exclude_ids, who.exclude_seen
            return resolve(self.snapshot, self.user.state, history, exclude_ids=exclude_ids, exclude_seen=exclude_seen)

    def envelope(self, notices: Sequence[Notice], scenario: str | None = None) -> dict[str, Any]:
        """What every answer carries: the fields of `schemas.retrieval.Answer`. Its warnings are counted."""
        told = (*self.user.notices, *notices)
        self.timings.warnings.extend(notice.code for notice in told)
        return {
            "recomm_id": attribution.make(time.time(), self.snapshot.version, scenario),
            "index_version": self.snapshot.version,
            "took_ms": self.timings.took_ms,
            "degraded": self.user.degraded,
            "warnings": [Caution.model_validate(notice._asdict()) for notice in told],
        }


def interactions(history: Sequence[HistoryEntry], settings: Settings, now: float) -> list[Interaction]:
    """A request's history in the store's terms: without a time it happened now, without a weight it has its kind's."""
    return [
        Interaction(
            item_id=entry.item_id,
            kind=entry.kind,
            weight=settings.event_weights[entry.kind] if entry.weight is None else entry.weight,
            timestamp=now if entry.timestamp is None else entry.timestamp,
        )
        for entry in history
    ]


def property_keys(snapshot: Snapshot, wanted: bool | list[str]) -> tuple[str, ...] | None:
    """The keys that `include_properties` means, None for no properties; Invalid names a key that no item has."""
    if isinstance(wanted, bool):
        return snapshot.catalogue.keys if wanted else None
    unknown = [key for key in wanted if key not in snapshot.catalogue.keys]
    if unknown:
        raise Invalid(f"no item has a property {unknown[0]!r}; the known ones are {', '.join(snapshot.catalogue.keys)}")
    return tuple(wanted)


def item_hits(snapshot: Snapshot, hits: Hits, keys: tuple[str, ...] | None) -> list[ItemHit]:
    """Hits in the words of the wire."""
    item_ids = snapshot.items.item_ids(hits.items)
    scores = hits.scores.tolist()
    if keys is None:
        return [ItemHit(item_id=item_id, score=score) for item_id, score in zip(item_ids, scores, strict=True)]
    known = [_chosen(properties, keys) for properties in snapshot.catalogue.properties(hits.items)]
    triples = zip(item_ids, scores, known, strict=True)
    return [ItemHit(item_id=item_id, score=score, properties=own) for item_id, score, own in triples]


def _chosen(properties: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: properties[key] for key in keys if key in properties}
