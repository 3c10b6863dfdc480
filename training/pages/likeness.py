"""How alike items are, in two spaces that no model was fitted to: who reads them together, and what is said of them.

Co-reading: an item is the binary vector of the users who did not train and have it, without the user who is asked,
whose targets would make every hit alike. Text: TF-IDF of words, tf * (1 + ln((1 + n) / (1 + df))). Cosines are 0 for an
item without a vector.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from index.types import JSON, Array, Int32

WORD = re.compile(r"[^\W_]{2,}")
ADDRESS = re.compile(r"\w+://\S*")


@dataclass(frozen=True)
class Likeness:
    """Where cosines of items come from."""

    read: csr_array
    """(n_items, n_users), binary: users who did not train."""
    text: csr_array
    """(n_items, n_words), rows of unit length or empty."""

    def by_reading(self, items: Int32, user: int) -> Array:
        """Cosines (len(items), len(items)) by co-reading, without what this user reads."""
        vectors = self.read[items]
        own = vectors[:, [user]].toarray().ravel()
        shared = (vectors @ vectors.T).toarray() - np.outer(own, own)
        length = np.sqrt(np.diag(shared))
        return _quotient(shared, np.outer(length, length))

    def by_text(self, items: Int32) -> Array:
        """Cosines (len(items), len(items)) by text."""
        vectors = self.text[items]
        return np.asarray((vectors @ vectors.T).toarray())


def likeness_of(read: csr_array, properties: Sequence[Mapping[str, JSON]], ids: Sequence[str]) -> Likeness:
    """Of binary histories (n_users, n_items) that did not train, and of items' properties and ids."""
    return Likeness(csr_array(read.T), tf_idf([text_of(*each) for each in zip(properties, ids, strict=True)]))


def text_of(properties: Mapping[str, JSON], item_id: str) -> str:
    """All that is said of an item in words; its id where nothing is."""
    texts = (each for value in properties.values() for each in (value if isinstance(value, list) else [value]))
    said = " ".join(ADDRESS.sub(" ", each) for each in texts if isinstance(each, str))
    return said if said.strip() else item_id


def tf_idf(texts: Sequence[str]) -> csr_array:
    """Unit rows (n_texts, n_words)."""
    counted = [Counter(WORD.findall(text.lower())) for text in texts]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(word for each in counted for word in each))}
    starts = np.concatenate([[0], np.cumsum([len(each) for each in counted])])
    words = np.fromiter((numbers[word] for each in counted for word in each), np.int64)
    counts = np.fromiter((count for each in counted for count in each.values()), np.float64)
    values = counts * (1 + np.log((1 + len(texts)) / (1 + np.bincount(words, minlength=len(numbers)))))[words]
    owners = np.repeat(np.arange(len(texts)), np.diff(starts))
    length = np.sqrt(np.bincount(owners, weights=values**2, minlength=len(texts)))
    return csr_array((values / length[owners], words, starts), shape=(len(texts), len(numbers)))


def coherence(cosines: Array, owners: Int32) -> float:
    """The mean over rows with two items or more of the mean cosine over pairs of their items; 0 without such a row.

    cosines: (n, n) of the items of a page, row after row; owners: (n,), the row of each.
    """
    means = []
    for row in np.unique(owners):
        own = cosines[np.ix_(owners == row, owners == row)]
        n = len(own)
        if n > 1:
            means.append((own.sum() - np.trace(own)) / (n * (n - 1)))
    return float(np.mean(means)) if means else 0.0


def diversity(cosines: Array, owners: Int32) -> float:
    """1 - the mean over pairs of rows of the cosine between the rows' mean item vectors; 0 with fewer than two rows."""
    rows = np.unique(owners)
    n = len(rows)
    if n < 2:
        return 0.0
    belongs = (owners == rows[:, None]).astype(np.float64)
    shared = belongs @ cosines @ belongs.T
    length = np.sqrt(np.diag(shared))
    between = _quotient(shared, np.outer(length, length))
    return float(1 - (between.sum() - np.trace(between)) / (n * (n - 1)))


def _quotient(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)
