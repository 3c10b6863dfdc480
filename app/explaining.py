"""POST /v1/explain: accounts of scores in the words of the wire."""

from typing import NamedTuple

import numpy as np

from app.explanation import Account, accounts
from app.inquiry import Inquiry
from app.notices import skipped
from app.recommend import Profile, titles
from app.schemas.explain import (
    ExplainAnswer,
    ExplainRequest,
    HistoryShare,
    ItemExplanation,
    SegmentShare,
    SteeringShare,
)
from app.selection import Selection, select
from index.snapshot import Snapshot
from index.types import Int32


def explain(inquiry: Inquiry, body: ExplainRequest) -> ExplainAnswer:
    """Why each item, for one user."""
    snapshot, timings = inquiry.snapshot, inquiry.timings
    selection = select(snapshot, filter=body.filter, boost=body.boost)
    profile = inquiry.profile(body)
    rows = snapshot.items.rows(body.item_ids)
    known = np.array(list(dict.fromkeys(rows[rows >= 0].tolist())), dtype=np.int32)
    with timings.stage("search"):
        factors = selection.boosted(known, np.ones(len(known), dtype=np.float32))
        found = accounts(snapshot, profile, known, factors)
    with timings.stage("compose"):
        liked = profile.items.tolist()
        words = _Words(snapshot, profile, dict(zip(liked, titles(snapshot, liked), strict=True)))
        shown = _may_be_shown(profile, selection, known)
        parts = zip(known.tolist(), titles(snapshot, known), found, shown, strict=True)
        explanations = [_explanation(words, item, title, one, may) for item, title, one, may in parts]
    unknown = skipped("unknown_items", "item_ids", zip(body.item_ids, (rows >= 0).tolist(), strict=True))
    return ExplainAnswer(explanations=explanations, **inquiry.envelope((*profile.notices, *unknown), body.scenario))


class _Words(NamedTuple):
    """What names the parts of accounts."""

    snapshot: Snapshot
    profile: Profile
    titles: dict[int, str]
    """Of the history, by item row."""


def _may_be_shown(profile: Profile, selection: Selection, items: Int32) -> list[bool]:
    allowed: list[bool] = (selection.allows(items) & ~np.isin(items, profile.exclude)).tolist()
    return allowed


def _explanation(words: _Words, item: int, title: str, one: Account, may_be_shown: bool) -> ItemExplanation:
    return ItemExplanation(
        item_id=words.snapshot.items.item_id(item),
        title=title,
        score=one.score,
        may_be_shown=may_be_shown,
        history=_history(words, one),
        popularity=one.popularity,
        segments=_segments(words.snapshot, one),
        other=one.other,
        steering=_steering(words, one),
        boosts=one.boosts,
    )


def _history(words: _Words, one: Account) -> list[HistoryShare]:
    order = np.argsort(-np.abs(one.history), kind="stable").tolist()
    opinions = [(words.profile.opinions[place], float(one.history[place])) for place in order if one.history[place]]
    return [
        HistoryShare(
            item_id=words.snapshot.items.item_id(opinion.item),
            title=words.titles[opinion.item],
            kind=opinion.kind,
            weight=opinion.weight,
            contribution=part,
        )
        for opinion, part in opinions
    ]


def _segments(snapshot: Snapshot, one: Account) -> list[SegmentShare]:
    order = np.argsort(-np.abs(one.segments), kind="stable").tolist()
    found = [(snapshot.segments.segments[number], float(one.segments[number])) for number in order]
    return [
        SegmentShare(segment_id=segment.segment_id, title=segment.title, contribution=part)
        for segment, part in found
        if part
    ]


def _steering(words: _Words, one: Account) -> list[SteeringShare]:
    segments = words.snapshot.segments.segments
    return [
        SteeringShare(
            segment_id=segments[number].segment_id,
            title=segments[number].title,
            strength=strength,
            contribution=float(part),
        )
        for (number, strength), part in zip(words.profile.steering.strengths, one.steering, strict=True)
    ]
