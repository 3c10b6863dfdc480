"""Edits of segments by the API: what they do, in every worker, and what is refused."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import SecretStr
from redis import Redis

from app import editing, keys
from app.editing import replaced
from app.settings import Settings
from app.store.edits import EditStore, StoredEdits, read_by
from app.store.keys import EDITS, EDITS_VERSION
from index import builder, publication
from index.builder import SnapshotContent
from index.edits import MAX_EDITS, Edits
from index.snapshot import Snapshot, open_snapshot
from tests.app.stores import opened, settings_of

pytestmark = pytest.mark.anyio

FANTASY, SCIENCE, MYSTERY, CLASSICS = "sfantasy", "ssciencefiction", "smystery", "sclassics"
HISTORY = [{"item_id": "book-16"}, {"item_id": "book-17"}, {"item_id": "book-0"}, {"item_id": "book-25"}]
CROWD: dict[str, Any] = {"n_rows": 9, "row_size": 3}
"""A page for nobody, which has a row of each segment that may be shown."""


async def patch(client: httpx.AsyncClient, segment_id: str, **edit: object) -> dict[str, Any]:
    answer = await client.patch(f"/v1/segments/{segment_id}", json=edit)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def titles(client: httpx.AsyncClient, path: str = "/v1/segments") -> list[str]:
    return [one["title"] for one in (await get(client, path))["segments"]]


async def refusal(client: httpx.AsyncClient, segment_id: str, status: int, **edit: object) -> str:
    answer = await client.patch(f"/v1/segments/{segment_id}", json=edit)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    detail: str = answer.json()["detail"]
    return detail


def ids_of(answer: dict[str, Any]) -> list[str]:
    return [one["item_id"] for one in answer["items"]]


def named_segments(document: object) -> set[str]:
    """Every segment_id anywhere in an answer."""
    if isinstance(document, dict):
        own = {value for key, value in document.items() if key == "segment_id" and value}
        return own.union(*map(named_segments, document.values()))
    return set().union(*map(named_segments, document)) if isinstance(document, list) else set()


async def test_a_title_is_at_once_everywhere_and_taken_back_by_null(client: httpx.AsyncClient) -> None:
    before = await titles(client)
    found = await patch(client, MYSTERY, title="Quiet crime")
    assert (found["title"], found["found_title"], found["hidden"]) == ("Quiet crime", "Mystery", False)
    assert found == await get(client, f"/v1/segments/{MYSTERY}")
    assert await titles(client) == ["Fantasy", "Science fiction", "Quiet crime", "Classics"]
    ranked = await post(client, "/v1/segments/recommend", history=HISTORY)
    assert ranked["segments"][0]["title"] == "Quiet crime"
    page = await post(client, "/v1/homepage", **CROWD)
    assert "Quiet crime" in [row["title"] for row in page["rows"]]
    explained = await post(client, "/v1/recommend", history=HISTORY, explain=True)
    assert "Fits Quiet crime" in json.dumps(explained)
    assert (await patch(client, MYSTERY, title=None))["title"] == "Mystery"
    assert await titles(client) == before


async def test_what_is_hidden_is_never_shown_and_can_still_be_used(client: httpx.AsyncClient) -> None:
    page = await post(client, "/v1/homepage", **CROWD, cursors=True)
    assert MYSTERY in named_segments(page)
    cursor = next(row["next_cursor"] for row in page["rows"] if row["title"] == "Mystery")
    assert (await patch(client, MYSTERY, hidden=True))["hidden"]
    assert await titles(client) == ["Fantasy", "Science fiction", "Classics"]
    assert await titles(client, "/v1/segments?hidden=true") == ["Fantasy", "Science fiction", "Mystery", "Classics"]
    asked: dict[str, dict[str, Any]] = {
        "/v1/segments/recommend": {},
        "/v1/homepage": {"n_rows": 20, "row_size": 3, "explain": True},
        "/v1/recommend": {"explain": True, "steer": {MYSTERY: 1.0}, "count": 30},
    }
    for path, body in asked.items():
        assert MYSTERY not in named_segments(await post(client, path, history=HISTORY, **body)), path
    assert MYSTERY not in named_segments(await post(client, "/v1/homepage", **CROWD))
    assert (await get(client, f"/v1/segments/{MYSTERY}"))["hidden"]
    shelf = {f"book-{number}" for number in range(16, 24)}
    assert set(ids_of(await post(client, f"/v1/segments/{MYSTERY}/items", count=30))) == shelf
    assert set(ids_of(await post(client, "/v1/recommend", segment_ids=[MYSTERY]))) == shelf
    more = await post(client, "/v1/next", cursor=cursor)
    assert more["items"]
    assert set(ids_of(more)) <= shelf
    await client.put("/v1/users/u/steering", json={"steering": {MYSTERY: "never"}})
    left = ids_of(await post(client, "/v1/recommend", user_id="u", history=HISTORY, count=50))
    assert left
    assert not shelf & set(left)
    await patch(client, MYSTERY, hidden=None)
    assert MYSTERY in named_segments(await post(client, "/v1/segments/recommend", history=HISTORY))


async def test_a_merged_segment_is_the_one_that_it_went_into(client: httpx.AsyncClient) -> None:
    alone = await get(client, f"/v1/segments/{CLASSICS}")
    found = await patch(client, CLASSICS, merged_into=MYSTERY)
    assert (found["merged_into"], found["size"]) == (MYSTERY, alone["size"]), "it tells what it was"
    assert await titles(client) == ["Fantasy", "Science fiction", "Mystery"]
    whole = await get(client, f"/v1/segments/{MYSTERY}")
    assert whole["size"] == 16
    both = {f"book-{number}" for number in range(16, 32)}
    assert set(ids_of(await post(client, f"/v1/segments/{CLASSICS}/items", count=50))) == both
    assert set(ids_of(await post(client, "/v1/recommend", segment_ids=[CLASSICS], count=50))) == both
    assert CLASSICS not in named_segments(await post(client, "/v1/homepage", **CROWD))
    await patch(client, MYSTERY, merged_into=FANTASY)
    assert (await get(client, f"/v1/segments/{CLASSICS}"))["merged_into"] == FANTASY, "the end of the chain"
    assert (await get(client, f"/v1/segments/{FANTASY}"))["size"] == 24
    await patch(client, MYSTERY, merged_into=None)
    await patch(client, CLASSICS, merged_into=None)
    again = await get(client, f"/v1/segments/{CLASSICS}")
    assert again == alone


async def test_steering_of_a_part_is_steering_of_the_whole(client: httpx.AsyncClient) -> None:
    await patch(client, CLASSICS, merged_into=MYSTERY)

    async def items(**steer: float) -> list[str]:
        return ids_of(await post(client, "/v1/recommend", history=HISTORY[2:3], steer=steer, count=10))

    assert await items(sclassics=0.9) == await items(smystery=0.9) != await items()
    assert await items(sclassics=-0.5, smystery=0.9) == await items(smystery=0.9), "what is said of the whole counts"
    steering = {CLASSICS: "never", MYSTERY: 1.0}
    told = await client.put("/v1/users/u/steering", json={"steering": steering})
    assert told.json()["unknown_segments"] == []
    left = ids_of(await post(client, "/v1/recommend", user_id="u", history=HISTORY[2:3], count=50))
    assert left
    assert not {f"book-{number}" for number in range(16, 32)} & set(left), "never counts before all"


async def test_fields_that_are_left_out_stay_as_they_are(client: httpx.AsyncClient) -> None:
    await patch(client, MYSTERY, title="Quiet crime")
    await patch(client, MYSTERY, hidden=True)
    found = await patch(client, MYSTERY)
    assert (found["title"], found["hidden"]) == ("Quiet crime", True)
    assert await get(client, "/v1/segments/edits") == {"edits": {MYSTERY: {"title": "Quiet crime", "hidden": True}}}


async def test_html_in_a_title_is_plain_text(client: httpx.AsyncClient) -> None:
    title = "<img src=x onerror=alert(1)> & 'x'"
    assert (await patch(client, MYSTERY, title=title))["title"] == title
    assert title in await titles(client)
    page = await client.post("/v1/homepage", json=CROWD)
    assert page.headers["content-type"] == "application/json"
    assert title in [row["title"] for row in page.json()["rows"]]


@pytest.mark.parametrize("title", ["", "x" * 41, "x" * 100_000, " x", "a\nb", "a\u0000b", "\u2029"])
async def test_what_is_no_title_is_refused(client: httpx.AsyncClient, title: str) -> None:
    assert (await refusal(client, MYSTERY, 422, title=title)).startswith("body.title: ")
    assert await get(client, "/v1/segments/edits") == {"edits": {}}


async def test_what_cannot_be_is_refused(client: httpx.AsyncClient) -> None:
    assert "GET /v1/segments lists them" in await refusal(client, "nope", 404, title="x")
    assert "GET /v1/segments lists them" in await refusal(client, "edits", 404, title="x")
    assert "the segment sfantasy is called so" in await refusal(client, MYSTERY, 422, title="Fantasy")
    assert "merged_into: there is no segment" in await refusal(client, MYSTERY, 422, merged_into="nope")
    assert "into itself" in await refusal(client, MYSTERY, 422, merged_into=MYSTERY)
    await patch(client, MYSTERY, merged_into=CLASSICS)
    await patch(client, CLASSICS, merged_into=FANTASY)
    assert "round in a circle" in await refusal(client, FANTASY, 422, merged_into=MYSTERY)
    assert "Extra inputs" in await refusal(client, MYSTERY, 422, name="x")
    assert "body.hidden" in await refusal(client, MYSTERY, 422, hidden="yes")
    assert (await client.get("/v1/segments?hiden=true")).status_code == 422


async def test_edits_go_out_and_in_as_a_document(client: httpx.AsyncClient) -> None:
    edits = {MYSTERY: {"title": "Quiet crime"}, CLASSICS: {"merged_into": MYSTERY}, "gone": {"hidden": True}}
    document = {"edits": edits}
    answer = await client.put("/v1/segments/edits", json=document)
    assert answer.status_code == 200, answer.text
    assert answer.json()["unknown_segments"] == ["gone"]
    out = await get(client, "/v1/segments/edits")
    assert out == document
    assert await titles(client) == ["Fantasy", "Science fiction", "Quiet crime"]
    await patch(client, FANTASY, title="Elves", hidden=False)
    assert (await client.put("/v1/segments/edits", json=out)).status_code == 200
    assert await titles(client) == ["Fantasy", "Science fiction", "Quiet crime"], "what is not in it is taken back"
    assert (await client.put("/v1/segments/edits", json={"edits": {}})).status_code == 200
    assert await titles(client) == ["Fantasy", "Science fiction", "Mystery", "Classics"]


WRONG: Sequence[object] = [
    [],
    {},
    {"edits": []},
    {"edits": {}, "more": 1},
    {"edits": {FANTASY: {"title": "Elves"}, MYSTERY: {"title": "x" * 41}}},
    {"edits": {FANTASY: {"title": "Elves"}, MYSTERY: {"colour": "red"}}},
    {"edits": {FANTASY: {"title": "Elves"}, MYSTERY: {"merged_into": MYSTERY}}},
    {"edits": {FANTASY: {"merged_into": MYSTERY}, MYSTERY: {"merged_into": FANTASY}}},
    {"edits": {f"s{number}": {} for number in range(MAX_EDITS + 1)}},
]


@pytest.mark.parametrize("document", WRONG, ids=range(len(WRONG)))
async def test_a_wrong_document_is_refused_as_a_whole(client: httpx.AsyncClient, document: object) -> None:
    await patch(client, CLASSICS, title="Kept")
    answer = await client.put("/v1/segments/edits", json=document)
    assert answer.status_code == 422, answer.text
    assert await get(client, "/v1/segments/edits") == {"edits": {CLASSICS: {"title": "Kept"}}}


async def test_no_more_segments_are_edited_than_may_be(client: httpx.AsyncClient) -> None:
    full = {"edits": {f"s{number}": {"hidden": True} for number in range(MAX_EDITS)}}
    assert (await client.put("/v1/segments/edits", json=full)).status_code == 200
    assert "at most 10000 may be" in await refusal(client, MYSTERY, 422, title="One more")
    assert (await client.put("/v1/segments/edits", json={"edits": {}})).status_code == 200
    await patch(client, MYSTERY, title="One")
    assert await get(client, "/v1/segments/edits") == {"edits": {MYSTERY: {"title": "One"}}}


async def test_only_an_admin_changes_edits(settings: Settings, serving: Any, tmp_path: Path) -> None:
    made = {role: keys.add(tmp_path / "keys", role, role) for role in keys.ROLES}
    async with serving(settings.model_copy(update={"keys_file": tmp_path / "keys"})) as client:
        for role, key in made.items():
            client.headers["Authorization"] = f"Bearer {key}"
            patched = await client.patch(f"/v1/segments/{MYSTERY}", json={"title": role})
            put = await client.put("/v1/segments/edits", json={"edits": {}})
            assert {patched.status_code, put.status_code} == ({200} if role == "admin" else {403})
            assert (await client.get("/v1/segments/edits")).status_code == 200


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "POLL_SECONDS", 0.02)


async def until(holds: Any) -> None:
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("never")


@pytest.mark.usefixtures("quick")
async def test_other_workers_see_an_edit(settings: Settings, serving: Any) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(serving(settings)) for _ in range(2)]
        await patch(one, MYSTERY, title="Quiet crime")

        async def seen() -> bool:
            return "Quiet crime" in await titles(other)

        await until(seen)
        late = await stack.enter_async_context(serving(settings))
        assert "Quiet crime" in await titles(late), "from its first answer on"


async def test_a_page_uses_one_state_of_the_edits_from_start_to_end(settings: Settings, serving: Any) -> None:
    """Pages while edits change: each has the title of before or of after."""
    async with serving(settings) as client:

        async def pages() -> list[set[str]]:
            answers = [await post(client, "/v1/homepage", **CROWD) for _ in range(40)]
            return [{row["title"] for row in one["rows"]} & {"Mystery", "Crime"} for one in answers]

        async def edits() -> None:
            for number in range(20):
                await patch(client, MYSTERY, title=None if number % 2 else "Crime")

        found, _ = await asyncio.gather(pages(), edits())
        assert all(len(one) == 1 for one in found)


@pytest.mark.usefixtures("quick")
async def test_while_redis_is_away_what_was_known_stays(settings: Settings, serving: Any, redis_server: Any) -> None:
    settings = settings.model_copy(update={"redis_url": SecretStr(redis_server.url), "store_timeout_ms": 300})
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(serving(settings))
        await patch(client, MYSTERY, title="Quiet crime")
        redis_server.kill()
        assert "Quiet crime" in await titles(client)
        assert "503" in str((await client.patch(f"/v1/segments/{MYSTERY}", json={"title": "x"})).status_code)
        late = await stack.enter_async_context(serving(settings))
        assert (await late.get("/readyz")).status_code == 200
        assert "Mystery" in await titles(late), "as the snapshot was built"
        assert (await get(late, "/v1/segments/edits")) == {"edits": {}}
        redis_server.start()  # it lost all that it had
        await until(lambda: _is_patched(late))

        async def seen() -> bool:
            return "Back" in await titles(client)

        await until(seen)


async def _is_patched(client: httpx.AsyncClient) -> bool:
    return (await client.patch(f"/v1/segments/{MYSTERY}", json={"title": "Back"})).status_code == 200


async def test_what_a_snapshot_was_built_with_can_be_taken_back(
    settings: Settings, serving: Any, content_of: Any
) -> None:
    content: SnapshotContent = content_of(settings.snapshots)
    built: Edits = {MYSTERY: {"title": "Quiet crime", "hidden": True}, CLASSICS: {"merged_into": FANTASY}}
    version = builder.write(settings.snapshots, replace(content, edits=built))
    publication.publish(settings.snapshots, version)
    async with serving(settings) as client:
        assert await titles(client) == ["Fantasy", "Science fiction"]
        assert await get(client, "/v1/segments/edits") == {"edits": built}
        await patch(client, MYSTERY, hidden=None)
        assert await titles(client) == ["Fantasy", "Science fiction", "Quiet crime"]
        await patch(client, MYSTERY, title=None)
        await patch(client, CLASSICS, merged_into=None)
        assert await titles(client) == ["Fantasy", "Science fiction", "Mystery", "Classics"]
        out = await get(client, "/v1/segments/edits")
        assert out["edits"][MYSTERY] == {"title": None, "hidden": None}, "what is taken back stays taken back"
        assert (await client.put("/v1/segments/edits", json={"edits": built})).status_code == 200
        assert await titles(client) == ["Fantasy", "Science fiction"]
        assert (await client.put("/v1/segments/edits", json={"edits": {}})).status_code == 200
        assert await titles(client) == ["Fantasy", "Science fiction", "Mystery", "Classics"]


@pytest.fixture
def content_of() -> Any:
    def content(root: Path) -> SnapshotContent:
        version = publication.current(root)
        assert version is not None
        opened = open_snapshot(root, version)
        rows = range(len(opened.items))
        properties = opened.catalogue.properties(rows)
        return SnapshotContent(opened.embeddings, properties, opened.popularity, opened.found_segments)

    return content


async def test_changes_at_once_are_all_kept(redis_url: str) -> None:
    async with opened(settings_of(redis_url)) as users:
        store = EditStore(users.connection)

        async def edit(number: int) -> StoredEdits:
            return await store.change(lambda edits: {**edits, f"s{number}": {"title": f"T{number}"}})

        await asyncio.gather(*map(edit, range(4)))
        assert sorted((await store.read()).edits) == ["s0", "s1", "s2", "s3"]
        before = await store.version()
        assert (await store.change(lambda edits: edits)).version == before, "what changes nothing is no change"
        await store.change(lambda edits: {one: edit for one, edit in edits.items() if one != "s1"})
        assert sorted((await store.read()).edits) == ["s0", "s2", "s3"]
        assert await store.version() != before


async def test_what_is_stored_reads_back_for_command_lines(redis_url: str, redis: Redis) -> None:
    async with opened(settings_of(redis_url)) as users:
        stored = await EditStore(users.connection).change(lambda _: {"a/ü": {"title": "Ü", "hidden": None}})
    assert read_by(redis) == stored
    assert redis.ttl(EDITS) == redis.ttl(EDITS_VERSION) == -1


@pytest.mark.usefixtures("quick")
async def test_what_is_no_edit_in_redis_changes_nothing(client: httpx.AsyncClient, redis: Redis) -> None:
    await patch(client, MYSTERY, title="Quiet crime")
    redis.hset(EDITS, FANTASY, "{")
    redis.set(EDITS_VERSION, "other")
    await asyncio.sleep(0.1)
    assert await titles(client) == ["Fantasy", "Science fiction", "Quiet crime", "Classics"]
    assert (await client.patch(f"/v1/segments/{MYSTERY}", json={"title": "x"})).status_code == 503


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_names_a_segment_that_is_not_shown(
    settings: Settings, serving: Any, make_snapshot: Any, tmp_path: Path, seed: int
) -> None:
    """Of random snapshots under random edits: pages, a user's segments and reasons, with and without taste."""
    found: Snapshot = make_snapshot(seed)
    shutil.copytree(found.directory, tmp_path / "random" / found.version)
    publication.publish(tmp_path / "random", found.version)
    random = np.random.default_rng(seed)
    ids = [segment.segment_id for segment in found.segments.segments]
    edits: dict[str, dict[str, Any]] = {one: {"hidden": True} for one in ids if random.random() < 0.3}
    edits.update({one: {"merged_into": ids[0]} for one in ids[1:] if random.random() < 0.3})
    async with serving(settings.model_copy(update={"snapshots": tmp_path / "random"})) as client:
        assert (await client.put("/v1/segments/edits", json={"edits": edits})).status_code == 200
        shown = named_segments(await get(client, "/v1/segments"))
        assert 0 < len(shown) < len(ids)
        named = set()
        for n_liked in (0, 1, 3, 8):
            liked = random.choice(40, n_liked, replace=False)
            steer = {one: float(random.uniform(-1, 1)) for one in ids[::3]}
            asked = {"history": [{"item_id": f"i{item}"} for item in liked], "steer": steer}
            for path, more in {"homepage": CROWD, "segments/recommend": {}, "recommend": {"count": 40}}.items():
                explain = {"explain": True} if path != "segments/recommend" else {}
                named |= named_segments(await post(client, f"/v1/{path}", **asked, **more, **explain))
        assert named
        assert named <= shown


def test_what_replaces_all_forgets_segments_that_no_index_has(planted: Snapshot) -> None:
    known = planted.segments.segments[0].segment_id
    taken_back = {"title": None, "hidden": None, "merged_into": None}
    stored: Edits = {known: {"hidden": True}, "gone": {"hidden": True}}
    assert replaced((planted,), stored, {}) == {known: taken_back}
    assert replaced((planted,), stored, {"gone": {}}) == {known: taken_back, "gone": {}}
