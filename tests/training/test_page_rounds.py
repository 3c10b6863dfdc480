"""Rounds of pages: who is asked and who is not, and what no weight was fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from training.interactions import Interactions, LoadReport
from training.later import Data, align
from training.pages import rounds
from training.pages.readers import readers_of

SHARE = 0.05


@pytest.fixture
def data(books: Interactions) -> Data:
    return Data(books, LoadReport("books", 0, (), len(books.user), len(books.users), len(books.items)), None)


@pytest.fixture
def by_time(books: Interactions) -> Data:
    """A fifth of the likes follows, none of them of the last item."""
    follows = (np.random.default_rng(0).random(len(books.user)) < 0.2) & (books.item < len(books.items) - 1)
    known, found = (
        replace(books, user=books.user[part], item=books.item[part], weight=books.weight[part])
        for part in (~follows, follows)
    )
    return Data(known, LoadReport("books", 0, (), 0, 0, 0), align(known, found))


def test_validation_readers_are_those_of_fit_for_every_seed(data: Data) -> None:
    turns = list(rounds.turns(data, 2, groups=3, readers="validation", validation=SHARE))
    assert [(each.seed, each.group) for each in turns] == [(0, 0), (1, 0)]
    asked = [{question.user for question in each.round.exam.questions} for each in turns]
    assert asked[0] == asked[1] == set(turns[0].round.split.validation.tolist())


def test_test_readers_neither_train_nor_choose(data: Data) -> None:
    turns = list(rounds.turns(data, 2, groups=2, readers="test", validation=SHARE))
    assert [(each.seed, each.group) for each in turns] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for each in turns:
        divided = each.round.split
        asked = {question.user for question in each.round.exam.questions}
        assert asked == set(divided.test.tolist())
        assert not asked & (set(divided.train.tolist()) | set(divided.validation.tolist()))


def test_more_users_than_wanted_are_drawn(data: Data) -> None:
    (turn,) = rounds.turns(data, 1, groups=1, readers="test", validation=SHARE)
    everybody = {question.user for question in turn.round.exam.questions}
    drawn = rounds.drawn(turn, 7)
    chosen = {question.user for question in drawn}
    assert len(chosen) == 7
    assert chosen < everybody
    assert drawn == [each for each in turn.round.exam.questions if each.user in chosen]
    assert drawn == rounds.drawn(turn, 7)
    assert rounds.drawn(turn, 1000) == list(turn.round.exam.questions)


def test_what_is_held_out_did_not_train(data: Data) -> None:
    (turn,) = rounds.turns(data, 1, groups=1, readers="test", validation=SHARE)
    held_out = rounds.held_out(data, turn.round.split).toarray()
    own = data.known.matrix().toarray()
    assert not held_out[turn.round.split.train].any()
    others = np.concatenate([turn.round.split.validation, turn.round.split.test])
    assert np.array_equal(held_out[others], own[others])
    assert rounds.popularity(data, turn.round.split).tolist() == own[turn.round.split.train].sum(axis=0).tolist()


def test_by_time_what_follows_is_held_out(by_time: Data) -> None:
    assert by_time.later is not None
    (turn,) = rounds.turns(by_time, 1, groups=1, readers="test", validation=SHARE)
    held_out = rounds.held_out(by_time, turn.round.split)
    assert held_out.shape[1] == len(by_time.known.items)
    new = by_time.later.item < len(by_time.known.items)
    assert held_out.sum() == new.sum()
    reader = readers_of(turn.round.exam.questions[:1], by_time.known, 0)[0]
    assert len(reader.who["history"]) == len(reader.question.given)
    wanted = reader.question.targets[reader.question.targets < held_out.shape[1]]
    assert held_out[[reader.question.user]].toarray()[0, wanted].all()
