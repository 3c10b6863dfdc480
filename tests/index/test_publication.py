"""Which snapshot is served: publish, roll back, pin, prune; one writer at a time."""

import logging
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from index import builder, disk, publication, snapshot
from index.builder import SnapshotContent
from index.errors import CorruptSnapshot, UnknownVersion

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def write(root: Path, content: SnapshotContent, day: int) -> str:
    return builder.write(root, content, now=FIRST_DAY + timedelta(days=day))


@pytest.fixture
def five(tmp_path: Path, content: SnapshotContent) -> tuple[Path, list[str]]:
    """Five versions, the last one current."""
    versions = [write(tmp_path, content, day) for day in range(5)]
    for version in versions:
        assert publication.publish(tmp_path, version)
    return tmp_path, versions


def test_before_the_first_publish_nothing_is_current(tmp_path: Path, content: SnapshotContent) -> None:
    assert publication.current(tmp_path) is None
    assert publication.current(tmp_path / "missing") is None
    assert publication.versions(tmp_path / "missing") == ()
    version = write(tmp_path, content, 0)
    assert publication.versions(tmp_path) == (version,)
    assert publication.current(tmp_path) is None
    assert publication.publish(tmp_path, version)
    assert publication.current(tmp_path) == version
    assert (tmp_path / "CURRENT").read_text() == version + "\n"


def test_rollback_goes_one_back_and_pins(five: tuple[Path, list[str]], content: SnapshotContent) -> None:
    root, versions = five
    assert publication.rollback(root) == versions[3]
    assert publication.current(root) == publication.pinned(root) == versions[3]
    newer = write(root, content, 9)
    assert not publication.publish(root, newer)
    assert publication.current(root) == versions[3]
    assert publication.publish(root, versions[3])  # it is current, and stays so
    assert publication.rollback(root) == versions[2]
    assert publication.rollback(root, versions[4]) == versions[4]
    assert publication.pinned(root) == versions[4]
    assert publication.unpin(root)
    assert publication.pinned(root) is None
    assert publication.current(root) == versions[4]
    assert not publication.unpin(root)
    assert publication.publish(root, newer)
    assert publication.current(root) == newer


def test_rollback_needs_something_older(tmp_path: Path, content: SnapshotContent) -> None:
    version = write(tmp_path, content, 0)
    with pytest.raises(UnknownVersion, match="nothing is published"):
        publication.rollback(tmp_path)
    publication.publish(tmp_path, version)
    with pytest.raises(UnknownVersion, match=f"older than the current {version}; name the version"):
        publication.rollback(tmp_path)
    assert publication.pinned(tmp_path) is None


def damage(root: Path, version: str) -> None:
    path = root / version / "popular.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def test_a_damaged_version_is_neither_published_nor_rolled_back_to(five: tuple[Path, list[str]]) -> None:
    root, versions = five
    damage(root, versions[3])
    for change in (publication.publish, publication.rollback):
        with pytest.raises(CorruptSnapshot, match=r"popular\.npy does not match its hash"):
            change(root, versions[3])
    assert publication.current(root) == versions[4]
    assert publication.pinned(root) is None


def test_prune_keeps_what_is_needed(five: tuple[Path, list[str]]) -> None:
    root, versions = five
    publication.rollback(root, versions[2])
    publication.unpin(root)
    opened = snapshot.open_snapshot(root, versions[0])
    assert publication.prune(root, keep=1) == (versions[0], versions[3])
    assert publication.versions(root) == (versions[1], versions[2], versions[4])
    # what is open stays readable
    assert float(opened.embeddings.decoder.values[0]) != 0
    assert len(opened.catalogue.properties([0])) == 1


def test_prune_keeps_the_pinned_and_the_newest(five: tuple[Path, list[str]]) -> None:
    root, versions = five
    publication.rollback(root, versions[1])
    assert publication.prune(root, keep=2) == (versions[2],)
    assert publication.prune(root, keep=2) == ()
    assert not list(root.glob(".tmp-*"))
    with pytest.raises(ValueError, match="keep is 0"):
        publication.prune(root, keep=0)


