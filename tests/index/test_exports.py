"""Recommendations for many users: a file in, a file out, all or nothing."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from index import builder, exports, publication, query
from index.bitmap import Bitmap
from index.builder import SnapshotContent
from index.errors import InvalidUsers
from index.exports import Exported, User, Wish
from index.snapshot import Snapshot, open_snapshot

ALL = Wish(5, include_history=False, within=None)
Export: TypeAlias = Callable[..., tuple[Exported, list[dict[str, Any]]]]


@pytest.fixture
def opened(root: Path) -> Snapshot:
    version = publication.current(root)
    assert version is not None
    return open_snapshot(root, version)


@pytest.fixture
def export(opened: Snapshot, tmp_path: Path) -> Export:
    """Export the given users and read what was written."""

    def exported(users: list[Any], wish: Wish = ALL) -> tuple[Exported, list[dict[str, Any]]]:
        asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
        asked.write_text("".join(json.dumps(user) + "\n" for user in users))
        done = exports.export(opened, asked, out, wish)
        return done, [json.loads(line) for line in out.read_text().splitlines()]

    return exported


def one_by_one(opened: Snapshot, history: dict[str, float], wish: Wish, exclude_ids: list[str]) -> list[dict[str, Any]]:
    """What a single search finds."""
    known = {item_id: weight for item_id, weight in history.items() if opened.items.row(item_id) is not None}
    rows = opened.items.rows(list(known))
    user = query.encode(opened.embeddings, rows, np.array(list(known.values()), dtype=np.float32))
    exclude = opened.items.rows([*exclude_ids, *([] if wish.include_history else known)])
    hits = opened.searcher.top_n(user, wish.count, exclude=exclude, within=wish.within)
    pairs = zip(opened.items.item_ids(hits.items), hits.scores.tolist(), strict=True)
    return [{"item_id": item_id, "score": score} for item_id, score in pairs if score > 0]


@pytest.mark.parametrize("include_history", [False, True])
@pytest.mark.parametrize("n_within", [None, 9])
def test_each_user_gets_what_a_single_search_finds(
    opened: Snapshot,
    export: Export,
    monkeypatch: pytest.MonkeyPatch,
    include_history: bool,
    n_within: int | None,
) -> None:
    monkeypatch.setattr(exports, "_BATCH_USERS", 4)
    rng = np.random.default_rng(0)
    within = None if n_within is None else Bitmap.from_rows(np.arange(n_within, dtype=np.int32), 36)
    wish = Wish(5, include_history, within)
    ids = opened.items.item_ids(range(36))
    histories = [
        {
            str(item_id): float(np.float32(rng.normal()))
            for item_id in rng.choice(ids, rng.integers(1, 6), replace=False)
        }
        for _ in range(11)
    ]
    users = [
        {
            "user_id": f"u{number}",
            "history": [{"item_id": item_id, "weight": weight} for item_id, weight in history.items()],
            "exclude_ids": ids[number : number + 2],
        }
        for number, history in enumerate(histories)
    ]
    done, answers = export(users, wish)
    assert [answer["user_id"] for answer in answers] == [user["user_id"] for user in users]
    for number, (history, answer) in enumerate(zip(histories, answers, strict=True)):
        assert answer["items"] == one_by_one(opened, history, wish, ids[number : number + 2])
    n_empty = sum(not answer["items"] for answer in answers)
    assert done == Exported(n_users=11, n_unknown_items=0, n_empty=n_empty)
    assert n_empty < 11


def test_plain_ids_weigh_one_and_unknown_ones_are_counted(opened: Snapshot, export: Export) -> None:
    users = [
        {"user_id": "plain", "history": ["7", "nobody", "11"]},
        {"user_id": "same", "history": [{"item_id": "7"}, {"item_id": "11", "weight": 1}], "exclude_ids": ["nothing"]},
        {"user_id": "lost", "history": ["nobody"]},
        {"user_id": "new", "history": []},
        {"user_id": "\ud800", "history": ["\ud800"]},
    ]
    done, (plain, same, *others) = export(users)
    assert plain["items"] == same["items"] == one_by_one(opened, {"7": 1, "11": 1}, ALL, [])
    assert [other["items"] for other in others] == [[], [], []]
    assert others[2]["user_id"] == "\ud800"
    assert done == Exported(n_users=5, n_unknown_items=3, n_empty=3)


def test_one_user_of_very_many_dims_is_a_batch(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_BATCH_VALUES", 5)
    done, answers = export([{"user_id": str(number), "history": ["7"]} for number in range(3)])
    assert done.n_users == len(answers) == 3


def test_users_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(
        b'{"user_id": "a", "history": ["x", {"item_id": "y", "weight": -2}]}\n\n  \r\n'
        + '{"user_id": "b\u00fc", "history": [], "exclude_ids": ["z"]}'.encode()
    )
    assert list(exports.read_users(path)) == [
        User("a", (("x", 1.0), ("y", -2.0)), ()),
        User("b\u00fc", (), ("z",)),
    ]


BAD = [
    ("{", "Expecting property name"),
    ("[]", r"\[\] is not a user: that is an object of exclude_ids, history, user_id"),
    ('"u"', '"u" is not a user'),
    ("{}", "a user has no history"),
    ('{"history": []}', "a user has no user_id"),
    ('{"user_id": "u"}', "a user has no history"),
    ('{"user_id": "u", "history": [], "kind": 1}', 'a user has "kind"; known are exclude_ids, history, user_id'),
    ('{"user_id": 7, "history": []}', "user_id is 7; must be a text that is not empty"),
    ('{"user_id": "", "history": []}', 'user_id is ""; must be a text'),
    ('{"user_id": "u", "history": "7"}', 'history is "7"; must be a list'),
    ('{"user_id": "u", "history": {"7": 1}}', 'history is {"7": 1}; must be a list'),
    ('{"user_id": "u", "history": [7]}', "7 is not an entry of the history"),
    ('{"user_id": "u", "history": [""]}', 'item_id is ""; must be a text'),
    ('{"user_id": "u", "history": [{}]}', "an entry of the history has no item_id"),
    ('{"user_id": "u", "history": [{"item_id": 7}]}', "item_id is 7; must be a text"),
    ('{"user_id": "u", "history": [{"item_id": "7", "wieght": 1}]}', 'has "wieght"; known are item_id, weight'),
    ('{"user_id": "u", "history": [{"item_id": "7", "weight": "1"}]}', 'weight is "1"; must be a number from -100'),
    ('{"user_id": "u", "history": [{"item_id": "7", "weight": true}]}', "weight is true; must be a number"),
    ('{"user_id": "u", "history": [{"item_id": "7", "weight": null}]}', "weight is null; must be a number"),
    ('{"user_id": "u", "history": [{"item_id": "7", "weight": 100.1}]}', "weight is 100.1; must be"),
    ('{"user_id": "u", "history": [{"item_id": "7", "weight": 1e999}]}', "weight is Infinity; must be"),
    ('{"user_id": "u", "history": [{"item_id": "7", "weight": NaN}]}', "NaN is not a JSON value"),
    ('{"user_id": "u", "history": [], "exclude_ids": "7"}', 'exclude_ids is "7"; must be a list'),
    ('{"user_id": "u", "history": [], "exclude_ids": [7]}', "an id of exclude_ids is 7; must be a text"),
    ('{"user_id": "u", "history": ' + "[" * 100_000, "recursion"),
    (json.dumps({"user_id": "u", "history": "x" * 1000}), r'history is "x+\.\.\.; must be a list'),
    ("\xff", "decode byte"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_lines_are_named_and_nothing_is_written(opened: Snapshot, tmp_path: Path, line: str, message: str) -> None:
    asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    asked.write_bytes(b'{"user_id": "good", "history": ["7"]}\n' + line.encode("latin-1") + b"\n")
    out.write_text("before")
    with pytest.raises(InvalidUsers, match=message) as refused:
        exports.export(opened, asked, out, ALL)
    assert str(refused.value).startswith(f"{asked}:2: ")
    assert len(str(refused.value)) < 500
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["out.jsonl", "users.jsonl"]


def test_nothing_is_left_of_an_export_that_is_interrupted(opened: Snapshot, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    asked.write_text('{"user_id": "u", "history": ["7"]}\n')
    with pytest.raises(KeyboardInterrupt):
        exports.export(opened, asked, out, ALL, interrupt)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_two_exports_into_one_file_do_not_mix(opened: Snapshot, tmp_path: Path) -> None:
    asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    asked.write_text('{"user_id": "u", "history": ["7"]}\n' * 600)
    told: list[int] = []

    def begin_another(n_users: int) -> None:
        told.append(n_users)
        with pytest.raises(BlockingIOError, match=r"Another process is writing it: .*out\.jsonl"):
            exports.export(opened, asked, out, ALL)

    exports.export(opened, asked, out, ALL, begin_another)
    assert len(told) > 1
    assert [json.loads(line)["user_id"] for line in out.read_text().splitlines()] == ["u"] * 600
    assert exports.export(opened, asked, out, ALL).n_users == 600


def test_a_full_disk_names_the_file(opened: Snapshot, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    asked.write_text('{"user_id": "u", "history": ["7"]}\n')
    with pytest.raises(OSError, match=r"No space left on device: '.*/out\.jsonl'"):
        exports.export(opened, asked, out, ALL, full)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["users.jsonl"]


def test_progress_tells_every_user(opened: Snapshot, tmp_path: Path) -> None:
    asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    asked.write_text('{"user_id": "u", "history": ["7"]}\n' * 600)
    told: list[int] = []
    assert exports.export(opened, asked, out, ALL, told.append).n_users == 600
    assert sum(told) == 600
    assert len(told) > 1
    assert len(set(out.read_text().splitlines())) == 1


def test_models_whose_dims_are_items(tmp_path: Path, content: SnapshotContent) -> None:
    """The identity encodes, as in EASE."""
    model = content.embeddings
    wide = replace(model.decoder, n_dims=36)
    rows = replace(content.segments.rows, n_dims=36)
    square = replace(model, decoder=wide, encoder="identity", dims_are="items", query_dims=None)
    parts = vars(content) | {"embeddings": square, "segments": replace(content.segments, rows=rows)}
    opened = open_snapshot(tmp_path, builder.build(tmp_path, **parts))
    asked, out = tmp_path / "users.jsonl", tmp_path / "out.jsonl"
    asked.write_text('{"user_id": "u", "history": ["1", "2"]}\n')
    exports.export(opened, asked, out, ALL)
    assert json.loads(out.read_text())["items"] == one_by_one(opened, {"1": 1, "2": 1}, ALL, []) != []
