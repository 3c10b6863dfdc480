"""What the kernel does for a page, against the plain and slow way: cosines, pursuit, causes, anchors and so on."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import _kernel, reference, sparse
from index.embeddings import SparseItemEmbeddings
from index.search import Searcher
from index.sparse import Chosen, SparseRows
from index.types import Float32, Int32, Int64

Make = Callable[..., SparseItemEmbeddings]
SEEDS = st.integers(0, 2**32 - 1)


def some_rows(rng: np.random.Generator) -> SparseRows:
    """A few rows of few values, some empty, perhaps quantised."""
    n_rows, n_dims = int(rng.integers(1, 12)), int(rng.choice([1, 5, 40, 70_000]))
    lengths = rng.integers(0, min(n_dims, 6) + 1, n_rows)
    dims = np.concatenate([rng.choice(n_dims, length, replace=False) for length in lengths])
    values = rng.standard_normal(len(dims)).astype(np.float32)
    rows = SparseRows.from_csr(np.concatenate([[0], np.cumsum(lengths)]), dims, values, n_dims)
    return sparse.quantised(rows) if rng.random() < 0.5 else rows


def some_of(rng: np.random.Generator, rows: SparseRows, most: int) -> Int32:
    """Numbers of rows, perhaps of none, some of them several times."""
    return rng.integers(0, rows.n_rows, int(rng.integers(0, most))).astype(np.int32)


def products_of_each(rows: SparseRows, chosen: Int32, queries: Float32) -> Float32:
    """Query by query, (len(queries), len(chosen))."""
    products = [reference.score_rows(rows, query)[chosen] for query in queries]
    return np.array(products, dtype=np.float32).reshape(len(queries), len(chosen))


@given(SEEDS)
def test_cosines_are_those_of_dense_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = some_rows(rng)
    chosen = some_of(rng, rows, 20)
    products = products_of_each(rows, chosen, rows.dense(chosen))
    lengths = np.sqrt(products.diagonal())
    lengths[lengths == 0] = 1
    np.testing.assert_array_equal(rows.cosines(chosen), products / lengths / lengths[:, np.newaxis])


def pursue_slowly(
    cosines: Float32, numbers: list[int], scores: Float32, used: list[int], count: int, same: float
) -> list[int]:
    """One candidate after the other, by what is left of its score."""
    left = {number: float(score) for number, score in zip(numbers, scores, strict=True)}
    left = {number: score for number, score in left.items() if not any(cosines[number, one] > same for one in used)}
    chosen: list[int] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda number: left[number])
        score = np.float32(max(left[best], 0.0))
        left = {
            number: before - float(score * cosines[best, number])
            for number, before in left.items()
            if number != best and not cosines[best, number] > same
        }
        chosen.append(best)
    return chosen


@given(SEEDS, st.integers(0, 12), st.sampled_from([0.0, 0.3, 0.7, 2.0]))
def test_pursuit_takes_what_is_left_most(seed: int, count: int, same: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 15))
    same = float(np.float32(same))
    cosines = rng.choice([-0.5, 0.0, 0.25, 0.3, 0.7, 0.9], (n, n)).astype(np.float32)
    numbers = rng.permutation(n)[: rng.integers(0, n + 1)].astype(np.int32)
    scores = rng.choice([-1.0, 0.0, 0.5, 1.0, 1.0, 3.3], len(numbers)).astype(np.float32)
    used = rng.integers(0, n, rng.integers(0, 3)).tolist()
    found = _kernel.pursue(cosines, numbers, scores, used, count, same).tolist()
    assert found == pursue_slowly(cosines, numbers.tolist(), scores, used, count, same)


def test_pursuit_refuses_what_does_not_exist() -> None:
    cosines, scores = np.ones((3, 3), dtype=np.float32), np.ones(1, dtype=np.float32)
    for number in (-1, 3):
        with pytest.raises(ValueError, match="none of the cosines"):
            _kernel.pursue(cosines, np.array([number], dtype=np.int32), scores, [], 1, 0.5)
        with pytest.raises(ValueError, match="none of the cosines"):
            _kernel.pursue(cosines, np.array([0], dtype=np.int32), scores, [number], 1, 0.5)
    with pytest.raises(ValueError, match="a score a number"):
        _kernel.pursue(cosines, np.array([0, 1], dtype=np.int32), scores, [], 1, 0.5)
    with pytest.raises(ValueError, match="as many in a row"):
        _kernel.pursue(cosines[:2].copy(), np.array([0], dtype=np.int32), scores, [], 1, 0.5)


@pytest.mark.parametrize(
    ("starts", "numbers"), [([0, 9], [0]), ([-1, 1], [0]), ([0, 1], [2]), ([0, 1], [-1]), ([], [])]
)
def test_tables_that_lead_outside_are_refused(starts: list[int], numbers: list[int]) -> None:
    table: tuple[Int64, Int32] = (np.array(starts, dtype=np.int64), np.array(numbers, dtype=np.int32))
    items, scores, sizes = np.zeros(1, np.int32), np.ones(1, np.float32), np.ones(2, np.int64)
    rows = SparseRows.from_csr(np.array([0, 1, 1]), np.zeros(1, int), np.ones(1), 1)
    matrix = (rows.row_starts, rows.dims, rows.values, rows.n_dims)
    with pytest.raises(ValueError, match=r"outside|no set|the last item"):
        _kernel.split_by_set(*table, 2, [0], items, scores)
    with pytest.raises(ValueError, match=r"outside|no set|the last item"):
        _kernel.best_sets(*matrix, scores, *table, sizes, items, 0, 0.0, 3)


def test_sets_refuse_what_does_not_fit() -> None:
    table: tuple[Int64, Int32] = (np.array([0, 1], np.int64), np.zeros(1, np.int32))
    items, scores, sizes = np.zeros(1, np.int32), np.ones(1, np.float32), np.ones(1, np.int64)
    rows = SparseRows.from_csr(np.array([0, 1, 1]), np.zeros(1, int), np.ones(1), 1)
    with pytest.raises(ValueError, match="there must be a score an item"):
        _kernel.split_by_set(*table, 2, [0], items, np.ones(2, np.float32))
    with pytest.raises(ValueError, match="there must be a size a row"):
        _kernel.best_sets(rows.row_starts, rows.dims, rows.values, rows.n_dims, scores, *table, sizes, items, 0, 0.0, 3)


@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0]), max_size=30), st.integers(0, 40))
def test_the_best_of_some(scores: list[float], n: int) -> None:
    items = np.random.default_rng(len(scores)).permutation(100)[: len(scores)].tolist()
    pairs = sorted(zip(scores, items, strict=True), key=lambda pair: (-pair[0], pair[1]))[:n]
    found, own = _kernel.best_of(np.array(items, dtype=np.int32), np.array(scores, dtype=np.float32), n)
    assert list(zip(own.tolist(), found.tolist(), strict=True)) == pairs


def test_the_best_of_some_refuses_other_numbers_of_scores() -> None:
    with pytest.raises(ValueError, match="a score an item"):
        _kernel.best_of(np.array([1, 2], dtype=np.int32), np.ones(1, dtype=np.float32), 1)


@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0, float("nan")]), max_size=30), st.integers(0, 40))
def test_the_best_of_some_that_are_above_0(scores: list[float], n: int) -> None:
    items, own = np.arange(len(scores), dtype=np.int32), np.array(scores, dtype=np.float32)
    good = own > 0
    expected, found = _kernel.best_of(items[good], own[good], n), _kernel.best_of(items, own, n, positive=True)
    assert [array.tolist() for array in found] == [array.tolist() for array in expected]


WEIGHTS = [-1.0, 0.0, 0.3, 0.5, 1.0, 1.0, 0.7]


@given(SEEDS)
def test_a_cause_is_what_adds_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = some_rows(rng)
    items = some_of(rng, rows, 40)
    weights = rng.choice(WEIGHTS, len(items)).astype(np.float32)
    targets = Chosen(rows.floats(), some_of(rng, rows, 20))
    query = rng.choice([-1, 0, 2], rows.n_dims).astype(np.float32)
    found = _kernel.causes(rows.csr, rows.n_dims, items, weights, query, targets.rows.csr, targets.numbers)
    kept = np.where(query != 0, targets.dense(), np.float32(0))
    owed = np.where(weights > 0, weights * products_of_each(rows, items, kept), -np.inf)
    assert found == (owed.argmax(axis=1).tolist() if len(items) else [0] * len(targets.numbers))


def test_causes_of_what_does_not_fit_are_refused() -> None:
    csr = SparseRows.from_dense(np.eye(3, dtype=np.float32)).csr
    item, one, query = np.array([2], dtype=np.int32), np.ones(1, dtype=np.float32), np.ones(3, dtype=np.float32)
    assert _kernel.causes(csr, 3, item, one, query, csr, item) == [0]
    for outside in (np.array([-1], dtype=np.int32), np.array([3], dtype=np.int32)):
        with pytest.raises(ValueError, match="leave out unknown items"):
            _kernel.causes(csr, 3, outside, one, query, csr, item)
        with pytest.raises(ValueError, match="leave out unknown items"):
            _kernel.causes(csr, 3, item, one, query, csr, outside)
    with pytest.raises(ValueError, match="a weight a row"):
        _kernel.causes(csr, 3, item, query, query, csr, item)
    with pytest.raises(ValueError, match="the query has 1 dims"):
        _kernel.causes(csr, 3, item, one, one, csr, item)


def anchors_slowly(rows: SparseRows, items: Int32, weights: Float32, users: Float32, most: int) -> list[int]:
    """In plain NumPy, of those that weigh half as much as the strongest, with cosines of at most 0.3."""
    strong = np.flatnonzero(weights >= 0.5 * weights.max(initial=-9))
    if not len(strong):
        return []
    known = users[items[strong]]
    tried = strong[known >= np.sort(known)[len(known) // 2]][:most].tolist()
    chosen: list[int] = []
    for place in tried:
        near = rows.cosines(items[[place, *chosen]])[0, 1:]
        if (near <= np.float64(0.3)).all():
            chosen.append(place)
    return chosen


@given(SEEDS, st.sampled_from([0, 3, 8, 30]))
def test_anchors_are_strong_well_known_and_not_alike(make: Make, seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    n_items = int(rng.integers(1, 40))
    embeddings = make(seed, n_items, int8=rng.random() < 0.5, item_scale=rng.random(n_items).astype(np.float32))
    items = some_of(rng, embeddings.decoder, 40)
    weights, users = rng.choice(WEIGHTS, len(items)).astype(np.float32), rng.choice(9, n_items).astype(np.float32)
    found = Searcher.of(embeddings).anchors(items, weights, users, strong=0.5, most=most, distinct=0.3)
    assert found.tolist() == anchors_slowly(embeddings.decoder, items, weights, users, most)


def test_anchors_of_what_does_not_fit_are_refused(make: Make) -> None:
    searcher = Searcher.of(make())
    item, one, users = np.array([0], np.int32), np.ones(1, np.float32), np.ones(20, np.float32)
    wrong = [(item, users, users, "a weight a row"), (item, one, one, "number of users an item")]
    wrong += [(np.array([row], np.int32), one, users, "leave out unknown items") for row in (-1, 20)]
    for items, weights, popularity, message in wrong:
        with pytest.raises(ValueError, match=message):
            searcher.anchors(items, weights, popularity, strong=0.5, most=8, distinct=0.3)
