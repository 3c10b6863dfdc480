"""Segments: planted blocks are found, degenerate input is survived, ids live as long as their items."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import blockwise, discovery, segments, sparse
from index.discovery import Cluster, Discovery, Memory
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.search import NONE, Hits, best_segments, score_segments, typical_hits
from index.segments import CarriedIds, FoundSegment, Segments, sparse_centroids
from index.types import Float32, Int32
from index.vocabulary import Vocabulary

N_DIMS = 96
BLOCK_DIMS = 8
BLOCK_ITEMS = 40


@dataclass(frozen=True)
class Published:
    """What carry_over sees of a snapshot."""

    items: Vocabulary
    segments: Segments

    @property
    def found_segments(self) -> Segments:
        """Nobody edits them here."""
        return self.segments

    @property
    def popularity(self) -> Float32:
        """As `many_readers` has it."""
        return np.full(len(self.items), 100, dtype=np.float32)


def embeddings_of(dense: Float32, ids: list[str] | None = None) -> SparseItemEmbeddings:
    places = [np.flatnonzero(row) for row in dense]
    rows = SparseRows.from_csr(
        np.cumsum([0, *map(len, places)]),
        np.concatenate([np.empty(0, np.int64), *places]),
        dense[dense != 0],
        dense.shape[1],
    )
    names = ids or [f"item-{row}" for row in range(len(dense))]
    return SparseItemEmbeddings(Vocabulary.build(names), rows, None, "tied", None, "latents", {})


def block_rows(block: int, n_items: int, rng: np.random.Generator) -> Float32:
    """Unit rows with 5 of the block's own 8 signed dimensions each."""
    dense = np.zeros((n_items, N_DIMS), dtype=np.float32)
    signs = np.where(np.arange(BLOCK_DIMS) % 2, -1, 1)
    for row in dense:
        own = rng.choice(BLOCK_DIMS, 5, replace=False)
        row[block * BLOCK_DIMS + own] = signs[own] * rng.uniform(0.5, 1.0, 5)
    return blockwise.unit(dense)


def planted(n_blocks: int, seed: int = 0) -> Float32:
    rng = np.random.default_rng(seed)
    return np.concatenate([block_rows(block, BLOCK_ITEMS, rng) for block in range(n_blocks)])


def many_readers(dense: Float32) -> Float32:
    return np.full(len(dense), 100, dtype=np.float32)


def find(dense: Float32) -> list[FoundSegment]:
    return segments.find(embeddings_of(dense), many_readers(dense))


def sets_of(found: list[FoundSegment]) -> set[frozenset[int]]:
    return {frozenset(segment.items.tolist()) for segment in found}


