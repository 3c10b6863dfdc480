"""An external titler: a real command and a real HTTP server; what is asked again, and what is refused."""

import json
import re
import shlex
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import publication, snapshot
from index.segments import Segments
from index.snapshot import Snapshot
from training import release, retitling, titler
from training.__main__ import main
from training.errors import TitlerError
from training.forms import MAX_TITLE
from training.retitling import Retitled
from training.titler import Titler, parsed

QUESTIONS = [
    {"segment_id": f"s{number}", "title": f"Own {number}", "items": [{"title": "\u00c9"}]} for number in range(300)
]
ANSWERING = "import json, sys\nfor line in sys.stdin:\n    asked = json.loads(line)\n"


def command(*lines: str) -> str:
    return shlex.join([sys.executable, "-u", "-c", "\n".join(lines)])


def named(answer: str) -> str:
    """A command that answers each question by this expression of `asked`."""
    return command(ANSWERING + f"    print({answer})")


class Endpoint(BaseHTTPRequestHandler):
    """Titles each segment by its id; /broken fails."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"title": f"Shelf {asked['segment_id']}"}).encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_command_that_answers_as_it_reads() -> None:
    found = list(titler.ask(Titler(named("'Shelf ' + asked['segment_id']")), QUESTIONS))

    assert found == [f"Shelf s{number}\n" for number in range(300)]


def test_a_command_that_reads_all_before_it_answers() -> None:
    whole = command(
        "import json, sys", "for line in sys.stdin.readlines(): print(json.dumps(json.loads(line)['title']))"
    )
    big = [{**each, "items": ["x" * 5000]} for each in QUESTIONS]

    assert [parsed(answer) for answer in titler.ask(Titler(whole), big)] == [f"Own {number}" for number in range(300)]


def test_an_endpoint_is_asked_by_post(address: str) -> None:
    assert [parsed(answer) for answer in titler.ask(Titler(address), QUESTIONS)] == [f"Shelf s{n}" for n in range(300)]


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (" ", "the titler is empty"),
        ("'", "cannot be started: No closing quotation"),
        ("/no/such/titler", "cannot be started: .*No such file"),
        (command("print('One')"), "ended with status 0 after 1 of 300 answers"),
        (command("raise SystemExit(3)"), "ended with status 3 after 0 of 300 answers"),
        (command("import sys", "print('One\\n' * 301)"), "gives more answers than the 300"),
        (
            command("import sys", "print('One\\n' * 300, end='')", "sys.exit(4)"),
            "ended with status 4 after all answers",
        ),
        (command("import time", "time.sleep(60)"), r"was silent for 0.5 s after 0 of 300 answers"),
        (command("import sys", "sys.stdout.buffer.write(b'\\xff\\n')"), "not in UTF-8"),
        ("http://127.0.0.1:9/", "Connection refused"),
    ],
)
def test_a_titler_that_fails_is_told(where: str, problem: str) -> None:
    quick = 0.5 if "sleep" in where else 20.0
    with pytest.raises(TitlerError, match=problem):
        list(titler.ask(Titler(where, quick), QUESTIONS))


def test_an_endpoint_that_fails_is_told(address: str) -> None:
    with pytest.raises(TitlerError, match="HTTP Error 500"):
        list(titler.ask(Titler(f"{address}/broken"), QUESTIONS))


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("Quiet crime\n", "Quiet crime"),
        ('"Quiet crime"', "Quiet crime"),
        ('{"title": " Quiet crime "}', "Quiet crime"),
        ('"Quiet" crime', '"Quiet" crime'),
        ("1984", "1984"),
        ("null\n", None),
        ('{"title": null}', None),
        ("x" * MAX_TITLE, "x" * MAX_TITLE),
    ],
)
def test_what_an_answer_says(answer: str, title: str | None) -> None:
    assert parsed(answer) == title


@pytest.mark.parametrize(
    "answer", ["", " \n", "x" * (MAX_TITLE + 1), "a\x00b", "a\nb", '{"name": "a"}', "[1]", '""', '{"title": 3}']
)
def test_what_is_no_title_is_refused(answer: str) -> None:
    with pytest.raises(TitlerError):
        parsed(answer)


@given(st.text())
def test_any_answer_is_a_short_plain_title_or_refused(answer: str) -> None:
    try:
        title = parsed(answer)
    except TitlerError:
        return
    assert title is None or (0 < len(title) <= MAX_TITLE and title.isprintable() and title == title.strip())


@pytest.fixture(scope="module")
def root(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snapshots, of which the last was titled by a titler."""
    directory = tmp_path_factory.mktemp("snapshots")
    release.publish(fitted, directory, lambda _: None, titler=Titler(named("'Shelf ' + asked['segment_id']")))
    return directory


