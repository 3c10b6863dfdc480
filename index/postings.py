"""Postings: the decoder by dimension, in cache lines, as the compiled kernel reads it.

Items lie in blocks of BLOCK rows. The list of a block and a dimension is a run of 64-byte lines, each of 16 row numbers
within the block and 16 values in half precision, as multiples of the block's unit. They are derived: equal embeddings
give equal bytes on every machine, so they are checked by building them again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index import _kernel, arrays
from index.embeddings import SparseItemEmbeddings
from index.errors import CorruptSnapshot, InvalidEmbeddings
from index.types import Array, Float32, UInt16, UInt32

BLOCK = 65_472
"""Items of a block: their numbers fit 16 bits, and BLOCK itself is left for padding."""
LINE = 32
"""uint16 of a line: 16 row numbers, then 16 values."""


@dataclass(frozen=True)
class Postings:
    """The lists of all blocks; the list of block b and dim d is lines list_starts[b * n_dims + d] up to the next."""

    lines: UInt16
    """(n_lines * LINE,): rows within the block, ascending in a list, then halves; padding is row BLOCK, value 0."""
    list_starts: UInt32
    """(n_blocks * n_dims + 1,): the first line of each list, block after block."""
    block_units: Float32
    """(n_blocks,): what the values of a block are multiples of, a power of two."""
    block_norms: Float32
    """(n_blocks,): no scaled row of the block is longer (L2)."""
    block_lengths: UInt32
    """(n_blocks,): no row of the block has more non-zeros."""


def n_blocks(n_items: int) -> int:
    """How many blocks hold n_items."""
    return -(-n_items // BLOCK)


def reach(postings: Postings, query: Float32) -> int:
    """Entries, with padding, in the lists of the dims that a query (n_dims,) has: all that a search might read."""
    n_dims, n_lists = len(query), len(postings.list_starts) - 1
    lists = np.add.outer(np.arange(0, n_lists, n_dims), np.flatnonzero(query))
    starts = postings.list_starts
    n_lines = np.subtract(starts[lists + 1], starts[lists], dtype=np.int64).sum()
    return int(n_lines) * LINE // 2


def build(embeddings: SparseItemEmbeddings) -> Postings:
    """Invert the scaled decoder; InvalidEmbeddings where a scaled row is too long for float32."""
    rows = embeddings.decoder
    try:
        built = Postings(
            *_kernel.build_postings(
                rows.row_starts, rows.dims, rows.values, rows.n_dims, embeddings.item_scale, rows.steps
            )
        )
    except ValueError as error:
        raise InvalidEmbeddings(f"decoder: {error}") from error
    block = arrays.first(~np.isfinite(built.block_norms))
    if block is not None:
        rows_of_it = f"rows {block * BLOCK} to {min((block + 1) * BLOCK, rows.n_rows) - 1}"
        raise InvalidEmbeddings(f"decoder {rows_of_it}, with their scale, are longer than float32 can say")
    return built


def to_arrays(postings: Postings) -> dict[str, Array]:
    """The arrays by file name, without suffix."""
    return {f"postings_{name}": array for name, array in vars(postings).items()}


def from_arrays(directory: Path, n_items: int, n_dims: int) -> Postings:
    """Memory-map what to_arrays named; CorruptSnapshot unless every list lies inside the lines.

    Reads the starts of all lists, so O(n_blocks * n_dims): at a million items, a five-hundredth of the lines.
    """
    blocks = n_blocks(n_items)
    starts: UInt32 = arrays.load(directory, "postings_list_starts", np.uint32, length=blocks * n_dims + 1)
    loaded = Postings(
        lines=arrays.load(directory, "postings_lines", np.uint16, length=int(starts[-1]) * LINE),
        list_starts=starts,
        block_units=arrays.load(directory, "postings_block_units", np.float32, length=blocks),
        block_norms=arrays.load(directory, "postings_block_norms", np.float32, length=blocks),
        block_lengths=arrays.load(directory, "postings_block_lengths", np.uint32, length=blocks),
    )
    rules = {
        "list_starts": (starts[0] == 0 and np.all(starts[1:] >= starts[:-1]), "must ascend from 0"),
        "block_units": (np.all(np.isfinite(loaded.block_units) & (loaded.block_units > 0)), "must be finite, above 0"),
        "block_norms": (np.all(np.isfinite(loaded.block_norms) & (loaded.block_norms >= 0)), "must be finite, from 0"),
        "block_lengths": (np.all(loaded.block_lengths <= n_dims), f"must be at most {n_dims}"),
    }
    for name, (holds, rule) in rules.items():
        if not holds:
            raise CorruptSnapshot(f"{directory / f'postings_{name}.npy'} breaks a rule: its values {rule}")
    return loaded


def check(postings: Postings, embeddings: SparseItemEmbeddings) -> None:
    """Refuse postings that are not, to the last bit, those of the embeddings with InvalidEmbeddings."""
    for name, array in vars(build(embeddings)).items():
        stored = getattr(postings, name)
        if len(stored) != len(array) or not np.array_equal(stored.view(np.uint16), array.view(np.uint16)):
            raise InvalidEmbeddings(f"postings_{name} is not what building it from the decoder gives")
