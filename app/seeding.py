"""sparrow-serve --events FILE.jsonl: example histories, posted to the server's own API once it is ready.

One event object a line, as POST /v1/events takes them. Users who have state already are skipped, so that a server may
be started again with the same file.
"""

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from index.cli import progress

BATCH = 500
"""Events in one request: half of what the API takes."""

TIMEOUT_SECONDS = 30.0


class SeedingError(Exception):
    """The file or the server stand in the way; the message says how."""


class Api(NamedTuple):
    """Where the server listens."""

    host: str
    port: int
    key: str | None = None
    """Where the server needs one."""

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and document of one request; OSError or HTTPException where the server cannot be reached."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            encoded = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"}
            if self.key is not None:
                headers["Authorization"] = f"Bearer {self.key}"
            connection.request(method, path, encoded, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()


def read_events(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The events of a file by user, in order; SeedingError names the line that is not an event."""
    by_user: dict[str, list[dict[str, Any]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SeedingError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            event = _event(line, f"{path}, line {number}")
            by_user.setdefault(event["user_id"], []).append(event)
    return by_user


def _event(line: str, where: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise SeedingError(f"{where} is not JSON: {error}") from error
    if not isinstance(event, dict) or not isinstance(event.get("user_id"), str):
        raise SeedingError(f"{where} is not an event: a JSON object with user_id, item_id and kind")
    return event


def seed(api: Api, by_user: Mapping[str, Sequence[dict[str, Any]]]) -> int:
    """Post the events of all users who are unknown to the server; returns how many users that were."""
    n_new = 0
    with progress("Posting events", sum(len(events) for events in by_user.values())) as advance:
        for user_id, events in by_user.items():
            if _unknown(api, user_id):
                n_new += 1
                for batch in _batches(events):
                    _post(api, batch)
            advance(len(events))
    return n_new


def _batches(events: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    return (events[start : start + BATCH] for start in range(0, len(events), BATCH))


def _unknown(api: Api, user_id: str) -> bool:
    status, document = api.request("GET", f"/v1/users/{quote(user_id, safe='')}")
    if status not in (200, 404):
        raise SeedingError(f"asked for a user, the server answers {status}: {_detail(document)}")
    return status == 404


def _post(api: Api, events: Sequence[dict[str, Any]]) -> None:
    status, document = api.request("POST", "/v1/events", {"events": events})
    if status != 202:
        raise SeedingError(f"given events, the server answers {status}: {_detail(document)}")
    refused = list(_refused(document["results"]))
    if refused:
        raise SeedingError(f"the server refuses {len(refused)} of {len(events)} events: {refused[0]}")


def _refused(results: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (result["detail"] for result in results if result["status"] == "refused")


def _detail(document: object) -> str:
    return str(document.get("detail", document)) if isinstance(document, dict) else str(document)
