"""Groups: their ids live as long as most of their segments, and what a snapshot says of them is kept and checked."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import builder, inspector, segment_map, snapshot
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.errors import InvalidEmbeddings
from index.groups import grouped
from index.segments import CarriedIds, FoundSegment, Segments, assemble
from index.vocabulary import Vocabulary

N = 6


def segments_of(ids: Sequence[str]) -> Segments:
    """A segment of one item for each id."""
    rows, one = np.eye(N, dtype=np.float32), np.ones(1, np.float32)
    found = [FoundSegment(((n, 1),), np.array([n], np.int32), one, rows[n]) for n in range(len(ids))]
    return assemble(found, CarriedIds(tuple(ids), frozenset()), [f"Title {n}" for n in ids], [()] * len(ids), N)


def named(members: Sequence[Sequence[str]], previous: Segments | None = None) -> Segments:
    """Segments of these ids in these groups."""
    numbers = iter(range(N))
    places = [[next(numbers) for _ in own] for own in members]
    ids = [segment_id for own in members for segment_id in own]
    return grouped(segments_of(ids), places, [f"Group {n}" for n in range(len(members))], previous)


def ids_of(found: Segments) -> list[str]:
    return [group.group_id for group in found.groups]


def build(root: Path, found: Segments) -> str:
    rows = SparseRows.from_dense(np.eye(N, dtype=np.float32))
    items = Vocabulary.build([f"i{row}" for row in range(N)])
    return builder.build(
        root,
        embeddings=SparseItemEmbeddings(items, rows, None, "tied", None, "latents", {}),
        properties=[{}] * N,
        popularity=np.arange(N, 0, -1, dtype=np.float32),
        segments=found,
    )


def test_a_group_that_keeps_most_of_its_segments_keeps_its_id() -> None:
    before = named([["a", "b", "c"], ["d", "e"], ["f"]])
    after = named([["e", "d"], ["a", "b", "x"], ["y"]], before)
    assert ids_of(after)[:2] == [ids_of(before)[1], ids_of(before)[0]]
    assert after.retired_groups == {ids_of(before)[2]}


def test_of_two_parts_of_a_group_the_larger_keeps_its_id_and_half_is_not_most() -> None:
    before = named([["a", "b", "c", "d", "e"]])
    after = named([["a", "b"], ["c", "d", "e"]], before)
    assert ids_of(after)[1] == ids_of(before)[0] != ids_of(after)[0]
    assert ids_of(named([["a", "x"]], before)) != ids_of(before)


def test_a_retired_id_never_comes_again() -> None:
    first = named([["a", "b"]])
    second = named([["x", "y"]], first)
    third = named([["a", "b"]], second)
    assert len({*ids_of(first), *ids_of(second), *ids_of(third)}) == 3
    assert third.retired_groups == {*ids_of(first), *ids_of(second)}
    assert named([], third).retired_groups == {*third.retired_groups, *ids_of(third)}


def test_ids_do_not_depend_on_order_and_are_safe_in_an_address() -> None:
    (one,), (other,) = ids_of(named([["a", "b"]])), ids_of(named([["b", "a"]]))
    assert one == other
    assert re.fullmatch("g[a-z2-7]{10}", one)


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), min_size=1), max_size=4))
def test_ids_are_unique_and_carried_only_where_most_segments_are(history: list[dict[str, int]]) -> None:
    before = segments_of([])
    for of in history:
        after = named([[one for one in of if of[one] == group] for group in sorted(set(of.values()))], before)
        ids, old = set(ids_of(after)), set(ids_of(before))
        assert len(ids) == len(after.groups)
        assert after.retired_groups == (before.retired_groups | old) - ids
        assert not ids & before.retired_groups
        was = {one.segment_id: one.group for one in before.segments}
        for group in ids & old:
            own = [one.segment_id for one in after.segments if one.group == group]
            assert 2 * sum(was.get(each) == group for each in own) > len(own)
        before = after


def test_groups_go_through_the_snapshot_and_through_edits(tmp_path: Path) -> None:
    found = named([["a", "b", "c"], ["d", "e"]], named([["old"]]))
    opened = snapshot.verify(tmp_path, build(tmp_path, found))
    stored = opened.found_segments
    assert stored.segments == found.segments
    assert (stored.groups, stored.retired_groups) == (found.groups, found.retired_groups)
    assert len(found.retired_groups) == 1
    edited = opened.edited({"a": {"merged_into": "d"}, "b": {"hidden": True}}).segments
    assert {one.segment_id: one.group for one in edited.segments} == {
        one.segment_id: one.group for one in found.segments if one.segment_id != "a"
    }
    assert edited.groups == found.groups


def test_a_snapshot_without_groups_is_what_it_was(tmp_path: Path) -> None:
    version = build(tmp_path, segments_of("abc"))
    document = json.loads((tmp_path / version / snapshot.SEGMENTS).read_text())
    assert document.keys() == {"segments", "retired"}
    assert not any("group" in one for one in document["segments"])
    opened = snapshot.verify(tmp_path, version)
    assert (opened.segments.groups, opened.segments.retired_groups) == ((), frozenset())
    assert [told["group"] for told in inspector.facts(opened)] == [None] * 3
    after = named([["a", "b"], ["c"]], opened.found_segments)
    assert len(set(ids_of(after))) == 2


def test_facts_tell_the_group_and_the_map_colours_it(tmp_path: Path) -> None:
    opened = snapshot.verify(tmp_path, build(tmp_path, named([["a", "b", "c"], ["d", "e"]])))
    facts = inspector.facts(opened)
    assert [told["group"] for told in facts] == ["Group 0"] * 3 + ["Group 1"] * 2
    drawn = segment_map.html(opened, facts)
    hues = re.findall(r'class="segment" style="--hue:(\d+)"', drawn)
    assert hues == [hues[0]] * 3 + [hues[3]] * 2
    assert "group: Group 1" in drawn


def _changed(found: Segments, first: Mapping[str, str | None]) -> Segments:
    return replace(found, segments=(replace(found.segments[0], **first), *found.segments[1:]))  # type: ignore[arg-type]


def test_groups_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    found = named([["a", "b"], ["c"]])
    one, other = found.groups
    wrong = {
        "group ids must be unique": replace(found, groups=(one, one, other)),
        "a retired id must not be used": replace(found, retired_groups=frozenset(ids_of(found))),
        "titles of groups must be unique": replace(found, groups=(one, replace(other, title=one.title))),
        "'a' is of group None": _changed(found, {"group": None}),
        "'a' is of group 'gone'": _changed(found, {"group": "gone"}),
        "'a' is of group 'g": replace(found, groups=()),
        "has no segments": replace(found, groups=(*found.groups, replace(one, group_id="g", title="None"))),
    }
    for message, segments in wrong.items():
        with pytest.raises(InvalidEmbeddings, match=message):
            build(tmp_path, segments)
