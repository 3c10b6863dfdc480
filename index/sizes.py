"""How large a snapshot is, part by part, and how large one of more items like these would be.

A posting list of C items takes ceil(C / 16) lines. For a dimension that a share p of the items has, C is binomial, so
the expected number of lines follows exactly from the 16 residues of C, that is from its generating function
(1 - p + p w^t)^n at the 16th roots of unity. Pointers follow from the number of blocks; all else grows in proportion
to the items, but for headers and what is said once: segments stay as many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from index import postings
from index.manifest import Manifest
from index.snapshot import Snapshot

LINES, POINTERS, DECODER = "posting lines", "posting pointers", ("row starts", "row dims", "row values")
SEARCHED = (LINES, POINTERS, *DECODER)
"""What a search reads: the parts that are put in proportion to the non-zeros."""
ON_DEMAND = ("properties", "text search")
"""What is read item by item, as it is asked for; a server keeps all else in memory, once for all its processes."""

# the first prefix that fits the name of a file says to which part it belongs
_PREFIXES = {
    "postings_lines": LINES,
    "postings_": POINTERS,
    "decoder_row_starts": "row starts",
    "decoder_dims": "row dims",
    "decoder_values": "row values",
    "decoder_steps": "row values",
    "encoder_": "encoder rows",
    "item_scale": "item scales",
    "query_factor": "query factor",
    "item_": "ids",
    "popular": "popularity",
    "propert": "properties",
    "texts": "text search",
    "column": "columns",
    "segment": "segments",
}
_SLOTS = postings.LINE // 2
_HEADER_BYTES = 128
_EMPTY_SQLITE_BYTES = 16_384


@dataclass(frozen=True)
class Sizes:
    """Bytes of a snapshot."""

    n_items: int
    """Number of items."""
    n_nonzeros: float
    """Number of non-zeros of the decoder."""
    parts: Mapping[str, float]
    """Bytes on disk of each part."""

    @property
    def disk_bytes(self) -> float:
        """All of them."""
        return sum(self.parts.values())

    @property
    def memory_bytes(self) -> float:
        """What a server keeps in memory, shared by its processes: all but what is read on demand."""
        return sum(size for part, size in self.parts.items() if part not in ON_DEMAND)

    @property
    def searched_bytes_per_nonzero(self) -> float:
        """Postings, pointers and forward rows."""
        return sum(self.parts[part] for part in SEARCHED) / max(self.n_nonzeros, 1)


def measured(manifest: Manifest) -> Sizes:
    """The parts of a stored snapshot."""
    return Sizes(manifest.n_items, manifest.n_nonzeros, _by_part(manifest, 1))


def expected(opened: Snapshot, n_items: int) -> Sizes:
    """What n_items like those of this snapshot would take, with as many non-zeros an item and the same dimensions."""
    now, decoder = opened.manifest, opened.embeddings.decoder
    growth = n_items / now.n_items
    shares = np.bincount(decoder.dims, minlength=decoder.n_dims) / now.n_items
    full, rest = divmod(n_items, postings.BLOCK)
    n_lines = full * _expected_lines(shares, postings.BLOCK) + _expected_lines(shares, rest)
    n_blocks = postings.n_blocks(n_items)
    parts = _by_part(now, growth)
    parts[LINES] = _HEADER_BYTES + n_lines * postings.LINE * 2
    parts[POINTERS] = 4 * _HEADER_BYTES + 4 * (n_blocks * decoder.n_dims + 1 + 3 * n_blocks)
    return Sizes(n_items, now.n_nonzeros * growth, parts)


def _by_part(manifest: Manifest, growth: float) -> dict[str, float]:
    """The bytes of all files, by the part that each belongs to, when there are `growth` times as many items."""
    parts = dict.fromkeys(_PREFIXES.values(), 0.0)
    for name, info in manifest.files.items():
        once = min(_said_once(name), info.bytes)
        part = next(part for prefix, part in _PREFIXES.items() if name.startswith(prefix))
        parts[part] += once + (info.bytes - once) * growth
    return parts


def _said_once(name: str) -> float:
    if name.startswith(("segment_centroids", "query_factor")) or name.endswith(".json"):
        return inf
    return _EMPTY_SQLITE_BYTES if name.endswith(".sqlite") else _HEADER_BYTES


def _expected_lines(shares: NDArray[np.float64], n_items: int) -> float:
    """Of one block of n_items in which each dimension is had by a share of the items, independently."""
    roots = np.exp(2j * np.pi * np.arange(_SLOTS) / _SLOTS)
    residues = np.fft.fft((1 - shares[:, None] * (1 - roots)) ** n_items, axis=1).real / _SLOTS
    padding = residues @ (-np.arange(_SLOTS) % _SLOTS)
    return float(np.sum(shares * n_items + padding)) / _SLOTS
