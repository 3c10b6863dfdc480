"""Random questions to the compiled kernel, on every level: `python tests/index/fuzz_search.py 1000000 [--seed 7]`.

A world is a random catalogue with queries; a question is one of its queries at an entry point with random options. The
oracle scores all queries of a world at once, by the arithmetic of index.reference.score_rows (to which two of them are
compared each time), and index.reference.select ranks them. An answer must be that to the last bit.

The number of a world and the seed make it: `--world 12` asks the questions of that world alone. `make fuzz` runs this
with a kernel of small blocks, so that catalogues of a few thousand items have many and are pruned.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index import _kernel, postings, reference, sparse
from index.bitmap import Bitmap
from index.boosts import Boosts
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.reference import Hits
from index.search import NONE, Floor, Searcher, score_segments
from index.segments import Segments
from index.types import Float32, Int32
from index.vocabulary import Vocabulary

Dense: TypeAlias = NDArray[Any]
"""float64, (n_rows, n_dims)."""
MOST_ITEMS, MOST_USED_DIMS, WIDE = 3000, 200, 5000
NOISE = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
GREATEST = 1e36
"""Products of the norms of a row and of a query stay below: beyond 1e37 the kernel refuses the query."""
GREATEST_CODES = 128.0
"""Norm of a row of one code; of more, at most this times the root of their number."""


class Question(NamedTuple):
    """What is asked, and the answer."""

    entry: str
    n_queries: int
    ask: Callable[[Searcher], list[Hits]]
    expected: list[Hits]
    options: dict[str, Any]


@dataclass(frozen=True)
class World:
    """A catalogue, queries, and what the oracle says."""

    description: str
    searchers: dict[str, Searcher]
    queries: Float32
    """(n_queries, n_dims)"""
    scores: Float32
    """(n_queries, n_items)"""
    plain: Float32
    """(n_queries, n_items): without item scale."""
    room: Dense
    """(n_queries,): by how much scores may be multiplied."""
    segments: Segments
    """Rows of the catalogue, as if they were centroids."""
    dice: Random

    @property
    def n_items(self) -> int:
        return int(self.scores.shape[1])


@dataclass
class Tally:
    """What was asked."""

    worlds: int = 0
    queries: Counter[str] = field(default_factory=Counter)
    """By entry point."""
    answers: Counter[str] = field(default_factory=Counter)
    """By level: each query is put to each."""
    hits: int = 0
    """Items in all answers."""
    blocks: Counter[int] = field(default_factory=Counter)
    """Queries by the number of blocks."""
    differences: int = 0
    first: str = ""
    """What the first difference was."""


# --- worlds ---


def make_world(seed: int, number: int) -> World:
    """The world of this number: the same on every machine with the same NumPy."""
    rng, dice = np.random.default_rng([seed, number]), Random(f"{seed}/{number}")
    n_items, n_used, n_dims = shape(dice)
    directions = np.power(rng.standard_normal((8, n_used)), dice.choice([1, 3, 7]))
    directions[0] = np.sign(directions[0]) if dice.random() < 0.3 else directions[0]
    kind = dice.choice([*ROWS, "clustered", "aligned", "aligned"])
    rows = ROWS[kind](dice, rng, directions, n_items)
    rows = ordered(dice, rows if kind == "midpoints" else magnified(dice, rng, rows), directions)
    scale_kind, scale = scales(dice, rng, n_items)
    rows /= max(1.0, greatest_norm(rows, scale) / GREATEST)
    n_queries = dice.randint(20, 60) if n_dims > WIDE else dice.randint(150, 400)
    used = np.sort(rng.permutation(n_dims)[:n_used])
    used[0], used[-1] = 0, n_dims - 1
    pointed = ["even", "midpoints"] if kind == "midpoints" else []
    queries = make_queries(dice, rng, rows, directions, n_queries, pointed)
    int8 = dice.random() < 0.4
    queries, room = tame(queries, rows, scale, GREATEST_CODES * np.sqrt(n_used) if int8 else 1.0)
    embeddings = embed(rows, used, n_dims, scale, int8=int8)
    dense = np.zeros((n_queries, n_dims), dtype=np.float32)
    dense[:, used] = queries
    centroids = embeddings.decoder.floats()
    plain = score_all(centroids, dense)
    unscaled = score_all(embeddings.decoder, dense) if int8 else plain
    lists = postings.build(embeddings)
    description = (
        f"{kind} {n_items} x {n_dims}, {len(embeddings.decoder.values)} non-zeros, scale {scale_kind}{', int8' * int8}"
    )
    return World(
        description,
        {level: Searcher(embeddings, lists, level) for level in _kernel.levels()},
        dense,
        unscaled if scale is None else np.multiply(unscaled, scale),
        plain,
        room,
        Segments((), np.zeros(1, np.int64), NONE, NONE.astype(np.float32), centroids, frozenset()),
        dice,
    )


def shape(dice: Random) -> tuple[int, int, int]:
    """How many items, dims that rows use, and dims."""
    block = _kernel.BLOCK if MOST_ITEMS > _kernel.BLOCK else 128
    around = dice.randint(1, MOST_ITEMS // block) * block + dice.choice([-1, 0, 1])
    n_items = dice.choice(
        [dice.randint(1, 20), around, around, dice.randint(20, 600), dice.randint(600, MOST_ITEMS), MOST_ITEMS]
    )
    n_used = dice.choice([1, 2, 3, 8, 17, 40, 100, 100, MOST_USED_DIMS])
    n_dims = dice.choice([n_used] * 6 + [n_used + 1, n_used * 3])
    if dice.random() < 0.03:
        n_dims = dice.choice([65_535, 65_536, 65_537, 70_000])
    return min(n_items, MOST_ITEMS), n_used, n_dims


def masks(dice: Random, rng: np.random.Generator, n_rows: int, n_dims: int) -> NDArray[np.bool_]:
    """Which dims each row has: equally many, ragged, nearly all empty, or all."""
    keys = rng.random((n_rows, n_dims))
    if dice.random() < 0.3:  # some dims are popular
        keys **= np.arange(1, n_dims + 1) / n_dims
    length = min(n_dims, dice.choice([1, 2, 4, 8, 16, 16, 32, 64, n_dims]))
    kept: NDArray[np.bool_] = keys >= np.partition(keys, n_dims - length, axis=1)[:, n_dims - length, None]
    thinned = dice.choice([None, None, None, 0.7, 0.1])
    return kept if thinned is None else kept & (rng.random((n_rows, 1)) ** 2 * rng.random(kept.shape) < thinned)


def random_rows(dice: Random, rng: np.random.Generator, directions: Dense, n_items: int) -> Dense:
    """Values of like sizes, or few large ones, which pruning likes."""
    values = rng.standard_normal((n_items, directions.shape[1]))
    return np.where(masks(dice, rng, n_items, directions.shape[1]), np.power(values, dice.choice([1, 3, 5])), 0.0)


def clustered_rows(dice: Random, rng: np.random.Generator, directions: Dense, n_items: int) -> Dense:
    """Copies of a few centers, nearly: less apart than half precision can tell, or a little more."""
    n_clusters = dice.choice([1, 2, 5, 20, 60])
    centers = random_rows(dice, rng, directions, n_clusters)
    centers[: len(directions)] = (directions * masks(dice, rng, len(directions), directions.shape[1]))[:n_clusters]
    own = rng.integers(0, n_clusters, n_items)
    rows: Dense = centers[np.sort(own) if dice.random() < 0.7 else own]
    rows *= 1 + noise(dice, rng, n_items, directions.shape[1])
    return rows


def aligned_rows(dice: Random, rng: np.random.Generator, directions: Dense, n_items: int) -> Dense:
    """Unit rows that have what a direction has at their dims: as high a score as Cauchy and Schwarz allow."""
    rows = unit(directions[0] * masks(dice, rng, n_items, directions.shape[1]))
    rows *= dice.choice([1.0, -1.0]) * (1 + noise(dice, rng, n_items, 1))
    return rows


def equal_rows(dice: Random, rng: np.random.Generator, directions: Dense, n_items: int) -> Dense:
    return np.repeat(random_rows(dice, rng, directions, 1), n_items, axis=0)


def step_rows(dice: Random, rng: np.random.Generator, directions: Dense, n_items: int) -> Dense:
    """Values of few steps: many equal scores."""
    steps = dice.choice([1, 2, 4])
    values = rng.integers(-steps, steps + 1, (n_items, directions.shape[1])) / steps
    return np.where(masks(dice, rng, n_items, directions.shape[1]), values, 0.0)


def midpoint_rows(dice: Random, rng: np.random.Generator, directions: Dense, n_items: int) -> Dense:
    """Rows that rounding errs with as much as it can: see `between`. Other digits say which of them is better.

    Of half precision: all values of a row lie a little below a midpoint, or all a little above. Of queries in bfloat16:
    a row has only dims at which the "midpoints" query lies below one, or only such at which it lies above.
    """
    signs = np.sign(directions[0])
    n_dims = len(signs)
    if dice.random() < 0.5:
        own = (np.arange(n_dims) < n_dims // 2) == rng.integers(0, 2, (n_items, 1))
        return np.where(own, signs, 0.0) * (1 + rng.normal(0, 1e-4, (n_items, 1)))
    kept = masks(dice, rng, n_items, n_dims)
    rows = np.where(kept, between(signs, rng.choice([-1.0, 1.0], (n_items, 1)), 11), 0.0)
    rows[np.arange(n_items), kept.argmax(axis=1)] *= 1 + rng.uniform(-1, 1, n_items) * kept.sum(axis=1) * 2.0**-17
    return rows


def between(signs: Dense, sides: Dense, bits: int) -> Dense:
    """Just beside 1 + 2^-bits, which numbers of so many bits round to 1 or to 1 + 2^(1 - bits)."""
    beside: Dense = signs * (1 + 2.0**-bits + sides * 2.0 ** (-bits - 8))
    return beside


ROWS = {
    "random": random_rows,
    "clustered": clustered_rows,
    "aligned": aligned_rows,
    "equal": equal_rows,
    "steps": step_rows,
    "midpoints": midpoint_rows,
}


def noise(dice: Random, rng: np.random.Generator, n_rows: int, n_dims: int) -> Dense:
    return rng.standard_normal((n_rows, n_dims)) * float(dice.choice(NOISE))


def unit(rows: Dense) -> Dense:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Dense = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return units


def magnified(dice: Random, rng: np.random.Generator, rows: Dense) -> Dense:
    """Rows of unit length, of other sizes, and of sizes that differ from row to row or from block to block."""
    n_items = len(rows)
    factors: dict[str, Callable[[], Dense]] = {
        "all": lambda: np.full(n_items, 10.0 ** dice.randint(-38, 30)),
        "some": lambda: 10.0 ** rng.integers(-6, 7, n_items),
        "blocks": lambda: np.repeat(10.0 ** rng.integers(-4, 5, n_items // 128 + 1), 128)[:n_items],
        "decaying": lambda: 1 / np.sqrt(np.arange(1, n_items + 1)),
    }
    how = dice.choice(["as they are"] * 6 + list(factors))
    rows = unit(rows) if dice.random() < 0.3 else rows
    return rows if how not in factors else rows * factors[how]()[:, None]


def ordered(dice: Random, rows: Dense, directions: Dense) -> Dense:
    """As they are, or by descending or ascending score: the first block holds the best or the worst."""
    order = dice.choice([None, None, 1, -1])
    return rows if order is None else rows[np.argsort(order * (rows @ directions[0]), kind="stable")]


def scales(dice: Random, rng: np.random.Generator, n_items: int) -> tuple[str, Float32 | None]:
    kind = dice.choice(["none"] * 5 + ["random", "negative", "zeros", "spread", "wide spread", "equal"])
    made: dict[str, Callable[[], Dense]] = {
        "random": lambda: rng.uniform(0.1, 2, n_items),
        "negative": lambda: rng.uniform(-2, 1, n_items),
        "zeros": lambda: rng.integers(-1, 2, n_items).astype(np.float64),
        "spread": lambda: 10.0 ** rng.uniform(-3, 3, n_items),
        "wide spread": lambda: 10.0 ** rng.uniform(-20, 20, n_items),
        "equal": lambda: np.full(n_items, dice.choice([0.25, 3.0, -1.0, 1e-20, 1e20])),
    }
    return kind, made[kind]().astype(np.float32) if kind in made else None


def make_queries(
    dice: Random, rng: np.random.Generator, rows: Dense, directions: Dense, n_queries: int, kinds: list[str]
) -> Dense:
    """Queries of every kind, or of those named, (n_queries, n_used); each kind in a run, as a batch takes them."""
    queries = np.zeros((n_queries, rows.shape[1]))
    typical = dice.choice([100.0, np.median(np.abs(rows[rows != 0])) if rows.any() else 1.0])  # a code, a value
    vanishing = -dice.uniform(37, 46) - np.log10(typical)
    first = 0
    while first < n_queries:
        last = min(n_queries, first + dice.choice([1, 3, 10, 40]))
        exponent = dice.choice([0] * 12 + [dice.randint(-6, 6), dice.randint(-30, 30), vanishing])
        queries[first:last] = query_run(dice, rng, rows, directions, last - first, kinds) * 10.0**exponent
        first = last
    return queries


def query_run(
    dice: Random, rng: np.random.Generator, rows: Dense, directions: Dense, n: int, kinds: list[str]
) -> Dense:
    """n queries of one kind, of those named if any are."""
    n_dims = rows.shape[1]
    full = rng.standard_normal((n, n_dims))
    sides = np.where(np.arange(n_dims) < n_dims // 2, -1.0, 1.0)
    made: dict[str, Callable[[], Dense]] = {
        "full": lambda: full,
        "heavy": lambda: np.power(full, 5),
        "few": lambda: np.where(rng.random((n, n_dims)) < dice.choice([1, 2, 4, 10]) / n_dims, full, 0.0),
        "history": lambda: rows[rng.integers(0, len(rows), (n, dice.choice([1, 1, 2, 5, 20])))].sum(axis=1),
        "direction": lambda: directions[dice.choice([0, 0, 0, -1])] * (1 + noise(dice, rng, n, n_dims)),
        "steps": lambda: rng.integers(-2, 3, (n, n_dims)) * 0.5,
        "even": lambda: np.sign(directions[:1]).repeat(n, axis=0),
        "midpoints": lambda: between(np.sign(directions[:1]), sides, 8).repeat(n, axis=0),
        "zero": lambda: np.zeros((n, n_dims)),
    }
    queries: Dense = made[dice.choice(kinds or [*made, "history", "direction"])]()
    return -queries if dice.random() < 0.25 else queries


def tame(queries: Dense, rows: Dense, scale: Float32 | None, least: float) -> tuple[Dense, Dense]:
    """Queries that are not refused: neither they nor a score or a sum on the way to one pass the range of float32."""
    greatest = np.linalg.norm(queries, axis=1) * max(least, greatest_norm(rows, scale))
    room = np.divide(GREATEST, greatest, out=np.ones(len(queries)), where=greatest > 0)
    return queries * np.minimum(1.0, room)[:, None], np.maximum(1.0, room)


def greatest_norm(rows: Dense, scale: Float32 | None) -> float:
    """Of a row, with its scale and without."""
    norms = np.linalg.norm(rows, axis=1)
    return float(norms.max() if scale is None else (norms * np.maximum(1.0, np.abs(scale))).max())


def embed(
    rows: Dense, used: NDArray[np.int64], n_dims: int, scale: Float32 | None, *, int8: bool
) -> SparseItemEmbeddings:
    owners, places = np.nonzero(rows.astype(np.float32))
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(rows)))])
    decoder = SparseRows.from_csr(starts, used[places], rows[owners, places], n_dims)
    ids = Vocabulary.build(["search does not look at the ids"])
    decoder = sparse.quantised(decoder) if int8 else decoder
    return SparseItemEmbeddings(ids, decoder, scale, "tied", None, "latents", {})


def score_all(rows: SparseRows, queries: Float32) -> Float32:
    """index.reference.score_rows for each query, (n_queries, n_rows): products and sums in the same order."""
    by_dim = np.ascontiguousarray(queries.T)
    scores = np.zeros((rows.n_rows, len(queries)), dtype=np.float32)
    starts, lengths = rows.row_starts[:-1], np.diff(rows.row_starts)
    for j in range(lengths.max(initial=0)):
        own = np.flatnonzero(lengths > j)
        places = starts[own] + j
        scores[own] += rows.values[places, None] * by_dim[rows.dims[places]]
    if rows.steps is not None:
        scores *= rows.steps[:, None]
    answer = np.ascontiguousarray(scores.T)
    for number in (0, len(queries) - 1):
        slow = reference.score_rows(rows, queries[number])
        if slow.tobytes() != answer[number].tobytes():
            raise AssertionError(f"the fuzz itself is wrong: query {number} scores otherwise by index.reference")
    return answer


# --- questions ---


def size(world: World) -> int:
    n_items = world.n_items
    return world.dice.choice([1, 1, 2, 5, 10, 20, 50, 100, n_items - 1, n_items, n_items + 7, 0, 10**9])


def some_rows(world: World, rng: np.random.Generator, most: int) -> Int32:
    """Rows with repeats, in any order."""
    return rng.integers(0, world.n_items, world.dice.randint(0, most)).astype(np.int32)


def excluded(world: World, rng: np.random.Generator, number: int) -> Int32:
    """Nothing, a history with repeats, what would be best, a whole run of rows, all, all but one."""
    n_items, dice = world.n_items, world.dice
    kind = dice.choice(["none"] * 4 + ["some"] * 4 + ["best", "best", "run", "all", "all but one"])
    if kind == "none":
        return NONE
    if kind == "some":
        return some_rows(world, rng, 200)
    if kind == "best":
        best = np.argsort(-world.scores[number])[: dice.choice([1, 10, 300])].astype(np.int32)
        return np.concatenate([best[::-1], best[: dice.randint(0, 3)]])
    if kind == "run":
        first = dice.randrange(n_items)
        return np.arange(first, min(n_items, first + dice.choice([1, 128, 400])), dtype=np.int32)
    rows = rng.permutation(n_items).astype(np.int32)
    return rows if kind == "all" else rows[1:]


def chosen(world: World, rng: np.random.Generator) -> Int32:
    """A set of items to search: none, few, most, a run, all; in any order and with repeats."""
    n_items, dice = world.n_items, world.dice
    if dice.random() < 0.3:
        first = dice.randrange(n_items)
        return np.arange(first, dice.randint(first, n_items), dtype=np.int32)
    share = dice.choice([0.0, 0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 1.0])
    rows = rng.permutation(n_items)[: max(dice.randint(0, 1), round(share * n_items))].astype(np.int32)
    return np.concatenate([rows, rows[: dice.choice([0, 0, 3])]])


def boosted(world: World, rng: np.random.Generator, number: int) -> tuple[Boosts | None, Float32]:
    """Mostly none; mild, strong and extreme factors on some items; and the scores with them."""
    scores = world.scores[number]
    if world.dice.random() < 0.7:
        return None, scores
    most = min(10.0 ** world.dice.choice([0.1, 0.5, 2, 20]), max(1.0, world.room[number]))
    exponents = rng.uniform(-1, 1, world.n_items) * (rng.random(world.n_items) < world.dice.choice([0.01, 0.5, 1.0]))
    boosts = Boosts((most**exponents).astype(np.float32))
    return boosts, scores * boosts.factors


def factors(boosts: Boosts | None) -> tuple[Float32, float, float] | None:
    return None if boosts is None else (boosts.factors, boosts.least, boosts.greatest)


def some_floor(world: World) -> Floor | None:
    """Mostly none; of any rank, sparing nothing, some or all."""
    dice = world.dice
    if dice.random() < 0.6:
        return None
    rank = dice.choice([1, 2, 5, 20, 100, world.n_items, world.n_items + 3])
    return Floor(rank, dice.choice([1.0, 0.999, 0.9, 0.5, 0.5, 0.1, 1e-30]), dice.choice([0, 0, 1, 10, 150, 10**9]))


def ask_top_n(world: World, rng: np.random.Generator, number: int) -> Question:
    query, n, exclude = world.queries[number], size(world), excluded(world, rng, number)
    boosts, scores = boosted(world, rng, number)
    floor = some_floor(world)
    expected = [reference.select(scores, n, exclude, None, floor)]
    options = {"n": n, "exclude": exclude, "boosts": factors(boosts), "floor": floor}
    entry = "top_n" if floor is None else "top_n to a floor"
    if world.dice.random() < 0.1:
        args = (query, n, exclude, None, 0, factors(boosts), False, floor)
        return Question(f"{entry}, not pruned", 1, lambda s: [Hits(*s.kernel.top_n(*args))], expected, options)
    return Question(
        entry, 1, lambda s: [s.top_n(query, n, exclude=exclude, boosts=boosts, floor=floor)], expected, options
    )


def ask_within(world: World, rng: np.random.Generator, number: int) -> Question:
    query, n, exclude, rows = world.queries[number], size(world), excluded(world, rng, number), chosen(world, rng)
    boosts, scores = boosted(world, rng, number)
    floor = some_floor(world)
    expected = [reference.select(scores, n, exclude, rows, floor)]
    bits = world.dice.random() < 0.5
    within = Bitmap.from_rows(rows, world.n_items) if bits else rows
    return Question(
        "top_n within a bitmap" if bits else "top_n within rows",
        1,
        lambda s: [s.top_n(query, n, exclude=exclude, within=within, boosts=boosts, floor=floor)],
        expected,
        {"n": n, "exclude": exclude, "within": rows, "boosts": factors(boosts), "floor": floor},
    )


def ask_segments(world: World, rng: np.random.Generator, number: int) -> Question:
    """Segments of every size, together few or many members; None, all items, may be there more than once."""
    query, n, exclude, dice = world.queries[number], size(world), excluded(world, rng, number), world.dice
    most = dice.choice([3, 30, world.n_items])
    sets = [rng.permutation(np.unique(some_rows(world, rng, most))) for _ in range(dice.randint(0, 6))]
    asked: list[Int32 | None] = [*sets, *[None] * dice.choice([0, 1, 1, 3])]
    dice.shuffle(asked)
    boosts, scores = boosted(world, rng, number)
    sizes = [None if rows is None else len(rows) for rows in asked]
    return Question(
        "top_n_per_segment",
        1,
        lambda s: s.top_n_per_segment(query, asked, n, exclude=exclude, boosts=boosts),
        [reference.select(scores, n, exclude, rows) for rows in asked],
        {"n": n, "exclude": exclude, "segments": sizes, "boosts": factors(boosts)},
    )


def ask_batch(world: World, rng: np.random.Generator, first: int) -> Question:
    last = min(len(world.queries), first + world.dice.choice([0, 1, 5, 31, 32, 33, 70]))
    n, queries = size(world), world.queries[first:last]
    exclude = [excluded(world, rng, number) for number in range(first, last)]
    rows = chosen(world, rng) if world.dice.random() < 0.3 else None
    within = None if rows is None else Bitmap.from_rows(rows, world.n_items)
    expected = [
        reference.select(world.scores[number], n, own, rows)
        for number, own in zip(range(first, last), exclude, strict=True)
    ]
    return Question(
        "batch",
        last - first,
        lambda s: s.batch(queries, n, exclude=exclude, within=within),
        expected,
        {"n": n, "exclude": [len(own) for own in exclude], "within": rows},
    )


def ask_score_items(world: World, rng: np.random.Generator, number: int) -> Question:
    query, items = world.queries[number], some_rows(world, rng, 300)
    expected = [Hits(items, world.scores[number][items])]
    return Question("score_items", 1, lambda s: [Hits(items, s.score_items(query, items))], expected, {"items": items})


def ask_score_segments(world: World, _: np.random.Generator, number: int) -> Question:
    query, rows = world.queries[number], np.arange(world.n_items, dtype=np.int32)
    expected = [Hits(rows, world.plain[number])]
    return Question("score_segments", 1, lambda _: [Hits(rows, score_segments(world.segments, query))], expected, {})


ASKING = [ask_top_n] * 25 + [ask_within] * 15 + [ask_segments] * 10 + [ask_batch, ask_score_items, ask_score_segments]


def questions(world: World, seed: int, number: int) -> Iterator[tuple[int, Question]]:
    """One a query, but a batch takes several; each with the number of its first query."""
    rng = np.random.default_rng([seed, number, 1])
    next_query = 0
    while next_query < len(world.queries):
        question = world.dice.choice(ASKING)(world, rng, next_query)
        yield next_query, question
        next_query += max(1, question.n_queries)


# --- the run ---


def same(found: list[Hits], expected: list[Hits]) -> bool:
    """To the last bit."""
    if len(found) != len(expected):
        return False
    pairs = zip(found, expected, strict=True)
    return all(a.items.tobytes() == b.items.tobytes() and a.scores.tobytes() == b.scores.tobytes() for a, b in pairs)


def first_difference(found: list[Hits], expected: list[Hits]) -> str:
    for number, (a, b) in enumerate(zip(found, expected, strict=True)):
        if not same([a], [b]):
            lines = [f"answer {number}: {len(a.items)} items, expected {len(b.items)}"]
            pairs = enumerate(zip(zip(*a, strict=True), zip(*b, strict=True), strict=False))
            lines += [f"  place {place}: {left}, expected {right}" for place, (left, right) in pairs if left != right]
            return "\n".join(lines[:6])
    return "in number"


def explore(seed: int, number: int, tally: Tally, most: int) -> None:
    """Ask the questions of one world, until there were `most` queries in all."""
    world = make_world(seed, number)
    tally.worlds += 1
    for query, question in questions(world, seed, number):
        if tally.queries.total() >= most:
            return
        tally.queries[question.entry] += question.n_queries
        tally.blocks[-(-world.n_items // _kernel.BLOCK)] += question.n_queries
        tally.hits += sum(len(hits.items) for hits in question.expected)
        for level, searcher in world.searchers.items():
            tally.answers[level] += question.n_queries
            found = question.ask(searcher)
            if not same(found, question.expected):
                tally.differences += 1
                with np.printoptions(threshold=20):
                    tally.first = tally.first or (
                        f"world {number}: {world.description}\nquery {query}, {question.entry} on {level}, "
                        f"{question.options}\n{first_difference(found, question.expected)}\n"
                        f"again by: --seed {seed} --world {number}"
                    )


def fuzz(n_queries: int, seed: int) -> Tally:
    """Ask n_queries, world after world."""
    tally = Tally()
    while tally.queries.total() < n_queries:
        explore(seed, tally.worlds, tally, n_queries)
    return tally


def main() -> int:
    """Run, and print what was asked and found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", type=int, nargs="?", default=10**9, help="how many, over all worlds")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--world", type=int, help="only this one")
    args = parser.parse_args()
    begun = time.monotonic()
    if args.world is None:
        tally = fuzz(args.queries, args.seed)
    else:
        explore(args.seed, args.world, tally := Tally(), args.queries)
    seconds = time.monotonic() - begun
    counts = replace(tally, first="", blocks=Counter(dict(sorted(tally.blocks.items()))))
    print(f"seed {args.seed}, blocks of {_kernel.BLOCK} items, {seconds:.0f} s: {tally.queries.total()} queries")  # noqa: T201
    print(counts)  # noqa: T201
    if tally.differences:
        print(f"\n{tally.differences} answers differ from the oracle; the first:\n{tally.first}")  # noqa: T201
        return 1
    print("no difference")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
