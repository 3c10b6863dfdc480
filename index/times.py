"""Times as Unix seconds: ISO 8601 dates and times, and times that are relative to now.

2026-11-21   2026-11-21T08:12   2026-11-21 08:12:00.5+01:00   2026-11-21T08:12:00Z       UTC where no offset is given
-30d  +12h  0s                                                                     weeks, days, hours, minutes, seconds
"""

import re
from datetime import UTC, datetime

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?)?", re.ASCII
)
_OFFSET = re.compile(r"([+-]?\d{1,9})([wdhms])", re.ASCII)
_UNIT_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(text: str) -> float | None:
    """The Unix seconds that an ISO 8601 date (its first moment) or time means; None if the text is neither."""
    if _ISO.fullmatch(text) is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # the 30th of February
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def offset(text: str) -> int | None:
    """The seconds of an offset such as -30d; None if the text is none."""
    found = _OFFSET.fullmatch(text)
    return int(found[1]) * _UNIT_SECONDS[found[2]] if found else None