@pytest.mark.parametrize("n_blocks", [1, 3, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_blocks_are_found_exactly(n_blocks: int, seed: int) -> None:
    blocks = {frozenset(range(b * BLOCK_ITEMS, (b + 1) * BLOCK_ITEMS)) for b in range(n_blocks)}

    assert sets_of(find(planted(n_blocks, seed))) == blocks


def test_segments_of_int8_are_those_of_its_values() -> None:
    dense = planted(3)
    model = embeddings_of(dense)
    coded = replace(model, decoder=sparse.quantised(model.decoder))
    found = segments.find(coded, many_readers(dense))
    same = segments.find(replace(coded, decoder=coded.decoder.floats()), many_readers(dense))
    assert len(found) == 3
    for one, other in zip(found, same, strict=True):
        assert (one.dims, one.items.tolist()) == (other.dims, other.items.tolist())
        np.testing.assert_array_equal(one.centroid, other.centroid)


def test_a_found_segment_tells_its_signed_dimensions_and_its_unit_centroid() -> None:
    for segment in find(planted(4)):
        block = int(segment.items[0]) // BLOCK_ITEMS
        assert {(dim, -1 if dim % 2 else 1) for dim in range(block * 8, block * 8 + 8)} == set(segment.dims)
        assert np.linalg.norm(segment.centroid) == pytest.approx(1, abs=1e-5)
        assert all(np.sign(segment.centroid[dim]) == sign for dim, sign in segment.dims)


def test_items_descend_by_strength_and_strengths_lie_in_0_to_1() -> None:
    for segment in find(planted(5)):
        assert np.all(np.diff(segment.strengths) <= 0)
        assert segment.strengths[0] <= 1
        assert segment.strengths[-1] > 0
        assert len(np.unique(segment.items)) == len(segment.items)


def test_an_item_between_two_tastes_belongs_to_both() -> None:
    dense = planted(4)
    both = dense[:6] + dense[BLOCK_ITEMS : BLOCK_ITEMS + 6]
    dense = np.concatenate([dense, both / np.linalg.norm(both, axis=1, keepdims=True)])

    found = find(dense)

    for item in range(len(dense) - 6, len(dense)):
        homes = [segment for segment in found if item in segment.items]
        assert {int(segment.items[0]) // BLOCK_ITEMS for segment in homes} == {0, 1}


def test_an_item_with_few_readers_is_weaker_than_its_twin_with_many() -> None:
    dense = planted(3)
    dense[1] = dense[0]
    popularity = many_readers(dense)
    popularity[1] = 3

    found = segments.find(embeddings_of(dense), popularity)

    home = next(segment for segment in found if 0 in segment.items)
    strength = dict(zip(home.items.tolist(), home.strengths.tolist(), strict=True))
    assert strength[1] < strength[0]


def test_two_runs_are_identical() -> None:
    one, other = find(planted(6)), find(planted(6))

    assert len(one) == len(other) == 6
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.items, b.items)
        assert np.array_equal(a.strengths, b.strengths)
        assert a.dims == b.dims


def test_size_limits_are_kept() -> None:
    dense = planted(3)
    least = segments.find(embeddings_of(dense), many_readers(dense), settings=Discovery(min_size=BLOCK_ITEMS + 1))
    most = segments.find(embeddings_of(dense), many_readers(dense), settings=Discovery(max_size=25))

    assert least == []
    assert [len(segment.items) for segment in most] == [25, 25, 25]


def test_items_that_share_no_dimension_are_no_segment() -> None:
    apart = np.eye(50, dtype=np.float32)
    together = np.full((50, 4), 0.5, dtype=np.float32)

    found = discovery.gather(embeddings_of(apart).decoder, together, together[:1], many_readers(apart), Discovery())

    assert found == []


def degenerate() -> dict[str, Float32]:
    unit = np.full((60, 4), 0.5, dtype=np.float32)
    one = planted(1)[:1]
    gap = planted(2)
    gap[::2] = 0
    return {
        "one item": one,
        "few items": planted(1)[:19],
        "no values": np.zeros((60, 8), np.float32),
        "equal": unit,
        "gaps": gap,
    }


@pytest.mark.parametrize("name", degenerate())
def test_degenerate_input_is_survived(name: str) -> None:
    dense = degenerate()[name]

    found = find(dense)

    expected = {"one item": 0, "few items": 0, "no values": 0, "equal": 1, "gaps": 2}
    assert len(found) == expected[name]
    assert all(np.all(np.isfinite(segment.centroid)) for segment in found)
    assert all(np.any(dense[item]) for segment in found for item in segment.items)


def test_unread_items_make_no_segment() -> None:
    dense = planted(3)

    assert segments.find(embeddings_of(dense), np.zeros(len(dense), dtype=np.float32)) == []


def test_there_are_no_segments_where_dims_are_items() -> None:
    dense = np.eye(50, dtype=np.float32)
    model = embeddings_of(dense)
    by_item = SparseItemEmbeddings(model.items, model.decoder, None, "identity", None, "items", {})

    assert segments.find(by_item, many_readers(dense)) == []


def test_products_with_sparse_rows_are_those_of_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "NONZEROS", 7)
    rng = np.random.default_rng(5)
    dense = np.where(rng.random((37, 11)) < 0.2, rng.standard_normal((37, 11)), 0).astype(np.float32)
    rows = embeddings_of(dense).decoder
    right, below = (rng.standard_normal((n, 5), dtype=np.float32) for n in (11, 37))

    assert np.allclose(blockwise.times(rows, right), dense @ right, atol=1e-5)
    assert np.allclose(blockwise.times(blockwise.transposed(rows), below), dense.T @ below, atol=1e-5)


def test_signed_dims_are_the_items_on_each_side_of_a_dimension() -> None:
    dense = np.array([[1, 0], [-2, 3], [4, -5]], dtype=np.float32)

    sides = discovery.signed_dims(embeddings_of(dense).decoder)

    assert [sides.row(i)[0].tolist() for i in range(4)] == [[0, 2], [1], [1], [2]]
    assert [sides.row(i)[1].tolist() for i in range(4)] == [[1, 4], [2], [3], [5]]


def test_the_greedy_choice_is_that_of_the_plain_algorithm() -> None:
    rng = np.random.default_rng(8)
    anchors, placed = (blockwise.unit(rng.standard_normal((n, 4), dtype=np.float32)) for n in (30, 200))
    weight = rng.random(200, dtype=np.float32)
    near = np.maximum(anchors @ placed.T - discovery.FAR, 0)
    served, plain = np.zeros(200, dtype=np.float32), list[int]()
    for _ in range(8):
        gains = np.maximum(near - served, 0) @ weight
        plain.append(int(np.argmax(gains)))
        served = np.maximum(served, near[plain[-1]])

    assert discovery.choose(anchors, placed, weight, 8, np.empty((0, 4), np.float32)).tolist() == plain


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sets(st.integers(0, 2000), min_size=1, max_size=30), min_size=1, max_size=6))
def test_overlap_is_the_jaccard_index(groups: list[set[int]]) -> None:
    found = [Cluster(np.array(sorted(g), dtype=np.int32), np.ones(len(g), dtype=np.float32)) for g in groups]

    overlap = discovery.overlaps(found, 2001)

    wanted = [[len(a & b) / len(a | b) for b in groups] for a in groups]
    assert np.allclose(overlap, wanted)


