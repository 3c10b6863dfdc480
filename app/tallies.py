"""Numbers that one process adds to and any process of the same server reads: what metrics are made of.

A process has one file of float64 slots, mapped into its memory, and one of names: a line of JSON says from which slot
on a name's numbers lie. Adding is one read and one write of a slot, no call and no lock; readers see it at once, and a
process that is killed loses nothing. What ended processes left is added into one file when the next one starts.
"""

import fcntl
import json
import mmap
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from index.types import JSON

SLOTS = 16_384
"""Numbers of one process, 128 KiB; a name too many is a mistake in the code, for labels are bounded."""


class Name(NamedTuple):
    """What is counted, and for what."""

    metric: str
    labels: tuple[str, ...]


Numbers = dict[Name, list[float]]


class Tallies:
    """The numbers of this process, in a folder that it shares with others; without a folder they stay its own."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._end = 0
        self._own: dict[Name, tuple[int, int]] = {}
        self._names: int | None = None
        if folder is None:
            self.values = memoryview(bytearray(8 * SLOTS)).cast("d")
            """The slots; `values[place(...)] += 1` counts."""
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _fold(folder)
        self._file = folder / uuid.uuid4().hex
        with self._file.with_suffix(".values").open("w+b") as opened:
            opened.truncate(8 * SLOTS)
            self.values = memoryview(mmap.mmap(opened.fileno(), 8 * SLOTS)).cast("d")
        self._names = os.open(self._file.with_suffix(".names"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._names, fcntl.LOCK_EX)  # until this process ends, however it does: by this others know

    def close(self) -> None:
        """Count no more: what was counted is added up as that of a process which has ended."""
        if self._names is not None:
            os.close(self._names)
            self._names = None

    def place(self, name: Name, size: int) -> int:
        """The first of `size` slots, which this name has alone."""
        if name not in self._own:
            if self._end + size > SLOTS:
                raise RuntimeError(f"{name.metric} has more labels than metrics have room for")
            self._own[name] = (self._end, size)
            if self._names is not None:
                os.write(self._names, json.dumps([*name, self._end, size]).encode() + b"\n")
            self._end += size
        return self._own[name][0]

    def total(self, *, running: bool = False) -> Numbers:
        """By name, added up over all processes that there are or were; only over those that run, where `running`."""
        if self._folder is None:
            return {name: list(self.values[start : start + size]) for name, (start, size) in self._own.items()}
        with _locked(self._folder, fcntl.LOCK_SH):
            total = {} if running else _past(self._folder).numbers
            for file in _files(self._folder):
                if not (running and _ended(file)):
                    _add(total, _read(file))
        return total


class _Past(NamedTuple):
    """What processes left that have ended."""

    files: list[str]
    """Already added up; a crash may have left them where they were."""
    numbers: Numbers


def _fold(folder: Path) -> None:
    """Add up what ended processes left, and remove it."""
    with _locked(folder, fcntl.LOCK_EX):
        ended = [file for file in _files(folder) if _ended(file)]
        if ended:
            past = _past(folder)
            for file in ended:
                _add(past.numbers, _read(file))
            numbers: JSON = [[name.metric, list(name.labels), list(values)] for name, values in past.numbers.items()]
            new = folder / "past.new"
            new.write_text(json.dumps([[file.name for file in ended], numbers]), encoding="utf-8")
            new.replace(folder / "past")
        counted = _past(folder).files
        for name in counted:
            for suffix in (".names", ".values"):
                (folder / name).with_suffix(suffix).unlink(missing_ok=True)


def _past(folder: Path) -> _Past:
    try:
        files, numbers = json.loads((folder / "past").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _Past([], {})
    return _Past(files, {Name(metric, tuple(labels)): values for metric, labels, values in numbers})


def _files(folder: Path) -> list[Path]:
    """Those not yet added up, without suffix."""
    counted = set(_past(folder).files)
    return [file.with_suffix("") for file in folder.glob("*.names") if file.stem not in counted]


def _ended(file: Path) -> bool:
    """Whether nobody holds it any more."""
    with file.with_suffix(".names").open(encoding="utf-8") as names:
        try:
            fcntl.flock(names, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _read(file: Path) -> Numbers:
    values = memoryview(file.with_suffix(".values").read_bytes()).cast("d")
    found: Numbers = {}
    for line in file.with_suffix(".names").read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # else it is being written
            metric, labels, start, size = json.loads(line)
            found[Name(metric, tuple(labels))] = list(values[start : start + size])
    return found


def _add(total: Numbers, more: Numbers) -> None:
    for name, values in more.items():
        before = total.get(name, [0.0] * len(values))
        total[name] = [one + other for one, other in zip(before, values, strict=True)]


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
