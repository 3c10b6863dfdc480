"""Cuts: the largest values stay; a tied row keeps its length, rows of other encoders their values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import sparse
from index.embeddings import SparseItemEmbeddings
from training import interactions, job, recipe, split
from training.cut import cut
from training.errors import RunError
from training.recipe import Recipe


def fitted(chosen: Recipe, file: Path) -> SparseItemEmbeddings:
    data, _ = interactions.load(file, chosen.columns, chosen.filters)
    divided = split.holdout(len(data.users), split.VALIDATION_SEED, share=0.05)
    done = job.run(chosen, data.matrix(), divided, items=data.items)
    made = done.model.embeddings(data.items, done.item_scale)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def tied(books_file: Path) -> SparseItemEmbeddings:
    quick = ["training.epochs=1", "training.batch_size=64", "model.n_dims=256", "filters.min_item_support=5"]
    return fitted(recipe.load("compressed-elsa", quick), books_file)


def test_rows_of_a_tied_encoder_keep_their_length(tied: SparseItemEmbeddings) -> None:
    found = cut(tied, 4)
    sparse.check(found.decoder, "decoder")
    assert found.encoder == "tied"
    for number in range(tied.n_items):
        whole, part = tied.decoder.dense_row(number), found.decoder.dense_row(number)
        kept = np.flatnonzero(part)
        assert len(kept) == min(4, np.count_nonzero(whole))
        if len(kept):
            assert np.abs(whole[kept]).min() >= np.abs(np.delete(whole, kept)).max()
            factor = np.linalg.norm(whole) / np.linalg.norm(whole[kept])
            np.testing.assert_allclose(part[kept], whole[kept] * factor, rtol=1e-5)


def test_a_cut_of_all_values_changes_nothing(tied: SparseItemEmbeddings) -> None:
    found = cut(tied, 16)
    np.testing.assert_array_equal(found.decoder.dims, tied.decoder.dims)
    np.testing.assert_allclose(found.decoder.values, tied.decoder.values, rtol=1e-6)


def test_a_cut_that_keeps_all_and_more_is_refused(tied: SparseItemEmbeddings) -> None:
    with pytest.raises(RunError, match="no item of the run has more than 16 values, so that --k 17 would keep"):
        cut(tied, 17)


def test_values_stay_where_the_encoder_is_the_identity(books_file: Path) -> None:
    whole = fitted(recipe.load("pruned-ease", ["filters.min_item_support=5"]), books_file)
    found = cut(whole, 3)
    expected = sparse.largest(whole.decoder, 3)
    np.testing.assert_array_equal(found.decoder.dims, expected.dims)
    np.testing.assert_array_equal(found.decoder.values, expected.values)
    assert found.encoder == "identity"


def test_an_encoder_of_its_own_is_cut_as_well(tied: SparseItemEmbeddings) -> None:
    found = cut(replace(tied, encoder=tied.decoder), 4)
    assert isinstance(found.encoder, sparse.SparseRows)
    assert np.diff(found.encoder.row_starts).max() == np.diff(found.decoder.row_starts).max() == 4
