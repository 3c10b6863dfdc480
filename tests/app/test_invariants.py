"""What holds whatever is asked, in whatever order: one machine plays callers of the real application over HTTP.

Users do things, hide, steer, are merged and forgotten; snapshots are swapped, whose items are others and have other
properties; and all the while lists, pages, batches, cursors and explanations are asked for. Beside it stands the
plainest model: three sets of ids a user, and the properties of each item by version.

What is missing shows as well as what is there: of items that the caller names, all that may be shown are ranked. So
after each thing that happens to a user all items are asked for by name, and the answer is just what the model allows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app.live_index import LiveIndex
from app.main import create_app
from app.settings import Settings
from index.publication import publish
from tests.app.conftest import BOOKS, ITEM_IDS, SHELVES, client_of

Body = dict[str, Any]

SEGMENTS = [f"s{name.lower().replace(' ', '')}" for name in SHELVES]
ALL_IDS = [f"book-{number}" for number in range(40)]
CATALOGUES = (ITEM_IDS, ALL_IDS[8:], list(reversed(ITEM_IDS)))
"""Item ids in the order of `BOOKS`, by version: the same, eight of them others, and all with other properties."""

OF_EACH = ("recomm_id", "took_ms", "next_cursor", "page_cursor")
"""What no two answers share."""

Anybody = st.sampled_from(["ann", "bob"])
Anything = st.sampled_from([*ALL_IDS, "gone"])
Some = st.lists(Anything, max_size=6)
Done = st.sampled_from(["view", "like", "purchase", "rating", "impression", "dislike", "hide"])
Shelf = st.fixed_dictionaries(
    {"key": st.just("shelf"), "match": st.fixed_dictionaries({"any": st.lists(st.sampled_from(list(SHELVES)))})}
)
Year = st.builds(
    lambda sign, year: {"key": "year", "range": {sign: year}}, st.sampled_from(["gte", "lt"]), st.integers(1898, 1934)
)
Condition = Shelf | Year
Filter = st.dictionaries(st.sampled_from(["must", "should", "must_not"]), st.lists(Condition, max_size=2))
Boosts = st.lists(st.fixed_dictionaries({"filter": Filter, "factor": st.sampled_from([0.25, 1, 3.5])}), max_size=2)
Strengths = st.dictionaries(st.sampled_from([*SEGMENTS, "sgone"]), st.sampled_from([-1, -0.5, 0, 0.25, 1]), max_size=3)
Entry = st.fixed_dictionaries(
    {"item_id": Anything}, optional={"kind": Done, "weight": st.sampled_from([-1, 0, 0.5, 3])}
)
Common: Mapping[str, st.SearchStrategy[Any]] = {
    "user_id": Anybody,
    "history": st.lists(Entry, max_size=4),
    "exclude_ids": Some,
    "exclude_seen": st.booleans(),
    "steer": Strengths,
    "filter": Filter,
    "boost": Boosts,
}
Named = st.just(ALL_IDS) | st.lists(Anything, max_size=20)
Segment = st.sampled_from(SEGMENTS)
Version = st.none() | st.integers(0, len(CATALOGUES) - 1)
"""By number; None: the current one."""
Ordered: Mapping[str, st.SearchStrategy[Any]] = {
    "max_per": st.just({"shelf": 1}) | st.just({"shelf": 2, "year": 1}),
    "diversity": st.sampled_from([0, 0.5, 1]),
    "seed": st.integers(0, 3),
    "cursors": st.just(value=True),
    "explain": st.booleans(),
}
Lists = st.fixed_dictionaries(
    {"count": st.sampled_from([3, 100])},
    optional={
        **Common,
        **Ordered,
        "candidate_ids": Named,
        "segment_ids": st.lists(st.sampled_from([*SEGMENTS, "sgone"]), max_size=3),
        "min_score": st.sampled_from([0.01, 0.5, 20, 1e39]),
    },
)
Pages = st.fixed_dictionaries(
    {"row_size": st.sampled_from([1, 3, 8])},
    optional={**Common, **Ordered, "n_rows": st.integers(1, 5), "max_overlap": st.sampled_from([0, 1])},
)
Acts = st.lists(
    st.tuples(Anything, Done, st.integers(0, 9), st.sampled_from([None, None, 0, -1])), min_size=1, max_size=6
)
"""Item, kind, time and weight of events: with 0 they are seen, and not in the history."""
Explained = st.fixed_dictionaries({"item_ids": st.lists(Anything, min_size=1, max_size=5)}, optional=Common)
Alike = st.fixed_dictionaries(
    {"item_ids": st.lists(Anything, min_size=1, max_size=3), "count": st.sampled_from([3, 100])},
    optional={"user_id": Anybody, "filter": Filter, "cursors": st.just(value=True)},
)


class Question(NamedTuple):
    """Something that is asked for, alone or in a batch."""

    endpoint: str
    body: Body
    segment_id: str | None = None

    @property
    def path(self) -> str:
        return self.endpoint if self.segment_id is None else f"segments/{self.segment_id}/items"

    @property
    def call(self) -> Body:
        return {key: value for key, value in self._asdict().items() if value is not None}


Asked = (
    st.builds(Question, st.just("recommend"), Lists, st.none())
    | st.builds(Question, st.just("homepage"), Pages, st.none())
    | st.builds(Question, st.just("similar"), Alike, st.none())
    | st.builds(Question, st.just("segments/items"), Lists, Segment)
)


class Known(NamedTuple):
    """A user of the model."""

    seen: set[str]
    hidden: set[str]
    never: set[str]
    """Segments."""


class Place(NamedTuple):
    """Where an answer ended."""

    cursor: str
    asked: Question
    version: str
    given: frozenset[str]
    size: int | None
    """Of a list that ends only where nothing more may be shown: how many were asked for."""


def lists_of(answer: Body) -> list[list[str]]:
    """Item ids by list, or by row."""
    rows = answer.get("rows", [answer])
    return [[item["item_id"] for item in row["items"]] for row in rows]


def comparable(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {key: comparable(value) for key, value in answer.items() if key not in OF_EACH}
    return [comparable(one) for one in answer] if isinstance(answer, list) else answer


def passes(condition: Body, book: Mapping[str, Any]) -> bool:
    if "match" in condition:
        return book["shelf"] in condition["match"]["any"]
    if "range" in condition:
        return all(
            book["year"] >= year if sign == "gte" else book["year"] < year for sign, year in condition["range"].items()
        )
    should = condition.get("should", [])
    return (
        all(passes(one, book) for one in condition.get("must", []))
        and (not should or any(passes(one, book) for one in should))
        and not any(passes(one, book) for one in condition.get("must_not", []))
    )


class World(NamedTuple):
    """The application, and what it may serve."""

    application: FastAPI
    client: httpx.AsyncClient
    portal: BlockingPortal
    """To the event loop in which both live: machines of hypothesis know none."""
    root: Path
    books: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Properties by version and item id."""

    def ask(self, method: str, path: str, body: Body | None = None) -> httpx.Response:
        return self.portal.call(partial(self.client.request, method, f"/v1/{path}", json=body))

    def post(self, path: str, body: Body) -> Body:
        answer = self.ask("POST", path, body)
        assert answer.status_code in (200, 202), (path, body, answer.text)
        found: Body = answer.json()
        return found

    def swap(self, version: str) -> None:
        publish(self.root, version)
        live_index: LiveIndex = self.application.state.live_index
        self.portal.call(live_index.refresh)
        assert live_index.version == version

    @property
    def version(self) -> str:
        version: str = self.application.state.live_index.version
        return version


