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

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array, vstack

from index.types import Array
from training.errors import TrainingError
from training.models import item_item, regression
from training.models.item_item import ItemItem


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
    together_II = regression.together(histories_UI)
    users_I = np.bincount(histories_UI.indices, minlength=histories_UI.shape[1])
    ridged_I = users_I + settings.l2
    coefficients, residual_I = [], []
    for items in regression.groups(len(ridged_I), settings.k):
        earlier_BI = _earlier(together_II[items], ridged_I, settings.k - 1)
        solved_BI, residual_B = regression.regress(earlier_BI, together_II, ridged_I, ridged_I[items])
        coefficients.append(solved_BI)
        residual_I.append(residual_B)
    unit = eye_array(len(ridged_I), format="csr")
    return csr_array(diags_array(np.concatenate(residual_I) ** -0.5) @ (unit - vstack(coefficients, format="csr")))


def _earlier(together_BI: csr_array, ridged_I: Array, n: int) -> csr_array:
    """Each item's n strongest earlier ones, with the users that they share."""
    strength = together_BI.data / np.sqrt(ridged_I[together_BI.indices])
    ranked_BI = csr_array((strength, together_BI.indices, together_BI.indptr), shape=together_BI.shape)
    kept_BI = item_item.strongest(ranked_BI, n)
    kept_BI.data *= np.sqrt(ridged_I[kept_BI.indices])
    return kept_BI
