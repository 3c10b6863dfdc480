"""What may go wrong."""

import contextlib
import json
from typing import Any, NamedTuple

import httpx


class SparrowError(Exception):
    """Any of the below."""


class Unreachable(SparrowError):  # noqa: N818  (the names say what is the matter)
    """No answer: the server could not be reached, or said nothing in time. What was sent may have been carried out."""


class FieldError(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    message: str


class Problem(SparrowError):  # noqa: N818
    """An answer that is an error (application/problem+json, RFC 9457)."""

    def __init__(self, response: httpx.Response) -> None:
        found = _document(response)
        self.status = response.status_code
        """Of HTTP."""
        self.type: str = found.get("type", "about:blank")
        """For programs: urn:sparrow:not-found, for example."""
        self.title: str = found.get("title", response.reason_phrase)
        self.detail: str = found.get("detail", "")
        """For people."""
        self.request_id: str | None = found.get("request_id", response.headers.get("x-request-id"))
        """By which the server's logs name the request."""
        self.errors = tuple(FieldError(one["field"], one["message"]) for one in found.get("errors") or ())
        """Of single fields."""
        self.retry_after = seconds_of(response)
        """Seconds, where the server said so."""
        super().__init__(response)

    def __str__(self) -> str:
        fields = "".join(f"; {one.field}: {one.message}" for one in self.errors)
        return f"{self.status} {self.title}: {self.detail}{fields} (request {self.request_id})"


def seconds_of(response: httpx.Response) -> float | None:
    """The Retry-After of an answer; None where there is none, or a date."""
    with contextlib.suppress(KeyError, ValueError):
        return max(0.0, float(response.headers["retry-after"]))
    return None


def _document(response: httpx.Response) -> dict[str, Any]:
    """The problem; empty where something in between answered with anything else."""
    with contextlib.suppress(ValueError):
        found = json.loads(response.content)
        if isinstance(found, dict):
            return found
    return {}
