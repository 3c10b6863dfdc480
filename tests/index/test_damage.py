"""Damaged and foreign files: refused with the file and the reason; searched unverified they may answer nonsense, but
never end the process.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from index import builder, files, manifest
from index.embeddings import VALUES
from index.errors import CorruptSnapshot, UnsupportedFormat
from index.snapshot import open_snapshot, verify

Damage: TypeAlias = Callable[[bytes], bytes]

HEADER_BYTES = 128
N_ROUNDS = 250
DAMAGES: dict[str, Damage] = {
    "empty": lambda _: b"",
    "cut by a byte": lambda raw: raw[:-1],
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "longer by a byte": lambda raw: raw + b"\0",
    "longer by a line": lambda raw: raw + bytes(64),
    "zeros": lambda raw: bytes(len(raw)),
    "foreign": lambda raw: (b"<!DOCTYPE html>" * len(raw))[: len(raw)],
    "first byte": lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
    "last byte": lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    "middle byte": lambda raw: raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 64]) + raw[len(raw) // 2 + 1 :],
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, golden: dict[str, Any]) -> Path:
    """The directory of one good snapshot with every kind of file; tests put back what they change."""
    root = tmp_path_factory.mktemp("damage")
    return root / builder.write(root, golden["content"]("factor"))


def names_of(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@contextmanager
def holding(path: Path, raw: bytes) -> Iterator[None]:
    """Put something else into a file for a while."""
    before = path.read_bytes()
    path.write_bytes(raw)
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_damage_to_every_file_is_refused_by_its_name(stored: Path, kind: str) -> None:
    n_refused = 0
    for name in names_of(stored):
        raw = (stored / name).read_bytes()
        damaged = DAMAGES[kind](raw)
        if name == manifest.FILE_NAME and damaged == raw.rstrip():
            continue  # without its last line feed it says the same
        with holding(stored / name, damaged):
            for use in (verify, open_snapshot) if len(damaged) != len(raw) else (verify,):
                with pytest.raises((CorruptSnapshot, UnsupportedFormat), match=rf"{name}.*: .+|{name} .+"):
                    use(stored.parent, stored.name)
        n_refused += 1
    assert n_refused >= len(names_of(stored)) - 1
    verify(stored.parent, stored.name)


def resign(directory: Path) -> None:
    """Make the manifest vouch for the files as they are: what a foreign writer would leave."""
    path = directory / manifest.FILE_NAME
    described = files.describe(directory)
    del described[manifest.FILE_NAME]
    path.write_bytes(manifest.to_bytes(replace(manifest.from_bytes(path.read_bytes(), ""), files=described)))


def header(raw: bytes, old: bytes, new: bytes) -> bytes:
    """The same file with another header of the same length."""
    text = raw[:HEADER_BYTES].replace(old, new)
    return text[: HEADER_BYTES - 1].ljust(HEADER_BYTES - 1) + b"\n" + raw[HEADER_BYTES:]


def moved(raw: bytes) -> bytes:
    """The same array with a header that ends before a multiple of 64 bytes."""
    size = int.from_bytes(raw[8:10], "little") - 8
    return (
        raw[:8]
        + size.to_bytes(2, "little")
        + raw[10:HEADER_BYTES].rstrip().ljust(size - 1)
        + b"\n"
        + raw[HEADER_BYTES:]
    )


def described_as(kind: bytes) -> Damage:
    return lambda raw: header(raw, raw[20:25], kind)


def one_less(raw: bytes) -> bytes:
    array = np.frombuffer(raw[HEADER_BYTES:], dtype=raw[21:24].decode())
    cut = header(raw, f"({len(array)},)".encode(), f"({len(array) - 1},)".encode())
    return cut[: len(raw) - array.itemsize] if len(array) else raw


FOREIGN: dict[str, tuple[Damage, str]] = {
    "another type": (lambda raw: header(raw, raw[20:25], b"'<i1'"), "promises|holds int8; expected"),
    "floats": (
        lambda raw: header(raw, raw[21:23], b"<f" if raw[22:23] != b"f" else b"<u"),
        "begins|not understood|holds .*; expected",
    ),
    "big-endian": (lambda raw: header(raw, raw[21:22], b">"), "begins with"),
    "fortran order": (lambda raw: header(raw, b"False", b"True"), "begins with"),
    "two dimensions": (lambda raw: header(raw, b",), }", b",1), }"), "begins with"),
    "objects": (described_as(b"'|O'"), "begins with"),
    "not aligned": (moved, "not at a multiple of 64"),
    "one value less": (one_less, "holds|starts|runs|has|breaks"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_well_formed_files_of_a_foreign_writer_are_refused_at_opening(stored: Path, kind: str) -> None:
    damage, reason = FOREIGN[kind]
    about = (stored / manifest.FILE_NAME).read_bytes()
    for path in sorted(stored.glob("*.npy")):
        with holding(stored / manifest.FILE_NAME, about), holding(path, damage(path.read_bytes())):
            resign(stored)
            with pytest.raises(CorruptSnapshot, match=reason) as refused:
                open_snapshot(stored.parent, stored.name)
            # with one value less it may be the file that belongs to it which no longer fits
            assert path.name in str(refused.value) or kind == "one value less"
    verify(stored.parent, stored.name)


# Reads a number of rounds; in each flips bits in the values of a file, opens, asks everything, and puts them back.
SEARCHER = """
import json, re, sys
from pathlib import Path
import numpy as np
from index import query
from index.bitmap import Bitmap
from index.snapshot import open_snapshot