def test_what_overlaps_too_much_goes_into_the_first_that_stays() -> None:
    overlap = np.array([[1, 0.6, 0, 0], [0.6, 1, 0.7, 0], [0, 0.7, 1, 0.9], [0, 0, 0.9, 1]])

    assert discovery.merged(overlap, 0.5).tolist() == [0, 0, 2, 2]


def test_centers_in_one_place_become_one_segment() -> None:
    dense = planted(2)
    rows = embeddings_of(dense).decoder
    middles = np.stack([dense[:BLOCK_ITEMS].sum(axis=0), dense[BLOCK_ITEMS:].sum(axis=0)])
    twice = blockwise.unit(np.concatenate([middles, middles + 0.5 * dense[[0, -1]]]))

    found = discovery.gather(rows, dense, twice, many_readers(dense), Discovery())

    blocks = {frozenset(range(BLOCK_ITEMS)), frozenset(range(BLOCK_ITEMS, 2 * BLOCK_ITEMS))}
    assert {frozenset(each.items.tolist()) for each in found} == blocks


def test_members_of_another_taste_go_last() -> None:
    dense = planted(2)
    rows = embeddings_of(dense).decoder
    items = np.r_[np.arange(30), np.arange(BLOCK_ITEMS, BLOCK_ITEMS + 10)].astype(np.int32)
    mixed = Cluster(items, np.full(40, 0.9, dtype=np.float32))

    pure = discovery.supported(rows, mixed, Discovery())

    assert set(pure.items[:30].tolist()) == set(range(30))
    assert pure.strengths[29] > 3 * pure.strengths[30:].max(initial=0)


# ids


def found_of(*groups: list[int]) -> list[FoundSegment]:
    centroid = np.eye(4, dtype=np.float32)[0]
    return [
        FoundSegment(((0, 1),), np.array(g, dtype=np.int32), np.linspace(1, 0.5, len(g), dtype=np.float32), centroid)
        for g in groups
    ]


