"""Edits of segments against a slow oracle; what they leave as it was; and what is no edit."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import builder, integrity, snapshot
from index.builder import SnapshotContent
from index.edited import laid_over
from index.edits import MAX_EDITS, Edit, Edits, check, check_title, ends, from_document, over, to_document
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.errors import CorruptSnapshot, InvalidEdits
from index.search import NONE, best_segments, score_segments
from index.segments import CarriedIds, FoundSegment, Segments, assemble, carry_over
from index.types import Float32
from index.vocabulary import Vocabulary

N_ITEMS, N_DIMS = 12, 6
IDS = [f"s{number}" for number in range(6)]
GONE = ["gone", "lost"]


def found_of(seed: int, n_segments: int) -> Segments:
    """Random segments, with ties and opposite centroids among them."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n_segments):
        items = rng.choice(N_ITEMS, int(rng.integers(1, 9)), replace=False).astype(np.int32)
        strengths = (rng.integers(1, 5, len(items)) / 4).astype(np.float32)
        order = np.lexsort((items, -strengths))
        centroid = rng.integers(-2, 3, N_DIMS).astype(np.float32)
        centroid[number % N_DIMS] += 3
        centroid /= np.linalg.norm(centroid)
        made.append(FoundSegment(((number % N_DIMS, 1),), items[order], strengths[order], centroid))
    titles = [f"Title {number}" for number in range(n_segments)]
    ids = CarriedIds(tuple(IDS[:n_segments]), frozenset({"old"}))
    return assemble(made, ids, titles, [(title,) for title in titles], N_DIMS)


def model() -> SparseItemEmbeddings:
    rows = SparseRows.from_dense(np.eye(N_ITEMS, N_DIMS, dtype=np.float32))
    items = Vocabulary.build([f"i{row}" for row in range(N_ITEMS)])
    return SparseItemEmbeddings(items, rows, None, "tied", None, "latents", {})


IDS_OR_GONE = st.sampled_from(IDS + GONE)
EDITS = st.dictionaries(
    IDS_OR_GONE,
    st.fixed_dictionaries(
        {},
        optional={
            "title": st.sampled_from([None, "Title 1", "Mine", "x" * 40]),
            "hidden": st.sampled_from([None, False, True]),
            "merged_into": st.none() | IDS_OR_GONE,
        },
    ),
)


def end_of(segment_id: str, edits: Edits, known: list[str]) -> str:
    """The oracle of `ends`: step by step, and what comes back to where it was stays there."""

    def next_of(one: str) -> str | None:
        into = edits.get(one, {}).get("merged_into")
        at, steps = into, 0
        while at is not None and at != one and steps <= len(IDS + GONE):
            at, steps = edits.get(at, {}).get("merged_into"), steps + 1
        return None if at == one else into

    path = [segment_id]
    while (after := next_of(path[-1])) is not None:
        path.append(after)
    return [one for one in path if one in known][-1]


def expected(found: Segments, edits: Edits) -> dict[str, dict[str, Any]]:
    """The oracle of `laid_over`, segment by segment: items with strengths, dense centroid, whether hidden."""
    known = [segment.segment_id for segment in found.segments]
    made: dict[str, dict[str, Any]] = {}
    for segment_id in known:
        if end_of(segment_id, edits, known) != segment_id:
            continue
        parts = [number for number, one in enumerate(known) if end_of(one, edits, known) == segment_id]
        strengths: dict[int, float] = {}
        centroid = np.zeros(N_DIMS)
        for number in parts:
            for item, strength in zip(found.items_of(number), found.strengths_of(number), strict=True):
                strengths[int(item)] = max(strengths.get(int(item), 0.0), float(strength))
            centroid += len(found.items_of(number)) * found.rows.dense_row(number).astype(np.float64)
        own = found.rows.dense_row(known.index(segment_id))
        length = np.linalg.norm(centroid)
        made[segment_id] = {
            "members": sorted(strengths.items(), key=lambda pair: (-pair[1], pair[0])),
            "centroid": own if len(parts) == 1 or length < 1e-6 else centroid / length,
            "hidden": bool(edits.get(segment_id, {}).get("hidden")),
        }
    return made


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 50), st.integers(0, 6), EDITS)
def test_edited_segments_are_those_of_the_oracle(seed: int, n_segments: int, edits: dict[str, Edit]) -> None:
    found = found_of(seed, n_segments)
    made, oracle = laid_over(found, edits), expected(found, edits)
    assert {segment.segment_id for segment in made.segments} == set(oracle)
    for number, segment in enumerate(made.segments):
        one = oracle[segment.segment_id]
        pairs = zip(made.items_of(number).tolist(), made.strengths_of(number).tolist(), strict=True)
        assert list(pairs) == one["members"]
        np.testing.assert_allclose(made.rows.dense_row(number), one["centroid"], atol=1e-6)
        assert (number >= made.n_shown) == one["hidden"]
        assert made.number(segment.segment_id) == number
    known = [segment.segment_id for segment in found.segments]
    for segment_id in known:
        found_at = made.number(segment_id)
        assert found_at is not None
        assert made.segments[found_at].segment_id == end_of(segment_id, edits, known)
    titles = [segment.title for segment in made.segments]
    assert len(set(titles)) == len(titles)
    assert all(1 <= len(title) <= 40 for title in titles)
    integrity.check(model(), np.ones(N_ITEMS, dtype=np.float32), made)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 50), EDITS, st.integers(0, 10), st.integers(0, 3))