def test_prune_before_the_first_publish(tmp_path: Path, content: SnapshotContent) -> None:
    versions = [write(tmp_path, content, day) for day in range(3)]
    assert publication.prune(tmp_path, keep=1) == tuple(versions[:2])


def test_current_that_names_a_missing_version_is_explained(five: tuple[Path, list[str]]) -> None:
    root, versions = five
    (root / "CURRENT").write_text("20270101T000000Z-00000000\n")
    version = publication.current(root)
    assert version is not None
    with pytest.raises(UnknownVersion, match="20270101T000000Z-00000000 is not stored in"):
        snapshot.open_snapshot(root, version)
    assert publication.rollback(root) == versions[4]


@pytest.mark.parametrize("raw", [b"", b"../x\n", b"\xff\xfe", b"x" * 1000])
def test_current_and_pin_that_name_no_version_are_refused_and_can_be_mended(
    five: tuple[Path, list[str]], raw: bytes
) -> None:
    root, versions = five
    (root / "CURRENT").write_bytes(raw)
    with pytest.raises(CorruptSnapshot, match="'sparrow-index publish VERSION' writes it anew"):
        publication.current(root)
    assert publication.publish(root, versions[4])
    (root / "PIN").write_bytes(raw)
    with pytest.raises(CorruptSnapshot, match="'sparrow-index unpin' removes it"):
        publication.publish(root, versions[3])
    assert publication.current(root) == versions[4]
    assert publication.unpin(root)
    assert publication.publish(root, versions[3])


def test_a_directory_that_is_missing_is_not_made(tmp_path: Path) -> None:
    root = tmp_path / "missing"
    for change in (publication.unpin, publication.rollback):
        with pytest.raises(UnknownVersion, match="is not a directory of snapshots"):
            change(root)
    assert not root.exists()


def test_leftovers_of_a_crashed_writer_are_removed(
    root: Path, content: SnapshotContent, caplog: pytest.LogCaptureFixture
) -> None:
    (root / ".tmp-build" / "deep").mkdir(parents=True)
    (root / ".tmp-CURRENT").write_text("half")
    with caplog.at_level(logging.WARNING):
        write(root, content, 3)
    assert not list(root.glob(".tmp-*"))
    assert caplog.text.count("left by a writer that crashed") == 2


HOLD = """
import sys
from pathlib import Path
from index import builder, disk
with disk.writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_writers_wait_for_each_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    holding, unpinning = [sys.executable, "-c", HOLD, str(root)], [sys.executable, "-m", "index", "unpin"]
    pipe = subprocess.PIPE
    with subprocess.Popen(holding, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        (root / ".tmp-build").mkdir()  # at work in the other process: not ours to remove
        with subprocess.Popen([*unpinning, "--snapshots", str(root)], stdout=pipe, stderr=pipe, text=True) as waiting:
            assert waiting.stderr is not None
            assert "another writer is at work" in waiting.stderr.readline()
            assert waiting.poll() is None
            assert (root / ".tmp-build").exists()
            other.stdin.close()
            assert waiting.wait(30) == 0
    assert not (root / ".tmp-build").exists()
    with caplog.at_level(logging.WARNING), disk.writing(root):
        pass
    assert "waiting" not in caplog.text


def test_versions_ascend_even_if_the_clock_is_set_back(five: tuple[Path, list[str]], content: SnapshotContent) -> None:
    root, versions = five
    newer = [write(root, content, -400) for _ in range(2)]
    assert sorted([*versions, *newer]) == [*versions, *newer]
    publication.publish(root, newer[1])
    assert publication.rollback(root) == newer[0]


def test_the_same_content_is_stored_anew_each_time(five: tuple[Path, list[str]], content: SnapshotContent) -> None:
    root, versions = five
    assert len(set(versions)) == 5
    assert len({version.split("-")[1] for version in versions}) == 1
    other = replace(content, popularity=content.popularity * 2)
    assert write(root, other, 5).split("-")[1] != versions[0].split("-")[1]
