"""Explanations: what a score is made of, exactly.

    score = (base . t + |q| * sum over s of strength(s) * row(s) . t) * scale * factor       t: the item's row

base is the query before steering, at the dims that were not cut. base . t is told twice: by the items of the history
(`index.query.contributions`; of the crowd's history as one number) and by dims, each counted in the segment that is
strongest in it on the item's side. What float32 rounded off a score, some 1e-7 of its parts, is counted in the largest
part, so that parts add up.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from app.recommend import LIKED_BY_MANY, Profile, because, crowd_history, titles
from app.schemas.reasons import Reason
from index.query import contributor, length, whole
from index.snapshot import Snapshot
from index.types import Float32, Float64, Int32

MOST_HISTORY = 2
"""Items of the history that the reasons for one item name."""


class Ground(NamedTuple):
    """What all explanations of one profile share."""

    items: Int32
    """Of the history: the user's, or the crowd's where there are no opinions."""
    weights: Float32
    base: Float32
    """(n_dims,): the query before steering, 0 where it was cut."""
    length: float
    """What steering was multiplied by."""
    owed: Callable[[Float32], Float64]
    """What each item of the history adds to the score of a row."""


class Account(NamedTuple):
    """What one score is made of: two ways, each with steering and boosts."""

    score: float
    history: Float64
    """By opinion of the profile."""
    popularity: float
    """Of the crowd's history, where there are no opinions."""
    segments: Float64
    """By segment, (n_segments,)."""
    other: float
    steering: Float64
    """By strength of the profile's steering."""
    boosts: float
    rounding: float
    """What float32 made of the score, counted in the largest parts."""


def ground(snapshot: Snapshot, profile: Profile) -> Ground:
    """The query of a personal profile before steering."""
    items, weights = (profile.items, profile.weights) if profile.opinions else crowd_history(snapshot)
    before = whole(snapshot.embeddings, items, weights)
    owed = contributor(snapshot.embeddings, items, weights, profile.query)
    return Ground(items, weights, np.where(profile.query != 0, before, np.float32(0)), length(before), owed)


def accounts(snapshot: Snapshot, profile: Profile, items: Int32, factors: Float32 | None = None) -> list[Account]:
    """The accounts of the scores of some items, which boosts may have multiplied."""
    factors = np.ones(len(items), dtype=np.float32) if factors is None else factors
    if not profile.personal:
        pairs = zip(items.tolist(), factors.tolist(), strict=True)
        return [_of_the_popular(snapshot, item, factor) for item, factor in pairs]
    found = ground(snapshot, profile)
    scores = snapshot.searcher.score_items(profile.query, items)
    triples = zip(items.tolist(), scores.tolist(), factors.tolist(), strict=True)
    return [_account(snapshot, profile, found, item, plain, factor) for item, plain, factor in triples]


def _account(snapshot: Snapshot, profile: Profile, found: Ground, item: int, plain: float, factor: float) -> Account:
    model = snapshot.embeddings
    scale = 1.0 if model.item_scale is None else float(model.item_scale[item])
    score = float(np.float32(plain) * np.float32(factor))
    segments, other = _by_segment(snapshot, found, item, scale)
    target = model.decoder.dense_row(item)
    history, popularity = np.empty(0), 0.0
    if profile.opinions:
        history = scale * found.owed(target)
    else:
        popularity = float(segments.sum() + other)
    steering = found.length * scale * _by_steering(snapshot, profile, target)
    by_item = np.append(history, popularity)
    by_dim = np.append(segments, other)
    rounding = plain - float(by_dim.sum() + steering.sum())
    if not by_item.any():  # what was liked has no place in the item space
        _add_to_largest(steering, rounding)
    _add_to_largest(by_item, plain - float(by_item.sum() + steering.sum()))
    _add_to_largest(by_dim, plain - float(by_dim.sum() + steering.sum()))
    return Account(
        score, by_item[:-1], float(by_item[-1]), by_dim[:-1], float(by_dim[-1]), steering, score - plain, rounding
    )


