"""POST /v1/next: lists, rows and pages go on, nothing comes twice, and what was seen or hidden since stays away."""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import answers
from app.cursors import MAX_SERVED, VALID_SECONDS, Cursor, Cursors
from app.deadline import Deadline
from app.errors import Invalid
from app.inquiry import Inquiry, KnownUser
from app.main import create_app
from app.schemas.next import NextAnswer
from app.schemas.retrieval import HomepageRequest, ItemsAnswer, RecommendRequest, SimilarRequest
from app.secret import secret_of
from app.sequel import asked, sequel
from app.settings import Settings
from app.store.users import Interaction, UserState
from app.telemetry import Timings
from index.publication import publish
from index.snapshot import Snapshot
from index.types import UInt64
from index.vocabulary import hash_id

MakeSnapshot = Callable[[int], Snapshot]

CURSORS = Cursors(b"a secret of the tests")
SETTINGS = Settings.model_validate({"redis_url": "redis://nowhere"})


def hashes(*item_ids: str) -> UInt64:
    return np.array([hash_id(item_id) for item_id in item_ids], dtype=np.uint64)


def inquiry(snapshot: Snapshot, *liked: str, seen: tuple[str, ...] = (), hidden: tuple[str, ...] = ()) -> Inquiry:
    history = tuple(Interaction(item_id, "like", 1.0, 0.0) for item_id in liked)
    state = UserState(history, hashes(*liked, *seen), hashes(*hidden))
    return Inquiry(snapshot, SETTINGS, Timings(), KnownUser(state, (), degraded=False), CURSORS)


def goes_on(one: Inquiry, cursor: str | None, count: int | None = None) -> NextAnswer:
    assert cursor is not None
    found = CURSORS.load(cursor, time.time())
    return sequel(one, found, asked(found), count)


def item_ids(answer: ItemsAnswer | NextAnswer) -> list[str]:
    assert answer.items is not None
    return [item.item_id for item in answer.items]


def to_the_end(one: Inquiry, answer: ItemsAnswer | NextAnswer) -> Iterator[list[str]]:
    """The answers after one."""
    while answer.next_cursor is not None:
        answer = goes_on(one, answer.next_cursor)
        yield item_ids(answer)


LIKED = st.lists(st.integers(0, 39).map(lambda row: f"i{row}"), unique=True, max_size=4)


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.integers(0, 20), LIKED, st.integers(1, 15), st.sampled_from(["items", "similar", "segment"]))
def test_parts_of_a_list_are_the_whole_list(
    make_snapshot: MakeSnapshot, seed: int, liked: list[str], count: int, kind: str
) -> None:
    """Of plain lists, which no cap, diversity or seed makes otherwise."""
    one = inquiry(make_snapshot(seed), *liked)

    def ask(count: int) -> ItemsAnswer:
        if kind == "similar":
            return answers.similar_items(one, SimilarRequest(item_ids=["i1", "i2"], count=count, cursors=True))
        body = RecommendRequest(count=count, cursors=True, exclude_ids=["i3"])
        return answers.items(one, body) if kind == "items" else answers.items_of_segment(one, body, 0)

    whole, first = ask(40), ask(count)
    parts = [item_ids(first), *to_the_end(one, first)]
    assert [item_id for part in parts for item_id in part] == item_ids(whole)
    assert all(len(part) == count for part in parts[:-1])
    assert whole.next_cursor is None


@hypothesis_settings(deadline=None)
@given(
    st.integers(0, 20),
    LIKED,
    st.integers(1, 15),
    st.fixed_dictionaries(
        {},
        optional={
            "diversity": st.floats(0, 1),
            "seed": st.integers(0, 9),
            "candidate_ids": st.lists(st.integers(0, 45).map(lambda row: f"i{row}"), max_size=30),
            "min_score": st.floats(-1, 1),
            "exclude_seen": st.booleans(),
            "steer": st.just({"s1": 0.5}),
        },
    ),
)
def test_nothing_comes_twice_however_a_list_is_ordered(
    make_snapshot: MakeSnapshot, seed: int, liked: list[str], count: int, wanted: dict[str, Any]
) -> None:
    one = inquiry(make_snapshot(seed), *liked)
    whole = answers.items(one, RecommendRequest(count=40, **wanted))
    first = answers.items(one, RecommendRequest(count=count, cursors=True, **wanted))
    given_ = [item_id for part in (item_ids(first), *to_the_end(one, first)) for item_id in part]
    assert len(given_) == len(set(given_))
    assert set(given_) == set(item_ids(whole))


