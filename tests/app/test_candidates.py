"""Rows that a page may have, each against the plain way to say what it is; and what weighs them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emphasis import PLAIN_EMPHASIS, WEIGHTS, Emphasis
from app.homepage import page
from app.placing import Size
from app.properties import MOST, about, property_rows
from app.recommend import Profile, because, resolve, titles
from app.selection import EVERYTHING
from app.shelf import Row
from app.store.state import KINDS
from app.store.users import Interaction, UserState
from app.unfinished import continue_row
from index.search import Hits
from index.snapshot import Snapshot

MakeSnapshot = Callable[[int], Snapshot]
NOBODY = UserState(history=(), seen=np.empty(0, np.uint64), hidden=np.empty(0, np.uint64))
SIZE = Size(n_rows=6, row_size=4, max_overlap=1.0)


def acts(least: float) -> st.SearchStrategy[list[Interaction]]:
    """What somebody did to items, newest first."""
    one = st.builds(
        Interaction,
        st.integers(0, 39).map("i{}".format),
        st.sampled_from(KINDS),
        st.sampled_from([weight for weight in (-1.0, 0.3, 0.5, 1.0) if weight >= least]),
        st.just(0.0),
    )
    return st.lists(one, max_size=12)


@given(history=acts(-1.0), excluded=st.sets(st.integers(0, 39), max_size=4), allowed=st.sets(st.integers(0, 39)))
def test_what_is_unfinished_was_begun_and_is_not_barred(
    make_snapshot: MakeSnapshot, history: list[Interaction], excluded: set[int], allowed: set[int]
) -> None:
    snapshot = make_snapshot(0)
    profile = resolve(snapshot, NOBODY, history, exclude_ids=[f"i{number}" for number in excluded])
    hidden = {one.item_id for one in history if one.kind in ("hide", "dislike")}
    expected = [
        one.item
        for one in profile.opinions
        if one.kind in ("view", "click", "cart") and one.weight > 0
        if one.item in allowed - excluded and f"i{one.item}" not in hidden
    ]
    row = continue_row(profile, EVERYTHING._replace(within=np.array(sorted(allowed), dtype=np.int32)))
    assert row.hits.items.tolist() == expected


def slow_property_rows(
    snapshot: Snapshot, profile: Profile, ranking: list[int], keys: list[str]
) -> list[tuple[str, str, str, list[int]]]:
    """Key, value, reason and items of each row, value by value."""
    rows = []
    values_of = snapshot.catalogue.properties(np.arange(len(snapshot.items), dtype=np.int32))
    for key in keys:
        having: dict[str, set[int]] = {}
        for item, own in enumerate(values_of):
            found = own.get(key)
            for value in found if isinstance(found, list) else [found]:
                having.setdefault(str(value), set()).add(item)
        having.pop("None", None)
        found_rows = []
        for value, items in having.items():
            known = [one for one in profile.opinions if one.item in items]
            best = [item for item in ranking if item in items]
            if known and known[0].weight > 0 and len(best) >= SIZE.min_fill and value not in snapshot.segments.titles:
                (title,) = titles(snapshot, [known[0].item])
                found_rows.append((key, value, because(known[0], title), best))
        rows += sorted(found_rows, key=lambda row: (-len(row[3]), row[1]))[:MOST]
    return rows


@given(
    seed=st.integers(0, 3),
    history=acts(-1.0),
    ranking=st.lists(st.integers(0, 39), unique=True),
    keys=st.sampled_from([None, ("tags",), ("nobody", "year", "shelf")]),
    named=st.sampled_from(["north", "a", "nothing"]),
)
def test_rows_of_properties_are_those_of_a_plain_loop(
    make_snapshot: MakeSnapshot,
    seed: int,
    history: list[Interaction],
    ranking: list[int],
    keys: tuple[str, ...] | None,
    named: str,
) -> None:
    """A value that a segment is called by makes no row, and leaves its place to the next one."""
    snapshot = make_snapshot(seed)
    first, *others = snapshot.segments.segments
    renamed = replace(snapshot.segments, segments=(replace(first, title=named), *others))
    snapshot = replace(snapshot, segments=renamed)
    profile = resolve(snapshot, NOBODY, history)
    scores = np.linspace(2, 1, len(ranking), dtype=np.float32)
    hits = Hits(np.array(ranking, dtype=np.int32), scores)
    size = SIZE._replace(emphasis=Emphasis(properties=keys))
    rows = list(property_rows(snapshot, profile, size, hits))
    told = [key for key in keys or ("shelf", "tags") if key in ("shelf", "tags")]
    expected = slow_property_rows(snapshot, profile, ranking, told)
    assert [(*about(row.key), row.reason, row.hits.items.tolist()) for row in rows] == expected
    score_of = dict(zip(ranking, scores.tolist(), strict=True))
    assert all(row.hits.scores.tolist() == [score_of[item] for item in row.hits.items.tolist()] for row in rows)


def profile_of(snapshot: Snapshot, *item_ids: str) -> Profile:
    return resolve(snapshot, NOBODY, [Interaction(one, "like", 1.0, 0.0) for one in item_ids])


def weighing(**kinds: float) -> Emphasis:
    return PLAIN_EMPHASIS._replace(weights={**WEIGHTS, **kinds})


def rows_of(snapshot: Snapshot, profile: Profile, emphasis: Emphasis, *last: Row, n_rows: int = 6) -> list[Row]:
    ids = frozenset(row.row_id for row in last)
    return page(snapshot, profile, SIZE._replace(n_rows=n_rows, emphasis=emphasis, last=ids))


@pytest.mark.parametrize("kind", ["segment", "because"])
def test_a_row_of_the_last_page_stays_where_another_gains_a_little_more(planted: Snapshot, kind: str) -> None:
    profile = profile_of(planted, "a1", "b1", "c1")
    small = rows_of(planted, profile, PLAIN_EMPHASIS, n_rows=2)
    small_ids = {row.row_id for row in small}
    below = rows_of(planted, profile, PLAIN_EMPHASIS, n_rows=9)
    other = next(row for row in below if row.kind == kind and not row.crowd and row.row_id not in small_ids)
    forgetful = rows_of(planted, profile, PLAIN_EMPHASIS._replace(stability=0.0), other, n_rows=2)
    faithful = rows_of(planted, profile, PLAIN_EMPHASIS._replace(stability=10.0), other, n_rows=2)
    assert {row.row_id for row in forgetful} == small_ids
    assert other.row_id in {row.row_id for row in faithful}


@pytest.mark.parametrize("kind", ["segment", "because"])
def test_a_kind_without_weight_is_not_on_the_page(planted: Snapshot, kind: str) -> None:
    for profile in (profile_of(planted, "a1", "b1"), profile_of(planted)):
        kinds = {row.kind for row in rows_of(planted, profile, weighing(**{kind: 0.0}))}
        assert kinds
        assert kind not in kinds


def test_a_kind_of_more_weight_comes_further_up(planted: Snapshot) -> None:
    profile = profile_of(planted, "a1", "b1")
    for kind in ("segment", "because"):
        heavy = [row.kind for row in rows_of(planted, profile, weighing(**{kind: 100.0}))]
        assert heavy[0] == kind


def test_rows_weighed_away_by_default_come_where_they_are_weighed(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(0)
    years = [own["year"] for own in snapshot.catalogue.properties(np.arange(40, dtype=np.int32))]
    likes = [Interaction(f"i{item}", "like", 1.0, 0.0) for item in (years.index(max(years)), 1, 2, 3)]
    profile = resolve(snapshot, NOBODY, likes, exclude_seen=False)
    plain = {row.kind for row in rows_of(snapshot, profile, PLAIN_EMPHASIS._replace(newness="year"))}
    assert not plain & {"property", "new"}
    assert "property" in {row.kind for row in rows_of(snapshot, profile, weighing(property=50.0))}
    size = SIZE._replace(row_size=1, emphasis=weighing(new=50.0)._replace(newness="year"))
    (new,) = [row for row in page(snapshot, profile, size) if row.kind == "new"]
    assert years[new.hits.items[0]] == max(years)


@pytest.mark.parametrize("key", ["shelf", "nobody"])
def test_what_tells_no_time_makes_no_new_row(make_snapshot: MakeSnapshot, key: str) -> None:
    """An index without the property that an operator names answers all the same."""
    snapshot = make_snapshot(0)
    profile = profile_of(snapshot, "i1", "i2")
    rows = rows_of(snapshot, profile, weighing(new=100.0)._replace(newness=key))
    assert rows
    assert "new" not in {row.kind for row in rows}


def test_diversity_puts_segments_that_are_less_alike_first(make_snapshot: MakeSnapshot) -> None:
    def likeness(diversity: float) -> float:
        total = 0.0
        for seed in range(4):
            snapshot = make_snapshot(seed)
            profile = profile_of(snapshot, "i1", "i2", "i3")
            emphasis = PLAIN_EMPHASIS._replace(diversity=diversity)
            keys = [row.key for row in rows_of(snapshot, profile, emphasis, n_rows=4) if row.kind == "segment"]
            numbers = [number for number in map(snapshot.segments.number, keys) if number is not None]
            cosines = snapshot.segment_cosines[np.ix_(numbers, numbers)]
            total += float(np.triu(np.maximum(cosines, 0), 1).sum())
        return total

    assert likeness(1.0) < likeness(0.0)
