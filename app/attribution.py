"""The ids of answers, by which events that follow from them are told apart from others: opaque, and self-describing.

    24 characters (base64url) = 18 bytes = time (4, Unix seconds) + version (4) + scenario (2) + chance (6) + check (2)

Version and scenario are hashes of their names, check is a hash of what stands before it. So nothing is written down
when an answer is given, any worker reads the ids of all others, and what is not an id of ours is recognised. An id is
no secret and proves nothing: whoever can post events could copy one.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

N_CHARACTERS = 24

_HEAD = Struct(">I4s2s6s")


class RecommId(NamedTuple):
    """What the id of an answer says."""

    time: int
    """When it was given, Unix seconds."""
    version: bytes
    """Hash of the index version, see `hash_name`."""
    scenario: bytes
    """Hash of the scenario; zeros where the request named none."""


def make(now: float, version: str, scenario: str | None) -> str:
    """A new id, unlike any other."""
    scene = bytes(2) if scenario is None else hash_name(scenario, 2)
    head = _HEAD.pack(int(now) & 0xFFFFFFFF, hash_name(version, 4), scene, os.urandom(6))
    return urlsafe_b64encode(head + _check(head)).decode()


def read(text: str) -> RecommId | None:
    """What an id says; None where it is not one that `make` made."""
    if len(text) != N_CHARACTERS or not text.isascii():
        return None
    try:
        raw = urlsafe_b64decode(text)
    except Error:
        return None
    head, check = raw[: _HEAD.size], raw[_HEAD.size :]
    # The decoder passes over characters that it does not know.
    if check != _check(head) or urlsafe_b64encode(raw).decode() != text:
        return None
    time, version, scenario, _ = _HEAD.unpack(head)
    return RecommId(time, version, scenario)


@lru_cache(maxsize=1024)
def hash_name(name: str, n_bytes: int) -> bytes:
    """The hash of a version (4 bytes) or a scenario (2 bytes)."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=n_bytes).digest()


def _check(head: bytes) -> bytes:
    return blake2b(head, digest_size=2, person=b"recomm_id").digest()
