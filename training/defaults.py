"""What a recipe leaves to the data, and the reasons: a newcomer's own file should train well without an option.

Small files need small batches: an epoch of few steps teaches little, so there are 40 of them where batches of 16 to 256
users allow it. On validation users (six seeds each) this is worth .005 of nDCG@100 on the bundled books, where batches
of 256 leave 9 steps, and nothing where there are more users; half as many steps are worth a third of that.
"""

import numpy as np

from training.models.compressed_elsa import default_dims
from training.recipe import Recipe, Training
from training.split import Split

STEPS = 40
"""Of an epoch."""
BATCH_SIZES = (16, 256)
"""Users of a step: least and most."""


def batch_size(how: Training, n_users: int) -> int:
    """Users per step: what the recipe says, or else a share of the `n_users` that train."""
    return how.batch_size or int(np.clip(n_users // STEPS, *BATCH_SIZES))


def told(recipe: Recipe, divided: Split, n_items: int) -> str:
    """One line of what was chosen for these data, and why."""
    n_train, n_validation = len(divided.train), len(divided.validation)
    parts = [f"{n_validation:,} of {n_train + n_validation:,} users validate"]
    if hasattr(recipe.model, "k"):
        parts.append(f"{recipe.model.k} values per item")
    if getattr(recipe.model, "n_dims", None) == 0:
        parts.append(f"{default_dims(n_items):,} dimensions (near a third of {n_items:,} items, within 512..4,096)")
    if isinstance(recipe.training, Training):
        size = batch_size(recipe.training, n_train)
        n_steps = -(-n_train // size)
        parts.append(f"{size} users a step ({n_steps:,} step{'' if n_steps == 1 else 's'} an epoch)")
        parts.append(
            f"at most {recipe.training.epochs} epochs, ended by {recipe.training.patience} without a better score"
        )
    return f"{recipe.model_name}: {'; '.join(parts)}"
