"""Warnings: what the caller should know about an answer that is given all the same."""

from typing import NamedTuple


class Notice(NamedTuple):
    """A warning of the answer."""

    code: str
    """One of the codes of `schemas.retrieval.Caution`."""
    message: str
    """In plain words."""
