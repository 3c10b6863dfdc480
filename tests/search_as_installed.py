"""What test_wheel.py runs on the unpacked wheel, far from the checkout: the kernel answers as the oracle does."""

from pathlib import Path

import numpy as np

from index import _kernel, reference
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.search import NONE, Searcher
from index.vocabulary import Vocabulary

N_ITEMS, N_DIMS, K = 70_000, 64, 4


def embeddings(rng: np.random.Generator) -> SparseItemEmbeddings:
    """More than one block of items, each with K values."""
    dims = np.sort(rng.permuted(np.tile(np.arange(N_DIMS), (N_ITEMS, 1)), axis=1)[:, :K], axis=1)
    values = rng.standard_normal(N_ITEMS * K)
    return SparseItemEmbeddings(
        items=Vocabulary.build([f"item-{row}" for row in range(N_ITEMS)]),
        decoder=SparseRows.from_csr(np.arange(0, N_ITEMS * K + 1, K), dims.ravel(), values, N_DIMS),
        item_scale=None,
        encoder="tied",
        query_dims=None,
        dims_are="latents",
        provenance={},
    )


def main() -> None:
    """Compare every level that this CPU has; print where the kernel lies."""
    rng = np.random.default_rng(3)
    model = embeddings(rng)
    query = rng.standard_normal(N_DIMS).astype(np.float32)
    expected = reference.select(reference.score_rows(model.decoder, query), 50, NONE, None)
    for level in _kernel.levels():
        found = Searcher.of(model, level).top_n(query, 50)
        np.testing.assert_array_equal(found.items, expected.items)
        np.testing.assert_array_equal(found.scores, expected.scores)
    print(Path(_kernel.__file__).resolve())  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