def _by_segment(snapshot: Snapshot, found: Ground, item: int, scale: float) -> tuple[Float64, float]:
    dims, values = snapshot.embeddings.decoder.row(item)
    shares = scale * found.base[dims].astype(np.float64) * values
    owners = snapshot.segments.owners[(values < 0).astype(np.int8), dims]
    summed = np.bincount(owners + 1, weights=shares, minlength=len(snapshot.segments) + 1)
    return summed[1:].astype(np.float64), float(summed[0])


def _by_steering(snapshot: Snapshot, profile: Profile, target: Float32) -> Float64:
    """Of a query of length 1 and a scale of 1."""
    kept = np.where(profile.query != 0, target, np.float32(0)).astype(np.float64)
    parts = []
    for number, strength in profile.steering.strengths:
        dims, values = snapshot.segments.rows.row(number)
        parts.append(strength * float(values.astype(np.float64) @ kept[dims]))
    return np.array(parts, dtype=np.float64)


def _add_to_largest(parts: Float64, rounding: float) -> None:
    if len(parts):
        parts[np.argmax(np.abs(parts))] += rounding


def _of_the_popular(snapshot: Snapshot, item: int, factor: float) -> Account:
    """Where nothing is known about the user: the score is the number of the item's users."""
    plain = float(snapshot.popularity[item])
    score = float(np.float32(plain) * np.float32(factor))
    none = np.zeros(len(snapshot.segments))
    return Account(score, np.empty(0), plain, none, plain, np.empty(0), score - plain, 0.0)


def reasons(snapshot: Snapshot, profile: Profile, items: Int32) -> list[list[Reason]]:
    """Why each item, strongest first: parts of the history, the strongest segment, steering; else that many like it."""
    if not profile.personal:
        return [[Reason(kind="popular", text=LIKED_BY_MANY)] for _ in items]
    found = accounts(snapshot, profile, items)
    causes = [_largest(one.history, MOST_HISTORY) for one in found]
    named = sorted({profile.opinions[place].item for places in causes for place in places})
    names = dict(zip(named, titles(snapshot, named), strict=True))
    told = [
        [*_from_history(snapshot, profile, one, places, names), *_from_segments(snapshot, profile, one)]
        for one, places in zip(found, causes, strict=True)
    ]
    return [one or [Reason(kind="popular", text=LIKED_BY_MANY)] for one in told]


def _largest(parts: Float64, most: int) -> list[int]:
    """The places of the largest parts above 0."""
    return [int(place) for place in np.argsort(-parts, kind="stable")[:most] if parts[place] > 0]


def _from_history(
    snapshot: Snapshot, profile: Profile, one: Account, places: Sequence[int], names: dict[int, str]
) -> list[Reason]:
    opinions = [profile.opinions[place] for place in places]
    return [
        Reason(
            kind="history",
            text=because(opinion, names[opinion.item]),
            contribution=float(one.history[place]),
            item_id=snapshot.items.item_id(opinion.item),
        )
        for place, opinion in zip(places, opinions, strict=True)
    ]


def _from_segments(snapshot: Snapshot, profile: Profile, one: Account) -> list[Reason]:
    numbers = [number for number, _ in profile.steering.strengths]
    parts = [("segment", "Fits", number, one.segments[number]) for number in _largest(one.segments, 1)]
    parts += [("steering", "You asked for", numbers[place], one.steering[place]) for place in _largest(one.steering, 1)]
    segments = snapshot.segments.segments[: snapshot.segments.n_shown]
    return [
        Reason.model_validate(
            {
                "kind": kind,
                "text": f"{words} {segments[number].title}",
                "contribution": float(part),
                "segment_id": segments[number].segment_id,
            }
        )
        for kind, words, number, part in parts
        if number < len(segments)
    ]
