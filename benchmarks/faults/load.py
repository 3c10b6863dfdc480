"""Callers who never rest: recommendations, pages and events, one after the other, and what came of each.

A caller keeps its connection as long as the server does, and takes a connection that breaks for what it is: a failed
request. An event counts as acknowledged when it was answered 202.
"""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from benchmarks.faults.catalogue import N_ITEMS, item_id

BROKEN = 0
"""In place of a status: the connection broke before there was an answer."""

TIMEOUT_SECONDS = 30.0


class Outcome(NamedTuple):
    """What came of one request."""

    ended_at: float
    """By time.monotonic()."""
    path: str
    status: int
    seconds: float
    degraded: bool
    warnings: tuple[str, ...]
    version: str
    """Of the index, where the answer names one."""
    mixed: bool
    """Items of another version than the answer names were in it."""


class Seen(NamedTuple):
    """What callers saw, added up."""

    n: int
    statuses: dict[str, int]
    degraded: int
    late_ms: float
    """Of one in a hundred answers."""
    mixed: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Self:
        """Add up."""
        names = {BROKEN: "broken"}
        statuses = Counter(names.get(one.status, str(one.status)) for one in outcomes)
        times = sorted(one.seconds for one in outcomes) or [0.0]
        return cls(
            n=len(outcomes),
            statuses=dict(sorted(statuses.items())),
            degraded=sum(one.degraded for one in outcomes),
            late_ms=1000 * times[int(0.99 * (len(times) - 1))],
            mixed=sum(one.mixed for one in outcomes),
        )


class Caller:
    """One connection, kept as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and document; BROKEN and None where there is no answer."""
        try:
            encoded = None if body is None else json.dumps(body)
            self._connection.request(method, path, encoded, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return BROKEN, None
        kind = answer.headers.get("Content-Type", "")
        return answer.status, json.loads(raw) if "json" in kind else raw.decode()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Load:
    """`n_callers` in threads, from entering to leaving."""

    def __init__(
        self, port: int, n_callers: int, number_of: Callable[[str], int], *, think_seconds: float = 0.005
    ) -> None:
        self._port = port
        self._number_of = number_of
        self._think_seconds = think_seconds
        self._running = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(caller,)) for caller in range(n_callers)]
        self.outcomes: list[Outcome] = []
        self.acknowledged: list[tuple[str, str]] = []
        """(user_id, item_id) of each event that the server took."""
        self.unconfirmed: list[tuple[str, str]] = []
        """The same of those that it did not: they may be there all the same."""

    def __enter__(self) -> Self:
        self._running.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.clear()
        for thread in self._threads:
            thread.join()

    def since(self, start: float, until: float = float("inf")) -> list[Outcome]:
        """The outcomes of requests that began after `start` and ended before `until`."""
        return [one for one in list(self.outcomes) if one.ended_at - one.seconds >= start and one.ended_at < until]

    def wait(self, n: int, holds: Callable[[Outcome], bool] = lambda _: True, seconds: float = 60.0) -> bool:
        """Whether `n` requests that begin from now on come out so, in time."""
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            if sum(map(holds, self.since(start))) >= n:
                return True
            time.sleep(0.01)
        return False

    def _call(self, caller: int) -> None:
        connection = Caller(self._port)
        user_id = f"user-{caller}"
        history = [{"item_id": item_id(number, caller % N_ITEMS)} for number in range(40)]
        for turn in itertools.count():
            if not self._running.is_set():
                break
            if turn % 3 == 0:
                self._post_event(connection, f"{user_id}-{turn // 300}", caller, turn)
            elif turn % 3 == 1:
                self._ask(connection, "/v1/recommend", {"user_id": user_id, "history": history, "count": 10})
            else:
                self._ask(connection, "/v1/homepage", {"user_id": user_id, "history": history, "device": "phone"})
            time.sleep(self._think_seconds)
        connection.close()

    def _post_event(self, connection: Caller, user_id: str, caller: int, turn: int) -> None:
        event = {"user_id": user_id, "item_id": f"e{caller}-{turn}", "kind": "like", "event_id": f"{caller}-{turn}"}
        status = self._ask(connection, "/v1/events", {"events": [event]})
        kept = self.acknowledged if status == 202 else self.unconfirmed
        kept.append((user_id, event["item_id"]))

    def _ask(self, connection: Caller, path: str, body: object) -> int:
        start = time.monotonic()
        status, document = connection.ask("POST", path, body)
        end = time.monotonic()
        answer = document if status == 200 else {}
        version = answer.get("index_version", "")
        self.outcomes.append(
            Outcome(
                ended_at=end,
                path=path,
                status=status,
                seconds=end - start,
                degraded=answer.get("degraded", False),
                warnings=tuple(one["code"] for one in answer.get("warnings", ())),
                version=version,
                mixed=bool(version) and not _all_of(answer, self._number_of(version)),
            )
        )
        return status


def _all_of(answer: dict[str, Any], number: int) -> bool:
    rows = answer.get("rows", [answer])
    return all(item["item_id"].startswith(f"c{number}-") for row in rows for item in row["items"])
