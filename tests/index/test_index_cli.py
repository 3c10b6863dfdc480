"""sparrow-index: exit codes, the --json document, and what people read."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pytest

from index import builder, cli, publication, query, snapshot
from index.__main__ import main
from index.builder import SnapshotContent
from index.vocabulary import Vocabulary


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The last line, and there is no other."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        return json.loads(self.out)


Run: TypeAlias = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path) -> Run:
    """Run sparrow-index on a directory with one published version."""
    monkeypatch.setenv("SPARROW_SNAPSHOTS", str(root))
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["sparrow-index", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Done(int(end.value.code or 0), *capsys.readouterr())

    return ran


@pytest.fixture
def version(root: Path) -> str:
    current = publication.current(root)
    assert current is not None
    return current


@pytest.fixture
def second(root: Path, content: SnapshotContent) -> str:
    """A second version, not published."""
    return builder.write(root, content)


def test_inspect(run: Run, root: Path, version: str) -> None:
    document = run("inspect", "--json").document
    about = snapshot.read_manifest(root, version)
    assert document["version"] == version
    assert (document["n_items"], document["n_nonzeros"]) == (36, about.n_nonzeros)
    assert document["files"]["popular.npy"]["bytes"] == 128 + 36 * 4
    sizes, parts = document["sizes"], document["sizes"]["parts"]
    assert sizes["disk_bytes"] == sum(info.bytes for info in about.files.values())
    assert sizes["disk_bytes"] == sum(part["bytes"] for part in parts.values())
    values = about.files["decoder_values.npy"].bytes
    assert parts["row values"] == {"bytes": values, "per_item": values / 36, "per_nonzero": values / about.n_nonzeros}
    searched = sum(part["bytes"] for part in parts.values() if "per_nonzero" in part)
    assert sizes["searched_bytes_per_nonzero"] == pytest.approx(searched / about.n_nonzeros)
    assert document["expected_sizes"] is None
    assert document["provenance"]["model"] == "golden"
    assert [segment["title"] for segment in document["segments"]] == ["Segment 0", "Segment 1", "Segment 2"]
    assert document["level"] == document["levels"][0] == snapshot.open_snapshot(root, version).searcher.kernel.level
    text = run("inspect", version)
    assert text.code == 0
    for part in (
        about.content_hash,
        "decoder_values.npy",
        "what a search reads",
        f"{document['level']} (this CPU has {', '.join(document['levels'])})",
        "Segment 2",
        "golden",
        "several texts",
        "no: item row 1 has a number",
    ):
        assert part in text.out
    assert [(each["key"], each["kind"], each["n_present"]) for each in document["columns"]][:3] == [
        ("added", "time", 32),
        ("authors", "text", 32),
        ("in_print", "boolean", 32),
    ]
    assert document["unfilterable"] == {"shelf": "item row 1 has a number, others have a text"}


def test_inspect_says_what_more_items_would_need(run: Run, root: Path, version: str, content: SnapshotContent) -> None:
    document = run("inspect", "--items", "1000000", "--json").document
    expected = document["expected_sizes"]
    assert expected["n_items"] == 1_000_000
    assert expected["n_nonzeros"] == round(document["n_nonzeros"] * 1_000_000 / 36)
    assert expected["disk_bytes"] > expected["memory_bytes"] > 1_000_000 * document["n_nonzeros"] / 36 * 10
    text = run("inspect", version, "--items", "1000000")
    assert "expected sizes of 1,000,000 items" in text.out
    square = content.embeddings.decoder.take(np.arange(12, dtype=np.int32))
    few = replace(content.embeddings, items=Vocabulary.build([*"abcdefghijkl"]), decoder=square, dims_are="items")
    segments = replace(content.segments, starts=np.zeros(4, dtype=np.int64), items=content.segments.items[:0])
    segments = replace(segments, strengths=content.segments.strengths[:0])
    none = [replace(segment, size=0) for segment in segments.segments]
    made = builder.build(
        root,
        embeddings=replace(few, item_scale=None, encoder="tied"),
        properties=[{}] * 12,
        popularity=content.popularity[:12],
        segments=replace(segments, segments=tuple(none)),
    )
    refused = run("inspect", made, "--items", "100")
    assert (refused.code, refused.out) == (1, "")
    assert f"the dimensions of {made} are its items" in refused.err


def test_verify(run: Run, root: Path, version: str) -> None:
    document = run("verify", "--json").document
    assert document == {"version": version, "bytes": document["bytes"], "ok": True}
    assert f"{version} is whole" in run("verify", version).out
    path = root / version / "popular.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    done = run("verify", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: {path} does not match its hash\n"


def test_list(run: Run, root: Path, version: str, second: str) -> None:
    (root / second / "manifest.json").write_text("{")
    document = run("list", "--json").document
    assert document["problems"] == []
    first, other = document["versions"]
    assert first["version"] == version
    assert (first["n_items"], first["n_segments"], first["current"], first["pinned"]) == (36, 3, True, False)
    assert (other["version"], other["current"]) == (second, False)
    assert "manifest.json is not JSON" in other["problem"]
    text = run("list").out
    assert "current" in text
    assert f"{first['total_bytes']:,}" in text
    assert second in text


def test_list_of_nothing(run: Run, tmp_path: Path) -> None:
    assert run("list", "--snapshots", str(tmp_path / "none"), "--json").document == {"versions": [], "problems": []}
    assert "no snapshots in" in run("list", "--snapshots", str(tmp_path / "none")).out


@pytest.mark.parametrize("name", ["CURRENT", "PIN"])
def test_list_and_publish_lead_out_of_a_damaged_current_or_pin(run: Run, root: Path, version: str, name: str) -> None:
    (root / name).write_text("garbage\n")
    document = run("list", "--json").document
    assert [line["version"] for line in document["versions"]] == [version]
    assert [line["pinned"] for line in document["versions"]] == [False]
    (problem,) = document["problems"]
    assert f"{root / name} holds 'garbage', which is not a version; 'sparrow-index " in problem
    text = run("list")
    assert text.code == 0
    assert version in text.out
    assert problem in text.out.splitlines()
    pruned = run("prune", "--json")
    assert (pruned.code, pruned.out, pruned.err) == (1, "", f"Error: {problem}\n")
    assert publication.versions(root) == (version,)
    assert run(*(["publish", version] if name == "CURRENT" else ["unpin"])).code == 0
    (line,) = run("list", "--json").document["versions"]
    assert line["current"]
    assert run("list", "--json").document["problems"] == []


def test_a_current_that_cannot_be_read_or_is_not_stored_is_named(run: Run, root: Path, version: str) -> None:
    (root / "CURRENT").write_text("20270101T000000Z-00000000\n")
    document = run("list", "--json").document
    assert document["problems"] == [f"the current version 20270101T000000Z-00000000 is not stored in {root}"]
    (root / "CURRENT").unlink()
    (root / "CURRENT").mkdir()
    document = run("list", "--json").document
    assert [line["version"] for line in document["versions"]] == [version]
    (problem,) = document["problems"]
    assert problem == f"{root / 'CURRENT'} cannot be read: Is a directory; mend or remove it"
    assert run("prune").err == f"Error: {problem}\n"


def test_publish_rollback_unpin(run: Run, root: Path, version: str, second: str) -> None:
    assert run("publish", second, "--json").document == {"version": second, "current": True, "pinned": None}
    assert run("rollback", "--json").document == {"version": version, "pinned": True}
    assert publication.current(root) == version
    assert run("publish", second, "--json").document == {"version": second, "current": False, "pinned": version}
    assert f"{second} is stored; {version} stays current until unpinned" in run("publish", second).out
    assert run("unpin", "--json").document == {"was_pinned": True}
    assert "nothing was pinned" in run("unpin").out
    assert f"{second} is current" in run("publish", second).out
    assert f"{version} is current and pinned" in run("rollback", version).out


def test_prune(run: Run, root: Path, version: str, content: SnapshotContent) -> None:
    others = [builder.write(root, content) for _ in range(3)]
    assert run("prune", "--json").document == {"removed": []}
    assert run("prune", "--keep", "1", "--json").document == {"removed": others[:2]}
    assert publication.versions(root) == (version, others[2])
    assert "removed 0 versions" in run("prune").out


def test_search_is_the_search_that_serves(run: Run, root: Path, version: str) -> None:
    document = run("search", "--item", "7", "--item", "11", "--count", "4", "--json").document
    opened = snapshot.open_snapshot(root, version)
    rows = opened.items.rows(["7", "11"])
    user = query.encode(opened.embeddings, rows, (rows >= 0).astype("float32"))
    hits = opened.searcher.top_n(user, 4, exclude=rows)
    assert [item["item_id"] for item in document["items"]] == opened.items.item_ids(hits.items)
    assert [item["score"] for item in document["items"]] == hits.scores.tolist()
    titles = [properties.get("title") for properties in opened.catalogue.properties(hits.items)]
    assert [item["title"] for item in document["items"]] == titles
    assert (document["version"], document["history"]) == (version, ["7", "11"])
    text = run("search", "--item", "7", "--item", "11", "--version", version)
    assert text.code == 0
    assert str(titles[0]) in text.out


ANN_SINCE_1920: dict[str, Any] = {
    "must": [{"key": "authors", "match": {"value": "Ann"}}, {"key": "year", "range": {"gte": 1920}}]
}


def test_search_among_the_items_that_pass_a_filter(run: Run, root: Path, version: str) -> None:
    asked = ("search", "--item", "7", "--filter", json.dumps(ANN_SINCE_1920))
    document = run(*asked, "--json").document
    opened = snapshot.open_snapshot(root, version)
    rows = opened.items.rows(["7"])
    user = query.encode(opened.embeddings, rows, (rows >= 0).astype("float32"))
    passing = opened.filters.compile(ANN_SINCE_1920)
    hits = opened.searcher.top_n(user, 10, exclude=rows, within=passing)
    assert [item["item_id"] for item in document["items"]] == opened.items.item_ids(hits.items)
    assert document["n_passing"] == passing.count == 14
    assert "14 of 36 items pass the filter" in run(*asked).out
    nothing = run("search", "--item", "7", "--filter", '{"must": [{"key": "year", "match": {"value": 3}}]}', "--json")
    assert (nothing.document["items"], nothing.document["n_passing"]) == ([], 0)
    assert run("search", "--item", "7", "--json").document["n_passing"] is None


def test_recommend_among_the_items_that_pass_a_filter(run: Run, tmp_path: Path) -> None:
    users, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    users.write_text('{"user_id": "u1", "history": ["7"]}\n')
    given = json.dumps(ANN_SINCE_1920)
    assert run("recommend", "--users", str(users), "--out", str(out), "--filter", given).code == 0
    found = run("search", "--item", "7", "--filter", given, "--count", "100", "--json").document["items"]
    wanted = [item["item_id"] for item in found if item["score"] > 0]
    assert [item["item_id"] for item in json.loads(out.read_text())["items"]] == wanted != []


def test_recommend_writes_a_line_for_each_user(run: Run, version: str, tmp_path: Path) -> None:
    users, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    users.write_text('{"user_id": "u1", "history": ["7", "11", "x"]}\n{"user_id": "u2", "history": ["y"]}\n')
    asked = ("recommend", "--users", str(users), "--out", str(out), "--count", "4")
    assert run(*asked, "--json").document == {
        "version": version,
        "out": str(out),
        "n_users": 2,
        "n_unknown_items": 2,
        "n_empty": 1,
    }
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    found = run("search", "--item", "7", "--item", "11", "--count", "4", "--json").document["items"]
    assert first["items"] == [{"item_id": item["item_id"], "score": item["score"]} for item in found]
    assert second == {"user_id": "u2", "items": []}
    text = run(*asked, "--include-history", "--version", version)
    assert f"{out}: lists for 2 users, 1 of them empty; 2 items of histories are not in {version}" in text.out
    users.write_text('{"user_id": "u1", "history": [{"item_id": "27", "weight": -1}]}\n')
    for words, expected in (((), False), (("--include-history",), True)):
        assert run("recommend", "--users", str(users), "--out", str(out), *words).code == 0
        assert ("27" in {item["item_id"] for item in json.loads(out.read_text())["items"]}) == expected


def test_recommend_refuses_bad_lines_before_it_writes(run: Run, tmp_path: Path) -> None:
    users, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    users.write_text('{"user_id": "u1", "history": ["7"]}\n{"user_id": "u2"}\n')
    done = run("recommend", "--users", str(users), "--out", str(out), "--json")
    assert (done.code, done.out, done.err) == (1, "", f"Error: {users}:2: a user has no history\n")
    assert not out.exists()
    same = run("recommend", "--users", str(users), "--out", f"{tmp_path}/../{tmp_path.name}/users.jsonl")
    assert (same.code, "holds the users; name another file" in same.err) == (1, True)


def test_recommend_writes_where_a_link_leads_and_never_over_the_users(run: Run, tmp_path: Path) -> None:
    users, out, link = tmp_path / ".tmp-out.jsonl", tmp_path / "out.jsonl", tmp_path / "latest.jsonl"
    users.write_text('{"user_id": "u1", "history": ["7"]}\n')
    refused = run("recommend", "--users", str(users), "--out", str(out))
    assert (refused.code, "holds the users; name another file" in refused.err) == (1, True)
    assert '"u1"' in users.read_text()
    link.symlink_to(tmp_path / "target.jsonl")
    assert run("recommend", "--users", str(users), "--out", str(link)).code == 0
    assert link.is_symlink()
    assert '"u1"' in (tmp_path / "target.jsonl").read_text()


def test_recommend_says_before_it_works_which_file_is_wrong(run: Run, tmp_path: Path) -> None:
    users = tmp_path / "users.jsonl"
    users.write_text('{"user_id": "u1", "history": ["7"]}\n')
    none, pipe = tmp_path / "none", tmp_path / "pipe"
    os.mkfifo(pipe)
    for given, out, message in (
        (none, tmp_path / "out", f"--users: {none} is not a file"),
        (users, tmp_path, f"--out: {tmp_path} is a directory; name a file in it"),
        (users, none / "out", f"--out: {none} is not a directory; make it first"),
        (users, pipe, f"--out: {pipe} is neither a file nor new"),
        (pipe, tmp_path / "out", f"--users: {pipe} is not a file"),
    ):
        done = run("recommend", "--users", str(given), "--out", str(out))
        assert (done.code, done.out, done.err) == (1, "", f"Error: {message}\n")
    assert [path.name for path in tmp_path.iterdir() if path.name != "snapshots" and path != pipe] == ["users.jsonl"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search", "--item", "7", "--item", "nobody"), "no item 'nobody' in "),
        (("search", "--item", "7", "--filter", "{"), "--filter is not JSON: "),
        (("search", "--item", "7", "--filter", "[" * 100_000), "--filter is not JSON: "),
        (
            ("search", "--item", "7", "--filter", '{"must": [{"key": "x", "match": {}}]}'),
            "--filter: must[0].key is 'x'",
        ),
        (("recommend", "--users", "x", "--out", "y", "--filter", "3"), "--filter: filter is 3; must be an object"),
        (("inspect", "../../etc"), "'../../etc' is not the name of a version"),
        (("verify", "20200101T000000Z-00000000"), "is not stored in"),
        (("publish", "20200101T000000Z-00000000"), "is not stored in"),
        (("rollback",), "name the version to go to"),
        (("unpin", "--snapshots", "/nowhere"), "/nowhere is not a directory of snapshots"),
        (("inspect", "--snapshots", "/nowhere"), "nothing is published in /nowhere; 'sparrow-train publish'"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_failure_is_one_sentence_and_exit_1(run: Run, words: tuple[str, ...], message: str, as_json: bool) -> None:
    done = run(*words, *(["--json"] if as_json else []))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    assert message in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("publish",),
        ("search",),
        ("prune", "--keep", "0"),
        ("search", "--item", "7", "--count", "0"),
        ("list", "--x"),
        ("recommend", "--users", "x"),
        ("recommend", "--users", "x", "--out", "y", "--count", "0"),
        ("inspect", "--items", "0"),
    ],
)
def test_wrong_usage_is_exit_2(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert "Usage: sparrow-index" in done.err


def test_every_command_explains_itself(run: Run) -> None:
    for command in ("inspect", "verify", "list", "publish", "rollback", "unpin", "prune", "search", "recommend"):
        done = run(command, "--help")
        assert done.code == 0
        assert "--snapshots" in done.out
        assert "--json" in done.out
    assert "by default the one before the current" in run("rollback", "--help").out
    assert "by default the current one" in run("verify", "--help").out


def test_markup_in_titles_is_text(run: Run, root: Path, content: SnapshotContent) -> None:
    properties = [{"title": "[bold]Loud[/bold] [/x]"}] * 36
    made = builder.write(root, SnapshotContent(content.embeddings, properties, content.popularity, content.segments))
    done = run("search", "--item", "7", "--version", made)
    assert done.code == 0
    assert "[bold]Loud[/bold] [/x]" in done.out


def test_the_installed_command_runs(root: Path) -> None:
    command = [str(Path(sys.executable).with_name("sparrow-index")), "list", "--json"]
    environment = {**os.environ, "SPARROW_SNAPSHOTS": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout)["versions"][0]["current"]


def test_unknown_errors_are_not_hidden() -> None:
    def broken() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        cli.main_for(broken)()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (PermissionError(13, "denied", "x"), 1), (LookupError("a\nb"), 1)]
)
def test_known_errors_and_interruption(capsys: pytest.CaptureFixture[str], error: BaseException, code: int) -> None:
    def failing() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        cli.main_for(failing, LookupError)()  # type: ignore[arg-type]
    assert end.value.code == code
    assert capsys.readouterr().err in ("", "Error: [Errno 13] denied: 'x'\n", "Error: a b\n")


def test_json_is_one_line_of_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    cli.print_json({"title": "\u00c9migr\u00e9\n"})
    assert capsys.readouterr().out == '{"title": "\u00c9migr\u00e9\\n"}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        cli.print_json({"loss": float("nan")})


def test_progress_stays_out_of_pipes(capsys: pytest.CaptureFixture[str]) -> None:
    with cli.progress("working", 2) as advance:
        advance(1)
        advance(1)
    assert capsys.readouterr() == ("", "")