def test_only_what_may_be_shown_is_a_segment_of_a_user(
    seed: int, edits: dict[str, Edit], direction: int, fewest: int
) -> None:
    made = laid_over(found_of(seed, 6), edits)
    query: Float32 = np.random.default_rng(direction).normal(size=N_DIMS).astype(np.float32)
    exclude = np.arange(direction % 5, dtype=np.int32)
    numbers, _ = best_segments(made, query, 10, exclude=exclude, fewest=fewest)
    scores = score_segments(made, query)
    left = [len(np.setdiff1d(made.items_of(number), exclude)) for number in range(len(made))]
    wanted = [n for n in range(made.n_shown) if scores[n] > 0 and left[n] >= fewest]
    assert sorted(numbers.tolist()) == wanted
    assert made.owners.max(initial=-1) < made.n_shown


def test_no_edits_are_no_work_and_change_nothing() -> None:
    found = found_of(1, 5)
    assert laid_over(found, {}) is found
    same = laid_over(found, {"s1": {"title": None, "hidden": False, "merged_into": None}, "gone": {"hidden": True}})
    assert same.segments == found.segments
    for name in ("starts", "items", "strengths"):
        np.testing.assert_array_equal(getattr(same, name), getattr(found, name))
    for name in ("row_starts", "dims", "values"):
        np.testing.assert_array_equal(getattr(same.rows, name), getattr(found.rows, name))
    query = np.ones(N_DIMS, dtype=np.float32)
    pair = [best_segments(one, query, 9, exclude=NONE, fewest=0) for one in (found, same)]
    np.testing.assert_array_equal(pair[0], pair[1])


def test_of_titles_that_are_the_same_the_one_that_was_given_stays() -> None:
    found = found_of(0, 4)

    def titles(edits: Edits) -> list[str]:
        return [segment.title for segment in laid_over(found, edits).segments]

    assert titles({"s3": {"title": "Title 0"}}) == ["Title 0 (2)", "Title 1", "Title 2", "Title 0"]
    long = "y" * 40
    assert titles({one: {"title": long} for one in IDS}) == [long, *("y" * 36 + f" ({nth})" for nth in (2, 3, 4))]
    assert titles({"s0": {"title": "A (2)"}, "s1": {"title": "A"}, "s2": {"title": "A"}})[:3] == ["A (2)", "A", "A (3)"]


def test_opposites_that_are_merged_keep_a_direction() -> None:
    found = found_of(0, 2)
    opposite = np.array([[1, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0]], dtype=np.float32)
    sizes = found.sizes.tolist()
    same_size = replace(found, rows=SparseRows.from_dense(opposite))
    assert sizes[0] > 0
    made = laid_over(same_size, {"s1": {"merged_into": "s0"}})
    assert np.linalg.norm(made.rows.dense_row(0)) == pytest.approx(1)


def test_thousands_of_edits_take_no_time_worth_telling() -> None:
    """Chains, circles and titles that are all the same: each would be quadratic if it was done one by one."""
    chain = {f"s{number}": f"s{number + 1}" for number in range(MAX_EDITS)}
    known = {f"s{number}" for number in range(MAX_EDITS + 1)}
    assert set(ends(chain, known).values()) == {f"s{MAX_EDITS}"}
    circle = chain | {f"s{MAX_EDITS}": "s0"}
    assert ends(circle, known) == {}


def test_layers_say_what_the_upper_one_says_field_by_field() -> None:
    below: Edits = {"a": {"title": "A", "hidden": True}, "b": {"merged_into": "a"}}
    above: Edits = {"a": {"title": None}, "c": {"hidden": True}}
    assert over(below, above) == {
        "a": {"title": None, "hidden": True},
        "b": {"merged_into": "a"},
        "c": {"hidden": True},
    }


@given(EDITS)
def test_the_json_form_goes_there_and_back(edits: dict[str, Edit]) -> None:
    try:
        check(edits)
    except InvalidEdits:
        with pytest.raises(InvalidEdits, match="leads back"):
            from_document(json.loads(json.dumps(to_document(edits))))
    else:
        assert from_document(json.loads(json.dumps(to_document(edits)))) == edits


