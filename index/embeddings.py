"""Sparse item embeddings: the artifact that training writes and everything else is built from.

q = x E and scores = item_scale * (D q), with a decoder D and an encoder E of sparse rows, (n_items, n_dims). Where dims
are not independent of each other, q = x E F F^T, with a dense factor F, (n_dims, query_width).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from index import arrays, sparse, vocabulary
from index.errors import CorruptSnapshot, InvalidEmbeddings, UnsupportedFormat
from index.sparse import SparseRows
from index.types import JSON, Array, Float32
from index.vocabulary import Vocabulary

__all__ = ["FORMAT", "SparseItemEmbeddings", "SparseRows", "check", "from_arrays", "header", "to_arrays"]

FORMAT = 0
METADATA = "embeddings.json"
ENCODERS = ("tied", "identity", "rows")
VALUES = ("float32", "int8")
DIMS_ARE = ("latents", "items")


@dataclass(frozen=True)
class SparseItemEmbeddings:
    """Everything that a sparse linear model knows about its items."""

    items: Vocabulary
    """The ids of the n_items rows."""
    decoder: SparseRows
    """D, (n_items, n_dims); its values may be int8."""
    item_scale: Float32 | None
    """(n_items,): factor on each item's score; None: 1."""
    encoder: Literal["tied", "identity"] | SparseRows
    """E: the decoder's unscaled rows, the identity (n_dims = n_items), or rows of its own."""
    query_dims: int | None
    """How many of the largest |q_d| a query keeps; None: all."""
    dims_are: Literal["latents", "items"]
    """What a dimension is."""
    provenance: Mapping[str, JSON]
    """Where this comes from: model, recipe, metrics, data."""
    query_factor: Float32 | None = None
    """F, (n_dims, query_width): a query is multiplied by F F^T before it is cut; None: it is not."""

    @property
    def n_items(self) -> int:
        """Number of items."""
        return self.decoder.n_rows

    @property
    def n_dims(self) -> int:
        """Number of dimensions."""
        return self.decoder.n_dims

    def save(self, directory: Path) -> None:
        """Write .npy files and embeddings.json into a directory; InvalidEmbeddings if a rule is broken."""
        check(self)
        directory.mkdir(parents=True, exist_ok=True)
        arrays.save(directory, to_arrays(self))
        metadata = {"format": FORMAT, **header(self), "provenance": self.provenance}
        (directory / METADATA).write_text(json.dumps(metadata, indent=2, allow_nan=False) + "\n")

    @staticmethod
    def load(directory: Path) -> "SparseItemEmbeddings":
        """Memory-map what save wrote; SnapshotError or InvalidEmbeddings, naming the file, if it is not whole."""
        metadata = _read_metadata(directory / METADATA)
        loaded = from_arrays(directory, metadata, metadata["provenance"])
        check(loaded)
        return loaded


def to_arrays(embeddings: SparseItemEmbeddings) -> dict[str, Array]:
    """The arrays by file name (without suffix): the same names in a run and in a snapshot."""
    named = vocabulary.to_arrays(embeddings.items) | sparse.to_arrays("decoder", embeddings.decoder)
    if isinstance(embeddings.encoder, SparseRows):
        named |= sparse.to_arrays("encoder", embeddings.encoder)
    if embeddings.item_scale is not None:
        named["item_scale"] = embeddings.item_scale
    if embeddings.query_factor is not None:
        named["query_factor"] = embeddings.query_factor.reshape(-1)
    return named


def header(embeddings: SparseItemEmbeddings) -> dict[str, Any]:
    """What must be known besides the arrays to open them again.

    There is a query_width only where there is a query factor: what has none is the same, hash and all, as before there
    were any.
    """
    factor = embeddings.query_factor
    return {
        "n_items": embeddings.n_items,
        "n_dims": embeddings.n_dims,
        "values": "float32" if embeddings.decoder.steps is None else "int8",
        "encoder": "rows" if isinstance(embeddings.encoder, SparseRows) else embeddings.encoder,
        "item_scale": embeddings.item_scale is not None,
        "query_dims": embeddings.query_dims,
        "dims_are": embeddings.dims_are,
        **({} if factor is None else {"query_width": factor.shape[-1]}),
    }


def check_header(header: Mapping[str, Any]) -> None:
    """ValueError naming the first field that cannot be."""
    for name in ("n_items", "n_dims"):
        if type(header.get(name)) is not int or header[name] < 1:
            raise ValueError(f"{name} is {header.get(name)!r}; must be a whole number from 1")
    if type(header.get("item_scale")) is not bool:
        raise ValueError(f"item_scale is {header.get('item_scale')!r}; must be true or false")
    for name in ("query_dims", "query_width"):
        value = header.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{name} is {value!r}; must be null or a whole number from 1")
    for name, known in (("values", VALUES), ("encoder", ENCODERS), ("dims_are", DIMS_ARE)):
        if header.get(name) not in known:
            raise ValueError(f"{name} is {header.get(name)!r}; must be one of {', '.join(known)}")


