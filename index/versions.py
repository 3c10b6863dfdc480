"""Names of versions, such as 20261121T081200Z-3f9a2c1d: the UTC time of building and the start of the content hash.

Names ascend in the order in which versions were written, so that "the one before" is a comparison of names.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_TIME = "%Y%m%dT%H%M%SZ"


def is_version(name: str) -> bool:
    """Whether this can be the name of a version; then it holds nothing that leads out of a directory."""
    if _NAME.fullmatch(name) is None:
        return False
    try:
        _time_of(name)
    except ValueError:
        return False
    return True


def stored(root: Path) -> tuple[str, ...]:
    """All versions in a directory of snapshots, oldest first; none if it does not exist."""
    return tuple(sorted(path.name for path in root.iterdir() if is_version(path.name))) if root.is_dir() else ()


def next_time(root: Path, now: datetime) -> datetime:
    """The second that names a new version: now, but later than all before, even if the clock was set back."""
    before = stored(root)
    earliest = _time_of(before[-1]) + timedelta(seconds=1) if before else now
    return max(now, earliest).replace(microsecond=0)


def name(created: datetime, content_hash: str) -> str:
    """The name of a version."""
    return f"{created.strftime(_TIME)}-{content_hash[:8]}"


def _time_of(version: str) -> datetime:
    return datetime.strptime(version.split("-")[0], _TIME).replace(tzinfo=UTC)
