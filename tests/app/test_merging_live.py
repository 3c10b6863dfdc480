"""Merging users in Redis while events of both come in: none that was confirmed is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from app.metrics import Metrics
from app.settings import Settings
from app.store.users import Event, Interaction, StoreUnavailable, Users
from index.vocabulary import hash_id

pytestmark = pytest.mark.anyio


@pytest.fixture
async def users(settings: Settings) -> AsyncIterator[Users]:
    users = Users(settings, Metrics())
    yield users
    await users.close()


def event(user_id: str, item_id: str) -> Event:
    return Event(user_id, Interaction(item_id, "view", 1.0, 1e9), None)


async def known(users: Users, user_ids: Sequence[str]) -> set[int]:
    states = await users.read_many(user_ids)
    return {one for state in states for one in state.seen.tolist()}


async def test_what_comes_in_while_a_chain_of_users_is_merged_is_kept(users: Users) -> None:
    names = ["a", "b", "c"]
    merging = True

    async def post(name: str) -> set[int]:
        posted: set[int] = set()
        while merging:
            item_id = f"{name}-{len(posted)}"
            await users.record([event(name, item_id)])
            posted.add(hash_id(item_id))
            for _ in range(random.randrange(20)):  # a user whose events never pause is not merged
                await users.ping()
        return posted

    posting = [asyncio.create_task(post(name)) for name in names]
    n_merged = 0
    for number in range(20):
        target, source = names[(number + 1) % 3], names[number % 3]
        try:
            await users.merge(target, source)
        except StoreUnavailable:
            continue
        n_merged += 1
    merging = False
    posted = set().union(*await asyncio.gather(*posting))
    assert n_merged
    assert await known(users, names) == posted


async def test_an_event_between_the_last_steps_of_a_merge_begins_a_new_user(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = Users._forget

    async def forgotten(self: Users, user_id: str, *rest: Any) -> bool:
        done = await forget(self, user_id, *rest)
        await users.record([event("source", "late")])
        return done

    await users.record([event("source", "early")])
    monkeypatch.setattr(Users, "_forget", forgotten)
    await users.merge("target", "source")
    assert await known(users, ["target"]) == {hash_id("early")}
    assert await known(users, ["source"]) == {hash_id("late")}
