"""SANSA: EASE's inverse as the product of a sparse matrix with itself, without ever making it.

EASE needs P = (X^T X + l2 I)^-1 only in scores_j = -(x P)_j / P_jj. Here P ~ G^T G with G sparse, and so

    scores = item_scale * (D q),  q = x D,  D = G^T,  item_scale_j = -1 / sum_d G_dj^2

which has the form of a tied encoder: what is stored is a single factor, k values per item on average (a popular item
has more of them), and a number per item.

G is a factorised sparse approximate inverse. Items are taken in order of popularity; each is regressed, with the ridge
l2, on the k - 1 earlier items S that it shares the most with (largest |A_is| / sqrt(A_ss), A = X^T X + l2 I), exactly:

    b = A_SS^-1 A_Si,  v = A_ii - A_iS b,  G_ii = v^-1/2,  G_iS = -b v^-1/2

Only items that share a user are candidates; were S all earlier items, G would be the inverse of A's Cholesky factor,
and the model EASE. Among all G with the same non-zeros, it is the one whose G^T G has the least Kullback-Leibler
divergence from P (as normal distributions). Every small system is
positive definite, so nothing can break down. Memory: 8 bytes for each pair of items that share a user, which is refused
beyond MAX_PAIRS, and one group of small systems.

The authors differ in how G is come by: they factorise A (CHOLMOD, or an incomplete Cholesky), and invert the sparse
factor by a Schultz step and scans of minimal residuals under a global density; and they store two matrices, W and Z,
which are G up to their scales.
References: Spisak et al., "Scalable Approximate NonSymmetric Autoencoder for Collaborative Filtering", RecSys 2023;
Kolotilina, Yeremin, "Factorized Sparse Approximate Inverse Preconditionings I", SIAM J. Matrix Anal. Appl. 1993;
Schaefer, Katzfuss, Owhadi, "Sparse Cholesky Factorization by Kullback-Leibler Minimization", SIAM J. Sci. Comput. 2021.

Shapes: I items by popularity, B items of a block, K - 1 their earlier items, U users.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array, tril, vstack

from index.types import Array
from training.errors import CatalogueTooLargeError, TrainingError
from training.models import item_item
from training.models.item_item import ItemItem

MAX_PAIRS = 1 << 29
"""Pairs of items that share a user: 4.3 GB."""
SYSTEM_CELLS = 1 << 20
"""Cells of the small systems solved at once: 8 MB a buffer."""


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Values per item on average, its own among them; at most the number of items."""
    l2: float = 12.0
    """Weight of the ridge, above 0."""


def fit(histories: csr_array, settings: Settings, seed: int) -> ItemItem:  # noqa: ARG001 (nothing is drawn)
    """Solve for binary histories (n_users, n_items). Raises TrainingError for l2 or k out of range."""
    if not settings.l2 > 0:
        raise TrainingError(f"model.l2 is {settings.l2:g}; it must be above 0, as there are items with the same users")
    n_items = int(histories.shape[1])
    item_item.refuse_k(settings.k, n_items)
    users_of_item = np.bincount(histories.indices, minlength=n_items)
    order = np.argsort(-users_of_item, kind="stable")
    factor_II = _factor(csr_array(histories[:, order]), settings)
    place = np.empty(n_items, np.int64)
    place[order] = np.arange(n_items)
    # an item that nobody in training has is alone in its dimension: it can as well have none
    known = diags_array((users_of_item > 0).astype(np.float64))
    decoder_II = csr_array((factor_II[place][:, place] @ known).T.tocsr())
    lengths = decoder_II.multiply(decoder_II).sum(axis=1)
    scale_I = -1 / np.where(users_of_item > 0, lengths, 1)
    return ItemItem(item_item.as_rows(decoder_II), "tied", scale_I.astype(np.float32))


def _factor(histories_UI: csr_array, settings: Settings) -> csr_array:
    """G, lower triangular, of items in their order."""
    together_II = _together(histories_UI)
    users_I = np.bincount(histories_UI.indices, minlength=histories_UI.shape[1])
    ridged_I = users_I + settings.l2
    coefficients, residual_I = [], []
    for items in _groups(len(ridged_I), settings.k):
        earlier_BI = _earlier(together_II[items], ridged_I, settings.k - 1)
        solved_BI, residual_B = _regress(earlier_BI, together_II, ridged_I, ridged_I[items])
        coefficients.append(solved_BI)
        residual_I.append(residual_B)
    unit = eye_array(len(ridged_I), format="csr")
    return csr_array(diags_array(np.concatenate(residual_I) ** -0.5) @ (unit - vstack(coefficients, format="csr")))


def _together(histories_UI: csr_array) -> csr_array:
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


def _groups(n_items: int, k: int) -> Iterator[slice]:
    """All items in runs whose systems, (k - 1) x (k - 1) each, are solved at once."""
    size = max(1, SYSTEM_CELLS // k**2)
    return (slice(start, min(start + size, n_items)) for start in range(0, n_items, size))


def _earlier(together_BI: csr_array, ridged_I: Array, n: int) -> csr_array:
    """Each item's n strongest earlier ones, with the users that they share."""
    strength = together_BI.data / np.sqrt(ridged_I[together_BI.indices])
    ranked_BI = csr_array((strength, together_BI.indices, together_BI.indptr), shape=together_BI.shape)
    kept_BI = item_item.strongest(ranked_BI, n)
    kept_BI.data *= np.sqrt(ridged_I[kept_BI.indices])
    return kept_BI


def _regress(earlier_BI: csr_array, together_II: csr_array, ridged_I: Array, own_B: Array) -> tuple[csr_array, Array]:
    """The coefficients b at the places of `earlier_BI`, and the residual variances v."""
    counts = np.diff(earlier_BI.indptr)
    width = int(counts.max(initial=0))
    filled_BK = np.arange(width) < counts[:, None]
    items_BK = np.zeros(filled_BK.shape, np.int64)
    items_BK[filled_BK] = earlier_BI.indices
    shared_BK = np.zeros(filled_BK.shape)
    shared_BK[filled_BK] = earlier_BI.data
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
    coefficients_BI = csr_array((solved_BK[filled_BK], earlier_BI.indices, earlier_BI.indptr), shape=earlier_BI.shape)
    return coefficients_BI, own_B - (solved_BK * shared_BK).sum(axis=1)