GROUPS = st.lists(st.sets(st.integers(0, 30)), max_size=7)


def segments_of(groups: list[set[int]], seed: int) -> Segments:
    """Segments of these items, of some strengths, with rows of few values: none, up to all dims, and many ties."""
    rng = np.random.default_rng(seed)
    members = [rng.permutation(sorted(group)).astype(np.int32) for group in groups]
    strengths = [
        np.sort(rng.choice(np.array([1, 0.7, 0.6, 0.5, 0.3], np.float32), len(group)))[::-1] for group in groups
    ]
    dense = rng.integers(-2, 3, (len(groups), 9)) * (rng.random((len(groups), 9)) < rng.random((len(groups), 1)))
    owners, dims = np.nonzero(dense)
    row_starts = np.cumsum([0, *np.bincount(owners, minlength=len(groups))])
    return Segments(
        tuple(segments.Segment(str(number), "", (), (), len(group)) for number, group in enumerate(groups)),
        np.cumsum([0, *map(len, groups)]),
        np.concatenate([np.empty(0, np.int32), *members]),
        np.concatenate([np.empty(0, np.float32), *strengths]),
        SparseRows.from_csr(row_starts, dims, dense[owners, dims], 9),
        frozenset(),
    )


@given(
    GROUPS,
    st.integers(0, 999),
    st.sets(st.integers(0, 40)),
    st.integers(0, 8),
    st.integers(0, 6),
    st.sampled_from([0.0, 1.0, 1e300]),
)
def test_the_best_segments_are_those_of_a_sort(
    groups: list[set[int]], seed: int, out: set[int], n: int, fewest: int, least: float
) -> None:
    found = segments_of(groups, seed)
    query = np.random.default_rng(seed + 1).integers(-2, 3, 9).astype(np.float32)
    scores = score_segments(found, query).tolist()
    good = [
        number
        for number, group in enumerate(groups)
        if len(group - out) >= fewest and scores[number] > 0 and scores[number] >= least
    ]
    expected = sorted(good, key=lambda number: (-scores[number], number))[:n]
    exclude = np.array(sorted(out, reverse=True), dtype=np.int32)
    numbers, own = best_segments(found, query, n, exclude=exclude, fewest=fewest, least=least)
    assert numbers.tolist() == expected
    assert own.tolist() == [scores[number] for number in expected]


def test_wrong_questions_for_segments_are_refused() -> None:
    found, query = segments_of([{1, 2}, {2}], 3), np.zeros(9, np.float32)
    with pytest.raises(ValueError, match="n is -1"):
        best_segments(found, query, -1, exclude=NONE, fewest=1)
    with pytest.raises(ValueError, match="the query has 8 dims"):
        best_segments(found, query[1:], 1, exclude=NONE, fewest=1)
    with pytest.raises(ValueError, match="fewest must be a number of items"):
        best_segments(found, query, 1, exclude=NONE, fewest=-1)
    hits = Hits(np.array([1], np.int32), np.ones(1, np.float32))
    for numbers, number in (([2], 2), ([-1], -1), ([1, 0, 1], 1)):
        with pytest.raises(ValueError, match=rf"set {number} does not exist or is wanted twice"):
            typical_hits(found, numbers, hits)


@given(GROUPS, st.integers(0, 999), st.lists(st.integers(-1, 40)), st.data())
def test_typical_hits_are_those_among_the_typical_members(
    groups: list[set[int]], seed: int, items: list[int], data: st.DataObject
) -> None:
    found = segments_of(groups, seed)
    numbers = data.draw(st.permutations(range(len(groups))))[: seed % 8]
    scores = np.random.default_rng(seed).random(len(items), dtype=np.float32)
    split = list(typical_hits(found, numbers, Hits(np.array(items, np.int32), scores)))
    assert len(split) == len(numbers)
    for number, own in zip(numbers, split, strict=True):
        inside = [place for place, item in enumerate(items) if item in found.typical_of(number)]
        assert own.items.tolist() == [items[place] for place in inside]
        assert own.scores.tolist() == scores[inside].tolist()


