"""Item-kNN: an item's neighbours are the items that the same users have.

    D_ji = sum over users u of x_ui x_uj / d_u^user_power / (c_i^history_power c_j^target_power)

with d_u items of user u and c_i users of item i; i is an item of the history, j the one to be judged, and each j keeps
its k largest. The three powers make the known ones:

    0, 1/2, 1/2        cosine (Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001)
    a, a, b            RP3beta: three steps of a random walk, popular targets held back (Paudel et al., "Updatable,
                       Accurate, Diverse, and Scalable Recommendations for Interactive Applications", TiiS 2016)
    1/2, 1/2, 1/2      the normalised co-occurrence X~^T X~ of linear graph filters

Memory is that of the answer and of one block of rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, dia_array, diags_array

from index.types import Array
from training.models import item_item
from training.models.item_item import ItemItem


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters."""

    k: int = 16
    """Neighbours per item, below the number of items."""
    user_power: float = 0.5
    """How much less each interaction of a user with many counts."""
    history_power: float = 0.5
    """How much less a popular item of the history counts."""
    target_power: float = 0.4
    """How much popular items are held back."""


def fit(histories: csr_array, settings: Settings, seed: int) -> ItemItem:  # noqa: ARG001 (nothing is drawn)
    """Count in binary histories (n_users, n_items). Raises TrainingError for a k that no item can have."""
    n_items = int(histories.shape[1])
    item_item.refuse_k(settings.k, n_items - 1)
    return ItemItem(item_item.stack(_neighbours(histories, settings), n_items), "identity", None)


def _neighbours(histories: csr_array, settings: Settings) -> Iterator[csr_array]:
    users_of_item = np.bincount(histories.indices, minlength=histories.shape[1])
    given_UI = _power(np.diff(histories.indptr), settings.user_power) @ histories
    given_UI = csr_array(given_UI @ _power(users_of_item, settings.history_power))
    wanted_IU = csr_array((histories @ _power(users_of_item, settings.target_power)).T.tocsr())
    for block in item_item.blocks(wanted_IU.shape[0]):
        weights_BI = csr_array(wanted_IU[block] @ given_UI)
        owners = np.repeat(np.arange(block.start, block.stop), np.diff(weights_BI.indptr))
        weights_BI.data[weights_BI.indices == owners] = 0
        # what ties is told in float32, as it is stored
        yield item_item.strongest(weights_BI.astype(np.float32), settings.k)


def _power(counts: Array, power: float) -> dia_array:
    """counts^-power as a diagonal matrix; a count of 0 belongs to an empty row, so anything will do for it."""
    return diags_array(np.maximum(counts, 1).astype(np.float64) ** -power)
