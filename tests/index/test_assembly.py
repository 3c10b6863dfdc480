"""Pages that the kernel assembles, against the plainest way to say what they are."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.assembly import Assembly, Demands, Frame, Part, frame
from index.search import Hits
from index.segments import TYPICAL, Segment, Segments
from index.sparse import SparseRows
from index.types import Float32

N_ITEMS, REST = 30, 0.01
NO_COSINES: Float32 = np.zeros((0, 0), dtype=np.float32)


class Candidate(NamedTuple):
    """A candidate, as the oracle sees it."""

    items: list[int]
    part: Part
    segment: int | None = None
    """Its number, where it is one."""


def hits_of(items: list[int]) -> Hits:
    return Hits(np.array(items, dtype=np.int32), np.linspace(2, 1, len(items), dtype=np.float32))


def fill(rows: list[Candidate | None], worth: dict[int, float], shape: Frame) -> tuple[list[list[int]], float]:
    """What stands in the rows, and what it is worth."""
    n_columns, taken = shape.attention.shape[1], set[int]()
    stand: list[list[int]] = [[] for _ in rows]
    total = 0.0

    def take(row: int) -> bool:
        nonlocal total
        candidate, column = rows[row], len(stand[row])
        left = [] if candidate is None else [item for item in candidate.items if item not in taken]
        if candidate is None or not left or column == min(candidate.part.size, n_columns):
            return False
        taken.add(left[0])
        stand[row].append(left[0])
        total += float(shape.attention[row, column]) * float(np.float32(worth.get(left[0], REST)))
        return True

    for row, candidate in enumerate(rows):
        while candidate is not None and candidate.part.claims and take(row):
            pass
    for row in shape.cells.tolist():
        take(row)
    return stand, total


def own_worth(candidate: Candidate, worth: dict[int, float], shape: Frame) -> float:
    """What it would be worth to the top row."""
    best = candidate.items[: min(candidate.part.size, shape.attention.shape[1])]
    top = shape.attention[0].tolist()
    total = 0.0
    for attention, item in zip(top, best, strict=False):
        total += attention * float(np.float32(worth.get(item, REST)))
    return candidate.part.weight * total


def least(part: Part, demands: Demands) -> int:
    """Items that a row needs."""
    if part.wanted:
        return 1 if part.at < 0 else 0
    return min(demands.fewest, part.size)


def nearest(candidate: Candidate, page: list[Candidate | None], cosines: Float32) -> float:
    """The largest cosine of a segment to those of a page; 0 where all are below, and for what is no segment."""
    others = [one.segment for one in page if one is not None and one.segment is not None]
    own = candidate.segment
    return 0.0 if own is None else max([0.0, *(float(cosines[own, other]) for other in others)])


def slow_page(
    candidates: list[Candidate], worth: dict[int, float], shape: Frame, demands: Demands, cosines: Float32 = NO_COSINES
) -> list[tuple[int, int, list[int]]]:
    """The definition."""
    n_rows = len(shape.attention)
    chosen: list[int | None] = [None] * n_rows
    for number, (_, part, _) in enumerate(candidates):
        if 0 <= part.at < n_rows and chosen[part.at] is None:
            chosen[part.at] = number
    left = [number for number in range(len(candidates)) if number not in chosen]
    left.sort(key=lambda number: -own_worth(candidates[number], worth, shape))

    def told(rows: list[int | None]) -> list[Candidate | None]:
        return [None if number is None else candidates[number] for number in rows]

    def full(rows: list[int | None], stand: list[list[int]]) -> bool:
        pairs = zip(rows, stand, strict=True)
        return all(one is None or len(items) >= least(candidates[one].part, demands) for one, items in pairs)

    def moves(row: int) -> bool:
        number = chosen[row]
        return number is not None and candidates[number].part.at < 0

    for row in range(n_rows):
        if chosen[row] is not None:
            continue
        before, value = fill(told(chosen), worth, shape)
        held = {
            item
            for number, items in zip(chosen, before, strict=True)
            if number is not None and not candidates[number].part.yields
            for item in items
        }
        only_wanted = chosen[row:].count(None) <= sum(candidates[number].part.wanted for number in left)
        found: list[tuple[float, int]] = []
        n_tried = 0
        for number in left:
            items, part, _ = candidates[number]
            best = items[: part.size]
            over = len(held.intersection(best)) > demands.max_overlap * len(best) and not part.yields
            near = nearest(candidates[number], told(chosen), cosines)
            if not part.wanted and (only_wanted or over or near > demands.same):
                continue
            if found and n_tried >= demands.look:
                break
            n_tried += 1
            rows = [*chosen[:row], number, *chosen[row + 1 :]]
            stand, total = fill(told(rows), worth, shape)
            if full(rows, stand):
                found.append((part.weight * (total - value) * (1 - demands.diversity * near), number))
        if found:
            gain = max(gain for gain, _ in found)
            winner = next(number for one, number in found if one == gain)
            chosen[row] = winner
            left.remove(winner)
    stand, value = fill(told(chosen), worth, shape)
    better = True
    while better:
        better = False
        for row, other in combinations(range(1, min(n_rows, 8)), 2):
            if moves(row) and moves(other):
                rows = list(chosen)
                rows[row], rows[other] = rows[other], rows[row]
                stood, total = fill(told(rows), worth, shape)
                if total > value * (1 + 1e-9) and full(rows, stood):
                    chosen, stand, value, better = rows, stood, total, True
    placed = enumerate(zip(chosen, stand, strict=True))
    return [(number, row, items) for row, (number, items) in placed if number is not None and items]


parts = st.builds(
    Part,
    size=st.integers(1, 7),
    weight=st.sampled_from([1.0, 1.0, 0.5, 2.0]),
    at=st.sampled_from([-1, -1, -1, 0, 1, 9]),
    wanted=st.booleans(),
    claims=st.sampled_from([False, False, True]),
    yields=st.sampled_from([False, False, True]),
)
candidates = st.lists(
    st.builds(Candidate, st.lists(st.integers(0, N_ITEMS), unique=True, max_size=12), parts, st.none()), max_size=8
)


@settings(deadline=None, max_examples=300)
@given(
    candidates,
    st.permutations(range(N_ITEMS)),
    st.integers(1, 5),
    st.integers(1, 6),
    st.builds(
        Demands,
        fewest=st.integers(0, 4),
        max_overlap=st.sampled_from([0.0, 0.5, 1.0]),
        look=st.sampled_from([1, 3, 16]),
    ),
)
def test_a_page_is_that_of_the_oracle(
    given: list[Candidate], order: list[int], n_rows: int, n_columns: int, demands: Demands
) -> None:
    shape = frame(n_rows, n_columns)
    ranking = order[: N_ITEMS - 5]
    worth: Float32 = (1 / np.arange(1, len(ranking) + 1)).astype(np.float32)
    assembly = Assembly(hits_of(ranking), worth, REST, shape)
    for items, part, _ in given:
        assembly.add(hits_of(items), part)
    page = assembly.page(demands, NO_COSINES)
    expected = slow_page(given, dict(zip(ranking, worth.tolist(), strict=True)), shape, demands)
    assert [(number, row, hits.items.tolist()) for number, row, hits in page] == expected
    for number, _, hits in page:
        scores = dict(zip(given[number].items, hits_of(given[number].items).scores.tolist(), strict=True))
        assert hits.scores.tolist() == [scores[item] for item in hits.items.tolist()]


class Taste(NamedTuple):
    """A segment: its members, and how strong each is in it."""

    strengths: dict[int, float]

    @property
    def typical(self) -> set[int]:
        """Those that may stand in its row."""
        least = TYPICAL * max(self.strengths.values())
        return {item for item, strength in self.strengths.items() if strength >= least}


def segments_of(tastes: list[Taste], n_hidden: int) -> Segments:
    """The same as the index holds it; the last ones are hidden."""
    members = [sorted(taste.strengths.items(), key=lambda one: (-one[1], one[0])) for taste in tastes]
    flat = [one for own in members for one in own]
    return Segments(
        segments=tuple(Segment(f"s{n}", f"Taste {n}", (), (), len(own)) for n, own in enumerate(members)),
        starts=np.cumsum([0, *map(len, members)], dtype=np.int64),
        items=np.array([item for item, _ in flat], dtype=np.int32),
        strengths=np.array([strength for _, strength in flat], dtype=np.float32),
        rows=SparseRows.from_csr(np.zeros(len(tastes) + 1, dtype=np.int64), np.zeros(0), np.zeros(0), 1),
        retired=frozenset(),
        n_hidden=n_hidden,
    )


def slow_segments(
    tastes: list[Taste], ranking: list[int], worth: dict[int, float], shape: Frame, fewest: int, part: Part
) -> dict[int, Candidate]:
    """The segments that the ranking can fill a row with, by number, those worth most to the top row first."""
    found = {}
    for number, taste in enumerate(tastes):
        items = [item for item in ranking if item in taste.typical]
        if len(items) >= max(fewest, 1):
            found[number] = Candidate(items, part, number)
    plain = {number: one._replace(part=part._replace(weight=1.0)) for number, one in found.items()}
    order = sorted(found, key=lambda number: (-own_worth(plain[number], worth, shape), number))
    return {number: found[number] for number in order}


def some_tastes(rng: np.random.Generator) -> list[Taste]:
    """Segments that overlap, of few and of many items, some of which are not typical."""
    sizes = rng.integers(1, N_ITEMS, int(rng.integers(1, 9)))
    drawn = ((rng.permutation(N_ITEMS)[:size], rng.choice([1.0, 0.75, 0.5, 0.32, 0.1], size)) for size in sizes)
    return [Taste(dict(zip(items.tolist(), strengths.tolist(), strict=True))) for items, strengths in drawn]


def some_cosines(rng: np.random.Generator, n: int) -> Float32:
    """(n, n), symmetric; of values that float32 holds."""
    drawn = rng.choice([-0.5, 0.0, 0.25, 0.5, 0.75], (n, n)).astype(np.float32)
    cosines: Float32 = np.triu(drawn) + np.triu(drawn, 1).T
    return cosines


def some_rows(rng: np.random.Generator) -> list[Candidate]:
    """Candidates that are no segments."""
    parts = (Part(int(rng.integers(1, 7)), wanted=rng.random() < 0.3, yields=rng.random() < 0.3) for _ in range(2))
    return [Candidate(rng.permutation(N_ITEMS)[: rng.integers(1, 13)].tolist(), part) for part in parts]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_a_page_with_segments_is_that_of_the_oracle(seed: int) -> None:
    """Hidden and skipped segments are no candidates, two of one taste never meet, and likeness takes from the gain."""
    rng = np.random.default_rng(seed)
    tastes, before, after = some_tastes(rng), some_rows(rng), some_rows(rng)
    cosines, n_hidden = some_cosines(rng, len(tastes)), int(rng.integers(0, 3)) % len(tastes)
    skip = rng.integers(0, len(tastes), int(rng.integers(0, 3))).tolist()
    most, fewest, part = int(rng.integers(0, 9)), int(rng.integers(0, 4)), Part(int(rng.integers(1, 7)), 2.0)
    shape = frame(int(rng.integers(1, 6)), int(rng.integers(1, 7)))
    demands = Demands(
        fewest,
        max_overlap=float(rng.choice([0.5, 1.0])),
        diversity=float(rng.choice([0.0, 0.5, 1.0])),
        same=float(rng.choice([0.25, 0.5, 1.0])),
        look=int(rng.choice([1, 3, 16])),
    )
    ranking = rng.permutation(N_ITEMS)[:25].tolist()
    worths: Float32 = (1 / np.arange(1, len(ranking) + 1)).astype(np.float32)
    worth = dict(zip(ranking, worths.tolist(), strict=True))

    fit = slow_segments(tastes, ranking, worth, shape, fewest, part)
    chosen = [number for number in fit if number < len(tastes) - n_hidden and number not in skip][:most]
    expected = [*before, *(fit[number] for number in chosen), *after]

    assembly = Assembly(hits_of(ranking), worths, REST, shape)
    for one in before:
        assembly.add(hits_of(one.items), one.part)
    segments = segments_of(tastes, n_hidden)
    assert assembly.add_segments(segments, most, fewest, part.size, part.weight, skip) == chosen
    for one in after:
        assembly.add(hits_of(one.items), one.part)
    for number in rng.integers(0, len(expected), 2).tolist():
        assembly.weigh(number, 0.5)
        was = expected[number]
        expected[number] = was._replace(part=was.part._replace(weight=was.part.weight * 0.5))

    page = assembly.page(demands, cosines)
    told = slow_page(expected, worth, shape, demands, cosines)
    assert [(number, row, hits.items.tolist()) for number, row, hits in page] == told
    of_ranking = dict(zip(ranking, hits_of(ranking).scores.tolist(), strict=True))
    for number, _, hits in page:
        if expected[number].segment is not None:
            assert hits.scores.tolist() == [of_ranking[item] for item in hits.items.tolist()]


def test_a_page_of_one_ranking_is_filled_in_the_order_of_attention() -> None:
    shape = frame(2, 3)
    assembly = Assembly(hits_of(list(range(8))), np.linspace(1, 0.1, 8, dtype=np.float32), 0.0, shape)
    for _ in range(2):
        assembly.add(hits_of(list(range(8))), Part(size=3, yields=True))
    page = assembly.page(Demands(fewest=1, max_overlap=1.0), NO_COSINES)
    assert [row.hits.items.tolist() for row in page] == [[0, 1, 3], [2, 4, 5]]


def test_attention_falls_from_the_top_left() -> None:
    shape = frame(4, 5)
    assert shape.attention[0, 0] == 1
    columns = [0] * 4
    in_order = []
    for row in shape.cells.tolist():
        assert shape.attention[row, columns[row]] == pytest.approx(1 / np.log2(row + columns[row] + 2))
        in_order.append(shape.attention[row, columns[row]])
        columns[row] += 1
    assert columns == [5] * 4
    assert in_order == sorted(in_order, reverse=True)


def test_what_is_no_candidate_is_refused() -> None:
    shape = frame(1, 2)
    with pytest.raises(ValueError, match="twice"):
        Assembly(hits_of([1, 1]), np.ones(2, dtype=np.float32), 0.0, shape)
    with pytest.raises(ValueError, match="a score and a worth an item"):
        Assembly(hits_of([1, 2]), np.ones(1, dtype=np.float32), 0.0, shape)
    assembly = Assembly(hits_of([1, 2]), np.ones(2, dtype=np.float32), 0.0, shape)
    with pytest.raises(ValueError, match="below 0"):
        assembly.add(hits_of([-1]), Part(size=1))
    with pytest.raises(ValueError, match="a score an item"):
        assembly.add(Hits(np.arange(3, dtype=np.int32), np.ones(2, dtype=np.float32)), Part(size=1))
    with pytest.raises(IndexError):
        assembly.weigh(0, 2.0)
    assert assembly.page(Demands(fewest=1, max_overlap=1.0), NO_COSINES) == []
