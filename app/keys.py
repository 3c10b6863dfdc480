"""Keys of callers: a file of one line each, which says who may do what and holds no secret.

    name role sha256-of-the-key          shop write 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A key is 32 random bytes, so a fast hash is enough: nobody can try them out. A caller's key is looked up by its hash and
then compared in constant time. The file is read again when it changes; one that cannot be read leaves the keys as they
were, with a line in the log.
"""

import fcntl
import hmac
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, get_args

log = logging.getLogger(__name__)

Role = Literal["read", "write", "admin"]
"""What a key may do; each may also do what those before it may."""

ROLES: tuple[Role, ...] = get_args(Role)

LOOK_SECONDS = 1.0
"""How often the file is looked at, at most."""

MAX_BYTES = 2**20
"""Of the file: some ten thousand keys."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

HEADER = "# Keys of sparrow-serve: name, role, SHA-256 of the key. Written by `sparrow-serve keys`.\n"


class KeysError(Exception):
    """The file of keys cannot be used as asked; the message says why."""


class Key(NamedTuple):
    """A caller."""

    name: str
    """As in the file: 1 to 64 letters, digits, dots, dashes and underscores."""
    role: Role
    digest: str
    """SHA-256 of the key, in hexadecimal."""

    def may(self, role: Role) -> bool:
        """Whether this key is enough for a role."""
        return ROLES.index(self.role) >= ROLES.index(role)


def parse(text: str, source: str = "the file") -> tuple[Key, ...]:
    """The keys of a file; KeysError names the line that is none."""
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = _key(words)
        if key is None:
            raise KeysError(f"{source}, line {number}: expected a name, a role ({', '.join(ROLES)}) and a SHA-256")
        if key.name in keys or any(key.digest == other.digest for other in keys.values()):
            raise KeysError(f"{source}, line {number}: this name or this key stands there already")
        keys[key.name] = key
    return tuple(keys.values())


def _key(words: Sequence[str]) -> Key | None:
    for role in ROLES:
        if len(words) == 3 and words[1] == role and _NAME.fullmatch(words[0]) and _DIGEST.fullmatch(words[2].lower()):
            return Key(words[0], role, words[2].lower())
    return None


def read(path: Path) -> tuple[Key, ...]:
    """The keys of a file; KeysError or OSError where it cannot be read."""
    with path.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise KeysError(f"{path} has over {MAX_BYTES} bytes: that is no file of keys")
    try:
        return parse(data.decode(), str(path))
    except UnicodeDecodeError:
        raise KeysError(f"{path} is not text in UTF-8") from None


class Keyring:
    """The keys that a file holds now. KeysError where it holds none that can be read to begin with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = time.monotonic()
        self._state = _state(path)
        try:
            self._keys = _by_digest(read(path))
        except OSError as error:
            raise KeysError(
                f"SPARROW_KEYS_FILE: {path} cannot be read ({error.strerror}); sparrow-serve keys add makes it"
            ) from error

    def find(self, secret: str) -> Key | None:
        """Whose key this is; None where it is nobody's."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        digest = sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        key = self._keys.get(digest)
        # The look-up is by a hash, which nobody can choose: how long it takes says nothing about a key.
        return key if key is not None and hmac.compare_digest(key.digest, digest) else None

    def _look(self) -> None:
        state = _state(self._path)
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = _by_digest(read(self._path))
        except (OSError, KeysError) as error:
            log.error("the file of keys cannot be read, the keys stay as they were: %s", error)  # noqa: TRY400
            return
        log.info("read %d keys", len(self._keys))


def _state(path: Path) -> tuple[int, int, int, int] | None:
    """What changes when the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _by_digest(keys: Sequence[Key]) -> Mapping[str, Key]:
    return {key.digest: key for key in keys}


def add(path: Path, name: str, role: Role) -> str:
    """Make a key and write it into the file, which is made if need be; returns the key, which nobody can show again."""
    if not _NAME.fullmatch(name):
        raise KeysError(f"{name!r} cannot be a name: use 1 to 64 letters, digits, dots, dashes and underscores")
    secret = "sparrow_" + secrets.token_urlsafe(32)
    with _changing(path) as keys:
        if any(key.name == name for key in keys):
            raise KeysError(f"there is a key named {name} already: revoke it, or choose another name")
        keys.append(Key(name, role, sha256(secret.encode()).hexdigest()))
    return secret


def revoke(path: Path, name: str) -> None:
    """Take a key out of the file; KeysError where there is none of this name."""
    with _changing(path) as keys:
        kept = [key for key in keys if key.name != name]
        if len(kept) == len(keys):
            raise KeysError(f"there is no key named {name}; sparrow-serve keys list shows them")
        keys[:] = kept


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """What is done to the list is written, whole or not at all, and by one process at a time."""
    path = path.resolve()  # a link stays one
    if not path.parent.is_dir():
        raise KeysError(f"there is no folder {path.parent}")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        keys = list(read(path)) if path.exists() else []
        yield keys
        _replace(path, HEADER + "".join(f"{key.name} {key.role} {key.digest}\n" for key in keys))
        os.fsync(folder)
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=".keys-", dir=path.parent)  # with mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