@given(st.lists(st.lists(st.floats(0.125, 1, width=16), max_size=6), max_size=5))
def test_members_are_typical_that_are_strong_beside_the_strongest(strengths: list[list[float]]) -> None:
    falling = [sorted(own, reverse=True) for own in strengths]
    starts = np.cumsum([0, *map(len, falling)])
    none = SparseRows.from_csr(np.zeros(len(falling) + 1, np.int64), np.empty(0, int), np.empty(0), 1)
    made = tuple(segments.Segment(str(number), "", (), (), len(own)) for number, own in enumerate(falling))
    held = np.arange(starts[-1], dtype=np.int32)
    found = Segments(
        made, starts, held, np.array([one for own in falling for one in own], np.float32), none, frozenset()
    )
    for number, own in enumerate(falling):
        typical = [np.float32(one) >= np.float32(segments.TYPICAL) * np.float32(own[0]) for one in own]
        assert found.typical_of(number).tolist() == found.items_of(number)[typical].tolist()


def items_of(*ids: str) -> SparseItemEmbeddings:
    return embeddings_of(np.ones((len(ids), 4), dtype=np.float32), list(ids))


def publish(found: list[FoundSegment], model: SparseItemEmbeddings, previous: Published | None = None) -> Published:
    carried = segments.carry_over(found, model, previous)
    titles = [f"title {i}" for i in range(len(found))]
    return Published(model.items, segments.assemble(found, carried, titles, [("a", "b")] * len(found), model.n_dims))


def ids_of(published: Published) -> list[str]:
    return [segment.segment_id for segment in published.segments.segments]


ABC = [f"i{n}" for n in range(40)]


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(40)), st.permutations(range(4)))
def test_ids_do_not_depend_on_the_order_of_items_or_segments(rows: list[int], order: list[int]) -> None:
    groups = [list(range(b * 10, b * 10 + 10)) for b in range(4)]
    first = publish(found_of(*groups), items_of(*ABC))
    shuffled_items = items_of(*(ABC[row] for row in rows))
    place = {row: new for new, row in enumerate(rows)}
    shuffled = found_of(*([place[row] for row in groups[b]] for b in order))

    carried = publish(shuffled, shuffled_items, first)
    fresh = publish(shuffled, shuffled_items)

    assert ids_of(carried) == ids_of(fresh) == [ids_of(first)[b] for b in order]
    assert carried.segments.retired == frozenset()


def test_a_segment_keeps_its_id_while_half_its_items_stay() -> None:
    first = publish(found_of(list(range(10)), list(range(20, 30))), items_of(*ABC))

    same = publish(found_of(list(range(3, 12)), list(range(25, 40))), items_of(*ABC), first)

    assert ids_of(same)[0] == ids_of(first)[0]  # 7 of 12
    assert ids_of(same)[1] != ids_of(first)[1]  # 5 of 20
    assert same.segments.retired == {ids_of(first)[1]}


def test_ids_are_carried_one_to_one_by_the_largest_overlap() -> None:
    first = publish(found_of(list(range(10))), items_of(*ABC))

    split = publish(found_of(list(range(6)), list(range(9)), list(range(20, 30))), items_of(*ABC), first)

    assert ids_of(split)[1] == ids_of(first)[0]
    assert len(set(ids_of(split))) == 3
    assert split.segments.retired == frozenset()


def test_a_retired_id_never_returns() -> None:
    one, other = [0, 1, 2, 3], [10, 11, 12]
    first = publish(found_of(one, other), items_of(*ABC))
    second = publish(found_of(other), items_of(*ABC), first)

    third = publish(found_of(one, other), items_of(*ABC), second)
    fourth = publish(found_of(other), items_of(*ABC), third)
    fifth = publish(found_of(one, other), items_of(*ABC), fourth)

    generations = [ids_of(first)[0], ids_of(third)[0], ids_of(fifth)[0]]
    assert len(set(generations)) == 3
    assert fifth.segments.retired == set(generations[:2])
    assert {ids_of(each)[-1] for each in (first, second, third, fourth, fifth)} == {ids_of(first)[1]}


