"""Which items a word fits: those whose texts say it, and those whose texts are like the texts that say it.

Texts leave out what is obvious: a ghost story need not say "ghost". So an item that does not say a word fits it
probably if its text is as near to the texts that do (cosine of tf-idf, the word and phrases with it left out) as three
quarters of these are to the others (Rocchio, 1971, with a quantile as the threshold).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csc_array, csr_array

from index.types import Float32, Int32, Int64
from training.language import fold
from training.terms import Terms

SAID = 0.95
"""How probably an item fits a word that its text says."""
NEAR = 0.8
"""... does not say, but is near to those that do, where the word is a kind of item."""
NEAR_ABOUT = 0.5
"""... where it is what they are about."""
FAR = 0.15
"""... neither."""
LIKE = 0.25
"""Part of the texts that say a word which may be farther from the others than one that is near."""
MAX_TEXTS = 300
"""A word is known by so many of the texts that say it, evenly spaced."""


@dataclass(frozen=True)
class Themes:
    """The words of all items as vectors."""

    counted: Terms
    """What is said of which item."""

    def fits(self, term: int, items: Int32) -> Float32:
        """How probably each of these items fits a word, (len(items),)."""
        said, same = self._said_by(term), self._with_word[fold(self.counted.terms[term].text)]
        of_said = self._texts[_spaced(said)]
        center = of_said.sum(axis=0)
        center[same] = 0
        own = of_said.multiply(of_said)
        own_size = own.sum(axis=1) - own[:, same].sum(axis=1)
        n_texts = of_said.shape[0]
        # a text is no witness of its own nearness
        usual = float(np.quantile((of_said @ center - own_size) / max(n_texts - 1, 1), LIKE))
        near = (self._texts[items] @ center) / n_texts >= max(usual, 1e-6)
        says = np.isin(items, said)
        likely = NEAR if self.counted.terms[term].kinds else NEAR_ABOUT
        return np.where(says, np.float32(SAID), np.where(near, np.float32(likely), np.float32(FAR)))

    def says(self, term: int, items: Int32) -> Float32:
        """Whether each of these items has a term of any kind, 0 or 1, (len(items),)."""
        return np.isin(items, self._said_by(term)).astype(np.float32)

    def typicality(self, items: Int32, among: Int32) -> Float32:
        """Mean cosine of the text of each item to those of others, (len(items),)."""
        found: Float32 = self._texts[items] @ self._texts[among].mean(axis=0)
        return found

    def _said_by(self, term: int) -> Int32:
        starts = self._holders.indptr
        return self._holders.indices[starts[term] : starts[term + 1]]

    @cached_property
    def _holders(self) -> csc_array:
        return self._marks.tocsc()

    @cached_property
    def _marks(self) -> csr_array:
        """(n_items, n_terms): 1 for each word of an item."""
        counted = self.counted
        ones = np.ones(len(counted.numbers), dtype=np.float32)
        return csr_array((ones, counted.numbers, counted.starts), shape=(len(counted.starts) - 1, len(counted.terms)))

    @cached_property
    def _texts(self) -> csr_array:
        """Unit rows: the rarer a word, the more it counts; what is no word counts nothing."""
        are_words = np.array([term.kind == "word" for term in self.counted.terms])
        weights = np.where(are_words, -np.log(np.maximum(self.counted.share, 1e-9)), 0).astype(np.float32)
        marks = self._marks
        values = weights[marks.indices]
        rows = np.repeat(np.arange(marks.shape[0]), np.diff(marks.indptr))
        sizes = np.sqrt(np.bincount(rows, weights=values**2, minlength=marks.shape[0]))
        unit = values / np.maximum(sizes, 1e-9)[rows]
        return csr_array((unit.astype(np.float32), marks.indices, marks.indptr), shape=marks.shape)

    @cached_property
    def _with_word(self) -> Mapping[str, Int64]:
        """Numbers of the word and of the pairs of words that it is in, by folded text."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for number, term in enumerate(self.counted.terms):
            if term.kind == "word":
                for word in {fold(term.text), *map(fold, term.text.split())}:
                    found[word].append(number)
        return {word: np.array(numbers, dtype=np.int64) for word, numbers in found.items()}


def _spaced(items: Int32) -> Int32:
    return items[np.linspace(0, len(items) - 1, min(len(items), MAX_TEXTS)).astype(np.int64)]
