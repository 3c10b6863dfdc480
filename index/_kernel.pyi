from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.types import Bytes, Dims, Float32, Float64, Int32, Int64, UInt16, UInt32, UInt64, Values

BLOCK: int

def levels() -> list[str]: ...
def build_postings(
    row_starts: Int64,
    dims: Dims,
    values: Values,
    n_dims: int,
    item_scale: Float32 | None,
    steps: Float32 | None = None,
) -> tuple[UInt16, UInt32, Float32, Float32, UInt32]: ...
def score_rows(row_starts: Int64, dims: Dims, values: Float32, n_dims: int, query: Float32) -> Float32: ...
def sum_rows(
    row_starts: Int64,
    dims: Dims,
    values: Values,
    n_dims: int,
    items: Int32,
    weights: Float32,
    steps: Float32 | None = None,
) -> Float32: ...
def strongest(rows: Int32, times: Float64, weights: Float64, hidden: Int32, least: float) -> Int64: ...
def among(values: Int32, others: Int32) -> NDArray[np.bool_]: ...
def distinct(values: Int32) -> Int32: ...
def rows_of_keys(keys: UInt64, rows: Int32, wanted: UInt64) -> Int32: ...
def dense_rows(
    row_starts: Int64, dims: Dims, values: Values, n_dims: int, steps: Float32 | None, rows: Int32
) -> Float32: ...
def cosines(
    row_starts: Int64, dims: Dims, values: Values, n_dims: int, steps: Float32 | None, rows: Int32
) -> Float32: ...
def causes(
    rows: _Csr, n_dims: int, items: Int32, weights: Float32, query: Float32, targets: _Csr, numbers: Int32
) -> list[int]: ...
def pursue(
    cosines: Float32, numbers: Int32, scores: Float32, used: Sequence[int], count: int, same: float
) -> Int32: ...
def split_by_set(
    starts: Int64, numbers: Int32, n_sets: int, wanted: Sequence[int], items: Int32, scores: Float32
) -> tuple[list[int], Int32, Float32]: ...
def best_sets(
    row_starts: Int64,
    dims: Dims,
    values: Values,
    n_dims: int,
    query: Float32,
    starts: Int64,
    numbers: Int32,
    sizes: Int64,
    exclude: Int32,
    fewest: int,
    least: float,
    n: int,
) -> tuple[Int32, Float32]: ...
def best_of(items: Int32, scores: Float32, n: int, positive: bool = False) -> tuple[Int32, Float32]: ...
def texts_of(texts: Bytes, starts: Int64, rows: Int32) -> list[str]: ...

class Assembly:
    def __init__(self, items: Int32, scores: Float32, worth: Float32, rest: float) -> None: ...
    def add(
        self,
        items: Int32,
        scores: Float32,
        size: int,
        weight: float = 1.0,
        at: int = -1,
        wanted: bool = False,
        claims: bool = False,
        yields: bool = False,
    ) -> None: ...
    def add_sets(
        self,
        starts: Int64,
        numbers: Int32,
        n_sets: int,
        skip: Sequence[int],
        attention: Float64,
        cells: Int32,
        fewest: int,
        most: int,
        size: int,
        weight: float,
    ) -> list[int]: ...
    def weigh(self, candidate: int, factor: float) -> None: ...
    def page(
        self,
        attention: Float64,
        cells: Int32,
        fewest: int,
        max_overlap: float,
        diversity: float,
        cosines: Float32,
        same: float,
        look: int,
    ) -> tuple[list[tuple[int, int]], tuple[list[int], Int32, Float32]]: ...

_Boosts: TypeAlias = tuple[Float32, float, float]
_Floor: TypeAlias = tuple[int, float, int]
_Csr: TypeAlias = tuple[Int64, Dims, Values, Float32 | None]

class Kernel:
    def __init__(
        self,
        row_starts: Int64,
        dims: Dims,
        values: Values,
        n_dims: int,
        item_scale: Float32 | None,
        lines: UInt16,
        list_starts: UInt32,
        block_units: Float32,
        block_norms: Float32,
        block_lengths: UInt32,
        level: str = "",
        steps: Float32 | None = None,
    ) -> None: ...
    @property
    def level(self) -> str: ...
    def top_n(
        self,
        query: Float32,
        n: int,
        exclude: Int32,
        words: UInt64 | None,
        count: int,
        boosts: _Boosts | None = None,
        prune: bool = True,
        floor: _Floor | None = None,
    ) -> tuple[Int32, Float32]: ...
    def top_n_within(
        self,
        query: Float32,
        n: int,
        exclude: Int32,
        items: Int32,
        boosts: _Boosts | None = None,
        floor: _Floor | None = None,
    ) -> tuple[Int32, Float32]: ...
    def top_n_per_set(
        self, query: Float32, n: int, exclude: Int32, sets: Sequence[Int32 | None], boosts: _Boosts | None = None
    ) -> tuple[list[int], Int32, Float32]: ...
    def batch(
        self, queries: Float32, n: int, exclude: Sequence[Int32], words: UInt64 | None, count: int
    ) -> tuple[list[int], Int32, Float32]: ...
    def score_items(self, query: Float32, items: Int32) -> Float32: ...
    def anchors(
        self, items: Int32, weights: Float32, users: Float32, strong: float, most: int, distinct: float
    ) -> Int64: ...
    def likeness(
        self, items: Int32, taste: Float32, heads: Int32, queries: _Csr, chosen: Int32, n_best: int
    ) -> tuple[Float32, Float64]: ...
