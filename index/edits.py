"""Edits: what people say of segments over what the model says: another title, not to be shown, part of another.

    {"edits": {SEGMENT_ID: {"title": "Quiet crime", "hidden": true, "merged_into": SEGMENT_ID}}}

Edits lie in layers: those that a snapshot was built with, and those of the store over them. What an edit leaves out it
says nothing of; null takes back what a layer below says. A chain of merges is followed to the last segment that the
snapshot has; merges that go round in a circle, which two layers may make together, do nothing. Whose segment a snapshot
does not have is kept and does nothing.
"""

import json
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, cast

from index import disk
from index.errors import InvalidEdits
from index.vocabulary import MAX_ID_BYTES

MAX_TITLE = 40
"""Characters of a title."""

MAX_EDITS = 10_000
"""Segments that may be edited."""

UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode that a title may not hold: control characters, half characters, breaks of lines."""

TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the text around them, beyond the title too; marks and joiners of single letters do not."""

VISIBLE = frozenset("LNPS")
"""First letters of the categories of letters, numbers, punctuation and symbols; of these a title has one."""


class Edit(TypedDict, total=False):
    """What is said of one segment."""

    title: str | None
    """See `check_title`."""
    hidden: bool | None
    """True: it is never a row of a page, nor among a user's segments, nor a reason; by its id it can still be used."""
    merged_into: str | None
    """The segment that it is a part of from now on."""


Edits = Mapping[str, Edit]
"""By segment id."""

NO_EDITS: Edits = MappingProxyType({})


def over(below: Edits, above: Edits) -> Edits:
    """Two layers as one."""
    return {one: cast(Edit, {**below.get(one, {}), **above.get(one, {})}) for one in dict.fromkeys([*below, *above])}


def settled(edits: Edits) -> Edits:
    """What the lowest layer says: there, nothing is below to be taken back."""
    said = {one: cast(Edit, {name: value for name, value in edit.items() if value}) for one, edit in edits.items()}
    return {segment_id: edit for segment_id, edit in said.items() if edit}


def read_file(path: Path) -> Edits:
    """The edits of a file; InvalidEdits names it, and what is wrong."""
    try:
        return from_document(json.loads(path.read_bytes()))
    except InvalidEdits as error:
        raise InvalidEdits(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidEdits(f"{path} is no JSON: {error}") from error


def write_file(path: Path, edits: Edits) -> None:
    """Put edits into a file, whole or not at all."""
    disk.replace_text(path, json.dumps(to_document(edits), indent=1, sort_keys=True) + "\n")


def to_document(edits: Edits) -> dict[str, Any]:
    """The JSON form."""
    return {"edits": {segment_id: dict(edits[segment_id]) for segment_id in sorted(edits)}}


def from_document(document: object) -> Edits:
    """The inverse; InvalidEdits names what is wrong."""
    given = document.get("edits") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(given, dict):
        raise InvalidEdits('edits are a JSON object {"edits": {SEGMENT_ID: {"title", "hidden", "merged_into"}}}')
    check(given)
    return cast(Edits, given)


def read(segment_id: str, given: object) -> Edit:
    """One edit of its JSON form; InvalidEdits."""
    if not _is_id(segment_id):
        raise InvalidEdits(f"{segment_id[:20]!r} is no id of a segment: 1 to {MAX_ID_BYTES} bytes in UTF-8")
    if not isinstance(given, dict) or not given.keys() <= RULES.keys():
        raise InvalidEdits(f"the edit of {segment_id!r} is no object of {', '.join(RULES)}")
    for name, value in given.items():
        if value is not None and not RULES[name](value):
            raise InvalidEdits(f"{name} of {segment_id!r} must not be {repr(value)[:60]}")
    return cast(Edit, given)


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and 1 <= len(value.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def _is_title(value: object) -> bool:
    try:
        return isinstance(value, str) and check_title(value) is value
    except InvalidEdits:
        return False


RULES: Mapping[str, Callable[[object], bool]] = {
    "title": _is_title,
    "hidden": lambda value: isinstance(value, bool),
    "merged_into": _is_id,
}
"""What a value must be, where it is not null."""


def check_title(title: str) -> str:
    """The title, if it is one: 1 to 40 characters, one to be seen, none of `UNPRINTABLE` or `TURNING`; InvalidEdits."""
    if not 1 <= len(title) <= MAX_TITLE:
        raise InvalidEdits(f"a title has 1 to {MAX_TITLE} characters; this one has {len(title)}")
    if title != title.strip():
        raise InvalidEdits("a title must not begin or end with white space")
    wrong = next((one for one in title if one in TURNING or unicodedata.category(one) in UNPRINTABLE), None)
    if wrong is not None:
        raise InvalidEdits(f"a title must not hold control characters; this one holds U+{ord(wrong):04X}")
    if not any(unicodedata.category(one)[0] in VISIBLE for one in title):
        raise InvalidEdits("a title must have something to be seen; this one has marks and joiners only")
    return title


def check(edits: Edits) -> None:
    """Refuse with InvalidEdits what is no edit, too many, and merges that lead back to where they began."""
    for segment_id, edit in edits.items():
        read(segment_id, edit)
    if len(edits) > MAX_EDITS:
        raise InvalidEdits(f"{len(edits)} segments are edited; at most {MAX_EDITS} may be")
    merged = merges(edits)
    circle = next(iter(_circular(merged)), None)
    if circle is not None:
        raise InvalidEdits(f"merged_into of {circle!r} leads back to it, by way of {merged[circle]!r}")


def merges(edits: Edits) -> dict[str, str]:
    """What each segment is merged into, chains not followed."""
    pairs = ((segment_id, edit.get("merged_into")) for segment_id, edit in edits.items())
    return {segment_id: into for segment_id, into in pairs if into is not None}


def _circular(merged: Mapping[str, str]) -> Iterator[str]:
    """Ids from which merges lead back to themselves."""
    done: set[str] = set()
    for start in merged:
        path: dict[str, int] = {}
        at = start
        while at in merged and at not in done and at not in path:
            path[at] = len(path)
            at = merged[at]
        yield from list(path)[path.get(at, len(path)) :]
        done.update(path)


def ends(merged: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Where merges lead in the end, of the known ids that are known no more then; circles do nothing."""
    circular = set(_circular(merged))
    found: dict[str, str | None] = {}
    for start in merged:
        path: list[str] = []
        at = start
        while at in merged and at not in circular and at not in found:
            path.append(at)
            at = merged[at]
        end = found.get(at, at if at in known else None)
        for one in reversed(path):
            if end is None and one in known:
                end = one
            found[one] = end
    return {one: end for one, end in found.items() if end is not None and end != one and one in known}