@pytest.fixture(scope="module")
def before(root: Path) -> Snapshot:
    version = publication.current(root)
    assert version is not None
    return snapshot.open_snapshot(root, version)


def retitled(found: Segments, before: Snapshot, where: Titler, previous: Snapshot | None) -> Retitled:
    properties = list(before.catalogue.all_properties())
    return retitling.retitle(found, before.items, properties, previous, where, lambda _: None)


def with_own_titles(found: Segments) -> Segments:
    own = tuple(replace(each, title=f"Own {number}") for number, each in enumerate(found.segments))
    return replace(found, segments=own)


def test_publish_stores_the_titles_and_whose_they_are(before: Snapshot) -> None:
    known = before.found_segments.segments
    assert [each.title for each in known] == [f"Shelf {each.segment_id}" for each in known]
    assert before.manifest.provenance[retitling.PROVENANCE] == sorted(each.segment_id for each in known)


def test_what_a_titler_is_told(before: Snapshot) -> None:
    asked = retitling.question(before.found_segments, 2, list(before.catalogue.all_properties()))
    segment = before.found_segments.segments[2]
    assert (asked["segment_id"], asked["title"], asked["size"]) == (segment.segment_id, segment.title, segment.size)
    assert asked["items"] == before.catalogue.properties(before.found_segments.items_of(2)[:12])


def test_titles_of_a_titler_are_kept_where_the_items_stayed(before: Snapshot) -> None:
    found = with_own_titles(before.found_segments)
    first = found.segments[0].segment_id
    moved = found.items.copy()
    moved[: found.starts[1]] = (moved[: found.starts[1]] + 1000) % len(before.items)  # other items
    renewed = named("'Again ' + asked['segment_id']")

    same = retitled(found, before, Titler("false"), before)
    changed = retitled(replace(found, items=moved), before, Titler(renewed), before)

    assert (same.n_asked, same.segments.segments) == (0, before.found_segments.segments)
    assert changed.n_asked == 1
    assert changed.segments.segments[0].title == f"Again {first}"
    assert changed.segments.segments[1:] == before.found_segments.segments[1:]


def test_a_title_of_before_that_another_segment_has_now_is_asked_again(before: Snapshot) -> None:
    found = with_own_titles(before.found_segments)
    other = replace(found.segments[1], title=before.found_segments.segments[0].title)
    found = replace(found, segments=(found.segments[0], other, *found.segments[2:]))

    again = retitled(found, before, Titler(named("'Again'")), before)

    assert again.n_asked == 1
    assert again.segments.segments[0].title == "Again"


def test_null_leaves_the_own_title(before: Snapshot) -> None:
    found = with_own_titles(before.found_segments)
    declined = retitled(found, before, Titler(named("'null'")), None)
    assert declined == Retitled(found, (), len(found))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("'x' * 41", "41 characters"),
        ("'Same'", "'Same' is what another segment is called"),
        ("'own 1'", "'own 1' is what another segment is called"),
    ],
)
def test_a_title_that_is_none_stops(before: Snapshot, answer: str, problem: str) -> None:
    with pytest.raises(TitlerError, match=rf"{problem}.*nothing was published"):
        retitled(with_own_titles(before.found_segments), before, Titler(named(answer)), None)


def test_an_optional_titler_leaves_own_titles_and_says_so(before: Snapshot, caplog: pytest.LogCaptureFixture) -> None:
    found = with_own_titles(before.found_segments)
    done = retitled(found, before, Titler(named("'Same'"), optional=True), None)
    stopped = retitled(found, before, Titler("false", optional=True), None)

    assert [each.title for each in done.segments.segments] == ["Same", *(f"Own {n}" for n in range(1, len(found)))]
    assert done.titled == (found.segments[0].segment_id,)
    assert f"the titler failed {len(found) - 1} times" in caplog.text
    assert stopped.segments == found


def test_the_command_line(
    fitted: Path, root: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def publish(*arguments: object) -> tuple[int | str | None, str, str]:
        line = ["sparrow-train", "publish", fitted, "--snapshots", root, *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, line)))
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    versions = publication.versions(root)
    code, _, error = publish("--titler", "false", "--titler-timeout", 5)
    assert code == 1
    assert "'false' ended with status 1 after 0 of" in error
    assert publication.versions(root) == versions
    code, out, _ = publish("--titler", address)
    assert code == 0
    assert re.search(r", \d+ titled by the titler \(\d+ asked now\)", out)