directory, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
paths = sorted(directory.glob("*.npy")) + [directory / "texts.sqlite"]
searched = [path for path in paths if path.name.startswith(("decoder_", "postings_", "item_scale"))]

def ask(opened, rng):
    n_items, n_dims = opened.embeddings.n_items, opened.embeddings.n_dims
    searcher = opened.searcher
    user = rng.standard_normal(n_dims).astype(np.float32)
    some = rng.integers(0, n_items, 5).astype(np.int32)
    hits = searcher.top_n(user, 10, exclude=some)
    searcher.top_n(user, 10, within=some)
    searcher.top_n(user, 10, within=Bitmap.from_rows(some, n_items))
    searcher.top_n_per_segment(user, [None, some], 4)
    searcher.batch(np.stack([user] * 9), 7)
    searcher.score_items(user, some)
    assert len(hits.items) <= 10 and all(0 <= item < n_items for item in hits.items.tolist())

def ask_the_rest(opened, rng):
    some = rng.integers(0, opened.embeddings.n_items, 5).astype(np.int32)
    query.encode(opened.embeddings, some, np.ones(5, np.float32))
    opened.searcher.top_n_per_segment(
        np.ones(opened.embeddings.n_dims, np.float32),
        [opened.segments.items_of(number) for number in range(len(opened.segments))], 3)
    opened.items.rows(opened.items.item_ids(some))
    opened.catalogue.properties(opened.catalogue.search("pla", 5))
    opened.filters.compile({"must": [{"key": "title", "match": {"value": "Plain tale 3"}}]})
    for column in opened.filters.columns.by_key.values():
        column.having([(code, code + 1) for code in range(column.n_values)])
        column.having([(0, 1)])

counts = {"refused at opening": 0, "searched": 0, "failed": 0, "answered": 0}
for number in range(first, last):
    rng = np.random.default_rng(number)
    chosen = searched if number % 3 else paths
    path = chosen[rng.integers(len(chosen))]
    raw = path.read_bytes()
    changed = bytearray(raw)
    for _ in range(rng.integers(1, 9)):
        changed[rng.integers(min(128, len(raw) - 1), len(raw))] ^= 1 << rng.integers(8)
    path.write_bytes(changed)
    try:
        opened = open_snapshot(directory.parent, directory.name)
    except Exception as error:
        counts["refused at opening"] += 1
        refused = error
    else:
        for use, success, failure in ((ask, "searched", "failed"), (ask_the_rest, "answered", "failed")):
            try:
                use(opened, rng)
                counts[success] += 1
            except Exception:
                counts[failure] += 1
    path.write_bytes(raw)
# not ru_maxrss: that begins with the peak of the process that started this one
(peak,) = re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
assert int(peak) < 1 << 20, "more than a GiB"
print(json.dumps({**counts, "last refusal": repr(refused)}))
"""


@pytest.mark.parametrize("values", VALUES)
def test_searching_damaged_files_never_ends_the_process(tmp_path: Path, golden: dict[str, Any], values: str) -> None:
    directory = tmp_path / builder.write(tmp_path, golden["content"](values))
    command = [sys.executable, "-X", "faulthandler", "-c", SEARCHER, str(directory), "0", str(N_ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    refusal = counts.pop("last refusal")
    assert sum(counts.values()) >= N_ROUNDS
    assert all(count > N_ROUNDS / 50 for count in counts.values()), (counts, refusal)
    verify(tmp_path, directory.name)