def test_items_that_are_new_or_gone_are_counted_as_different() -> None:
    first = publish(found_of([0, 1, 2]), items_of("a", "b", "c"))

    half = publish(found_of([0, 1, 2, 3]), items_of("x", "c", "b", "y"), first)
    most = publish(found_of([0, 1, 2]), items_of("c", "b", "y"), first)

    assert ids_of(half)[0] != ids_of(first)[0]  # {b, c} of {a, b, c, x, y}
    assert ids_of(most)[0] == ids_of(first)[0]  # {b, c} of {a, b, c, y}


def test_known_segments_live_on_in_another_model() -> None:
    dense = planted(4)
    first = publish(find(dense), embeddings_of(dense))
    order = np.random.default_rng(6).permutation(len(dense))
    turned = np.roll(dense[order], 3 * BLOCK_DIMS, axis=1)
    model = embeddings_of(turned, [f"item-{row}" for row in order])

    found = segments.find(model, many_readers(turned), first)
    second = publish(found, model, first)

    assert set(ids_of(second)) == set(ids_of(first))
    assert second.segments.retired == frozenset()


def test_memory_keeps_together_what_a_new_model_cannot_tell_apart() -> None:
    """All items equal: one segment to a fresh search, two where two are known, by nearly as many users as now."""
    equal = np.full((2 * BLOCK_ITEMS, 4), 0.5, dtype=np.float32)
    known = [np.arange(BLOCK_ITEMS, dtype=np.int32), np.arange(BLOCK_ITEMS, 2 * BLOCK_ITEMS, dtype=np.int32)]
    rows = embeddings_of(equal).decoder

    fresh = discovery.clusters(rows, many_readers(equal), Discovery())
    again = discovery.clusters(rows, many_readers(equal), Discovery(), Memory(known))
    outgrown = discovery.clusters(
        rows, many_readers(equal), Discovery(), Memory(known, many_readers(equal) * np.float32(0.001))
    )

    assert [len(each.items) for each in fresh] == [2 * BLOCK_ITEMS]
    assert [len(each.items) for each in outgrown] == [2 * BLOCK_ITEMS]  # little was known of them then
    assert {frozenset(each.items.tolist()) for each in again} == {frozenset(items.tolist()) for items in known}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_memory_lasts_by_the_share_of_users_that_were_known(users: list[tuple[int, int]]) -> None:
    then, now = (np.array([each[i] for each in users], np.float32) for i in (0, 1))
    wanted = [min(before / max(after, 1), 1) ** 0.5 for before, after in users]
    np.testing.assert_allclose(discovery.lasting(then, now), np.array(wanted, np.float32), rtol=1e-6)


def test_an_item_that_nothing_is_remembered_of_is_as_strong_as_in_a_fresh_search() -> None:
    dense = planted(3)
    known = [np.arange(b * BLOCK_ITEMS, b * BLOCK_ITEMS + 30, dtype=np.int32) for b in range(3)]
    rows = embeddings_of(dense).decoder
    fresh = discovery.clusters(rows, many_readers(dense), Discovery())
    again = discovery.clusters(rows, many_readers(dense), Discovery(), Memory(known))
    strength = [
        {i: s for each in found for i, s in zip(each.items, each.strengths, strict=True)} for found in (fresh, again)
    ]
    assert strength[0].keys() == strength[1].keys()
    new = [b * BLOCK_ITEMS + i for b in range(3) for i in range(30, BLOCK_ITEMS)]
    assert all(strength[1][item] > 0.8 * strength[0][item] for item in new)


def test_a_known_segment_whose_items_are_gone_ends() -> None:
    dense = planted(3)
    model = embeddings_of(dense)
    first = publish(find(dense), model)
    rest = embeddings_of(dense[BLOCK_ITEMS:], [f"item-{row}" for row in range(BLOCK_ITEMS, len(dense))])

    found = segments.find(rest, many_readers(dense[BLOCK_ITEMS:]), first)

    assert sets_of(found) == {frozenset(range(BLOCK_ITEMS)), frozenset(range(BLOCK_ITEMS, 2 * BLOCK_ITEMS))}


