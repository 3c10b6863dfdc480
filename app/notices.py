"""Warnings: what the caller should know about an answer that is given all the same."""

from collections.abc import Iterable
from typing import NamedTuple


class Notice(NamedTuple):
    """A warning of the answer."""

    code: str
    """One of the codes of `schemas.retrieval.Caution`."""
    message: str
    """In plain words."""


def skipped(code: str, field: str, pairs: Iterable[tuple[str, bool]]) -> tuple[Notice, ...]:
    """What to say of a field whose ids, each with whether it is known, are not all known."""
    n_unknown = len({one for one, known in pairs if not known})
    if not n_unknown:
        return ()
    return (Notice(code, f"{n_unknown} of {field} are unknown to this index version and skipped"),)
