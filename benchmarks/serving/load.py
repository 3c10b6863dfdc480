"""The load generator, a process of its own: python -m benchmarks.serving.load PLAN RESULT. Standard library only.

Requests are made before it starts, connections are kept alive, one epoll waits for all of them: a request costs it a
tenth of what it costs the server.

    open     arrivals at times that were drawn beforehand, whatever the server does. A latency counts from the time of
             the arrival, not from when a connection was free: who waits for a slow answer is counted as well
             (coordinated omission: Tene, How NOT to Measure Latency, 2013)
    closed   every connection asks again as soon as it has its answer: the most that the server can do

PLAN is one line of JSON (`Plan`), then requests one behind the other. RESULT is `columns` one behind the other.
"""

import json
import select
import socket
import sys
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

GRACE_SECONDS = 20.0
"""For answers after the last arrival; what has none by then is lost."""

LOST = 0
"""Status of a request whose connection broke, or that had no answer."""

COLUMNS = (("request", "i"), ("status", "i"), ("due", "d"), ("sent", "d"), ("ended", "d"))
"""Of the result: which request, its status, and seconds since the beginning."""


@dataclass(frozen=True)
class Plan:
    """What to do."""

    host: str
    port: int
    connections: int
    sizes: list[int]
    """Bytes of each request."""
    order: list[int]
    """Which request each arrival is; a closed loop begins again at its end."""
    times: list[float]
    """Seconds of each arrival since the beginning; none for a closed loop."""
    seconds: float
    """Length of a closed loop."""

    def write(self, path: Path, requests: list[bytes]) -> None:
        """Store it for the process."""
        path.write_bytes(json.dumps(asdict(self)).encode() + b"\n" + b"".join(requests))


class Connection:
    """One keep-alive connection, and what it waits for."""

    __slots__ = ("arrival", "due", "needs", "received", "sent", "sock")

    def __init__(self, plan: Plan) -> None:
        self.sock = socket.create_connection((plan.host, plan.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.arrival = -1
        self.due = self.sent = 0.0
        self.received = b""
        self.needs = -1


class Generator:
    """Sends what is due, and takes down when its answer was whole."""

    def __init__(self, plan: Plan, requests: list[bytes]) -> None:
        self._plan, self._requests, self._order = plan, requests, plan.order
        self._epoll = select.epoll()
        self._busy: dict[int, Connection] = {}
        self._free = deque(self._connect() for _ in range(plan.connections))
        self._columns: dict[str, array[Any]] = {name: array(kind) for name, kind in COLUMNS}
        self._next = 0
        self._start = time.perf_counter()

    def run(self) -> dict[str, "array[Any]"]:
        """Do it."""
        self._start = time.perf_counter()
        if self._plan.times:
            self._open()
        else:
            self._closed()
        for connection in self._busy.values():
            self._note(connection, LOST)
        return self._columns

    def _open(self) -> None:
        times, n = self._plan.times, len(self._plan.times)
        ends_by = times[-1] + GRACE_SECONDS
        while self._next < n or self._busy:
            now = time.perf_counter() - self._start
            while self._next < n and times[self._next] <= now and self._free:
                self._send(self._free.popleft(), times[self._next])
            if now > ends_by:
                return
            wait = ends_by - now
            if self._next < n and self._free:
                wait = times[self._next] - (time.perf_counter() - self._start)
            self._listen(wait)

    def _closed(self) -> None:
        seconds = self._plan.seconds
        while (now := time.perf_counter() - self._start) < seconds + GRACE_SECONDS:
            if now < seconds:
                while self._free:
                    self._send(self._free.popleft(), time.perf_counter() - self._start)
            elif not self._busy:
                return
            self._listen(seconds - now if now < seconds else GRACE_SECONDS)

    def _listen(self, wait: float) -> None:
        """Take in answers; a wait ends when the next arrival is due. select() is finer than epoll's milliseconds."""
        if wait > 0:
            select.select([self._epoll], (), (), wait)
        for descriptor, _ in self._epoll.poll(0):
            connection = self._busy.get(descriptor)
            if connection is None:
                self._closed_idle(descriptor)
            else:
                self._receive(connection)

    def _closed_idle(self, descriptor: int) -> None:
        """The server ended a connection that nothing was asked on: no harm is done."""
        connection = next(each for each in self._free if each.sock.fileno() == descriptor)
        self._free.remove(connection)
        self._free.append(self._again(connection))

    def _again(self, connection: Connection) -> Connection:
        """A new one in its place."""
        self._epoll.unregister(connection.sock)
        connection.sock.close()
        return self._connect()

    def _connect(self) -> Connection:
        connection = Connection(self._plan)
        self._epoll.register(connection.sock, select.EPOLLIN)
        return connection

    def _send(self, connection: Connection, due: float) -> None:
        connection.arrival = self._next
        connection.due = due
        connection.sent = time.perf_counter() - self._start
        request = self._requests[self._order[self._next % len(self._order)]]
        self._next += 1
        self._busy[connection.sock.fileno()] = connection
        try:
            sent = connection.sock.send(request)
            if sent < len(request):
                connection.sock.setblocking(True)
                connection.sock.sendall(request[sent:])
                connection.sock.setblocking(False)
        except OSError:
            self._ended(connection, LOST, again=True)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended(connection, LOST, again=True)
            return
        received = connection.received = connection.received + data if connection.received else data
        if connection.needs < 0:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            connection.needs = end + 4 + _length(received[:end])
        if len(received) >= connection.needs:
            closing = received.find(b"\r\nconnection: close", 0, connection.needs) >= 0
            self._ended(connection, int(received[9:12]), again=closing)

    def _ended(self, connection: Connection, status: int, *, again: bool) -> None:
        self._note(connection, status)
        del self._busy[connection.sock.fileno()]
        if again:
            connection = self._again(connection)
        else:
            connection.received, connection.needs = b"", -1
        self._free.append(connection)

    def _note(self, connection: Connection, status: int) -> None:
        columns = self._columns
        columns["request"].append(self._order[connection.arrival % len(self._order)])
        columns["status"].append(status)
        columns["due"].append(connection.due)
        columns["sent"].append(connection.sent)
        columns["ended"].append(time.perf_counter() - self._start)


def _length(head: bytes) -> int:
    """Of the body; 0 where nothing is said of one."""
    name = b"\r\ncontent-length:"
    start = head.find(name)
    if start < 0:
        head = head.lower()
        start = head.find(name)
    if start < 0:
        return 0
    stop = head.find(b"\r", start + len(name))
    return int(head[start + len(name) : stop if stop >= 0 else None])


def read(file: BinaryIO) -> tuple[Plan, list[bytes]]:
    """A plan and its requests."""
    plan = Plan(**json.loads(file.readline()))
    return plan, [file.read(size) for size in plan.sizes]


def main(plan_path: str, result_path: str) -> None:
    """Carry out a plan."""
    with Path(plan_path).open("rb") as file:
        plan, requests = read(file)
    columns = Generator(plan, requests).run()
    with Path(result_path).open("wb") as file:
        for column in columns.values():
            column.tofile(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