@hypothesis_settings(deadline=None)
@given(st.integers(0, 20), LIKED, st.lists(st.integers(0, 39).map(lambda row: f"i{row}"), max_size=9), st.booleans())
def test_what_was_seen_or_hidden_since_does_not_come(
    make_snapshot: MakeSnapshot, seed: int, liked: list[str], since: list[str], hides: bool
) -> None:
    snapshot = make_snapshot(seed)
    first = answers.items(inquiry(snapshot, *liked), RecommendRequest(count=3, cursors=True))
    if first.next_cursor is None:
        return
    changes = {"hidden" if hides else "seen": tuple(since)}
    later = inquiry(snapshot, *liked, **changes)
    rest = [item_id for part in to_the_end(later, first) for item_id in part]
    assert not {*since, *liked, *item_ids(first)} & set(rest)
    assert len(rest) == len(set(rest))


@hypothesis_settings(deadline=None)
@given(st.data(), LIKED, st.lists(st.integers(0, 20), min_size=2, max_size=5))
def test_over_swaps_of_the_index_nothing_comes_twice_or_back(
    make_snapshot: MakeSnapshot, data: st.DataObject, liked: list[str], seeds: list[int]
) -> None:
    """A list, a row or a page goes on over one index after another, while the user sees and hides more and more."""
    some = st.lists(st.integers(0, 39).map(lambda row: f"i{row}"), max_size=4)
    seen, hidden, excluded = data.draw(some), data.draw(some), data.draw(some)
    wanted: dict[str, Any] = {"exclude_ids": excluded, "cursors": True}
    kind = data.draw(st.sampled_from(["list", "row", "page"]))

    def now(seed: int) -> Inquiry:
        return inquiry(make_snapshot(seed), *liked, seen=tuple(seen), hidden=tuple(hidden))

    if kind == "list":
        found = answers.items(now(seeds[0]), RecommendRequest(count=5, **wanted))
        cursor, given_ = found.next_cursor, item_ids(found)
    else:
        page = answers.page(now(seeds[0]), HomepageRequest(n_rows=2, row_size=3, **wanted))
        given_ = [item.item_id for row in page.rows for item in row.items]
        cursor = page.page_cursor if kind == "page" or not page.rows else page.rows[0].next_cursor
    assert not {*liked, *seen, *hidden, *excluded} & set(given_)
    for before, seed in pairwise(seeds):
        if cursor is None:
            return
        seen.extend(data.draw(some))
        hidden.extend(data.draw(some))
        more = goes_on(now(seed), cursor)
        new = [item.item_id for item in more.items or ()]
        new += [item.item_id for row in more.rows or () for item in row.items]
        assert not {*liked, *seen, *hidden, *excluded, *given_} & set(new)
        assert len(new) == len(set(new))
        assert ("index_changed" in [one.code for one in more.warnings]) == (seed != before)
        given_ += new
        cursor = more.page_cursor if kind == "page" else more.next_cursor


@hypothesis_settings(deadline=None)
@given(
    st.integers(0, 20),
    LIKED,
    st.integers(1, 4),
    st.integers(1, 6),
    st.fixed_dictionaries({}, optional={"diversity": st.just(0.5), "seed": st.just(1), "steer": st.just({"s1": 1.0})}),
)
def test_rows_and_pages_go_on_without_an_item_or_a_row_twice(
    make_snapshot: MakeSnapshot, seed: int, liked: list[str], n_rows: int, row_size: int, wanted: dict[str, Any]
) -> None:
    one = inquiry(make_snapshot(seed), *liked)
    page = answers.page(one, HomepageRequest(n_rows=n_rows, row_size=row_size, cursors=True, **wanted))
    on_page = {item.item_id for row in page.rows for item in row.items}
    for row in page.rows:
        assert row.next_cursor is not None
        more = goes_on(one, row.next_cursor, 5)
        rest = [*item_ids(more), *(item_id for part in to_the_end(one, more) for item_id in part)]
        assert len(rest) == len(set(rest))
        assert not on_page & set(rest)
    rows, cursor = list(page.rows), page.page_cursor
    while cursor is not None:
        more = goes_on(one, cursor, 2)
        assert more.rows is not None
        rows, cursor = [*rows, *more.rows], more.page_cursor
    ids = [item.item_id for row in rows for item in row.items]
    assert len(ids) == len(set(ids))
    assert len({row.row_id for row in rows}) == len(rows)


