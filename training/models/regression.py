"""Ridge regressions of items on few other items, each solved exactly; what SANSA and two-hop are made of.

With A = X^T X + l2 I and S the few items that item i is regressed on:

    b = A_SS^-1 A_Si,  v = A_ii - A_iS b

Memory: 8 bytes for each pair of items that share a user, which is refused beyond MAX_PAIRS, and one group of systems.

Shapes: I items, B items of a group, K the items that each is regressed on, U users.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, tril, vstack

from index.types import Array
from training.errors import CatalogueTooLargeError
from training.models import item_item

MAX_PAIRS = 1 << 29
"""Pairs of items that share a user: 4.3 GB."""
SYSTEM_CELLS = 1 << 20
"""Cells of the small systems solved at once: 8 MB a buffer."""


def together(histories_UI: csr_array) -> csr_array:
    """How many users each pair of items shares, below the diagonal; columns ascend in a row."""
    n_items, kept, n_kept = histories_UI.shape[1], [], 0
    items_IU = csr_array(histories_UI.T.tocsr())
    for block in item_item.blocks(n_items):
        part_BI = csr_array(tril(items_IU[block] @ histories_UI, block.start - 1, format="csr"), dtype=np.float32)
        kept.append(part_BI)
        n_kept += part_BI.nnz
        if n_kept > MAX_PAIRS:
            raise CatalogueTooLargeError(
                f"more than {MAX_PAIRS:,} pairs of the {n_items:,} items share a user, {8 * MAX_PAIRS / 1e9:.1f} GB; "
                "raise filters.min_item_support"
            )
    together_II = csr_array(vstack(kept, format="csr"))
    together_II.sort_indices()
    return together_II


def groups(n_items: int, k: int) -> Iterator[slice]:
    """All items in runs whose systems, (k - 1) x (k - 1) each, are solved at once."""
    size = max(1, SYSTEM_CELLS // k**2)
    return (slice(start, min(start + size, n_items)) for start in range(0, n_items, size))


def regress(others_BI: csr_array, together_II: csr_array, ridged_I: Array, own_B: Array) -> tuple[csr_array, Array]:
    """The coefficients b at the places of `others_BI`, and the residual variances v.

    others_BI: A_iS, columns ascending in a row; together_II: of `together`; ridged_I, own_B: the diagonal of A, and its
    part of the group.
    """
    counts = np.diff(others_BI.indptr)
    width = int(counts.max(initial=0))
    filled_BK = np.arange(width) < counts[:, None]
    items_BK = np.zeros(filled_BK.shape, np.int64)
    items_BK[filled_BK] = others_BI.indices
    shared_BK = np.zeros(filled_BK.shape)
    shared_BK[filled_BK] = others_BI.data
    # systems of fewer items are filled up with equations that say 0
    system_BKK = np.zeros((len(own_B), width, width))
    below = np.tril_indices(width, -1)
    both = filled_BK[:, below[0]] & filled_BK[:, below[1]]
    pairs = np.zeros(both.shape)
    if both.any():  # scipy has another answer to no places
        pairs[both] = together_II[items_BK[:, below[0]][both], items_BK[:, below[1]][both]]
    system_BKK[:, below[0], below[1]] = pairs
    system_BKK += system_BKK.swapaxes(1, 2)
    own = np.arange(width)
    system_BKK[:, own, own] = np.where(filled_BK, ridged_I[items_BK], 1)
    solved_BK = np.linalg.solve(system_BKK, shared_BK[:, :, None])[:, :, 0]
    coefficients_BI = csr_array((solved_BK[filled_BK], others_BI.indices, others_BI.indptr), shape=others_BI.shape)
    return coefficients_BI, own_B - (solved_BK * shared_BK).sum(axis=1)
