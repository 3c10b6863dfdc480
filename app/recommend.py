"""Whose taste, and what follows from it: profiles, items, similar items and segments, without HTTP or I/O.

A history becomes a query q = x E (see `index.query`), items are ranked by D q and segments by rows . q. All functions
are pure: one snapshot and a profile in, a ranking out. Only what something speaks for is returned, so scores are above
zero and an answer may be shorter than asked; what the user has seen or hidden is excluded exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.notices import Notice
from app.opinions import NO_OPINIONS, Acts, Opinion, Opinions, form
from app.ordering import PLAIN, Ordering, order
from app.popular import popular, popular_in_segment
from app.selection import EVERYTHING, Selection
from app.steering import NO_STEERING, Steering
from app.steering import resolve as resolve_steering
from app.store.events import HIDING_KINDS, UNSEEN_KINDS
from app.store.state import KINDS, History, Interaction, UserState
from index.arrays import among, distinct
from index.query import causes, encode, length
from index.search import NONE, Floor, Hits, best_segments
from index.segments import Segments
from index.snapshot import Snapshot
from index.sparse import Chosen
from index.types import Float32, Int32, UInt64
from index.vocabulary import hash_id

PERSONAL_SHARE = 0.2
"""Length of the user's part in the query of `similar`, where the items' part has length 1: a tilt."""

MIN_UNSEEN = 3
"""Items a segment must still have to offer."""

HIDES = np.array([kind in HIDING_KINDS for kind in KINDS])
"""By number of the kind: whether the item never comes back."""

SEES = np.array([kind not in UNSEEN_KINDS for kind in KINDS])
"""By number of the kind: whether the item is seen."""

NOWHERE: Mapping[str, float] = MappingProxyType({})
"""No steering in the request."""

ASKED_FOR = "You asked for more of this"

LIKED_BY_MANY = "Liked by many people"

VERBS = {"view": "viewed", "click": "viewed", "impression": "saw", "cart": "chose", "purchase": "bought"}
"""What the user did, in words; every other kind is a liking."""


class Profile(NamedTuple):
    """A user as one snapshot sees them."""

    opinions: Opinions
    """None where they like nothing."""
    query: NDArray[np.float32]
    """(n_dims,): of the opinions, or of the crowd where there are none; steered."""
    exclude: NDArray[np.int32]
    """Item rows that must not be in an answer, ascending."""
    personal: bool
    """False: neither opinions nor steering are known, answers are what is popular."""
    notices: tuple[Notice, ...]
    steering: Steering = NO_STEERING
    """What the query was steered by."""
    left_out: tuple[NDArray[np.int32], ...] = ()
    """Rows that are excluded for other reasons than that they were seen; -1 for unknown items."""

    @property
    def barred(self) -> NDArray[np.int32]:
        """What must not be in an answer even where what was seen may be."""
        return distinct(np.concatenate([NONE, *self.left_out]))

    @property
    def items(self) -> NDArray[np.int32]:
        """Item rows of the opinions."""
        return self.opinions.items

    @property
    def weights(self) -> NDArray[np.float32]:
        """Weights of the opinions."""
        return self.opinions.weights


class RankedSegment(NamedTuple):
    """A segment of a snapshot with the user's score for it."""

    number: int
    score: float


