"""Corrupt arrays straight into the kernel, past every check at opening: `python tests/index/fuzz_corrupt.py 5000`.

What comes back may be wrong. But it comes back, names only items that exist, and the only exception is ValueError: no
file, however damaged, may crash the server. `make sanitize` runs this where every access outside an array is noticed.
"""

import argparse
import faulthandler
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from index import _kernel
from index._kernel import Kernel
from index.assembly import frame
from index.types import Array, Int32

NONE = np.empty(0, dtype=np.int32)
PATIENCE = 120
"""Seconds for one case, with every level and under sanitizers; after that it is taken to hang."""
FLOATS = [np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 3.4e38, -3.4e38, 1e-45]
HALVES = [0x7C00, 0xFC00, 0x7E00, 0xFFFF, 0x7BFF, 0x0001, 0x8000]
NAMES = ("row_starts", "dims", "values", "item_scale", "steps", "lines", "list_starts", "units", "norms", "lengths")


def whole(dice: Random, rng: np.random.Generator) -> tuple[dict[str, Any], int]:
    """Rows with their postings, and n_dims."""
    n_items, n_dims = dice.choice([1, 15, 128, 400]), dice.choice([1, 7, 40])
    dims_type = np.uint16 if dice.random() < 0.8 else np.uint32
    dense = rng.random((n_items, n_dims)) < dice.choice([0.05, 0.4, 1.0])
    owners, dims = np.nonzero(dense)
    rows: dict[str, Any] = {
        "row_starts": np.concatenate([[0], np.cumsum(dense.sum(axis=1))]).astype(np.int64),
        "dims": dims.astype(dims_type),
        "values": rng.standard_normal(len(owners)).astype(np.float32),
        "item_scale": rng.standard_normal(n_items).astype(np.float32) if dice.random() < 0.5 else None,
    }
    rows["steps"] = None
    if dice.random() < 0.4:
        rows["values"] = rng.integers(-128, 128, len(owners), dtype=np.int8)
        rows["steps"] = rng.random(n_items, dtype=np.float32)
    matrix = (rows["row_starts"], rows["dims"], rows["values"], n_dims, rows["item_scale"], rows["steps"])
    built = [array.copy() for array in _kernel.build_postings(*matrix)]  # into memory that ends where they end
    return rows | dict(zip(NAMES[5:], built, strict=True)), n_dims


def damage(dice: Random, rng: np.random.Generator, name: str, array: Array) -> Array:
    """Flip bits, write special or random values in a few places or in all, lead elsewhere, or cut it."""
    damaged = array.copy()
    if dice.random() < 0.05:
        return damaged[: dice.randint(0, len(damaged))]
    if name in ("row_starts", "list_starts") and dice.random() < 0.6:  # inside, so that it is not refused
        inside = rng.integers(0, int(array[-1]) + 1, len(array)).astype(array.dtype)
        return np.sort(inside) if name == "list_starts" else inside
    count = dice.choice([1, 3, 30, len(damaged)])
    places = rng.integers(0, len(damaged), count)
    bits = damaged.view(f"u{damaged.itemsize}")
    how = dice.choice(["flip", "random", "special", "swap"])
    if how == "flip":
        bits[places] ^= (1 << rng.integers(0, 8 * damaged.itemsize, count, dtype=np.uint64)).astype(bits.dtype)
    elif how == "random":
        bits[places] = rng.integers(0, np.iinfo(bits.dtype).max, count, dtype=bits.dtype, endpoint=True)
    elif how == "swap":
        damaged[places] = damaged[places[::-1]]
    elif damaged.dtype == np.float32:
        damaged[places] = rng.choice(FLOATS, count)
    elif name == "lines":
        damaged[places] = rng.choice([*HALVES, _kernel.BLOCK, _kernel.BLOCK - 1], count)
    else:
        least, largest = int(np.iinfo(damaged.dtype).min), int(np.iinfo(damaged.dtype).max)
        length = min(len(damaged), largest)
        specials = [0, 1, largest, largest - 1, length, length - 1, least]
        damaged[places] = [dice.choice(specials) for _ in places]
    return damaged


def csr_of(arrays: dict[str, Any]) -> tuple[Any, ...]:
    """The rows, as the kernel takes those of others than its own."""
    return tuple(arrays[name] for name in ("row_starts", "dims", "values", "steps"))