def test_a_snapshot_of_other_items_leaves_no_mark() -> None:
    dense = planted(4)
    others = publish(find(dense), embeddings_of(dense, [f"other-{row}" for row in range(len(dense))]))

    assert sets_of(segments.find(embeddings_of(dense), many_readers(dense), others)) == sets_of(find(dense))


def test_a_first_snapshot_and_one_without_segments_give_new_ids() -> None:
    empty = publish([], items_of(*ABC))

    assert len(empty.segments) == 0
    assert ids_of(publish(found_of([1, 2]), items_of(*ABC), empty)) == ids_of(publish(found_of([2, 1]), items_of(*ABC)))
    assert publish([], items_of(*ABC), publish(found_of([1]), items_of(*ABC))).segments.retired


def test_an_id_is_short_and_safe_in_an_address() -> None:
    (segment_id,) = ids_of(publish(found_of([1, 2, 3]), items_of(*ABC)))

    assert segment_id.isalnum()
    assert segment_id.islower()
    assert len(segment_id) == 11


# the stored form


def test_json_and_arrays_give_the_segments_back() -> None:
    stored = publish(found_of([3, 1], [2, 0, 5]), items_of(*ABC)).segments

    document = json.loads(json.dumps(stored.to_json()))
    again = Segments.from_json(document, stored.starts, stored.items, stored.strengths, stored.rows)

    assert again.segments == stored.segments
    assert again.retired == stored.retired
    assert again.items_of(1).tolist() == [2, 0, 5]
    assert again.strengths_of(0).tolist() == [1, 0.5]
    assert again.number(stored.segments[1].segment_id) == 1
    assert again.number("s-unknown") is None


def test_rows_are_unit_centroids_of_the_largest_dimensions() -> None:
    rng = np.random.default_rng(1)
    centroid = blockwise.unit(rng.standard_normal((1, 300), dtype=np.float32))[0]
    items: Int32 = np.arange(3, dtype=np.int32)
    found = [FoundSegment(((0, 1),), items, np.ones(3, dtype=np.float32), centroid)]

    rows = segments.assemble(found, CarriedIds(("s1",), frozenset()), ["t"], [()], 300).rows

    dims, values = rows.row(0)
    largest = np.sort(np.argsort(-np.abs(centroid))[: segments.CENTROID_DIMS])
    assert dims.tolist() == largest.tolist()
    assert np.linalg.norm(values) == pytest.approx(1, abs=1e-5)
    assert np.all(np.sign(values) == np.sign(centroid[largest]))


def test_a_segment_row_scores_its_own_readers_highest() -> None:
    dense = planted(5)
    published = publish(find(dense), embeddings_of(dense))
    found = [published.segments.items_of(s) for s in range(5)]

    for number, items in enumerate(found):
        query = dense[items[:7]].sum(axis=0)
        scores = [published.segments.rows.dense_row(s) @ query for s in range(5)]
        assert int(np.argmax(scores)) == number


def test_each_side_of_a_dimension_is_owned_by_the_segment_that_is_strongest_in_it() -> None:
    dense = np.array([[0.6, 0.0, -0.8, 0.0], [0.6, 0.8, 0.0, 0.0], [0.8, 0.0, 0.6, 0.0]], dtype=np.float32)
    rows, dims = dense.nonzero()
    centroids = SparseRows.from_csr(np.searchsorted(rows, np.arange(4)), dims, dense[rows, dims], 4)
    none, starts = np.empty(0, np.int32), np.zeros(4, np.int64)
    made = Segments((), starts, none, np.empty(0, np.float32), centroids, frozenset())
    assert made.owners.tolist() == [[2, 1, 2, -1], [-1, -1, 0, -1]]
    without = Segments((), starts[:1], none, np.empty(0, np.float32), sparse_centroids([], 4), frozenset())
    assert without.owners.tolist() == [[-1] * 4] * 2
