"""The forms in which item vectors are stored: bytes of an item, and what answers from what is left of its values.

    sparse   f32+32   8 bytes per non-zero: a float32 and a 32-bit index, the accounting of the papers
             f32+16   6: the same with a 16-bit index, for up to 65,536 dims
             int8+16  3: rounded to codes and steps of `index.sparse`, queries as well where the encoder is tied
    dense    f32      4 bytes per dimension
             f16      2: rounded to the nearest of float16
             int8     1: rounded to whole multiples of 1/127 of the vector's largest value
             pq       so many bytes per item: a byte names one of 256 centroids for each part of the vector

Dense forms are decoded before anything is asked: queries are sums of decoded vectors, and scores inner products with
them. What is asked of a form is therefore all that is lost. Bytes are of the values of items that training knows; what
has to be kept beside them (scales, steps, row starts, centroids) is told apart, as a part of it does not grow with the
items.
Reference of pq: Jegou et al., "Product Quantization for Nearest Neighbor Search", TPAMI 2011, by faiss.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from index import sparse
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.query import encode
from index.types import Array, Float32, Int32
from training.errors import TrainingError
from training.evaluate import Retriever, SparseRetriever
from training.models.elsa import DenseFactors

SHORT_INDEX = 1 << 16
"""Dims that 16 bits number."""
CENTROIDS = 256
"""Of each part of a vector: what a byte can name."""
LEAST_PART = 4
"""Dims of a part at least: below, a byte says hardly more than int8 would, and faiss trains for minutes."""


@dataclass(frozen=True)
class Form:
    """One way to store the vectors of a model."""

    takes: Mapping[str, float]
    """Bytes per item, by name of the accounting: the same values may be written in more than one way."""
    beside: float
    """Bytes per item of what is needed besides."""
    retriever: Retriever
    """Answers from the stored values."""
    stored: SparseItemEmbeddings | int | None
    """Sparse: what is stored; dense: how many values are; None: not known."""


def sparse_forms(embeddings: SparseItemEmbeddings, n_known: int) -> Iterator[Form]:
    """The forms of sparse rows, of which n_known items can have any."""
    coded = replace(embeddings, decoder=sparse.quantised(embeddings.decoder))
    short = embeddings.n_dims <= SHORT_INDEX
    for stored, per_value in ((embeddings, {"f32+32": 8, "f32+16": 6}), (coded, {"int8+16": 3})):
        # an encoder of its own stays float32
        own = stored.encoder if isinstance(stored.encoder, SparseRows) else None
        takes = {
            name: (size * len(stored.decoder.dims) + max(size, 6) * (0 if own is None else len(own.dims))) / n_known
            for name, size in per_value.items()
            if short or name == "f32+32"
        }
        if takes:
            yield Form(takes, _beside(stored) / n_known, SparseRetriever(stored), stored)


def _beside(stored: SparseItemEmbeddings) -> int:
    rows = [stored.decoder, *([stored.encoder] if isinstance(stored.encoder, SparseRows) else [])]
    arrays = [each.row_starts for each in rows] + [each.steps for each in rows]
    return sum(each.nbytes for each in (*arrays, stored.item_scale, stored.query_factor) if each is not None)


def touched(form: Form, histories: Sequence[Int32]) -> float | None:
    """Stored values that a query without pruning reads, the mean over histories; dense: all of them."""
    if isinstance(form.stored, SparseItemEmbeddings):
        return postings(form.stored, histories)
    return form.stored


def postings(embeddings: SparseItemEmbeddings, histories: Sequence[Int32]) -> float:
    """Postings of the dims of a query, the mean over histories: what a search without pruning adds up."""
    lengths = np.bincount(embeddings.decoder.dims, minlength=embeddings.n_dims)
    queries = (encode(embeddings, each, np.ones(len(each), np.float32)) for each in histories)
    return float(np.mean([lengths[query != 0].sum() for query in queries]))


def dense_forms(vectors: Float32, item_scale: Float32 | None, pq_bytes: Sequence[int]) -> Iterator[Form]:
    """The forms of dense vectors (n_items, n_dims).

    Of pq those with parts of one length, at least LEAST_PART dims; none of fewer items than centroids.
    """
    n_items, n_dims = vectors.shape
    scale = 0 if item_scale is None else 4
    centroids = 4 * CENTROIDS * n_dims / n_items
    sizes = [size for size in pq_bytes if n_dims % size == 0 and n_dims >= LEAST_PART * size and n_items >= CENTROIDS]
    ways: list[tuple[str, int, float, Callable[[Float32], Float32]]] = [
        ("f32", 4 * n_dims, 0, _as_is),
        ("f16", 2 * n_dims, 0, half),
        ("int8", n_dims, 4, int8),
        *(("pq", size, centroids, partial(product, n_bytes=size)) for size in sizes),
    ]
    for name, size, beside, code in ways:
        model = DenseFactors(torch.from_numpy(code(vectors)))
        n_values = n_items * (size if name == "pq" else n_dims)
        yield Form({name: size}, scale + beside, model.retriever(item_scale), n_values)


def _as_is(vectors: Float32) -> Float32:
    return vectors


def half(vectors: Float32) -> Float32:
    """The nearest vectors of float16."""
    return vectors.astype(np.float16).astype(np.float32)


def int8(vectors: Float32) -> Float32:
    """The nearest vectors of whole multiples, -127 to 127, of 1/127 of each vector's largest magnitude."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    steps = np.maximum(largest / np.float32(sparse.GREATEST_CODE), np.float32(sparse.LEAST_STEP))
    return np.asarray(np.rint(vectors / steps).astype(np.int8) * steps)


def product(vectors: Float32, n_bytes: int) -> Float32:
    """What faiss decodes of its product quantisation to n_bytes, trained on the same vectors, at least CENTROIDS."""
    faiss: Any = importlib.import_module("faiss")  # there with the bench extra only; its stubs say other than it does
    quantiser = faiss.ProductQuantizer(vectors.shape[1], n_bytes, 8)
    quantiser.cp.min_points_per_centroid = 1  # else it warns where there are fewer than 39 vectors a centroid
    quantiser.train(vectors)
    decoded: Array = quantiser.decode(quantiser.compute_codes(vectors))
    return np.where(vectors.any(axis=1, keepdims=True), decoded, np.float32(0)).astype(np.float32)


def require_faiss() -> None:
    """Raise TrainingError if faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise TrainingError(
            "product quantisation is that of faiss, which is not installed: pip install -c constraints.txt -e "
            "'.[bench]', or go without it by --pq none"
        )
