"""Protocols: who is asked for what by hand, what must hold for any data, and what cannot be asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from index.types import Float32, Int32
from index.vocabulary import Vocabulary
from training import protocols
from training.errors import DataError
from training.evaluate import MAIN, DenseRetriever
from training.interactions import Interactions
from training.later import Later, align
from training.protocols import Exam, Protocol
from training.split import Question

Row = tuple[str, str, int]


def interactions_of(rows: list[Row], *, timed: bool = True) -> Interactions:
    """Of distinct (user, item, time)."""
    users, items = sorted({user for user, _, _ in rows}), sorted({item for _, item, _ in rows})
    user = np.array([users.index(each) for each, _, _ in rows], np.int32)
    item = np.array([items.index(each) for _, each, _ in rows], np.int32)
    order = np.lexsort((item, user))
    times = np.array([row[2] for row in rows], np.int64)[order] if timed else None
    ones = np.ones(len(rows), np.float32)
    return Interactions(user[order], item[order], ones, times, Vocabulary.build(users), Vocabulary.build(items))


KNOWN = interactions_of([("a", "p", 1), ("a", "q", 2), ("b", "q", 1), ("b", "r", 2), ("c", "p", 3)])
LATER = [
    ("a", "r", 10), ("a", "q", 11), ("a", "new", 12),  # q is known from training
    ("b", "p", 12), ("b", "s", 12), ("b", "t", 13),  # s and t are new
    ("d", "u", 10), ("d", "q", 11), ("d", "p", 12),  # d is new, and so is u
]  # fmt: skip
# rows: users a b c, then d; items p q r, then new s t u


def follow(name: protocols.Name, rows: list[Row], *, timed: bool = True, most: int = 99) -> Exam:
    later = align(KNOWN, interactions_of(rows, timed=timed))
    return protocols.follow(Protocol(name, max_questions=most), KNOWN, later, 0)


def plain(exam: Exam) -> list[tuple[int, list[int], list[int]]]:
    return [(each.user, each.given.tolist(), each.targets.tolist()) for each in exam.questions]


def test_given_asks_for_all_that_is_new_at_once() -> None:
    exam = follow("given", LATER, timed=False)
    assert plain(exam) == [(0, [0, 1], [2, 3]), (1, [1, 2], [0, 4, 5])]
    assert exam.facts == {
        "protocol": "given", "users_without_history": 1, "targets_in_history": 1, "targets_unknown": 3,
    }  # fmt: skip


def test_prequential_asks_for_each_from_what_was_before() -> None:
    exam = follow("prequential", LATER)
    assert plain(exam) == [
        (0, [0, 1], [2]),
        (0, [0, 1, 2], [3]),  # after r; q, which was known, is not asked for again
        (1, [1, 2], [0]),
        (1, [1, 2], [4]),  # p came in the same second
        (1, [0, 1, 2], [5]),  # s is unknown to training, so it is no part of the history
        (3, [1], [0]),  # before q, d had nothing that training knows
    ]
    assert exam.facts == {
        "protocol": "prequential", "seed": 0, "asked": 6, "askable": 6, "questions_without_history": 2,
        "targets_unknown": 3,
    }  # fmt: skip


def test_prequential_samples_what_is_too_much() -> None:
    everything = plain(follow("prequential", LATER))
    exam = follow("prequential", LATER, most=4)
    assert len(exam.questions) == 4
    assert all(each in everything for each in plain(exam))
    assert plain(exam) == plain(follow("prequential", LATER, most=4))
    assert (exam.facts["asked"], exam.facts["askable"]) == (4, 6)


histories_ = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("pqrstuvw"), st.integers(0, 20)),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:2],
)


@given(histories_, st.integers(1, 20))
@settings(max_examples=200)
def test_nothing_is_given_that_is_not_past(rows: list[Row], moment: int) -> None:
    past, future = [r for r in rows if r[2] < moment], [r for r in rows if r[2] >= moment]
    if not past or not future:
        return
    known, found = interactions_of(past), interactions_of(future)
    try:
        later = align(known, found)
        exam = protocols.follow(Protocol("prequential"), known, later, 0)
    except DataError:
        return
    when = {(row[0], row[1]): row[2] for row in rows}
    users = [*ids(known.users), *(each for each in ids(found.users) if each not in set(ids(known.users)))]
    items = [*ids(known.items), *(each for each in ids(found.items) if each not in set(ids(known.items)))]
    asked = set()
    for each in exam.questions:
        user, (target,) = users[each.user], each.targets.tolist()
        time = when[user, items[target]]
        before = [item for item in ids(known.items) if when.get((user, item), 99) < time]
        assert [items[row] for row in each.given.tolist()] == before
        asked.add((user, items[target]))
    assert len(asked) == len(exam.questions)
    # complete: every later interaction of a user with something known before it
    firsts = {user: min(t for (u, i), t in when.items() if u == user and i in ids(known.items)) for user, _ in asked}
    assert asked == {(u, i) for u, i, t in future if t > firsts.get(u, 99)}


def ids(vocabulary: Vocabulary) -> list[str]:
    return vocabulary.item_ids(np.arange(len(vocabulary)))


@given(histories_, st.integers(1, 20))
@settings(max_examples=100)
def test_given_asks_for_every_later_item_once(rows: list[Row], moment: int) -> None:
    past, future = [r for r in rows if r[2] < moment], [r for r in rows if r[2] >= moment]
    if not past or not future:
        return
    known = interactions_of(past)
    try:
        later = align(known, interactions_of(future))
        exam = protocols.follow(Protocol("given"), known, later, 0)
    except DataError:
        return
    having = {row[0] for row in past}
    assert sum(len(each.targets) for each in exam.questions) == sum(row[0] in having for row in future)
    for each in exam.questions:
        assert sorted(items[0] for items in known_rows(known, each.user)) == each.given.tolist()
        assert not set(each.given) & set(each.targets)


def known_rows(known: Interactions, user: int) -> list[tuple[int]]:
    return [(item,) for item in known.item[known.user == user].tolist()]


def test_folds_of_users_from_a_file() -> None:
    rows: list[Row] = [("d", item, 0) for item in ("p", "q", "r", "new")] + [("e", "newer", 0), ("e", "p", 0)]
    exam = follow("folds", rows, timed=False)
    asked = [each for each in exam.questions if each.user == 3]
    assert sorted(item for each in asked for item in each.targets.tolist()) == [0, 1, 2, 3]
    assert all(max(each.given) < 3 for each in exam.questions)
    assert exam.facts["questions_without_history"] == 1  # e, shown an unknown item only, is not asked for p
    assert [each for each in plain(exam) if each[0] == 4] == [(4, [0], [4])]


REFUSED: list[tuple[protocols.Name, list[Row], bool, str]] = [
    ("given", [("z", "p", 9)], True, "none of the 1 users to test with is among the 3 that train"),
    ("given", [("a", "p", 9), ("c", "p", 9)], True, "already in the histories that train; is it the same file twice"),
    ("prequential", [("a", "r", 9)], False, "walks along the time, and there are no timestamps; name their column"),
    ("prequential", [("a", "r", 3)], True, "training reaches until 1970-01-01 00:00:03, but testing begins at"),
    ("prequential", [("z", "p", 9)], True, "no later interaction has one before it that training knows"),
    ("folds", [("a", "p", 9), ("z", "p", 9)], True, "1 of the 2 users to test with also train; protocol folds asks"),
    ("reference", [("a", "p", 9)], True, "protocol reference asks users who are held out: use protocol given"),
    ("folds", [("z", "p", 9)], True, "no held-out user has two items or more"),
]


@pytest.mark.parametrize(("name", "rows", "timed", "message"), REFUSED)
def test_what_cannot_be_asked(name: protocols.Name, rows: list[Row], timed: bool, message: str) -> None:
    with pytest.raises(DataError, match=message):
        follow(name, rows, timed=timed)


def test_two_unknown_items_cannot_be_asked() -> None:
    later = Later(np.array([3, 3], np.int32), np.array([4, 5], np.int32), None, 3, 3)
    with pytest.raises(DataError, match="no user to test with has two items of which training knows one"):
        protocols.follow(Protocol("folds"), KNOWN, later, 0)


def test_later_interactions_cannot_be_held_out() -> None:
    for name in ("given", "prequential"):
        with pytest.raises(DataError, match=f"protocol {name} asks for later interactions and there are none"):
            protocols.hold_out(Protocol(name), KNOWN.matrix(), np.array([0], np.int32), 0)


def test_the_reference_draws_with_replacement() -> None:
    rng = np.random.default_rng(0)
    histories = csr_array((rng.random((200, 300)) < 0.3).astype(np.float32))
    users = np.arange(200, dtype=np.int32)
    exam = protocols.hold_out(Protocol("reference"), histories, users, 0)
    assert len(exam.questions) == 1000
    sizes = np.diff(histories.indptr)
    share = np.mean([len(each.targets) / sizes[each.user] for each in exam.questions])
    assert share == pytest.approx(1 - np.exp(-0.2), abs=0.005)  # true folds have .2
    for user in (0, 7):
        own = [each for each in exam.questions if each.user == user]
        assert sum(len(each.targets) for each in own) > len({i for each in own for i in each.targets.tolist()})
        for each in own:
            assert sorted([*each.given, *each.targets]) == histories[[user]].indices.tolist()
    assert exam.answerable is not None
    assert set(exam.answerable) == {item for each in exam.questions for item in each.targets.tolist()}
    with pytest.raises(DataError, match="no held-out user has two items or more"):
        protocols.hold_out(Protocol("reference"), csr_array(np.eye(3, dtype=np.float32)), users[:3], 0)


def test_the_reference_drops_answers_after_the_cut() -> None:
    def score(x: csr_array) -> Float32:
        return np.broadcast_to(np.arange(150, 0, -1, dtype=np.float32) - 140, x.shape)

    def rows(*values: int) -> Int32:
        return np.array(values, np.int32)

    asked = [Question(0, rows(0), rows(5)), Question(1, rows(1), rows(12, 120))]
    exam = Exam(asked, {}, answerable=rows(5, 12, 120))
    found = exam.take(DenseRetriever(score, 150), np.ones(150, np.float32))
    # 5 is the only answer to user 0 that counts, so the first; 12 scores below 0, 120 is not among the first 100
    assert found.per_user[MAIN].values.tolist() == [1, 0]
    assert found.coverage == pytest.approx(1 / 150)
    free = Exam(asked, {}).take(DenseRetriever(score, 150), np.ones(150, np.float32))
    assert free.per_user["recall@20"].values.tolist() == [1, 0.5]