def from_arrays(directory: Path, header: Mapping[str, Any], provenance: Mapping[str, JSON]) -> SparseItemEmbeddings:
    """Memory-map the arrays that a checked header promises; CorruptSnapshot naming the file that breaks it. O(1)."""
    n_items, n_dims = header["n_items"], header["n_dims"]
    own = header["encoder"] == "rows"
    return SparseItemEmbeddings(
        items=vocabulary.from_arrays(directory, n_items),
        decoder=sparse.from_arrays(directory, "decoder", n_items, n_dims, int8=header["values"] == "int8"),
        item_scale=arrays.load(directory, "item_scale", np.float32, length=n_items) if header["item_scale"] else None,
        encoder=sparse.from_arrays(directory, "encoder", n_items, n_dims) if own else header["encoder"],
        query_dims=header["query_dims"],
        dims_are=header["dims_are"],
        provenance=provenance,
        query_factor=_load_factor(directory, n_dims, header.get("query_width")),
    )


def _load_factor(directory: Path, n_dims: int, width: int | None) -> Float32 | None:
    if width is None:
        return None
    flat: Float32 = arrays.load(directory, "query_factor", np.float32, length=n_dims * width)
    return flat.reshape(n_dims, width)


def check(embeddings: SparseItemEmbeddings) -> None:
    """Refuse embeddings that break a rule with InvalidEmbeddings naming array, row and value; O(what is stored)."""
    try:
        check_header(header(embeddings))
    except ValueError as error:
        raise InvalidEmbeddings(f"embeddings: {error}") from error
    try:
        json.dumps(embeddings.provenance, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidEmbeddings(f"provenance cannot be stored as JSON: {error}") from error
    n_items = len(embeddings.items)
    matrices = {"decoder": embeddings.decoder}
    if isinstance(embeddings.encoder, SparseRows):
        matrices["encoder"] = embeddings.encoder
    for name, rows in matrices.items():
        sparse.check(rows, name, int8=name == "decoder")
        if (rows.n_rows, rows.n_dims) != (n_items, embeddings.n_dims):
            shape = f"{n_items} items and {embeddings.n_dims} dims"
            raise InvalidEmbeddings(f"{name} is {rows.n_rows} x {rows.n_dims}, where there are {shape}")
    square = embeddings.encoder == "identity" or embeddings.dims_are == "items"
    if square and embeddings.n_dims != n_items:
        raise InvalidEmbeddings(f"dims stand for items, so there must be {n_items} dims, not {embeddings.n_dims}")
    _check_scale(embeddings.item_scale, n_items)
    _check_factor(embeddings.query_factor, embeddings.n_dims)


def _check_scale(scale: Float32 | None, n_items: int) -> None:
    if scale is None:
        return
    if scale.dtype != np.float32 or scale.shape != (n_items,):
        raise InvalidEmbeddings(f"item_scale is {scale.dtype} of {scale.shape}; must be float32 of ({n_items},)")
    wrong = np.flatnonzero(~np.isfinite(scale))
    if len(wrong):
        raise InvalidEmbeddings(f"item_scale of row {wrong[0]} is {scale[wrong[0]]}; must be finite")


def _check_factor(factor: Float32 | None, n_dims: int) -> None:
    if factor is None:
        return
    if factor.dtype != np.float32 or factor.ndim != 2 or len(factor) != n_dims:
        raise InvalidEmbeddings(f"query_factor is {factor.dtype} of {factor.shape}; must be float32 of ({n_dims}, any)")
    wrong = np.flatnonzero(~np.isfinite(factor).all(axis=1))
    if len(wrong):
        raise InvalidEmbeddings(f"query_factor of dim {wrong[0]} holds a value that is not finite")


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptSnapshot(f"{path} cannot be read ({error}); run the training again") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("provenance"), dict):
        raise CorruptSnapshot(f"{path} is not the metadata of embeddings; run the training again")
    if metadata.get("format") != FORMAT:
        found = metadata.get("format")
        raise UnsupportedFormat(f"{path}: format {found!r}; this Sparrow reads {FORMAT}: run the training again")
    metadata.setdefault("values", "float32")  # runs from before there was int8 do not say
    try:
        check_header(metadata)
    except ValueError as error:
        raise CorruptSnapshot(f"{path}: {error}; run the training again") from error
    return metadata
