"""Example readers: telling, diverse, and the same every time."""

import numpy as np
import pytest

from index.types import Array
from training import datasets, examples, interactions
from training.errors import DataError
from training.interactions import Interactions


@pytest.fixture(scope="module")
def all_books() -> Interactions:
    return interactions.load(datasets.bundled("goodbooks").interactions)[0]


def test_24_readers_of_30_to_120_books(all_books: Interactions) -> None:
    chosen = examples.choose(all_books, 24)
    assert len(set(chosen.tolist())) == 24
    lengths = np.bincount(all_books.user)[chosen]
    assert lengths.min() >= 30
    assert lengths.max() <= 120
    assert np.array_equal(chosen, examples.choose(all_books, 24))


def test_tastes_are_more_diverse_than_by_chance(all_books: Interactions) -> None:
    def likeness(users: Array) -> float:
        sets = [set(all_books.item[all_books.user == user].tolist()) for user in users]
        pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
        return float(np.mean([len(a & b) / len(a | b) for a, b in pairs]))

    chosen = examples.choose(all_books, 24)
    rng = np.random.default_rng(0)
    by_chance = [likeness(rng.choice(2500, 24, replace=False)) for _ in range(5)]
    assert likeness(chosen) < 0.6 * min(by_chance)


def test_events_are_the_whole_history_of_each(all_books: Interactions) -> None:
    chosen = examples.choose(all_books, 3)
    events = list(examples.events(all_books, chosen))
    assert len(events) == int(np.isin(all_books.user, chosen).sum())
    assert len({(event["user_id"], event["item_id"]) for event in events}) == len(events)
    assert {event["user_id"] for event in events} == set(all_books.users.item_ids(chosen))
    assert all(set(event) == {"user_id", "item_id", "kind"} for event in events)
    assert {event["kind"] for event in events} == {"like"}


def test_timestamps_are_passed_on(books: Interactions) -> None:
    stamped = Interactions(books.user, books.item, books.weight, np.arange(len(books.user)), books.users, books.items)
    (event, *_) = examples.events(stamped, np.array([3], np.int32))
    assert event["timestamp"] == int(np.flatnonzero(books.user == 3)[0])


def test_too_few_readers(books: Interactions) -> None:
    with pytest.raises(DataError, match=r"\d+ users have 30 to 120 interactions; 999 examples were asked for"):
        examples.choose(books, 999)