def resolve(
    snapshot: Snapshot,
    state: UserState,
    history: Sequence[Interaction],
    *,
    exclude_ids: Sequence[str] = (),
    exclude_seen: bool = True,
    steer: Mapping[str, float] = NOWHERE,
) -> Profile:
    """The profile of a stored user, a request's history (newest first), or both.

    For what an interaction counts see `app.opinions`. Unknown items are skipped and noticed.
    """
    items = snapshot.items
    stored = History.of(state.history)
    hashes = stored.hashes
    acts = Acts(items.row_of_each(hashes), stored.times, stored.weights, stored.kinds)
    if history:
        acts = Acts.of(items.rows([one.item_id for one in history]), history).and_then(acts)
    # What a stored user hides is in state.hidden already.
    hidden = acts.rows[: len(history)][HIDES[acts.kinds[: len(history)]]] if history else NONE
    if len(state.hidden):
        hidden = np.concatenate([hidden, items.rows_of_hashes(state.hidden)])
    opinions = form(acts, hidden)
    steered = resolve_steering(snapshot, state.steering, steer)
    left_out = hidden, items.rows(exclude_ids) if exclude_ids else NONE, steered.never
    seen = (items.all_of_each(state.seen), acts.rows[SEES[acts.kinds]]) if exclude_seen else ()
    exclude = distinct(np.concatenate([*left_out, *seen]))
    query, liking = _query(snapshot, opinions, steered.tilt)
    personal = liking or (steered.tilt is not None and bool(query.any()))
    n_unknown = _unknown(hashes, history, acts.rows) if np.count_nonzero(acts.rows < 0) else 0
    notices = _notices(n_unknown, steered.n_unknown, personal)
    opinions = opinions if liking else NO_OPINIONS
    return Profile(opinions, query, exclude[exclude >= 0], personal, notices, steered, left_out)


def _unknown(stored: UInt64, history: Sequence[Interaction], rows: NDArray[np.int32]) -> int:
    """How many items of the request's history and of the stored one are unknown; `rows` are of both, in this order."""
    unknown = set(stored[rows[len(history) :] < 0].tolist())
    unknown.update(hash_id(one.item_id) for one, row in zip(history, rows.tolist(), strict=False) if row < 0)
    return len(unknown)


def _query(
    snapshot: Snapshot, opinions: Opinions, tilt: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], bool]:
    """The user's query; the crowd's where they like nothing, or nothing that has a place in the item space."""
    if np.count_nonzero(opinions.weights > 0):  # takes a third of the time of any()
        query = encode(snapshot.embeddings, opinions.items, opinions.weights, tilt)
        if np.count_nonzero(query):
            return query, True
    return crowd(snapshot, tilt), False


