"""Which items are taken already, of a page that is filled row by row; by the compiled kernel.

One call a row: a page tries a dozen, and in Python each took a fifth as long as a whole search.
"""

from index._kernel import Taken as KernelTaken
from index.search import Hits
from index.types import Int64


class Taken:
    """Items of the rows so far, at first none."""

    __slots__ = ("_kernel", "any")

    def __init__(self) -> None:
        self._kernel = KernelTaken()
        self.any = False
        """Whether there are some."""

    def left_of(self, hits: Hits) -> Int64:
        """The places of the hits that are not taken, ascending."""
        return self._kernel.left_of(hits.items, len(hits.items))

    def take(self, hits: Hits, size: int, fewest: int, overlap: float) -> Hits | None:
        """The best `size` of what is left of a ranking, which are taken from now on.

        None, and nothing taken, where that are less than `fewest`, or where more than the share `overlap` of the best
        `size` of the whole ranking are taken already.
        """
        row = self._kernel.take(hits.items, hits.scores, size, fewest, overlap)
        if row is None:
            return None
        self.any = True
        return Hits(*row)
