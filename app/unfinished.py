"""What the user began and has not finished: looked at or put into the cart, and neither bought nor liked.

Of several interactions with one item the strongest says what the user thinks of it, see `app.opinions`.
"""

import numpy as np

from app.recommend import Profile
from app.selection import Selection
from app.shelf import Row
from index.arrays import among
from index.search import Hits

BEGUN = frozenset({"view", "click", "cart"})
"""Kinds of events that begin something."""


def continue_row(profile: Profile, selection: Selection) -> Row:
    """What was begun, the newest first. It has been seen, of course; what is hidden or excluded is left out."""
    begun = [number for number, opinion in enumerate(profile.opinions) if opinion.kind in BEGUN]
    items, weights = profile.items[begun], profile.weights[begun]
    allowed = selection.allows(items) & ~among(items, profile.barred) & (weights > 0)
    hits = Hits(items[allowed], weights[allowed].astype(np.float32))
    return Row("continue", "", "Continue", "You began these", hits)
