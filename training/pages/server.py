"""The server that is asked: one that runs, or one that is started on a folder of snapshots for as long as it is asked.

Nothing is stored: histories are in the requests. An answer that is not what was asked for (late, of other items) is an
error here, not a warning, since it would be judged as if it were the server's best.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from training.errors import TrainingError

Call = Mapping[str, Any]
"""One request of a batch: endpoint and body."""

BATCH = 20
"""Requests of a batch, as many as the server takes."""
BATCH_BYTES = 1_500_000
"""Of the requests of a batch together, below the server's default bound of a body."""
DEADLINE_MS = 60_000
PATIENT = {"SPARROW_DEADLINE_MS": str(DEADLINE_MS), "SPARROW_MAX_QUEUE_MS": str(DEADLINE_MS)}
"""Settings under which no answer is cut short on a busy machine."""
WRONG = {"deadline", "store_unavailable", "unknown_items", "unknown_segments", "index_changed"}
"""Warnings that say: this is not an answer to what was asked."""
START_SECONDS = 600.0
STOP_SECONDS = 60.0


class ServerError(TrainingError):
    """The server does not start, or does not answer as it should."""


class Server:
    """HTTP to one server, over one connection."""

    def __init__(self, address: str) -> None:
        """`address` is as http://127.0.0.1:8000."""
        self.address = address
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ServerError(f"{address!r} is no address of a server; it looks like http://127.0.0.1:8000")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=2 * DEADLINE_MS / 1000)

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 (any JSON)
        """The document of a request. Raises ServerError where the server is not there, or refuses."""
        encoded = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, encoded, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            document = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise ServerError(f"{self.address}{path} cannot be asked: {error!r}") from error
        if answer.status != http.client.OK:
            raise ServerError(f"{self.address}{path} answers {answer.status}: {document.get('detail', document)}")
        return document

    def batch(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """The answers to many requests, in order, by `/v1/batch`."""
        found: list[dict[str, Any]] = []
        for part in _parts(calls):
            document = self.ask("POST", "/v1/batch", {"requests": part, "deadline_ms": DEADLINE_MS})
            found += document["answers"]
        for each in found:
            _refuse(each)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _parts(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """The calls in batches that the server takes."""
    part: list[Call] = []
    n_bytes = 0
    for call in calls:
        size = len(json.dumps(call))
        if part and (len(part) == BATCH or n_bytes + size > BATCH_BYTES):
            yield part
            part, n_bytes = [], 0
        part.append(call)
        n_bytes += size
    if part:
        yield part


def _refuse(answer: Mapping[str, Any]) -> None:
    for warning in answer.get("warnings", ()):
        if warning["code"] in WRONG:
            raise ServerError(f"the server answers with the warning {warning['code']}: {warning['message']}")


@contextmanager
def reached(address: str) -> Iterator[Server]:
    """A server that runs already. Raises ServerError if it serves nothing."""
    server = Server(address)
    try:
        server.ask("GET", "/readyz")
        yield server
    finally:
        server.close()


@contextmanager
def started(snapshots: Path, folder: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """A `sparrow-serve` on a free port, with a store of its own in `folder`, under these environment variables.

    No other SPARROW_ variable of this environment reaches it. Raises ServerError if it ends before it serves.
    """
    port = _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    line = [sys.executable, "-m", "app", "--port", str(port), "--snapshots", str(snapshots), "--data", str(folder)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARROW_", "PROMETHEUS_"))}
    environment = {**kept, **PATIENT, "SPARROW_EVENT_LOG": "false", **settings}
    server, said = Server(f"http://127.0.0.1:{port}"), folder / "server.log"
    with said.open("wb") as log, subprocess.Popen(line, stdout=log, stderr=log, env=environment) as process:
        try:
            _wait(server, process, said)
            yield server
        finally:
            server.close()
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Server, process: "subprocess.Popen[bytes]", said: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(ServerError):  # not yet
            server.ask("GET", "/readyz")
            return
        time.sleep(0.1)
    last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise ServerError(f"sparrow-serve does not serve; it said: {' | '.join(last)}")
