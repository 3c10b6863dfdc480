"""Cursors: what POST /v1/next needs to go on where an answer ended. Signed, of bounded size, and kept by nobody.

    base64url(mark | format, u8 | issued, u32 Unix seconds | length of head, u32 | of key, u32 | head | key | served)

head is compressed JSON: what was asked, of which index version; key is JSON: of what there is more; served are the
8-byte hashes of the items that were returned so far, which must not come again. mark is the first half of HMAC-SHA256
(RFC 2104) of all that follows it, so nobody without the key can make or change a cursor, and what is inside needs no
other check.
"""

import hmac
import json
import struct
import zlib
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np

from index.types import UInt64

Kind = Literal["recommend", "similar", "segment", "row", "page"]
"""Of what there is more."""

VALID_SECONDS = 30 * 60

AHEAD_SECONDS = 5 * 60
"""Clocks of hosts that share a key may differ by so much."""

MAX_SERVED = 4000
"""Items that a cursor can keep from coming again; an answer that goes on so long has no further cursor."""

MAX_CHARS = 65_536
"""Of a cursor. What was asked may be too much for that, in a history of long ids: then there is no cursor."""

FORMAT = 1
MARK_BYTES = 16
_FIXED = struct.Struct(">BIII")

TAMPERED = "the cursor is not one of this server's: it was changed, cut off, or made with another key"
EXPIRED = f"the cursor is older than {VALID_SECONDS // 60} minutes: ask again from the start"


class BadCursor(Exception):  # noqa: N818  (the name says what is the matter)
    """What was sent is no cursor that can be used; the message says why."""


class Cursor(NamedTuple):
    """Where an answer ended."""

    kind: Kind
    body: dict[str, Any]
    """The request, without what has its default."""
    index_version: str
    """That answered."""
    key: tuple[str, ...]
    """Of a segment: its id. Of a row: its kind, what it is about, and whose taste. Of a page: ids of its rows."""
    served: UInt64
    """Hashes of the items that were returned so far."""


class Cursors:
    """Makes and reads cursors with one key."""

    def __init__(self, secret: bytes) -> None:
        # A key for this use alone: whatever else the secret may be used for stays apart.
        self._key = blake2b(secret, digest_size=32, person=b"sparrow-cursors").digest()

    def dump(self, cursor: Cursor, now: float, head: bytes | None = None) -> str | None:
        """The text of a cursor made at `now` (Unix seconds); None where it would be too long or has served too much.

        `head`: that of another cursor of the same answer, for they are alike and take the longest.
        """
        head = head or packed(cursor)
        if len(cursor.served) > MAX_SERVED or len(head) > MAX_CHARS:
            return None
        key = _json([cursor.kind, *cursor.key])
        fixed = _FIXED.pack(FORMAT, int(now), len(head), len(key))
        rest = b"".join([fixed, head, key, cursor.served.astype(">u8").tobytes()])
        if (MARK_BYTES + len(rest)) * 4 > (MAX_CHARS - 4) * 3:
            return None
        return _text(self._mark(rest) + rest)

    def load(self, text: str, now: float) -> Cursor:
        """The cursor of a text; BadCursor where it was not made with this key, or too long ago."""
        raw = _bytes(text)
        mark, rest = raw[:MARK_BYTES], raw[MARK_BYTES:]
        if not hmac.compare_digest(mark, self._mark(rest)):
            raise BadCursor(TAMPERED)
        form, issued, n_head, n_key = _FIXED.unpack_from(rest)
        if form != FORMAT or issued > now + AHEAD_SECONDS:
            raise BadCursor(TAMPERED)
        if issued < now - VALID_SECONDS:
            raise BadCursor(EXPIRED)
        start = _FIXED.size + n_head
        body, version = json.loads(zlib.decompress(rest[_FIXED.size : start]))
        kind, *key = json.loads(rest[start : start + n_key])
        served = np.frombuffer(rest, dtype=">u8", offset=start + n_key).astype(np.uint64)
        return Cursor(kind, body, version, tuple(key), served)

    def _mark(self, rest: bytes) -> bytes:
        return hmac.digest(self._key, rest, "sha256")[:MARK_BYTES]


def packed(cursor: Cursor) -> bytes:
    """The head of a cursor's text."""
    return zlib.compress(_json([cursor.body, cursor.index_version]))


def _json(value: object) -> bytes:
    # A filter may hold what is no Unicode text; json.loads takes it back.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The inverse of _text, and only of what that makes: of several texts for the same bytes one is right."""
    try:
        raw = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, Base64Error):
        raise BadCursor(TAMPERED) from None
    if len(raw) < MARK_BYTES + _FIXED.size or _text(raw) != text:
        raise BadCursor(TAMPERED)
    return raw
