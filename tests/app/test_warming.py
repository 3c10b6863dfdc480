"""What is warm: no answer makes anything that a later one finds made. (Mapping: see tests/index/test_arrays.py.)"""

from pathlib import Path

import pytest

from app.homepage import page
from app.placing import Size
from app.recommend import recommend, resolve, segment_items, similar
from app.store.state import NO_HASHES, Interaction, UserState
from app.warming import warm
from index.publication import current
from index.snapshot import Snapshot, open_snapshot

NOBODY = UserState(history=(), seen=NO_HASHES, hidden=NO_HASHES)


@pytest.fixture
def cold(snapshots: Path) -> Snapshot:
    version = current(snapshots)
    assert version is not None
    return open_snapshot(snapshots, version)


def made(snapshot: Snapshot) -> dict[str, set[str]]:
    """The names of what each part keeps, given or made."""
    parts = (snapshot, snapshot.segments, snapshot.items, snapshot.catalogue, snapshot.embeddings, snapshot.searcher)
    return {type(part).__name__: set(vars(part)) for part in parts}


def ask(snapshot: Snapshot) -> None:
    """One question of each sort."""
    history = [Interaction(snapshot.items.item_id(0), "like", 1.0, 1e9)]
    profile = resolve(snapshot, NOBODY, history, exclude_ids=[snapshot.items.item_id(1)])
    recommend(snapshot, profile, 5)
    similar(snapshot, snapshot.popular[:2], 5)
    segment_items(snapshot, profile, 0, 5)
    page(snapshot, profile, Size(6, 4, 0.5))
    page(snapshot, resolve(snapshot, NOBODY, ()), Size(6, 4, 0.5))


def test_answers_make_nothing_more(cold: Snapshot) -> None:
    before = made(cold)
    warm(cold)
    after = made(cold)
    assert after != before, "else there is nothing to warm"
    ask(cold)
    assert made(cold) == after
