"""Several open versions: which are open, for how long, and that a request is answered from the one it names."""

import asyncio
import ctypes
import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app import live_index as module
from app.live_index import LiveIndex, NothingPublished, NotOpen, StillOpening
from app.metrics import Metrics
from app.settings import Settings
from index.publication import prune, publish, rollback
from index.snapshot import Snapshot

pytestmark = pytest.mark.anyio

Build = Callable[..., str]
HISTORY = [{"item_id": "book-1"}, {"item_id": "book-9"}]


def ids(number: int) -> list[str]:
    return [f"v{number}-{item}" for item in range(32)]


@pytest.fixture
def versions(tmp_path: Path, build_books: Build) -> list[str]:
    """Six stored versions, the fifth of which is current."""
    stored = [build_books(tmp_path / "root", ids(number)) for number in range(6)]
    publish(tmp_path / "root", stored[4])
    return stored


@pytest.fixture
def live_index(tmp_path: Path, versions: list[str]) -> LiveIndex:
    assert versions
    return LiveIndex(tmp_path / "root", tmp_path / "data", 0.01, Metrics(), max_open=4)


def opened(live_index: LiveIndex) -> set[str]:
    return {snapshot.version for snapshot in live_index.open_snapshots}


async def test_a_named_version_is_opened_and_the_least_asked_for_is_closed(
    live_index: LiveIndex, versions: list[str], tmp_path: Path
) -> None:
    await live_index.refresh()
    for number in (0, 1, 2):
        found = await live_index.named(versions[number])
        assert found.items.row(f"v{number}-7") == 7
    assert opened(live_index) == {versions[4], *versions[:3]}
    assert (await live_index.named(versions[0])).version == versions[0]  # asked for again, so 1 is the oldest unused
    await live_index.named(versions[3])
    assert opened(live_index) == {versions[4], versions[0], versions[2], versions[3]}
    assert live_index.open_version(versions[1]) is None
    publish(tmp_path / "root", versions[5])
    await live_index.refresh()
    assert live_index.roles == (versions[5], versions[4])
    assert {versions[4], versions[5]} < opened(live_index)
    assert len(opened(live_index)) == 4


async def test_current_and_the_one_before_are_never_closed(live_index: LiveIndex, versions: list[str]) -> None:
    live_index = LiveIndex(live_index._root, live_index._data, 0.01, Metrics(), max_open=2)
    await live_index.refresh()
    publish(live_index._root, versions[5])
    await live_index.refresh()
    for number in (0, 1, 2, 3):
        found = await live_index.named(versions[number])
        assert found.version == versions[number]
        assert {versions[4], versions[5]} <= opened(live_index)
    await live_index.refresh()
    rollback(live_index._root)
    await live_index.refresh()
    assert live_index.roles == (versions[4], versions[5])
    assert live_index.pinned() == versions[4]


async def test_after_a_start_the_version_before_is_opened_too(live_index: LiveIndex, versions: list[str]) -> None:
    await live_index.refresh()
    assert live_index.roles.before is None
    await live_index._open_before()  # as watch() begins
    assert live_index.roles == (versions[4], versions[3])


async def test_what_cannot_be_opened_is_named_with_what_is(live_index: LiveIndex, versions: list[str]) -> None:
    with pytest.raises(NothingPublished):
        await live_index.named(versions[0])
    await live_index.refresh()
    with pytest.raises(NotOpen, match=rf"is not stored; open are {versions[4]}"):
        await live_index.named("20200101T000000Z-00000000")
    (live_index._root / versions[0] / "manifest.json").unlink()
    for _ in range(2):
        with pytest.raises(NotOpen, match="was refused"):
            await live_index.named(versions[0])
    assert "sparrow_refused_snapshots_total 1.0" in live_index._metrics.exposition().decode()
    assert opened(live_index) == {versions[4]}


