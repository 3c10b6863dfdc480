"""Popularity: every user gets the items that most training users have. The floor of every comparison."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from index.types import Float32
from index.vocabulary import Vocabulary
from training.evaluate import DenseRetriever


@dataclass(frozen=True)
class Settings:
    """There are none."""


@dataclass(frozen=True)
class Popularity:
    """Users per item."""

    counts: Float32
    """(n_items,)."""

    def retriever(self, item_scale: Float32 | None) -> DenseRetriever:
        """Answer with the same scores for everyone; the items of the history are left out by the retriever."""
        scores = self.counts if item_scale is None else self.counts * item_scale

        def score(histories: csr_array) -> Float32:
            return np.broadcast_to(scores, histories.shape)

        return DenseRetriever(score, len(self.counts))

    def embeddings(self, items: Vocabulary, item_scale: Float32 | None) -> None:
        """Nothing: popularity has no vectors; a snapshot holds the counts anyway."""


def fit(histories: csr_array, settings: Settings, seed: int) -> Popularity:  # noqa: ARG001 (as every model is fitted)
    """Count the users of each item in a binary matrix (n_users, n_items)."""
    return Popularity(np.bincount(histories.indices, minlength=histories.shape[1]).astype(np.float32))
