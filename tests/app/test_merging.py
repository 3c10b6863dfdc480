"""The union of two users, against the plainest one."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.store.merging import Bounds, Values, merged
from app.store.state import (
    KINDS,
    MARK,
    MAX_STEERED,
    History,
    Interaction,
    Steering,
    entry,
    join,
    read_marks,
    read_steering,
    write_steering,
)

NOTHING = Values(b"", b"", b"", b"")

INTERACTIONS = st.lists(
    st.builds(
        Interaction,
        st.sampled_from(["a", "b", "\u00e9" * 128, "d e"]),
        st.sampled_from(KINDS),
        st.sampled_from([0.3, 1.0, -0.5]),
        st.integers(0, 6).map(float),
    ),
    max_size=8,
)
MARKS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5).map(float)), max_size=8)
STEERING = st.dictionaries(st.sampled_from("stuv"), st.sampled_from([-1.0, 0.5, "never"]))


def values(history: Sequence[Interaction], marks: Sequence[tuple[int, float]], steering: Steering) -> Values:
    ordered = sorted(history, key=lambda one: one.timestamp)
    latest: dict[int, float] = {}
    for item, time in sorted(marks, key=lambda mark: mark[1]):
        latest.pop(item, None)
        latest[item] = time
    seen = b"".join(MARK.pack(time, item) for item, time in latest.items())
    stored = join([(entry(one), one.item_id.encode()) for one in ordered]) if ordered else b""
    return Values(stored, seen, seen[-16:], write_steering(steering))


USERS = st.builds(values, INTERACTIONS, MARKS, STEERING)
BOUNDS = st.builds(Bounds, st.integers(1, 6), st.integers(1, 5), st.integers(1, 3))
WIDE = Bounds(1000, 1000, 1000)


def times_of(stored: bytes) -> dict[int, float]:
    found = read_marks(stored)
    assert len(set(found.hashes.tolist())) == len(found.hashes)
    assert found.times.tolist() == sorted(found.times.tolist())
    return dict(zip(found.hashes.tolist(), found.times.tolist(), strict=True))


@given(USERS, USERS)
def test_everything_of_both_is_there_once(target: Values, source: Values) -> None:
    both = merged(target, source, WIDE)
    history = History(both.history)
    assert Counter(history) == Counter(History(target.history)) | Counter(History(source.history))
    assert history.times.tolist() == sorted(history.times.tolist(), reverse=True)
    for own, other, found in zip(target[1:3], source[1:3], both[1:3], strict=True):
        one, two = times_of(own), times_of(other)
        assert times_of(found) == {item: max(one.get(item, -1), two.get(item, -1)) for item in one | two}
    mine, theirs = read_steering(target.steering), read_steering(source.steering)
    for segment_id, strength in read_steering(both.steering).items():
        never = "never" in (mine.get(segment_id), theirs.get(segment_id))
        assert strength == ("never" if never else mine.get(segment_id, theirs.get(segment_id)))
    assert read_steering(both.steering).keys() == mine.keys() | theirs.keys()


@given(USERS, USERS, BOUNDS)
def test_bounds_hold_and_keep_the_newest(target: Values, source: Values, bounds: Bounds) -> None:
    whole, cut = merged(target, source, WIDE), merged(target, source, bounds)
    assert History(cut.history)[:] == History(whole.history)[: bounds.history]
    assert cut.seen == whole.seen[-16 * bounds.seen :]
    assert cut.hidden == whole.hidden[-16 * bounds.hidden :]


@given(USERS, USERS, BOUNDS)
def test_repeating_it_changes_nothing(target: Values, source: Values, bounds: Bounds) -> None:
    once = merged(target, source, bounds)
    assert merged(once, source, bounds) == once
    assert merged(once, NOTHING, bounds) == once


def test_more_steering_than_is_allowed_loses_no_never() -> None:
    target = NOTHING._replace(steering=write_steering({f"t{n}": 1.0 for n in range(MAX_STEERED)}))
    source = NOTHING._replace(steering=write_steering({f"s{n}": "never" for n in range(MAX_STEERED - 1)}))
    found = read_steering(merged(target, source, WIDE).steering)
    assert len(found) == MAX_STEERED
    assert list(found.values()).count("never") == MAX_STEERED - 1