async def test_requests_share_one_opening_and_do_not_wait_for_ever(
    live_index: LiveIndex, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_index.refresh()
    prepared: list[str] = []
    go, prepare = asyncio.Event(), live_index._prepare

    async def slow(version: str) -> Snapshot:
        prepared.append(version)
        await go.wait()
        return await prepare(version)

    monkeypatch.setattr(live_index, "_prepare", slow)
    monkeypatch.setattr(module, "OPENING_SECONDS", 0.01)
    for _ in range(2):
        with pytest.raises(StillOpening):
            await live_index.named(versions[0])
    go.set()
    monkeypatch.setattr(module, "OPENING_SECONDS", 60)
    found = await asyncio.gather(*(live_index.named(versions[0]) for _ in range(5)))
    assert {one.version for one in found} == {versions[0]}
    assert prepared == [versions[0]]


class Held(NamedTuple):
    """What this process holds."""

    maps: int
    files: int
    pages: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was given back and the allocator keeps is nobody's
        lines = Path("/proc/self/maps").read_text().splitlines()
        return cls(
            maps=sum("/root/" in line for line in lines),
            files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            pages=int(Path("/proc/self/statm").read_text().split()[1]),
        )


def swapped(root: Path, versions: list[str]) -> tuple[Held, Held]:
    """What a process holds after 60 swaps, and after 204 more."""

    async def measured() -> tuple[Held, Held]:
        live_index = LiveIndex(root, root.parent / "data", 0.01, Metrics(), max_open=4)

        async def swap(times: int) -> Held:
            for turn in range(times):
                (root / "CURRENT").write_text(versions[turn % 6] + "\n")  # (publishing would verify each time)
                await live_index.refresh()
                assert live_index.version == versions[turn % 6]
            assert len(opened(live_index)) == 4
            return Held.now()

        return await swap(60), await swap(204)

    return asyncio.run(measured())


def test_two_hundred_swaps_leave_no_maps_no_files_and_no_memory(tmp_path: Path, versions: list[str]) -> None:
    # In a process of its own: in this one other tests have left what goes away, or comes, at any time.
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        before, after = processes.submit(swapped, tmp_path / "root", versions).result()
    assert after[:2] == before[:2]
    # Six swaps map as much as the limit; a leak of 200 snapshots would be thousands of pages, of ours 200 or more each.
    assert after.pages - before.pages < 2000


async def test_a_request_is_answered_from_the_version_it_names(
    client: httpx.AsyncClient, settings: Settings, build_books: Build
) -> None:
    first = (await client.get("/v1/versions")).json()["versions"][0]["version"]
    second = build_books(settings.snapshots, ids(1))
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/recommend", {"history": HISTORY}),
        ("/v1/homepage", {"history": HISTORY}),
        ("/v1/similar", {"item_ids": ["book-1"]}),
        ("/v1/segments/recommend", {"history": HISTORY}),
        ("/v1/segments/sfantasy/items", {"history": HISTORY}),
    ]
    for path, body in bodies:
        for version in (first, second):
            answer = await client.post(path, json={**body, "index_version": version})
            assert answer.status_code == 200, answer.text
            assert answer.json()["index_version"] == version
        assert (await client.post(path, json=body)).json()["index_version"] == first
    answer = await client.post("/v1/recommend", json={"index_version": second})
    assert all(item["item_id"].startswith("v1-") for item in answer.json()["items"])


@pytest.mark.parametrize("named", ["20200101T000000Z-00000000", "..", "", "20201301T000000Z-00000000", "x" * 25, 5])
async def test_a_version_that_is_not_there_is_refused_and_the_open_ones_are_named(
    client: httpx.AsyncClient, named: object
) -> None:
    answer = await client.post("/v1/recommend", json={"index_version": named})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.index_version"
    if named == "20200101T000000Z-00000000":
        (one,) = (await client.get("/v1/versions")).json()["versions"]
        assert one["version"] in answer.json()["detail"]


async def test_pruned_versions_are_refused_once_they_are_not_open(
    settings: Settings, serving: Any, build_books: Build, caplog: pytest.LogCaptureFixture
) -> None:
    stored = [build_books(settings.snapshots, ids(number)) for number in (1, 2, 3)]
    kept_open, never_opened, newest = stored
    async with serving(settings.model_copy(update={"max_open_versions": 2})) as client:

        async def ask(version: str | None) -> httpx.Response:
            body = {"history": HISTORY, "count": 5, "cursors": True, "index_version": version}
            answer: httpx.Response = await client.post("/v1/recommend", json=body)
            return answer

        async def go_on() -> dict[str, Any]:
            answer = await client.post("/v1/next", json={"cursor": before["next_cursor"]})
            return dict(answer.json())

        before = (await ask(kept_open)).json()
        assert prune(settings.snapshots, keep=1) == (kept_open, never_opened)
        for version in (None, kept_open):
            assert (await ask(version)).status_code == 200
        assert (await go_on())["index_version"] == kept_open
        refused = await ask(never_opened)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.index_version")
        assert "is not stored; open are" in refused.json()["detail"]
        assert (await ask(newest)).status_code == 200  # opened in the place of the other
        assert (await ask(kept_open)).status_code == 422
        after = await go_on()
        assert after["index_version"] == (await ask(None)).json()["index_version"]
        assert "index_changed" in [one["code"] for one in after["warnings"]]
        assert (await client.get("/readyz")).status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]  # nothing is wrong with any


async def test_versions_say_what_they_are(client: httpx.AsyncClient, settings: Settings, build_books: Build) -> None:
    (one,) = (await client.get("/v1/versions")).json()["versions"]
    assert (one["current"], one["before"], one["pinned"]) == (True, False, False)
    assert (one["n_items"], one["provenance"]) == (32, {"model": "planted"})
    second = build_books(settings.snapshots, ids(1))
    publish(settings.snapshots, second)
    rollback(settings.snapshots, one["version"])
    await client.post("/v1/recommend", json={"index_version": second})
    newest, oldest = (await client.get("/v1/versions")).json()["versions"]
    assert (newest["version"], newest["current"], newest["pinned"]) == (second, False, False)
    assert (oldest["current"], oldest["pinned"]) == (True, True)
    (settings.snapshots / "PIN").write_text("nonsense")
    assert not any(one["pinned"] for one in (await client.get("/v1/versions")).json()["versions"])


async def test_there_may_be_no_version(settings: Settings, serving: Any, tmp_path: Path) -> None:
    async with serving(settings.model_copy(update={"snapshots": tmp_path})) as client:
        assert (await client.get("/v1/versions")).json() == {"versions": []}
        answer = await client.post("/v1/recommend", json={"index_version": "20200101T000000Z-00000000"})
        assert answer.status_code == 503
