"""Forms of item vectors: bytes by hand, rounding within its bounds, and answers from what is stored."""

import importlib.util

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import sparse
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.types import Float32
from index.vocabulary import Vocabulary
from training import storage
from training.errors import TrainingError
from training.evaluate import DenseRetriever, SparseRetriever

VECTORS = npst.arrays(np.float32, (5, 8), elements=st.floats(-1, 1, width=32))


def rows(dense: list[list[float]], n_dims: int | None = None) -> SparseRows:
    matrix = np.array(dense, np.float32)
    owners, dims = np.nonzero(matrix)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(matrix)))])
    return SparseRows.from_csr(starts, dims, matrix[owners, dims], n_dims or matrix.shape[1])


DECODER = rows([[1, 0, 0.5], [0, 1, 0.001], [0, 0, 1], [0, 0, 0]])


def embeddings(decoder: SparseRows = DECODER, encoder: SparseRows | None = None) -> SparseItemEmbeddings:
    items = Vocabulary.build([str(number) for number in range(decoder.n_rows)])
    scale = np.ones(decoder.n_rows, np.float32)
    return SparseItemEmbeddings(items, decoder, scale, encoder or "tied", None, "latents", {})


def test_bytes_of_sparse_rows_by_hand() -> None:
    full, coded = storage.sparse_forms(embeddings(), n_known=3)
    assert full.takes == {"f32+32": 8 * 5 / 3, "f32+16": 6 * 5 / 3}
    assert coded.takes == {"int8+16": 3 * 4 / 3}  # .001 rounds to 0
    assert full.beside == (5 * 8 + 4 * 4) / 3  # row starts and scales
    assert coded.beside == (5 * 8 + 4 * 4 + 4 * 4) / 3  # and steps


def test_an_encoder_of_its_own_takes_bytes_and_stays_float32() -> None:
    full, coded = storage.sparse_forms(embeddings(encoder=rows([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])), 3)
    assert full.takes == {"f32+32": 8 * 10 / 3, "f32+16": 6 * 10 / 3}
    assert coded.takes == {"int8+16": (3 * 4 + 6 * 5) / 3}


def test_more_dims_than_16_bits_number_have_one_form() -> None:
    (only,) = storage.sparse_forms(embeddings(rows([[1, 0, 2]], n_dims=65_537)), 1)
    assert only.takes == {"f32+32": 16.0}
    assert len(list(storage.sparse_forms(embeddings(rows([[1, 0, 2]], n_dims=65_536)), 1))) == 2


def test_int8_form_answers_from_rounded_values() -> None:
    _, coded = storage.sparse_forms(embeddings(), n_known=3)
    assert isinstance(coded.retriever, SparseRetriever)
    assert coded.retriever.embeddings.decoder.steps is not None
    # what ties items 1 and 0 is in the value that rounds to 0
    (hits,) = coded.retriever.retrieve([np.array([1], np.int32)], 1)
    assert hits.scores[0] == 0


def test_postings_by_hand() -> None:
    # dims have 1, 1 and 3 postings; item 2 touches the last one, item 0 the first and the last
    one, two = np.array([2], np.int32), np.array([0, 2], np.int32)
    assert storage.postings(embeddings(), [one]) == 3
    assert storage.postings(embeddings(), [one, two]) == 3.5
    full, _ = storage.sparse_forms(embeddings(), n_known=3)
    assert storage.touched(full, [one, two]) == 3.5


@given(VECTORS)
def test_int8_is_off_by_half_a_step_at_most(vectors: Float32) -> None:
    rounded = storage.int8(vectors)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    assert rounded.dtype == np.float32
    assert (np.abs(rounded - vectors) <= largest / 127 * 0.5001 + sparse.LEAST_STEP / 2).all()


@given(VECTORS)
def test_half_is_the_nearest(vectors: Float32) -> None:
    rounded = storage.half(vectors)
    assert rounded.dtype == np.float32
    assert (np.abs(rounded - vectors) <= np.abs(vectors) * 2**-11 + 2**-25).all()


def test_dense_forms_by_hand() -> None:
    vectors = np.eye(4, 8, dtype=np.float32)
    full, half, int8 = storage.dense_forms(vectors, np.array([1, 2, 3, 4], np.float32), pq_bytes=(4,))
    assert [each.takes for each in (full, half, int8)] == [{"f32": 32}, {"f16": 16}, {"int8": 8}]
    assert [each.beside for each in (full, half, int8)] == [4, 4, 8]
    assert storage.touched(full, []) == 32
    for form in (full, half, int8):
        assert isinstance(form.retriever, DenseRetriever)
        assert form.stored == 32


def test_dense_forms_answer_with_the_item_scale() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]], np.float32)
    for form in storage.dense_forms(vectors, np.array([1, 5, 1], np.float32), pq_bytes=()):
        (hits,) = form.retriever.retrieve([np.array([0], np.int32)], 2)
        assert hits.items.tolist() == [1, 2]
        assert hits.scores == pytest.approx([3, 0.8], rel=0.01)


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")  # faiss, from Python 3.12 on
def test_product_quantisation_of_few_distinct_vectors_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(20, 8)).astype(np.float32)
    vectors = np.concatenate([np.zeros((5, 8), np.float32), distinct[rng.integers(0, 20, 400)]])
    assert storage.product(vectors, 2) == pytest.approx(vectors, abs=3e-3)  # faiss moves centroids apart by 1/1024
    assert not storage.product(vectors, 2)[:5].any()


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_product_quantisation_is_of_equal_parts_that_are_not_too_short() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    forms = list(storage.dense_forms(vectors, None, pq_bytes=(2, 3, 4, 8, 16)))[3:]
    assert [each.takes for each in forms] == [{"pq": 2}, {"pq": 4}]
    assert forms[0].beside == 4 * 256 * 16 / 300
    assert forms[0].stored == 600
    errors = [np.square(storage.product(vectors, size) - vectors).sum() for size in (2, 4)]
    assert errors[0] > 1.5 * errors[1] > 0


def test_without_faiss_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TrainingError, match=r"faiss, which is not installed: pip install .*, or go without it by --pq"):
        storage.require_faiss()
