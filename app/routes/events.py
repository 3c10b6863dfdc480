"""POST /v1/events: what users did. The next request, from any worker, sees it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter

from app import attribution
from app.deps import LiveIndexDep, MetricsDep, SettingsDep, TimingsDep, UsersDep
from app.live_index import LiveIndex
from app.metrics import Metrics
from app.schemas.events import EventBody, EventOutcome, EventsAnswer, EventsRequest, Status
from app.settings import Settings
from app.store.users import Event, EventResult, Interaction, LogFull, StoreUnavailable, Users

router = APIRouter(tags=["events"])

MAX_AHEAD_SECONDS = 300.0
"""Clocks differ; a timestamp further in the future would stand first in a history for ever."""

UNCONFIRMED = (
    "the user store did not confirm: some of the events may have been recorded. Send all of them again, each with an "
    "event_id, so that none counts twice"
)

FOREIGN = "recomm_id is none that this service gave: the event counts, and is attributed to no answer"

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()


@router.post("/v1/events", status_code=202, response_model_exclude_none=True)
async def post_events(
    body: EventsRequest,
    users: UsersDep,
    live_index: LiveIndexDep,
    settings: SettingsDep,
    metrics: MetricsDep,
    timings: TimingsDep,
) -> EventsAnswer:
    """Record 1 to 1000 events, in order. Each is judged by itself: one that is refused stops no other.

    503 means that the user store did not confirm: some of the events may have been recorded. Send all of them again;
    those with an event_id will not count twice.
    """
    now = time.time()
    refusals = [refusal(event.timestamp, now) for event in body.events]
    good = [event for event, refused in zip(body.events, refusals, strict=True) if refused is None]
    with timings.stage("state"):
        recorded = await _record(users, [_event(event, now, settings) for event in good])
    unknown = _unknown(live_index, good)
    statuses: list[Status] = [
        "unknown_item" if status == "accepted" and missing else status
        for status, missing in zip(recorded, unknown, strict=True)
    ]
    details = [_attributed(event, status, metrics) for event, status in zip(good, statuses, strict=True)]
    left = zip(statuses, details, strict=True)
    outcomes = (("refused", refused) if refused is not None else next(left) for refused in refusals)
    results = [EventOutcome(status=status, detail=detail) for status, detail in outcomes]
    for result in results:
        metrics.events.labels(result.status).inc()
    return EventsAnswer(results=results)


async def _record(users: Users, events: Sequence[Event]) -> list[EventResult]:
    try:
        return await users.record(events) if events else []
    except LogFull as error:
        raise LogFull(
            f"{error}; some of the events may have been recorded: send all again when it is drained"
        ) from error
    except StoreUnavailable as error:
        raise StoreUnavailable(UNCONFIRMED) from error


def _attributed(event: EventBody, status: Status, metrics: Metrics) -> str | None:
    """Count an event that follows from an answer; what to say about a recomm_id that is not ours."""
    if event.recomm_id is None:
        return None
    if attribution.read(event.recomm_id) is None:
        return FOREIGN
    if status != "duplicate":
        metrics.attributed_events.labels(event.kind).inc()
    return None


def refusal(timestamp: float | None, now: float) -> str | None:
    """Why an event of this time is not recorded; None where it is."""
    if timestamp is None or EARLIEST <= timestamp <= now + MAX_AHEAD_SECONDS:
        return None
    if timestamp < EARLIEST:
        return f"timestamp {timestamp:g} is before the year 2000: send Unix seconds"
    if EARLIEST <= timestamp / 1000 <= now + MAX_AHEAD_SECONDS:
        return f"timestamp {timestamp:.0f} looks like milliseconds: send Unix seconds"
    return f"timestamp {timestamp:g} is more than 5 minutes ahead of this server: send Unix seconds"


def _event(body: EventBody, now: float, settings: Settings) -> Event:
    weight = settings.event_weights[body.kind] if body.weight is None else body.weight
    timestamp = now if body.timestamp is None else body.timestamp
    return Event(body.user_id, Interaction(body.item_id, body.kind, weight, timestamp), body.event_id, body.recomm_id)


def _unknown(live_index: LiveIndex, events: Sequence[EventBody]) -> list[bool]:
    """Which items the index does not know; none before anything is published."""
    if live_index.version is None:
        return [False] * len(events)
    rows = live_index.snapshot.items.rows([event.item_id for event in events])
    return [bool(row < 0) for row in rows]