WRONG: Mapping[str, object] = {
    "edits are a JSON object": [],
    "are a JSON object": {"edits": {}, "more": 1},
    "JSON object {": {"edits": []},
    "no object of title": {"edits": {"a": {"name": "x"}}},
    "'a' is no object": {"edits": {"a": "x"}},
    "title of 'a' must not be ''": {"edits": {"a": {"title": ""}}},
    "title of 'a' must not be 'xxxx": {"edits": {"a": {"title": "x" * 41}}},
    "title of 'a' must not be 1": {"edits": {"a": {"title": 1}}},
    r"title of 'a' must not be 'a\\nb'": {"edits": {"a": {"title": "a\nb"}}},
    "hidden of 'a' must not be 1": {"edits": {"a": {"hidden": 1}}},
    "merged_into of 'a' must not be ''": {"edits": {"a": {"merged_into": ""}}},
    "no id of a segment": {"edits": {"": {}}},
    "is no id": {"edits": {"\ud800": {}}},
    "merged_into of 'a' leads back to it, by way of 'a'": {"edits": {"a": {"merged_into": "a"}}},
    "leads back": {"edits": {"a": {"merged_into": "b"}, "b": {"merged_into": "c"}, "c": {"merged_into": "b"}}},
    "10001 segments are edited; at most 10000": {"edits": {str(number): {} for number in range(MAX_EDITS + 1)}},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_document_of_edits_is_refused(message: str) -> None:
    with pytest.raises(InvalidEdits, match=message):
        from_document(WRONG[message])


@pytest.mark.parametrize(
    "title",
    [
        "",
        "x" * 41,
        " x",
        "x\u3000",
        "a\x00b",
        "a\u2028b",
        "\ud800",
        "\x7f",
        "a\u202eb",
        "\u2066a",
        "\u200b",
        "\ufeff",
        "\u0301",
    ],
)
def test_what_is_no_title_is_refused(title: str) -> None:
    with pytest.raises(InvalidEdits, match="title"):
        check_title(title)


@pytest.mark.parametrize(
    "title",
    [
        "x",
        "x" * 40,
        "<b>Dune</b> & co",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647",
        "\U0001f468\u200d\U0001f680",
        "\u05d0\u200f 7",
        "e\u0301t\u00e9",
    ],
)
def test_any_text_of_any_language_is_a_title(title: str) -> None:
    assert check_title(title) is title


def test_a_snapshot_keeps_what_was_found_and_what_people_say(tmp_path: Path, content: SnapshotContent) -> None:
    ids = [segment.segment_id for segment in content.segments.segments]
    edits: Edits = {ids[0]: {"title": "Mine"}, ids[1]: {"merged_into": ids[0]}, "gone": {"hidden": True}}
    version = builder.write(tmp_path, replace(content, edits=edits))
    opened = snapshot.verify(tmp_path, version)
    assert opened.found_segments.segments == content.segments.segments
    assert opened.built_edits == opened.edits == edits
    assert opened.segments.segments[0].title == "Mine"
    assert opened.segments.merged == {ids[1]: ids[0]}
    undone = opened.edited({ids[0]: {"title": None}, ids[1]: {"merged_into": None}})
    assert undone.segments.segments == content.segments.segments
    assert undone.edited({}).segments.segments == opened.segments.segments, "one layer stands instead of another"


def test_a_snapshot_without_edits_is_what_it_was(tmp_path: Path, content: SnapshotContent) -> None:
    version = builder.write(tmp_path, content)
    opened = snapshot.open_snapshot(tmp_path, version)
    assert opened.segments is opened.found_segments
    assert "edits" not in json.loads((tmp_path / version / snapshot.SEGMENTS).read_text())


def test_edits_that_are_none_make_a_snapshot_corrupt(tmp_path: Path, content: SnapshotContent) -> None:
    version = builder.write(tmp_path, replace(content, edits={"a": {"title": "x" * 41}}))
    with pytest.raises(CorruptSnapshot, match=r"segments\.json cannot be read"):
        snapshot.open_snapshot(tmp_path, version)
    with pytest.raises(InvalidEdits):
        builder.build(
            tmp_path,
            embeddings=content.embeddings,
            properties=content.properties,
            popularity=content.popularity,
            segments=content.segments,
            edits={"a": {"title": "x" * 41}},
        )


def test_identity_does_not_depend_on_edits(tmp_path: Path, content: SnapshotContent) -> None:
    ids = [segment.segment_id for segment in content.segments.segments]
    edits: Edits = {ids[0]: {"hidden": True}, ids[1]: {"merged_into": ids[0]}}
    opened = snapshot.open_snapshot(tmp_path, builder.write(tmp_path, replace(content, edits=edits)))
    again = [
        FoundSegment(one.dims, content.segments.items_of(n), content.segments.strengths_of(n), np.zeros(1, np.float32))
        for n, one in enumerate(content.segments.segments)
    ]
    assert carry_over(again, content.embeddings, opened).ids == tuple(ids)