@pytest.mark.parametrize("liked", [("a1", "a3", "b1"), ()])
def test_a_row_goes_on_in_its_own_order(planted: Snapshot, liked: tuple[str, ...]) -> None:
    one = inquiry(planted, *liked)
    page = answers.page(one, HomepageRequest(n_rows=6, row_size=4, cursors=True))
    on_page = {item.item_id for row in page.rows for item in row.items}
    for row in page.rows:
        more = goes_on(one, row.next_cursor, 80)
        assert more.items is not None
        scores = [item.score for item in (*row.items, *more.items)]
        assert scores == sorted(scores, reverse=True)
        if row.kind == "segment":
            number = planted.segments.number(row.segment_id or "")
            assert number is not None
            members = set(planted.items.item_ids(planted.segments.items_of(number)))
            assert set(item_ids(more)) <= members - on_page
    top = goes_on(one, page.rows[0].next_cursor, 80)
    everything = answers.items(one, RecommendRequest(count=80))
    assert item_ids(top) == [item_id for item_id in item_ids(everything) if item_id not in on_page]


def test_a_page_goes_on_with_further_tastes(planted: Snapshot) -> None:
    one = inquiry(planted, "a1", "b1")
    page = answers.page(one, HomepageRequest(n_rows=3, row_size=3, cursors=True))
    more = goes_on(one, page.page_cursor, 9)
    assert more.items is None
    assert more.rows
    assert not {row.row_id for row in page.rows} & {row.row_id for row in more.rows}
    assert all(row.next_cursor for row in more.rows)
    assert more.page_cursor is None, "fewer rows than asked: there are no more"


def test_what_was_shown_in_another_taste_is_not_shown_again_when_the_user_is_gone(planted: Snapshot) -> None:
    page = answers.page(inquiry(planted, "a1", "b1"), HomepageRequest(n_rows=3, row_size=3, cursors=True))
    nobody = inquiry(planted)
    assert page.rows[0].kind == "top_picks"
    assert item_ids(goes_on(nobody, page.rows[0].next_cursor)) == []


@pytest.mark.parametrize("kind", ["list", "row", "page"])
def test_a_request_that_another_index_cannot_answer_is_refused_as_the_cursors(
    planted: Snapshot, make_snapshot: MakeSnapshot, kind: str
) -> None:
    """Such as a filter by a property that no item has any more."""
    wanted: dict[str, Any] = {"filter": {"must_not": [{"key": "title", "match": {"value": "Dune"}}]}, "cursors": True}
    one = inquiry(planted, "a1")
    found = answers.items(one, RecommendRequest(count=3, **wanted))
    page = answers.page(one, HomepageRequest(n_rows=2, row_size=3, **wanted))
    cursor = {"list": found.next_cursor, "row": page.rows[0].next_cursor, "page": page.page_cursor}[kind]
    with pytest.raises(Invalid, match=r"body.cursor: this index version cannot answer.*'title'"):
        goes_on(inquiry(make_snapshot(1)), cursor)


def test_short_answers_are_the_end(planted: Snapshot) -> None:
    one = inquiry(planted, "a1")
    assert answers.items(one, RecommendRequest(count=1000, cursors=True)).next_cursor is None
    assert answers.items(one, RecommendRequest(count=5)).next_cursor is None
    page = answers.page(one, HomepageRequest(n_rows=3, row_size=3))
    assert page.page_cursor is None
    assert all(row.next_cursor is None for row in page.rows)


def test_a_request_that_is_too_long_for_a_cursor_is_answered_without_one(planted: Snapshot) -> None:
    noise = random.Random(1)
    history = [{"item_id": noise.randbytes(120).hex()} for _ in range(900)]
    body = RecommendRequest.model_validate({"history": history, "count": 3, "cursors": True})
    found = answers.items(inquiry(planted, "a1"), body)
    assert (len(found.items), found.next_cursor) == (3, None)
    assert "no_cursor" in [warning.code for warning in found.warnings]


def test_a_page_that_came_too_late_to_be_full_goes_on(planted: Snapshot) -> None:
    late = inquiry(planted, "a1", "b1")._replace(deadline=Deadline(0.0))
    page = answers.page(late, HomepageRequest(n_rows=4, row_size=3, cursors=True))
    assert 0 < len(page.rows) < 4
    assert [warning.code for warning in page.warnings] == ["deadline"]
    more = goes_on(inquiry(planted, "a1", "b1"), page.page_cursor)
    assert more.rows
    assert len(page.rows) + len(more.rows) >= 4


