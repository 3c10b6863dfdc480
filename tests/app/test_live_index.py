import asyncio
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app import live_index as module
from app import verification
from app.live_index import LiveIndex, NothingPublished
from app.metrics import Metrics
from app.settings import Settings
from app.verification import verify_once
from index.errors import CorruptSnapshot
from index.publication import current, publish, rollback, unpin
from index.snapshot import verify_hashes

pytestmark = pytest.mark.anyio

Build = Callable[..., str]
RENAMED = [f"renamed-{number}" for number in range(32)]


def version_of(root: Path) -> str:
    version = current(root)
    assert version is not None
    return version


class Watched:
    """A live index over a folder, and what it counted."""

    def __init__(self, root: Path, data: Path) -> None:
        self.metrics = Metrics()
        self.live_index = LiveIndex(root, data, 0.01, self.metrics)

    @property
    def n_refused(self) -> float:
        name = "sparrow_refused_snapshots_total"
        lines = self.metrics.exposition().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(name))


@pytest.fixture
def watched(snapshots: Path, tmp_path: Path) -> Watched:
    return Watched(snapshots, tmp_path / "data")


def spoil(root: Path, version: str) -> None:
    """Change one byte in the middle of the largest file, with its size and time as they were."""
    largest = max((root / version).iterdir(), key=lambda path: path.stat().st_size)
    before = largest.stat()
    largest.chmod(0o600)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    os.utime(largest, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_what_current_names_is_served(watched: Watched, snapshots: Path) -> None:
    with pytest.raises(NothingPublished):
        _ = watched.live_index.snapshot
    await watched.live_index.refresh()
    assert watched.live_index.snapshot.version == watched.live_index.version == version_of(snapshots)
    created_at = watched.live_index.created_at
    assert created_at is not None
    assert 0 <= time.time() - created_at < 3600


@pytest.mark.parametrize("made", [False, True])
async def test_no_folder_and_an_empty_one_are_no_errors(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "later"
    if made:
        root.mkdir()
    watched = Watched(root, tmp_path / "data")
    await watched.live_index.refresh()
    assert watched.live_index.version is None
    assert watched.live_index.created_at is None
    assert watched.n_refused == 0


async def test_the_first_snapshot_may_come_later(tmp_path: Path, build_books: Build) -> None:
    watched = Watched(tmp_path / "later", tmp_path / "data")
    await watched.live_index.refresh()
    version = build_books(tmp_path / "later")
    await watched.live_index.refresh()
    assert watched.live_index.version is None, "stored and not published"
    publish(tmp_path / "later", version)
    await watched.live_index.refresh()
    assert watched.live_index.version == version


async def test_a_request_keeps_its_snapshot_while_another_is_taken(
    watched: Watched, snapshots: Path, build_books: Build
) -> None:
    await watched.live_index.refresh()
    mine = watched.live_index.snapshot
    second = build_books(snapshots, RENAMED)
    publish(snapshots, second)
    await watched.live_index.refresh()
    assert watched.live_index.version == second
    shutil.rmtree(mine.directory)
    assert mine.items.row("book-31") == 31
    assert mine.catalogue.properties([31])[0]["title"] == "Wuthering Heights"
    assert watched.live_index.snapshot.items.row("book-31") is None


async def test_a_rollback_is_followed_there_and_back(watched: Watched, snapshots: Path, build_books: Build) -> None:
    first = version_of(snapshots)
    second = build_books(snapshots, RENAMED)
    publish(snapshots, second)
    await watched.live_index.refresh()
    rollback(snapshots)
    await watched.live_index.refresh()
    assert watched.live_index.version == first
    unpin(snapshots)
    publish(snapshots, second)
    await watched.live_index.refresh()
    assert watched.live_index.version == second


async def test_a_bad_snapshot_is_refused_once_and_the_old_one_stays(
    watched: Watched, snapshots: Path, build_books: Build, caplog: pytest.LogCaptureFixture
) -> None:
    await watched.live_index.refresh()
    first = watched.live_index.snapshot
    second = build_books(snapshots, RENAMED)
    publish(snapshots, second)
    spoil(snapshots, second)
    for _ in range(3):
        await watched.live_index.refresh()
    assert watched.live_index.snapshot is first
    assert watched.n_refused == 1
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert second in errors[0]
    assert first.version in errors[0]
    # The next good one is taken at once.
    third = build_books(snapshots, [f"third-{number}" for number in range(32)])
    publish(snapshots, third)
    await watched.live_index.refresh()
    assert watched.live_index.version == third


async def test_a_refused_snapshot_gets_another_chance_in_time(
    watched: Watched, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_of(snapshots)
    moved = snapshots.parent / "moved"
    (snapshots / version).rename(moved)
    await watched.live_index.refresh()
    assert watched.n_refused == 1
    moved.rename(snapshots / version)
    await watched.live_index.refresh()
    assert watched.live_index.version is None, "not every second"
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    await watched.live_index.refresh()
    assert watched.live_index.version == version


@pytest.mark.parametrize("content", ["", "../../etc", "20200101T000000Z-00000000\n", "x" * 5000, "\0"])
async def test_nonsense_in_current_changes_nothing(watched: Watched, snapshots: Path, content: str) -> None:
    await watched.live_index.refresh()
    version = watched.live_index.version
    (snapshots / "CURRENT").write_text(content)
    for _ in range(3):
        await watched.live_index.refresh()
    assert watched.live_index.version == version
    assert watched.n_refused == 1


async def test_a_missing_current_keeps_what_is_served(watched: Watched, snapshots: Path) -> None:
    await watched.live_index.refresh()
    (snapshots / "CURRENT").unlink()
    await watched.live_index.refresh()
    assert watched.live_index.version is not None
    assert watched.n_refused == 0


async def test_a_running_server_takes_a_new_snapshot_without_a_failed_request(
    client: httpx.AsyncClient, settings: Settings, build_books: Build
) -> None:
    history = {"history": [{"item_id": "book-1"}, {"item_id": "renamed-1"}]}
    versions: list[str] = []
    second = build_books(settings.snapshots, RENAMED)
    publish(settings.snapshots, second)
    for _ in range(1000):
        answer = await client.post("/v1/homepage", json=history)
        assert answer.status_code == 200
        versions.append(answer.json()["index_version"])
        if versions[-1] == second:
            break
        await asyncio.sleep(0.01)
    assert versions[-1] == second


async def test_hashes_are_checked_once_a_host(
    snapshots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_books: Build
) -> None:
    checked: list[str] = []

    def counted(root: Path, version: str) -> object:
        checked.append(version)
        return verify_hashes(root, version)

    monkeypatch.setattr(verification, "verify_hashes", counted)
    version, data = version_of(snapshots), tmp_path / "data"
    await asyncio.gather(*(asyncio.to_thread(verify_once, snapshots, version, data) for _ in range(4)))
    assert checked == [version]
    for number in range(verification.REMEMBERED):
        verify_once(snapshots, build_books(snapshots, [f"{number}-{item}" for item in range(32)]), data)
    assert len(checked) == 1 + verification.REMEMBERED
    assert len((data / "verified").read_text().splitlines()) == verification.REMEMBERED
    verify_once(snapshots, version, data)
    assert checked[-1] == version, "forgotten, so checked again"


async def test_a_replaced_directory_is_checked_again(snapshots: Path, tmp_path: Path) -> None:
    version = version_of(snapshots)
    verify_once(snapshots, version, tmp_path / "data")
    copy = tmp_path / "copy"
    shutil.copytree(snapshots / version, copy)
    shutil.rmtree(snapshots / version)
    copy.rename(snapshots / version)
    spoil(snapshots, version)
    with pytest.raises(CorruptSnapshot):
        verify_once(snapshots, version, tmp_path / "data")
    with pytest.raises(CorruptSnapshot):
        verify_once(snapshots, version, tmp_path / "data")


async def test_without_a_private_folder_every_worker_checks(snapshots: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    verify_once(snapshots, version_of(snapshots), blocked)
    spoil(snapshots, version_of(snapshots))
    with pytest.raises(CorruptSnapshot):
        verify_once(snapshots, version_of(snapshots), blocked)


async def test_a_mark_that_cannot_be_written_does_not_refuse_the_snapshot(
    watched: Watched, snapshots: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "verified").touch()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # like a full disk: files open, no byte can be added
    try:
        await watched.live_index.refresh()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert watched.live_index.version == version_of(snapshots)
    assert watched.n_refused == 0
    assert "cannot be remembered" in caplog.text
    assert (tmp_path / "data" / "verified").read_bytes() == b""
    verify_once(snapshots, version_of(snapshots), tmp_path / "data")
    assert (tmp_path / "data" / "verified").read_bytes().count(b"\n") == 1
