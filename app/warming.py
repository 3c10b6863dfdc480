"""What a snapshot needs before it may answer: its memory mapped, and what is made once made.

A worker that has just started would otherwise take a page fault for each piece of a list that a search reads, and its
first answers would be late.
"""

import time

from app import homepage
from app.placing import Size
from app.recommend import recommend, resolve, similar
from app.store.state import NO_HASHES, Interaction, UserState
from index import arrays
from index.search import typical_hits
from index.snapshot import Snapshot

HISTORY = 20
"""Popular items in a history that is answered for nobody."""


def warm(snapshot: Snapshot) -> None:
    """Map what searches read, and make an answer of each sort."""
    _map(snapshot)
    rows = snapshot.popular[:HISTORY]
    now = time.time()
    history = [Interaction(item_id, "like", 1.0, now) for item_id in snapshot.items.item_ids(rows)]
    nobody = UserState(history=(), seen=NO_HASHES, hidden=NO_HASHES)
    profile = resolve(snapshot, nobody, history)
    similar(snapshot, rows[:1], HISTORY)
    recommended = recommend(snapshot, profile, HISTORY)
    typical_hits(snapshot.segments, (), recommended)  # what a page asks for only where an ordering makes its rows
    _ = snapshot.segments.titles  # and where a property has a row
    homepage.page(snapshot, profile, Size(n_rows=HISTORY, row_size=HISTORY, max_overlap=1.0))
    homepage.page(snapshot, resolve(snapshot, nobody, ()), Size(n_rows=HISTORY, row_size=HISTORY, max_overlap=1.0))
    snapshot.catalogue.properties(rows)
    snapshot.items.rows_of_hashes(snapshot.items.sorted_hashes[:1])


def _map(snapshot: Snapshot) -> None:
    rows, lists, items = snapshot.embeddings.decoder, snapshot.searcher.postings, snapshot.items
    for part in (rows, lists, items, snapshot.segments.rows):
        for array in vars(part).values():
            arrays.page_in(array)
    arrays.page_in(snapshot.popular)