def questions(
    dice: Random, rng: np.random.Generator, n_items: int, n_dims: int, csr: tuple[Any, ...]
) -> list[Callable[[Kernel], Any]]:
    """One a entry point, with a bitmap and a count that need not fit together."""
    queries = (rng.standard_normal((33, n_dims)) * 10.0 ** dice.choice([0, 0, 0, 20, -30])).astype(np.float32)
    query, n = queries[0], dice.choice([1, 5, n_items, 10**6])
    some: Int32 = rng.integers(0, n_items, dice.randint(0, n_items)).astype(np.int32)
    words = rng.integers(0, 2**64, (n_items + 63) // 64, dtype=np.uint64)
    count = dice.choice([int(np.bitwise_count(words).sum()), 0, 1, 2**40])
    factors = (10.0 ** rng.uniform(-2, 2, n_items)).astype(np.float32)
    weights, users = (rng.choice(FLOATS, length).astype(np.float32) for length in (len(some), n_items))
    boosts = dice.choice([None, (factors, 2.0**-7, 128.0), (factors, 1.0, 1.0)])
    floor = dice.choice([None, (1, 0.5, 0), (n, 1.0, 2**40)])
    return [
        lambda kernel: kernel.top_n(query, n, some, None, 0, boosts),
        lambda kernel: kernel.top_n(query, n, NONE, None, 0, None, prune=False),
        lambda kernel: kernel.top_n(query, n, some, words, count, boosts),
        lambda kernel: kernel.top_n(query, n, some, words, count, boosts, floor=floor),
        lambda kernel: kernel.top_n_within(query, n, NONE, some, boosts, floor),
        lambda kernel: kernel.top_n_per_set(query, n, some, [None, np.unique(some), np.unique(some[:3])], boosts)[1:],
        lambda kernel: kernel.batch(queries, n, [some] * len(queries), None, 0)[1:],
        lambda kernel: kernel.batch(queries[:2], n, [some] * 2, words, count)[1:],
        lambda kernel: (some, kernel.score_items(query, some)),
        lambda kernel: (some[kernel.anchors(some, weights, users, 0.5, 8, 0.3)], None),
        lambda kernel: (some, kernel.likeness(some, weights, some[:9], csr, some[:9], 12)),
    ]


def explore(seed: int, number: int, seen: Counter[str]) -> None:
    """Damage one catalogue and ask everything of it, on every level."""
    rng, dice = np.random.default_rng([seed, number]), Random(f"{seed}/{number}")
    arrays, n_dims = whole(dice, rng)
    n_items = len(arrays["row_starts"]) - 1
    asked = questions(dice, rng, n_items, n_dims, csr_of(arrays))
    filled = [name for name in NAMES if arrays[name] is not None and len(arrays[name])]
    for name in dice.sample(filled, min(len(filled), dice.choice([1, 1, 2, 9]))):
        arrays[name] = damage(dice, rng, name, arrays[name])
    matrix = (arrays["row_starts"], arrays["dims"], arrays["values"], n_dims, arrays["item_scale"])
    lists = (arrays["lines"], arrays["list_starts"], arrays["units"], arrays["norms"], arrays["lengths"])
    csr = csr_of(arrays)
    items = rng.integers(0, n_items, 50).astype(np.int32)
    weights, times = rng.standard_normal(50).astype(np.float32), rng.choice([np.nan, *FLOATS], 50)
    keys = damage(dice, rng, "keys", np.sort(rng.integers(0, 2**64, 50, dtype=np.uint64)))[: len(items)]
    builds: dict[str, Callable[[], Any]] = {
        "build_postings": lambda: _kernel.build_postings(*matrix, arrays["steps"]),
        "score_rows": lambda: _kernel.score_rows(*matrix[:4], np.ones(n_dims, dtype=np.float32)),
        "sum_rows": lambda: _kernel.sum_rows(*matrix[:4], items, weights, arrays["steps"]),
        "rows_of_keys": lambda: _kernel.rows_of_keys(keys, items, keys[::-1].copy()),
        "strongest": lambda: _kernel.strongest(items, times, times[::-1].copy(), items[:3], 0.5),
        "dense_rows": lambda: _kernel.dense_rows(*matrix[:4], arrays["steps"], np.arange(n_items, dtype=np.int32)),
        "cosines": lambda: _kernel.cosines(*matrix[:4], arrays["steps"], items[:9]),
        "causes": lambda: _kernel.causes(
            csr, n_dims, items, weights, rng.choice(FLOATS, n_dims).astype(np.float32), csr, items[:9]
        ),
        "pursue": lambda: _kernel.pursue(
            rng.choice(FLOATS, (9, 9)).astype(np.float32), items[:9] % 9, weights[:9], [3], 9, 0.7
        ),
        "split_by_set": lambda: _kernel.split_by_set(
            arrays["row_starts"], (arrays["dims"] % 7).astype(np.int32), 7, [3, 0, 5], items, weights
        ),
        "add_sets": lambda: _kernel.Assembly(
            np.arange(9, dtype=np.int32), weights[:9], np.abs(weights[:9]), 0.1
        ).add_sets(arrays["row_starts"], (arrays["dims"] % 7).astype(np.int32), 7, [2], *frame(3, 4), 1, 5, 4, 1.0),
        "best_sets": lambda: _kernel.best_sets(
            *matrix[:4],
            np.ones(n_dims, dtype=np.float32),
            arrays["row_starts"],
            (arrays["dims"] % n_items).astype(np.int32),
            np.diff(arrays["row_starts"]),
            items,
            1,
            0.0,
            9,
        ),
        "best_of": lambda: _kernel.best_of(items, times.astype(np.float32), 12),
    }
    for name, build in builds.items():
        try:
            build()
        except ValueError:
            seen[f"refused by {name}"] += 1
    for level in _kernel.levels():
        try:
            kernel = Kernel(*matrix, *lists, level, arrays["steps"])
        except ValueError:
            seen["refused by Kernel"] += 1
            continue
        for number_of_it, ask in enumerate(asked):
            try:
                items, _ = ask(kernel)
            except ValueError:
                seen[f"question {number_of_it} refused"] += 1
                continue
            seen[f"question {number_of_it} answered"] += 1
            if len(items) and not 0 <= items.min() <= items.max() < n_items:
                raise AssertionError(f"item {items.min()}..{items.max()} of {n_items}")


def main() -> None:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=int)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--first", type=int, default=0, help="the case to begin with")
    args = parser.parse_args()
    seen: Counter[str] = Counter()
    for number in range(args.first, args.first + args.cases):
        print(f"\rseed {args.seed}, case {number} ", end="", file=sys.stderr, flush=True)  # noqa: T201
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        explore(args.seed, number, seen)
    faulthandler.cancel_dump_traceback_later()
    print(f"{args.cases} cases, none crashed: {dict(sorted(seen.items()))}")  # noqa: T201


if __name__ == "__main__":
    main()
