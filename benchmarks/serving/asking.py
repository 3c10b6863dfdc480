"""What is asked: requests as bytes, made before anything is timed."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.servers import Server

COUNT = 10
N_ROWS, ROW_SIZE = 6, 12
MIX = {"recommend": 0.6, "homepage": 0.2, "events": 0.2}
"""Shares of mixed traffic."""
SEED = 11
BATCH = 1000
"""Events of one request while users are made."""
ORDER = 1 << 16
"""Length of the order in which requests are drawn; then it begins again."""


@dataclass(frozen=True)
class Traffic:
    """Requests, and which is asked when."""

    kinds: tuple[str, ...]
    """Names."""
    requests: tuple[bytes, ...]
    """Whole requests of HTTP/1.1."""
    kind_of: NDArray[np.int32]
    """(n_requests,): number of its kind."""
    order: NDArray[np.int32]
    """Which request each arrival is."""


def request(path: str, body: Mapping[str, Any]) -> bytes:
    """POST as a client sends it."""
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def users(n: int) -> list[str]:
    """Ids of those who are asked about."""
    return [f"reader-{number}" for number in range(n)]


def recommend(user_ids: Sequence[str], path: str = "/v1/recommend") -> list[bytes]:
    """Ten items for each."""
    return [request(path, {"user_id": user_id, "count": COUNT}) for user_id in user_ids]


def homepage(user_ids: Sequence[str]) -> list[bytes]:
    """A page for each."""
    return [request("/v1/homepage", {"user_id": one, "n_rows": N_ROWS, "row_size": ROW_SIZE}) for one in user_ids]


def events(histories: Sequence[Sequence[str]]) -> list[bytes]:
    """One event each, of users of their own, so that those who are asked about stay as they are."""
    made = [{"user_id": f"doer-{n}", "item_id": items[0], "kind": "view"} for n, items in enumerate(histories)]
    return [request("/v1/events", {"events": [event]}) for event in made]


def only(name: str, requests: Sequence[bytes]) -> Traffic:
    """One kind, each request as often as any other."""
    kind_of = np.zeros(len(requests), np.int32)
    order = np.random.default_rng(SEED).integers(len(requests), size=ORDER).astype(np.int32)
    return Traffic((name,), tuple(requests), kind_of, order)


def mixed(parts: Mapping[str, Sequence[bytes]]) -> Traffic:
    """All kinds by their shares in `MIX`."""
    kinds = tuple(MIX)
    requests = tuple(each for kind in kinds for each in parts[kind])
    sizes = [len(parts[kind]) for kind in kinds]
    starts = np.cumsum([0, *sizes[:-1]])
    rng = np.random.default_rng(SEED)
    drawn = rng.choice(len(kinds), ORDER, p=list(MIX.values()))
    order = starts[drawn] + rng.integers(np.array(sizes)[drawn])
    kind_of = np.repeat(np.arange(len(kinds), dtype=np.int32), sizes)
    return Traffic(kinds, requests, kind_of, order.astype(np.int32))


def make_users(server: Server, histories: Sequence[Sequence[str]]) -> None:
    """Post a history for each user, the first item the newest; ValueError where one is not accepted."""
    made = [
        {"user_id": user_id, "item_id": item_id, "kind": "like", "timestamp": 1_700_000_000 - 60 * age}
        for user_id, items in zip(users(len(histories)), histories, strict=True)
        for age, item_id in enumerate(items)
    ]
    for start in range(0, len(made), BATCH):
        answer = ask(server, "/v1/events", {"events": made[start : start + BATCH]})
        if any(result["status"] != "accepted" for result in answer["results"]):
            raise ValueError(f"events were not accepted: {answer['results'][:3]}")


def ask(server: Server, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """One answer."""
    return json.loads(answer_to(server, path, body))


def answer_to(server: Server, path: str, body: Mapping[str, Any]) -> bytes:
    """The bytes of one answer; ValueError where it is an error."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status // 100 != 2:
        raise ValueError(f"POST {path}: {answer.status} {content.decode()}")
    return content