def test_a_page_of_more_rows_than_fit_into_a_short_number_goes_on(planted: Snapshot) -> None:
    shown = tuple(f"{number:016x}" for number in range(4000))
    asked_ = {"row_size": 1, "cursors": True}
    text = CURSORS.dump(Cursor("page", asked_, planted.version, shown, hashes()), time.time())
    assert text is None or goes_on(inquiry(planted, "a1"), text).rows


def test_what_has_given_all_that_a_cursor_can_hold_ends(planted: Snapshot) -> None:
    full = inquiry(planted, "a1")._replace(earlier=np.arange(MAX_SERVED - 2, dtype=np.uint64))
    for count, warned in ((2, False), (3, True)):
        found = answers.items(full, RecommendRequest(count=count, cursors=True))
        assert (found.next_cursor is None) == warned
        assert ("no_cursor" in [warning.code for warning in found.warnings]) == warned
        page = answers.page(full, HomepageRequest(n_rows=1, row_size=count, cursors=True))
        assert (page.page_cursor is None) == warned
        assert ("no_cursor" in [warning.code for warning in page.warnings]) == warned


# Over HTTP

HISTORY = [{"item_id": "book-0"}, {"item_id": "book-16"}]


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def parts(client: httpx.AsyncClient, found: dict[str, Any], **body: object) -> AsyncIterator[dict[str, Any]]:
    while "next_cursor" in found:
        found = await post(client, "/v1/next", cursor=found["next_cursor"], **body)
        yield found


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


@pytest.mark.anyio
async def test_the_wire_goes_on(client: httpx.AsyncClient) -> None:
    wanted = {"filter": {"must_not": [{"key": "shelf", "match": {"value": "Classics"}}]}, "include_properties": True}
    whole = await post(client, "/v1/recommend", history=HISTORY, count=100, **wanted)
    first = await post(client, "/v1/recommend", history=HISTORY, count=4, cursors=True, **wanted)
    rest = [item async for part in parts(client, first, count=3) for item in part["items"]]
    assert [item["item_id"] for item in (*first["items"], *rest)] == ids(whole)
    assert {"recomm_id", "index_version", "took_ms", "degraded", "warnings", "items"} == set(whole)
    assert all(item["properties"]["shelf"] != "Classics" for item in rest)
    similar = await post(client, "/v1/similar", item_ids=["book-0"], count=2, cursors=True)
    assert ids(await post(client, "/v1/next", cursor=similar["next_cursor"])) != ids(similar)
    shelf = await post(client, "/v1/segments/sfantasy/items", history=HISTORY, count=2, cursors=True)
    assert len(ids(await post(client, "/v1/next", cursor=shelf["next_cursor"]))) == 2
    explained = await post(client, "/v1/recommend", history=HISTORY, count=2, cursors=True, explain=True)
    assert (await post(client, "/v1/next", cursor=explained["next_cursor"]))["items"][0]["reasons"]


@pytest.mark.anyio
async def test_what_the_user_did_since_is_respected(client: httpx.AsyncClient) -> None:
    events = [{"user_id": "u1", "item_id": "book-0", "kind": "like"}]
    await client.post("/v1/events", json={"events": events})
    first = await post(client, "/v1/recommend", user_id="u1", count=2, cursors=True)
    upcoming = ids(await post(client, "/v1/next", cursor=first["next_cursor"]))
    kinds = ["hide", "view"]
    events = [{"user_id": "u1", "item_id": one, "kind": kind} for one, kind in zip(upcoming, kinds, strict=True)]
    await client.post("/v1/events", json={"events": events})
    after = ids(await post(client, "/v1/next", cursor=first["next_cursor"], count=20))
    assert not {*upcoming, *ids(first), "book-0"} & set(after)


@pytest.mark.anyio
async def test_a_page_goes_on_over_http(client: httpx.AsyncClient) -> None:
    page = await post(client, "/v1/homepage", history=HISTORY, n_rows=2, row_size=3, cursors=True)
    more = await post(client, "/v1/next", cursor=page["page_cursor"])
    assert "items" not in more
    shown = [item["item_id"] for row in (*page["rows"], *more["rows"]) for item in row["items"]]
    assert len(shown) == len(set(shown))
    row = await post(client, "/v1/next", cursor=page["rows"][0]["next_cursor"])
    assert "rows" not in row
    too_many = await client.post("/v1/next", json={"cursor": page["page_cursor"], "count": 51})
    assert (too_many.status_code, too_many.json()["errors"][0]["field"]) == (422, "body.count")


