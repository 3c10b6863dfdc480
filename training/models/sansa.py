"""SANSA: EASE's inverse as the product of a sparse matrix with itself, without ever making it.

EASE needs P = A^-1, A = X^T X + l2 I, only in scores_j = -(x P)_j / P_jj. Here P ~ G^T G with G sparse, and so

    scores = item_scale * (D q),  q = x D,  D = G^T,  item_scale_j = -1 / sum_d G_dj^2

which has the form of a tied encoder: what is stored is a single factor, k values per item on average (a popular item
has more of them), and a number per item.

G is a factorised sparse approximate inverse. Items are taken in order of popularity; each is regressed, with the ridge,
on the k - 1 earlier items S that it shares the most with (largest A_is / sqrt(A_ss)), exactly:

    b = A_SS^-1 A_Si,  v = A_ii - A_iS b,  G_ii = v^-1/2,  G_iS = -b v^-1/2

Only items that share a user are candidates; were S all earlier items, G would be the inverse of A's Cholesky factor,
and the model EASE. Among all G with the same non-zeros, it is the one whose G^T G has the least Kullback-Leibler
divergence from P (as normal distributions). Every small system is positive definite, so nothing can break down. Memory
is that of `regression`.

Beyond EASE, users and items may be weighed: A = X^T W X + R with W_u = (d_u / mean d)^-user_power, d_u items of user u,
and R_i = l2 (c_i / mean c)^ridge_power, c_i users of item i. Where both powers are 0, this is the A above.

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
    l2: float = 25.0
    """Weight of the ridge of an item with as many users as the mean, above 0."""
    user_power: float = 0.5
    """How much less each interaction of a user with many counts; 0: all the same."""
    ridge_power: float = 0.5
    """How much more ridge a popular item has; 0: all the same."""


def fit(histories: csr_array, settings: Settings, seed: int) -> ItemItem:  # noqa: ARG001 (nothing is drawn)
    """Solve for binary histories (n_users, n_items). Raises TrainingError for l2 or k out of range."""
    if not settings.l2 > 0:
        raise TrainingError(f"model.l2 is {settings.l2:g}; it must be above 0, as there are items with the same users")
    n_items = int(histories.shape[1])
    item_item.refuse_k(settings.k, n_items)
    users_of_item = np.bincount(histories.indices, minlength=n_items)
    order = np.argsort(-users_of_item, kind="stable")
    ridge_I = settings.l2 * _relative(users_of_item) ** settings.ridge_power
    weights_U = _relative(np.diff(histories.indptr)) ** -settings.user_power
    weighted_UI = diags_array(np.sqrt(weights_U)) @ histories[:, order]
    factor_II = _factor(csr_array(weighted_UI), ridge_I[order], settings.k)
    place = np.empty(n_items, np.int64)
    place[order] = np.arange(n_items)
    # an item that nobody in training has is alone in its dimension: it can as well have none
    known = diags_array((users_of_item > 0).astype(np.float64))
    decoder_II = csr_array((factor_II[place][:, place] @ known).T.tocsr())
    lengths = decoder_II.multiply(decoder_II).sum(axis=1)
    scale_I = -1 / np.where(users_of_item > 0, lengths, 1)
    return ItemItem(item_item.as_rows(decoder_II), "tied", scale_I.astype(np.float32))


def _relative(counts: Array) -> Array:
    """Counts over their mean; what has none is taken for one, as nothing depends on it."""
    return np.asarray(np.maximum(counts, 1) / max(float(counts.mean()), 1e-12))


def _factor(weighted_UI: csr_array, ridge_I: Array, k: int) -> csr_array:
    """G, lower triangular, of items in their order."""
    together_II = regression.together(weighted_UI)
    ridged_I = np.bincount(weighted_UI.indices, weights=weighted_UI.data**2, minlength=len(ridge_I)) + ridge_I
    coefficients, residual_I = [], []
    for items in regression.groups(len(ridged_I), k):
        earlier_BI = _earlier(together_II[items], ridged_I, k - 1)
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
