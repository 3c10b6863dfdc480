"""What routes of retrieval share: from a request to a profile, and what every answer carries.

The user is read once. A user store that is away makes the answer degraded, never an error: the request's own history or
popularity serves.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from app import attribution
from app.cursors import Cursors
from app.deadline import NEVER, Deadline
from app.notices import Notice
from app.ordering import Ordering, ordering_of
from app.recommend import Profile, resolve
from app.schemas.retrieval import Caution, HistoryEntry, HomepageRequest, RecommendRequest, Who
from app.settings import Settings
from app.store.state import History
from app.store.users import Interaction, StoreUnavailable, Users, UserState
from app.telemetry import Timings
from index.postings import reach
from index.snapshot import Snapshot
from index.types import UInt64
from index.vocabulary import hash_id

NO_HASHES: UInt64 = np.empty(0, dtype=np.uint64)

NOBODY = UserState(history=(), seen=NO_HASHES, hidden=NO_HASHES)
"""What is known about a user who is not."""


MOMENT_SECONDS = 60.0
"""What users did longer ago says nothing about how soon answers follow."""

LATE = Notice("deadline", "the deadline passed before all of the answer was made: something is left out")


class KnownUser(NamedTuple):
    """A user as the store knows them, or does not."""

    state: UserState
    notices: tuple[Notice, ...]
    degraded: bool
    """The store did not answer."""


async def read_user(
    user_id: str | None, users: Users, timings: Timings, deadline: Deadline = NEVER, *, served: bool = False
) -> KnownUser:
    """The stored state, in one round trip; the empty one, with a notice, where there is none, or no store in time.

    `served`: with what was served lately, for rotation.
    """
    (found,) = await read_users([user_id], users, timings, deadline, served=served)
    return found


async def read_users(
    user_ids: Sequence[str | None], users: Users, timings: Timings, deadline: Deadline = NEVER, *, served: bool = False
) -> list[KnownUser]:
    """The stored state of several users, as `read_user` tells it, in one round trip together."""
    named = list(dict.fromkeys(user_id for user_id in user_ids if user_id is not None))
    nobody = KnownUser(NOBODY, (), degraded=False)
    if not named:
        return [nobody for _ in user_ids]
    try:
        with timings.stage("state"):
            within = None if deadline is NEVER else deadline.for_state
            if len(named) == 1:
                states = [await users.read(named[0], served=served, within=within)]
            else:
                states = await users.read_many(named, served=served, within=within)
    except (TimeoutError, StoreUnavailable) as error:
        told = "did not answer in time" if isinstance(error, TimeoutError) else "does not answer"
        notice = Notice("store_unavailable", f"the user store {told}: nothing stored about the user was used")
        away = KnownUser(NOBODY, (notice,), degraded=True)
        return [nobody if user_id is None else away for user_id in user_ids]
    timings.effect_seconds = _since_newest(states)
    known = {user_id: _known(state) for user_id, state in zip(named, states, strict=True)}
    return [nobody if user_id is None else known[user_id] for user_id in user_ids]


def _known(state: UserState) -> KnownUser:
    unknown = Notice("unknown_user", "nothing is stored about this user")
    return KnownUser(state, (unknown,) if state.empty else (), degraded=False)


def _since_newest(states: Sequence[UserState]) -> float | None:
    """Seconds since the newest event that one of the users has; None where that is no moment ago."""
    newest = max((one.history.newest for one in states if isinstance(one.history, History)), default=0.0)
    since = time.time() - newest
    return since if 0 <= since < MOMENT_SECONDS else None


async def note_served(user_id: str, item_ids: Sequence[str], users: Users) -> None:
    """Remember for rotation what an answer gave; without a store it is forgotten, the answer is out already."""
    hashes = np.fromiter(map(hash_id, item_ids), dtype=np.uint64, count=len(item_ids))
    with suppress(StoreUnavailable):
        await users.note_served(user_id, hashes, time.time())


class Inquiry(NamedTuple):
    """All that an answer is made of, besides the request's body: one snapshot, one user, the settings, a clock."""

    snapshot: Snapshot
    settings: Settings
    timings: Timings
    user: KnownUser
    cursors: Cursors
    """Makes those of the answer."""
    deadline: Deadline = NEVER
    """Where something is left out rather than late, the answer carries the notice `LATE`."""
    earlier: UInt64 = NO_HASHES
    """Hashes of items that earlier answers gave: they must not be in this one."""

    def profile(self, who: Who) -> Profile:
        """The profile of whom a request names."""
        with self.timings.stage("encode"):
            history = interactions(who.history, self.settings, time.time())
            exclude_ids, exclude_seen = who.exclude_ids, who.exclude_seen
            profile = resolve(
                self.snapshot,
                self.user.state,
                history,
                exclude_ids=exclude_ids,
                exclude_seen=exclude_seen,
                steer=who.steer,
            )
        if self.timings.sampled:
            self.timings.n_postings = reach(self.snapshot.searcher.postings, profile.query)
        return self.beyond(profile)

    def beyond(self, profile: Profile) -> Profile:
        """The profile without what earlier answers gave."""
        if not len(self.earlier):
            return profile
        given = self.snapshot.items.rows_of_hashes(self.earlier)
        exclude = np.union1d(profile.exclude, given).astype(np.int32)
        return profile._replace(exclude=exclude, left_out=(*profile.left_out, given))

    def ordering(self, asked: RecommendRequest | HomepageRequest) -> Ordering:
        """The ordering that a request asks for."""
        return ordering_of(self.snapshot, asked, asked.user_id, self.user.state.served, time.time())

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
