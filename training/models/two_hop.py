"""Two hops in a graph of neighbours: an item is known by its closest items, and two items are close if these meet.

    scores = diag(s) A A^T diag(a) x^T,  A (n_items, n_items): rows of unit length with k non-zeros, one for itself

Since A is about 1 + S with S the weights of neighbours, A A^T is about 1 + 2 S + S^2: direct neighbours, and neighbours
of neighbours through whom they meet. So few values per item say more than as many direct weights, and the form is that
of a tied encoder. The weights are those of EASE where each item may have `n_neighbours` only, solved exactly:

    B_jN = G_jN (G_NN + l2 I)^-1,  G = X^T X,  N: the largest G_jn / sqrt(c_j c_n);   S = B + B^T

of which item i keeps the k - 1 largest |S_ij| c_j^neighbour_power, as sign(S_ij) |S_ij|^sharpness, beside itself with
own_share of the sum of their magnitudes. For c users of an item, a = c^-history_power holds back the popular items of
a history, and s = c^target_power gives them their due among the answers. Nothing is trained by steps or drawn.

Ours, after Ning, Karypis (SLIM, ICDM 2011), Steck (EASE, WWW 2019) and the linear filters of Shen et al. ("How Powerful
is Graph Convolution for Recommendation?", CIKM 2021); see RESULTS.md.

Shapes: I items, B items of a group.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, vstack

from index.types import Array
from training.errors import TrainingError
from training.models import item_item, regression
from training.models.item_item import ItemItem


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Values per item, its own among them; at most the number of items."""
    n_neighbours: int = 64
    """Items that each is regressed on."""
    l2: float = 40.0
    """Weight of the ridge, above 0."""
    sharpness: float = 1.3
    """Power of the weights."""
    neighbour_power: float = 0.2
    """How much rather popular neighbours are kept."""
    own_share: float = 0.3
    """An item's own value, as a share of the sum of its neighbours' magnitudes."""
    history_power: float = 0.3
    """How much less a popular item of the history counts."""
    target_power: float = 0.45
    """How much popular items are preferred among the answers."""


def fit(histories: csr_array, settings: Settings, seed: int) -> ItemItem:  # noqa: ARG001 (nothing is drawn)
    """Solve for binary histories (n_users, n_items). Raises TrainingError for l2 or k out of range."""
    if not settings.l2 > 0:
        raise TrainingError(f"model.l2 is {settings.l2:g}; it must be above 0, as there are items with the same users")
    item_item.refuse_k(settings.k, int(histories.shape[1]))
    users_I = np.bincount(histories.indices, minlength=histories.shape[1])
    weights_II = _weights(histories, users_I, settings)
    rows_II = _rows(csr_array(weights_II + weights_II.T), users_I, settings)
    counts_I = np.maximum(users_I, 1).astype(np.float64)
    encoder_II = csr_array(diags_array(counts_I**-settings.history_power) @ rows_II)
    scale_I = counts_I ** (settings.history_power + settings.target_power)
    return ItemItem(item_item.as_rows(encoder_II), "tied", scale_I.astype(np.float32))


def _weights(histories: csr_array, users_I: Array, settings: Settings) -> csr_array:
    """B, (n_items, n_items)."""
    together_II = regression.together(histories)
    both_II = csr_array(together_II + together_II.T)
    both_II.sort_indices()
    ridged_I = users_I + settings.l2
    groups = regression.groups(len(users_I), settings.n_neighbours)
    return csr_array(
        vstack(
            [
                regression.regress(
                    _neighbours(both_II[items], users_I, settings), together_II, ridged_I, ridged_I[items]
                )[0]
                for items in groups
            ],
            format="csr",
        )
    )


def _neighbours(together_BI: csr_array, users_I: Array, settings: Settings) -> csr_array:
    """Each item's closest ones, with the users that they share."""
    closeness = together_BI.data / np.sqrt(users_I[together_BI.indices])
    ranked_BI = csr_array((closeness, together_BI.indices, together_BI.indptr), shape=together_BI.shape)
    kept_BI = item_item.strongest(ranked_BI, settings.n_neighbours)
    kept_BI.data *= np.sqrt(users_I[kept_BI.indices])
    return kept_BI


def _rows(symmetric_II: csr_array, users_I: Array, settings: Settings) -> csr_array:
    """A."""
    preference = users_I[symmetric_II.indices].astype(np.float64) ** settings.neighbour_power
    ranked_II = csr_array(
        (symmetric_II.data * preference, symmetric_II.indices, symmetric_II.indptr), symmetric_II.shape
    )
    kept_II = item_item.strongest(ranked_II, settings.k - 1)
    plain = kept_II.data / users_I[kept_II.indices].astype(np.float64) ** settings.neighbour_power
    kept_II.data = np.sign(plain) * np.abs(plain) ** settings.sharpness
    sums_I = abs(kept_II).sum(axis=1)
    # an item without neighbours is known by itself; one that nobody has, by nothing
    own_I = np.where(sums_I > 0, settings.own_share * sums_I, 1) * (users_I > 0)
    rows_II = csr_array(kept_II + diags_array(own_I))
    lengths_I = np.sqrt(rows_II.multiply(rows_II).sum(axis=1))
    unit_II = csr_array(diags_array(1 / np.where(lengths_I > 0, lengths_I, 1)) @ rows_II)
    unit_II.eliminate_zeros()
    return unit_II
