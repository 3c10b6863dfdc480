"""Later interactions in the numbers of those that train, and the pairs of files that make no test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training import later
from training.errors import DataError
from training.interactions import Columns, Filters

Write = Callable[[str, Any], Path]

TRAIN = [{"user_id": user, "item_id": item} for user in "abc" for item in "xyz"]
TEST = [
    {"user_id": "c", "item_id": "x"},
    {"user_id": "c", "item_id": "new"},
    {"user_id": "aa", "item_id": "newer"},
    {"user_id": "a", "item_id": "z"},
]


def test_new_users_and_items_are_numbered_behind(write: Write) -> None:
    data = later.load(write("train.csv", TRAIN), write("test.csv", TEST), Columns(), Filters(min_user_support=3))
    assert data.later is not None
    assert (data.later.n_users, data.later.n_items) == (3, 3)
    assert list(zip(data.later.user.tolist(), data.later.item.tolist(), strict=True)) == [
        (0, 2), (2, 0), (2, 3), (3, 4),
    ]  # fmt: skip  # a z, c x, c new, aa newer: no filter of support
    assert data.later.matrix().shape == (4, 5)


def test_one_file_and_a_moment(write: Write) -> None:
    rows = [{"user_id": "a", "item_id": item, "t": 100 * n} for n, item in enumerate("xyx")]
    data = later.load(write("all.csv", rows), None, Columns(timestamp="t"), Filters(before=150))
    assert data.loaded.interactions == 2
    assert data.later is not None
    assert data.later.timestamp is not None
    assert (data.later.item.tolist(), data.later.timestamp.tolist()) == ([0], [200])
    assert later.load(write("all.csv", rows), None, Columns(), Filters()).later is None


def test_what_tests_may_end_at_a_moment(write: Write) -> None:
    rows = [{"user_id": "a", "item_id": item, "t": 100 * n} for n, item in enumerate("xyzxy")]
    data = later.load(write("all.csv", rows), None, Columns(timestamp="t"), Filters(before=250), until=350)
    assert data.loaded.interactions == 3
    assert data.later is not None
    assert data.later.timestamp is not None
    assert (data.later.item.tolist(), data.later.timestamp.tolist()) == ([0], [300])


def test_what_makes_no_test_is_refused(write: Write) -> None:
    train = write("train.csv", TRAIN)
    other = write("other.csv", [{"user_id": "a", "item_id": "007"}])
    with pytest.raises(DataError, match="none of the 1 items to test with is among the 3 that train; are their ids"):
        later.load(train, other, Columns(), Filters())
    with pytest.raises(DataError, match=r"other.csv tests, and so does what follows the moment in .*; name one"):
        later.load(train, other, Columns(), Filters(before=1))
    rows = [{"user_id": "a", "item_id": "x", "t": 100}]
    with pytest.raises(DataError, match="nothing is left of 1 rows"):
        later.load(write("all.csv", rows), None, Columns(timestamp="t"), Filters(before=150))