@pytest.mark.anyio
async def test_any_worker_reads_the_cursors_of_another(settings: Settings, serving: Any) -> None:
    async with serving(settings) as one, serving(settings) as other:
        first = await post(one, "/v1/recommend", history=HISTORY, count=4, cursors=True)
        await post(other, "/v1/next", cursor=first["next_cursor"])
    apart = settings.model_copy(update={"data": settings.data / "elsewhere"})
    async with serving(apart) as stranger:
        await refused(stranger, first["next_cursor"], "another key")


async def refused(client: httpx.AsyncClient, cursor: object, why: str) -> None:
    answer = await client.post("/v1/next", json={"cursor": cursor})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "body.cursor"
    assert why in answer.json()["detail"]


@pytest.mark.anyio
async def test_cursors_that_are_changed_or_old_are_refused(client: httpx.AsyncClient, settings: Settings) -> None:
    text = (await post(client, "/v1/recommend", history=HISTORY, count=4, cursors=True))["next_cursor"]
    noise = random.Random(2)
    for _ in range(200):
        place = noise.randrange(len(text))
        letter = noise.choice([one for one in "abcXYZ019-_=+/ \u00e9" if one != text[place]])
        await refused(client, text[:place] + letter + text[place + 1 :], "not one of this server's")
    for wrong in ("x", text[:-1], text + "A", "\ud800".encode("utf-8", "replace").decode(), "A" * 65_536):
        await refused(client, wrong, "not one of this server's")
    key = Cursors(secret_of(settings))
    old = Cursor("recommend", {"count": 3, "cursors": True}, "v", (), hashes())
    await refused(client, key.dump(old, time.time() - VALID_SECONDS - 2), "older than 30 minutes")
    strange = old._replace(body={"colour": "red"})
    await refused(client, key.dump(strange, time.time()), "another version of this server")
    unheard_of = old._replace(kind="songs")  # type: ignore[arg-type]
    await refused(client, key.dump(unheard_of, time.time()), "another version of this server")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [{}, {"cursor": ""}, {"cursor": 7}, {"cursor": "x" * 65_537}, {"cursor": "x", "count": 0}]
)
async def test_what_is_no_text_is_invalid(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/v1/next", json=body)
    assert answer.status_code == 422


@pytest.mark.anyio
async def test_when_the_index_has_changed_a_list_goes_on_with_what_the_new_one_has_left(
    settings: Settings, serving: Any, snapshots: Path, build_books: Callable[..., str]
) -> None:
    async with serving(settings) as client:
        first = await post(client, "/v1/recommend", history=HISTORY, count=4, cursors=True)
        page = await post(client, "/v1/homepage", history=HISTORY, n_rows=2, row_size=3, cursors=True)
    gone = Cursors(secret_of(settings)).dump(
        Cursor("segment", {"count": 2, "cursors": True}, first["index_version"], ("sgone",), hashes()), time.time()
    )
    renamed = [f"book-{number}" if number % 2 else f"novel-{number}" for number in range(32)]
    publish(snapshots, build_books(snapshots, renamed))
    _remove(snapshots, first["index_version"])
    async with serving(settings) as client:
        rest = await post(client, "/v1/next", cursor=first["next_cursor"], count=40)
        assert rest["warnings"][0]["code"] == "index_changed"
        assert rest["index_version"] != first["index_version"]
        assert not set(ids(first)) & set(ids(rest))
        for cursor in (page["page_cursor"], page["rows"][0]["next_cursor"]):
            more = await post(client, "/v1/next", cursor=cursor)
            assert "index_changed" in [one["code"] for one in more["warnings"]]
        assert (await post(client, "/v1/next", cursor=gone))["items"] == []


@pytest.mark.anyio
async def test_while_its_version_is_open_a_cursor_is_exact(
    settings: Settings, snapshots: Path, build_books: Callable[..., str]
) -> None:
    application = create_app(settings)
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://sparrow") as client,
    ):
        whole = await post(client, "/v1/recommend", history=HISTORY, count=40)
        first = await post(client, "/v1/recommend", history=HISTORY, count=4, cursors=True)
        publish(snapshots, build_books(snapshots, [f"novel-{number}" for number in range(32)]))
        await application.state.live_index.refresh()
        now = await post(client, "/v1/recommend", history=HISTORY)
        assert now["index_version"] != first["index_version"]
        rest = await post(client, "/v1/next", cursor=first["next_cursor"], count=40)
        assert ids(first) + ids(rest) == ids(whole)
        assert rest["warnings"] == []
        assert rest["index_version"] == first["index_version"]


def _remove(root: Path, version: str) -> None:
    for path in sorted((root / version).iterdir()):
        path.chmod(0o600)
        path.unlink()
    (root / version).rmdir()
