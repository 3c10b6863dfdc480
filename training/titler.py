"""Somebody else who gives titles: any command, or an HTTP endpoint, asked with one JSON document a segment.

    {"segment_id": "s...", "title": OWN TITLE, "terms": [...], "size": 81, "items": [PROPERTIES OF THE STRONGEST, ...]}

A command reads one document a line and writes one answer a line, in the same order; it is started once. An endpoint
gets each document by POST, four at a time. An answer is a title as plain text, a JSON string, {"title": ...}, or null
to leave the segment its own title.
"""

import json
import os
import queue
import shlex
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

from training.errors import TitlerError
from training.forms import MAX_TITLE

Question: TypeAlias = Mapping[str, Any]

AT_A_TIME = 4  # documents that an endpoint is asked
MAX_ANSWER = 1 << 16  # bytes
CLOSING = 5.0  # seconds that its pipes may take to close


@dataclass(frozen=True)
class Titler:
    """Who is asked, and how."""

    where: str
    """A command line, or an address that begins with http:// or https://."""
    timeout: float = 60.0
    """Seconds that an answer may take after the one before it, or after it was asked by HTTP."""
    optional: bool = False
    """Where it fails, go on with own titles; else stop."""

    @property
    def is_address(self) -> bool:
        """Whether it is asked by HTTP."""
        return self.where.startswith(("http://", "https://"))


def ask(titler: Titler, questions: Sequence[Question]) -> Generator[str]:
    """The raw answers, in the order of the questions. Raises TitlerError where one does not come."""
    lines = [json.dumps(question, ensure_ascii=False).encode() for question in questions]
    yield from (_by_http if titler.is_address else _by_command)(titler, lines)


def parsed(answer: str) -> str | None:
    """The title that an answer gives, None if it leaves the own one. Raises TitlerError for what is no title."""
    text: Any = answer.strip()
    if text[:1] in ('"', "{", "[") or text == "null":
        with suppress(json.JSONDecodeError):  # "Quoted" tales is plain text
            text = json.loads(text)
    title = text.get("title", text) if isinstance(text, dict) else text
    if title is None:
        return None
    if not isinstance(title, str) or not title.strip():
        raise TitlerError(f"{_shown(answer)} is no title")
    title = title.strip()
    if not title.isprintable():
        raise TitlerError(f"{_shown(answer)} holds characters that cannot be shown")
    if len(title) > MAX_TITLE:
        raise TitlerError(f"{_shown(answer)} has {len(title)} characters; {MAX_TITLE} is the most")
    return title


def _shown(answer: str) -> str:
    return repr(answer if len(answer) <= 2 * MAX_TITLE else answer[: 2 * MAX_TITLE] + "...")


def _by_command(titler: Titler, lines: Sequence[bytes]) -> Generator[str]:
    process = _started(titler)
    answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    # a command may read all before it answers, or answer as it reads: both pipes are served at once
    beside = [
        threading.Thread(target=_write, args=(process.stdin, lines), daemon=True),
        threading.Thread(target=_read, args=(process.stdout, answers), daemon=True),
    ]
    for each in beside:
        each.start()
    try:
        for number in range(len(lines)):
            yield _line(titler, process, answers, f"{number} of {len(lines)} answers")
        if _next(titler, answers, "all answers") is not None:
            raise TitlerError(f"{titler.where!r} gives more answers than the {len(lines)} that it was asked for")
        if status := process.wait(titler.timeout):
            raise TitlerError(f"{titler.where!r} ended with status {status} after all answers")
    finally:
        with suppress(ProcessLookupError):  # and what it started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for each in beside:
            each.join(CLOSING)


def _started(titler: Titler) -> "subprocess.Popen[bytes]":
    if not titler.where.strip():
        raise TitlerError("the titler is empty: it is a command or an address")
    try:
        return subprocess.Popen(
            shlex.split(titler.where), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise TitlerError(f"{titler.where!r} cannot be started: {error}") from error


def _line(
    titler: Titler, process: "subprocess.Popen[bytes]", answers: "queue.SimpleQueue[bytes | None]", told: str
) -> str:
    line = _next(titler, answers, told)
    if line is None:
        raise TitlerError(f"{titler.where!r} ended with status {process.wait(titler.timeout)} after {told}")
    return _decoded(titler, line)


def _next(titler: Titler, answers: "queue.SimpleQueue[bytes | None]", told: str) -> bytes | None:
    try:
        return answers.get(timeout=titler.timeout)
    except queue.Empty:
        raise TitlerError(f"{titler.where!r} was silent for {titler.timeout:g} s after {told}") from None


def _write(stdin: IO[bytes], lines: Sequence[bytes]) -> None:
    with suppress(OSError), stdin:  # who ends early is told by what it answered
        for line in lines:
            stdin.write(line + b"\n")
            stdin.flush()


def _read(stdout: IO[bytes], answers: "queue.SimpleQueue[bytes | None]") -> None:
    with stdout:
        for line in iter(lambda: stdout.readline(MAX_ANSWER), b""):
            answers.put(line)
    answers.put(None)


def _by_http(titler: Titler, lines: Sequence[bytes]) -> Generator[str]:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        asked = [pool.submit(_post, titler, line) for line in lines]
        try:
            for each in asked:
                yield each.result()
        finally:
            for each in asked:
                each.cancel()


def _post(titler: Titler, line: bytes) -> str:
    headers = {"content-type": "application/json", "accept": "application/json, text/plain"}
    request = urllib.request.Request(titler.where, line, headers)  # noqa: S310  # the scheme was looked at
    try:
        with urllib.request.urlopen(request, timeout=titler.timeout) as response:  # noqa: S310
            return _decoded(titler, response.read(MAX_ANSWER))
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise TitlerError(f"{titler.where}: {error}") from error


def _decoded(titler: Titler, answer: bytes) -> str:
    try:
        return answer.decode()
    except UnicodeDecodeError as error:
        raise TitlerError(f"{titler.where!r} gave an answer that is not in UTF-8") from error