class Callers(RuleBasedStateMachine):
    """Everybody at once."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, Known] = {}
        self.places: list[Place] = []
        self.versions = list(self.world.books)

    @initialize()
    def forget_all(self) -> None:
        for name in ("ann", "bob"):
            self.world.ask("DELETE", f"users/{name}")

    def known(self, name: str | None) -> Known:
        return Known(set(), set(), set()) if name is None else self.users.setdefault(name, Known(set(), set(), set()))

    def named(self, number: int | None) -> Body:
        """The field that names a version."""
        return {} if number is None else {"index_version": self.versions[number]}

    # What happens.

    @rule(name=Anybody, acts=Acts)
    def act(self, name: str, acts: Sequence[tuple[str, str, int, float | None]]) -> None:
        events = [
            {"user_id": name, "item_id": item_id, "kind": kind, "timestamp": 1e9 + at, "weight": weight}
            for item_id, kind, at, weight in acts
        ]
        known = self.known(name)
        for result, (item_id, kind, _, _) in zip(
            self.world.post("events", {"events": events})["results"], acts, strict=True
        ):
            assert result["status"] in ("accepted", "unknown_item")
            known.seen.update([item_id] if kind != "impression" else [])
            known.hidden.update([item_id] if kind in ("hide", "dislike") else [])
        self.look(name)

    @rule(name=Anybody, strengths=Strengths, never=st.sets(st.sampled_from([*SEGMENTS, "sgone"]), max_size=2))
    def steer(self, name: str, strengths: Body, never: set[str]) -> None:
        steering = {**strengths, **dict.fromkeys(sorted(never), "never")}
        assert self.world.ask("PUT", f"users/{name}/steering", {"steering": steering}).status_code == 200
        known = self.known(name)
        known.never.clear()
        known.never.update(never)
        self.look(name)

    @rule(one=Anybody, other=Anybody, acts=Acts, others=Acts, segment=Segment, begin=st.booleans())
    def merge(self, one: str, other: str, acts: Any, others: Any, segment: str, begin: bool) -> None:
        if begin:
            self.act(one, acts)
            self.act(other, others)
            self.steer(one, {segment: 0.25}, set())
            self.steer(other, {}, {segment})
        answer = self.world.ask("PUT", f"users/{one}/merge/{other}")
        assert answer.status_code == (422 if one == other else 204)
        if one != other:
            for own, more in zip(self.known(one), self.users.pop(other, Known(set(), set(), set())), strict=True):
                own.update(more)
            self.look(one)
            self.look(other)

    @rule(name=Anybody)
    def forget(self, name: str) -> None:
        assert self.world.ask("DELETE", f"users/{name}").status_code == 204
        self.users.pop(name, None)
        self.look(name)

    @rule(number=st.integers(0, len(CATALOGUES) - 1))
    def swap(self, number: int) -> None:
        self.world.swap(self.versions[number])
        self.look("ann")

    # What is asked.

    @rule(asked=Asked, version=Version)
    def ask(self, asked: Question, version: int | None) -> None:
        named = self.named(version)
        answer = self.world.post(asked.path, {**asked.body, **named})
        assert answer["index_version"] == named.get("index_version", self.world.version)
        self.check(asked, answer)

    @rule(asked=st.lists(Asked, min_size=1, max_size=4), distinct=st.booleans(), version=Version)
    def batch(self, asked: Sequence[Question], distinct: bool, version: int | None) -> None:
        named = self.named(version)
        body = {"requests": [one.call for one in asked], "distinct": distinct, **named}
        given: frozenset[str] = frozenset()
        for one, answer in zip(asked, self.world.post("batch", body)["answers"], strict=True):
            assert answer["index_version"] == named.get("index_version", self.world.version)
            given |= self.check(one, answer, given if distinct else frozenset())
            if not distinct:
                assert comparable(answer) == comparable(self.world.post(one.path, {**one.body, **named}))

    @rule(data=st.data(), count=st.none() | st.integers(1, 20))
    def go_on(self, data: st.DataObject, count: int | None) -> None:
        if self.places:
            place = data.draw(st.sampled_from(self.places))
            body = {"cursor": place.cursor, **({} if count is None else {"count": count})}
            answer = self.world.post("next", body)
            changed = any(one["code"] == "index_changed" for one in answer["warnings"])
            assert answer["index_version"] == (self.world.version if changed else place.version)
            self.check(place.asked, answer, place.given, count or place.size)

    @rule(asked=Asked)
    def ask_and_go_on(self, asked: Question) -> None:
        """From each end of an answer, whatever ends it has."""
        before = len(self.places)
        self.check(asked, self.world.post(asked.path, {**asked.body, "cursors": True}))
        for place in self.places[before:]:
            self.check(place.asked, self.world.post("next", {"cursor": place.cursor}), place.given, place.size)

    @rule(asked=Lists, count=st.integers(1, 20))
    def ask_twice(self, asked: Body, count: int) -> None:
        """The list goes on as one that was asked for at once."""
        body = {key: value for key, value in asked.items() if key not in ("max_per", "diversity", "seed")}
        first = self.world.post("recommend", {**body, "cursors": True})
        whole = self.world.post("recommend", {**body, "count": body["count"] + count})
        items = [item["item_id"] for item in first["items"]]
        if "next_cursor" in first:
            body = {"cursor": first["next_cursor"], "count": count}
            items += [item["item_id"] for item in self.world.post("next", body)["items"]]
        assert items == [item["item_id"] for item in whole["items"]]

    @rule(body=Explained)
    def explain(self, body: Body) -> None:
        answer = self.world.post("explain", body)
        whole = {key: value for key, value in body.items() if key != "item_ids"}
        ranked = self.world.post("recommend", {**whole, "candidate_ids": body["item_ids"], "count": 1000})
        scores = {item["item_id"]: item["score"] for item in ranked["items"]}
        self.check(Question("recommend", {**whole, "candidate_ids": body["item_ids"], "count": 1000}), ranked)
        assert {one["item_id"] for one in answer["explanations"] if one["may_be_shown"]} == set(scores)
        for one in answer["explanations"]:
            near = pytest.approx(one["score"], rel=1e-5, abs=1e-12)
            assert scores.get(one["item_id"], one["score"]) == near
            rest = sum(part["contribution"] for part in one["steering"]) + one["boosts"]
            assert sum(part["contribution"] for part in one["history"]) + one["popularity"] + rest == near
            assert sum(part["contribution"] for part in one["segments"]) + one["other"] + rest == near

    # What must hold.

    def look(self, name: str) -> None:
        """All that this user may be shown, by name."""
        body = {"user_id": name, "candidate_ids": ALL_IDS, "count": 100}
        history = [{"item_id": "book-9", "kind": "hide"}, {"item_id": "book-10", "kind": "view"}]
        steer = dict.fromkeys(sorted(self.known(name).never), 0.5)
        more: tuple[Body, ...] = ({}, {"exclude_seen": False, "history": history}, {"steer": steer})
        lists = [Question("recommend", {**body, **each}, None) for each in more]
        calls = [*(one.call for one in lists), {"endpoint": "segments/recommend", "body": {"user_id": name}}]
        *answers, ranked = self.world.post("batch", {"requests": calls})["answers"]
        for asked, answer in zip(lists, answers, strict=True):
            self.check(asked, answer)
        assert not {one["segment_id"] for one in ranked["segments"]} & self.known(name).never

    def check(
        self, asked: Question, answer: Body, given: frozenset[str] = frozenset(), count: int | None = None
    ) -> frozenset[str]:
        """The ids of an answer, in which nothing is wrong; its cursors are kept."""
        body, version = asked.body, answer["index_version"]
        books = self.world.books[version]
        left = self.allowed(asked, books) - given
        lists = lists_of(answer)
        flat = [item_id for one in lists for item_id in one]
        assert len(set(flat)) == len(flat)
        assert set(flat) <= left
        assert not answer["degraded"]
        for one in lists:
            for key, most in body.get("max_per", {}).items():
                assert max(Counter(books[item_id][key] for item_id in one).values(), default=0) <= most
        assert all(item["score"] >= body.get("min_score", -1e9) for item in answer.get("items", []))
        whole = "candidate_ids" in body and not body.keys() & {"max_per", "min_score"}
        count = (count or body["count"]) if whole else None
        assert count is None or len(flat) == min(count, len(left))
        never = self.never(body)
        assert all(row["items"] and row.get("segment_id") not in never for row in answer.get("rows", []))
        every = given | frozenset(flat)
        cursors = [answer.get("next_cursor"), answer.get("page_cursor")]
        cursors += [row.get("next_cursor") for row in answer.get("rows", [])]
        self.places += [Place(cursor, asked, version, every, count) for cursor in cursors if cursor is not None]
        return frozenset(flat)

    def never(self, body: Body) -> set[str]:
        """Segments that must not be seen."""
        return self.known(body.get("user_id")).never - set(body.get("steer", {}))

    def allowed(self, asked: Question, books: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """All that may be in an answer."""
        body = asked.body
        known, history = self.known(body.get("user_id")), body.get("history", [])
        out = {*body.get("exclude_ids", []), *body.get("item_ids", []), *known.hidden}
        out.update(one["item_id"] for one in history if one.get("kind") in ("hide", "dislike"))
        if body.get("exclude_seen", True):
            out.update(known.seen, (one["item_id"] for one in history if one.get("kind") != "impression"))
        never, wanted = self.never(body), set(SEGMENTS)
        wanted &= set(body.get("segment_ids", SEGMENTS)) & {asked.segment_id or one for one in SEGMENTS}
        left = {item_id: book for item_id, book in books.items() if item_id not in out}
        left = {item_id: book for item_id, book in left.items() if book["segment"] in wanted - never}
        if "filter" in body:
            left = {item_id: book for item_id, book in left.items() if passes(body["filter"], book)}
        return set(left) & set(body["candidate_ids"]) if "candidate_ids" in body else set(left)


@pytest.fixture
def world(settings: Settings, build_books: Callable[..., str]) -> Iterator[World]:
    segment_of = dict(zip(SHELVES, SEGMENTS, strict=True))
    described = [{"shelf": shelf, "segment": segment_of[shelf], "year": 1900 + n} for n, (_, shelf) in enumerate(BOOKS)]
    books = {}
    for item_ids in CATALOGUES:
        version = build_books(settings.snapshots, item_ids=item_ids)
        books[version] = dict(zip(item_ids, described, strict=True))
    changed = {
        "poll_seconds": 3600.0,  # swapped by the machine alone: else an answer of a batch and its twin could differ
        "max_open_versions": 2,  # the third is closed again and again: its cursors go on with the current one
        "history_limit": 5,  # what was seen is known longer than what is scored
    }
    application = create_app(settings.model_copy(update=changed))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(application.router.lifespan_context(application)),
        portal.wrap_async_context_manager(client_of(application)) as client,
    ):
        made = World(application, client, portal, settings.snapshots, books)
        made.swap(next(iter(books)))
        yield made


def test_nothing_that_must_not_be_in_an_answer_ever_is(world: World) -> None:
    Callers.world = world
    try:
        run_state_machine_as_test(Callers, settings=hypothesis_settings(max_examples=60, stateful_step_count=30))
    finally:
        del Callers.world  # hypothesis keeps the class, which would keep the snapshots open to the end