def crowd(snapshot: Snapshot, tilt: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The query of everybody, which may be steered."""
    return snapshot.crowd.query if tilt is None else encode(snapshot.embeddings, *crowd_history(snapshot), tilt)


def crowd_history(snapshot: Snapshot) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The history of everybody: the most popular items, weighted by their number of users."""
    return snapshot.crowd.items, snapshot.crowd.weights


def _notices(n_unknown: int, n_segments: int, personal: bool) -> tuple[Notice, ...]:
    notices = []
    if n_unknown:
        verb = "item of the history is" if n_unknown == 1 else "items of the history are"
        notices.append(Notice("unknown_items", f"{n_unknown} {verb} unknown to this index version and skipped"))
    if n_segments:
        told = f"{n_segments} of the segments to steer are unknown to this index version and skipped"
        notices.append(Notice("unknown_segments", told))
    if not personal:
        notices.append(Notice("popular_fallback", "no usable history: these are popular items, not personal ones"))
    return tuple(notices)


def recommend(
    snapshot: Snapshot,
    profile: Profile,
    count: int,
    selection: Selection = EVERYTHING,
    ordering: Ordering = PLAIN,
) -> Hits:
    """The best `count` items for the user, or the most popular ones where nothing is known about them."""

    def rank(n: int, left: Selection) -> Hits:
        if not profile.personal:
            return popular(snapshot, profile.exclude, n, left)
        return best(snapshot, profile.query, n, profile.exclude, left)

    return order(snapshot, rank, count, selection, ordering)


def best(
    snapshot: Snapshot,
    query: NDArray[np.float32],
    n: int,
    exclude: NDArray[np.int32],
    left: Selection,
    floor: Floor | None = None,
) -> Hits:
    """The items that a query scores highest, of those selected and not excluded, down to a floor."""
    found = snapshot.searcher.top_n(query, n, exclude=exclude, within=left.within, boosts=left.boosts, floor=floor)
    return left.cut(found)


def similar(
    snapshot: Snapshot,
    items: NDArray[np.int32],
    count: int,
    *,
    exclude: NDArray[np.int32] = NONE,
    taste: Profile | None = None,
    selection: Selection = EVERYTHING,
) -> Hits:
    """Items like `items`, without these; a personal `taste` tilts the ranking by `PERSONAL_SHARE`."""
    query = encode(snapshot.embeddings, items, np.ones(len(items), dtype=np.float32))
    if taste is not None and taste.personal and query.any():
        share = PERSONAL_SHARE * length(query) / length(taste.query)
        query = query + (share * taste.query).astype(np.float32)
    return best(snapshot, query, count, np.concatenate([items, exclude]), selection)


def segment_items(
    snapshot: Snapshot,
    profile: Profile,
    number: int,
    count: int,
    selection: Selection = EVERYTHING,
    ordering: Ordering = PLAIN,
) -> Hits:
    """Items of one segment as the user would rank them; for nobody in particular, the popular and typical first."""

    def rank(n: int, left: Selection) -> Hits:
        if not profile.personal:
            return popular_in_segment(snapshot, number, profile.exclude, n, left)
        return best(snapshot, profile.query, n, profile.exclude, left)

    if profile.personal:
        selection = selection.only(snapshot.segments.items_of(number))
    return order(snapshot, rank, count, selection, ordering)


def rank_segments(
    snapshot: Snapshot, profile: Profile, count: int, selection: Selection = EVERYTHING
) -> list[RankedSegment]:
    """The segments that the user's taste points at, strongest first, where `MIN_UNSEEN` items are left to see."""
    numbers, scores = strongest_segments(snapshot, profile, count, selection)
    return list(map(RankedSegment, numbers.tolist(), scores.tolist()))


def strongest_segments(
    snapshot: Snapshot, profile: Profile, count: int, selection: Selection = EVERYTHING
) -> tuple[Int32, Float32]:
    """Numbers and scores of what `rank_segments` ranks."""
    segments = snapshot.segments
    wanted = count if selection.within is None else len(segments)
    numbers, scores = best_segments(segments, profile.query, wanted, exclude=profile.exclude, fewest=MIN_UNSEEN)
    if selection.within is None:
        return numbers, scores
    pairs = enumerate(numbers.tolist())
    offering = (place for place, number in pairs if _n_left(segments, number, profile, selection) >= MIN_UNSEEN)
    places = list(islice(offering, count))
    return numbers[places], scores[places]


def _n_left(segments: Segments, number: int, profile: Profile, selection: Selection) -> int:
    return int(np.count_nonzero(~among(selection.among(segments.items_of(number)), profile.exclude)))


def segment_reasons(snapshot: Snapshot, profile: Profile, numbers: Sequence[int]) -> list[str]:
    """Why each segment: that the user asked for it, or what they did with the item that speaks most for it."""
    asked_for = {number for number, strength in profile.steering.strengths if strength > 0}
    if not profile.opinions:
        return [ASKED_FOR if number in asked_for else LIKED_BY_MANY for number in numbers]
    others = [number for number in numbers if number not in asked_for]
    liked = _causes(snapshot, profile, others)
    names = titles(snapshot, [one.item for one in liked])
    told = dict(zip(others, map(because, liked, names), strict=True))
    return [told.get(number, ASKED_FOR) for number in numbers]


def _causes(snapshot: Snapshot, profile: Profile, numbers: Sequence[int]) -> list[Opinion]:
    """What the user likes that speaks most for each segment."""
    if not numbers:
        return []
    segments = Chosen(snapshot.segments.rows, np.array(numbers, dtype=np.int32))
    places = causes(snapshot.embeddings, profile.items, profile.weights, profile.query, segments)
    return [profile.opinions[place] for place in places]


def because(opinion: Opinion, title: str) -> str:
    """For example: Because you liked Dune."""
    return f"Because you {VERBS.get(opinion.kind, 'liked')} {title}"


def titles(snapshot: Snapshot, items: Iterable[int]) -> list[str]:
    """What to call items in a sentence: see `Catalogue.titles`; else the id."""
    rows = [int(item) for item in items]
    names = snapshot.catalogue.titles(rows)
    return [snapshot.items.item_id(row) if name is None else name for row, name in zip(rows, names, strict=True)]
