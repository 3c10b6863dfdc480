"""Pages judged through a real server: a small fit of real books, served by sparrow-serve, asked over HTTP."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from index.types import Int32
from training import datasets, items, later, options
from training.__main__ import main
from training.errors import DataError
from training.figures import PerUser
from training.interactions import Columns, Filters
from training.pages import judging, readers, report, rounds, server
from training.pages.attention import Shape, by_attention, ndcg
from training.pages.events import Events, kept, shown_on
from training.pages.judging import METRICS, Judgement
from training.pages.likeness import likeness_of
from training.pages.readers import Reader, readers_of
from training.pages.report import Finding
from training.pages.rounds import Material, Turn
from training.pages.server import Server, ServerError
from training.pages.ways import Asking, Page, PropertyRows, flat, independent, page, values_of
from training.split import Question

PHONE = Shape(6, 6)
QUICK = ["training.epochs=1", "model.n_dims=256", "training.batch_size=64"]
N_READERS = 4


class Served(NamedTuple):
    """A server, what was fitted, and some of those whom it does not know."""

    server: Server
    snapshots: Path
    material: Material
    turn: Turn
    readers: list[Reader]

    @property
    def asking(self) -> Asking:
        return Asking(self.server, self.material.data.known.items, PHONE)

    @property
    def events(self) -> Events:
        return Events(rounds.popularity(self.material.data, self.turn.round.split), seed=3)


@pytest.fixture(scope="module")
def served(books_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages")
    data = later.load(books_file, None, Columns(), Filters(min_item_support=3))
    material = Material(data, items.load(datasets.bundled("goodbooks").items, data.known.items)[0])
    (turn,) = rounds.turns(data, 1, groups=1, readers="validation", validation=0.05)
    recipe = options.recipe_of("compressed-elsa", QUICK)
    snapshots = rounds.published(material, recipe, turn.round.split, folder / "kept")
    asked = readers_of(turn.round.exam.questions[: 5 * N_READERS], data.known, 0)
    with server.started(snapshots, folder / "store", {}) as found:
        yield Served(found, snapshots, material, turn, asked)


def items_of(one: Page) -> list[int]:
    return [int(each) for each in one.cells.ravel() if each >= 0]


def known_to(reader: Reader) -> set[int]:
    return set(reader.question.given.tolist())


def test_a_fit_is_kept(served: Served) -> None:
    before = sorted(served.snapshots.iterdir())
    recipe = options.recipe_of("compressed-elsa", QUICK)
    again = rounds.published(served.material, recipe, served.turn.round.split, served.snapshots.parent)
    assert again == served.snapshots
    assert sorted(again.iterdir()) == before


def test_the_page_is_the_servers_own(served: Served) -> None:
    (made,) = page(served.asking, served.readers[:1])
    alone = served.server.ask("POST", "/v1/homepage", {**served.readers[0].who, "n_rows": 6, "row_size": 6})
    ids = served.material.data.known.items.item_ids(items_of(made))
    assert ids == [item["item_id"] for row in alone["rows"] for item in row["items"]]
    assert made.segments == {row["segment_id"] for row in alone["rows"] if row["kind"] == "segment"}
    assert made.segments
    assert len(set(ids)) == len(ids)
    assert not known_to(served.readers[0]) & set(items_of(made))


def test_the_flat_list_is_read_along_the_attention(served: Served) -> None:
    (made,) = flat(served.asking, served.readers[:1])
    alone = served.server.ask("POST", "/v1/recommend", {**served.readers[0].who, "count": 36})
    listed = made.cells.ravel()[by_attention(PHONE)]
    ids = served.material.data.known.items.item_ids(listed)
    assert ids == [item["item_id"] for item in alone["items"]]


def test_independent_rows_are_those_of_the_best_segments(served: Served) -> None:
    reader = served.readers[5]
    (made,) = independent(served.asking, [reader])
    best = served.server.ask("POST", "/v1/segments/recommend", {**reader.who, "count": 6})["segments"]
    assert made.segments == {one["segment_id"] for one in best}
    for cells, one in zip(made.cells, best, strict=True):
        alone = served.server.ask("POST", f"/v1/segments/{one['segment_id']}/items", {**reader.who, "count": 6})
        ids = served.material.data.known.items.item_ids(cells[cells >= 0])
        assert ids == [item["item_id"] for item in alone["items"]]


def test_property_rows_are_top_picks_and_authors(served: Served) -> None:
    way = PropertyRows("authors", served.material.properties)
    for reader, made in zip(served.readers, way(served.asking, served.readers), strict=True):
        shown = items_of(made)
        assert len(set(shown)) == len(shown)
        assert not known_to(reader) & set(shown)
        (picks,) = flat(served.asking._replace(shape=Shape(1, 6)), [reader])
        assert made.cells[0].tolist() == picks.cells[0].tolist()
        own = {value for row in known_to(reader) for value in authors(served, row)}
        for cells in made.cells[1:]:
            several = [set(authors(served, int(row))) for row in cells[cells >= 0]]
            assert not several or any(all(value in each for each in several) for value in own)


def authors(served: Served, row: int) -> tuple[str, ...]:
    return values_of(served.material.properties[row].get("authors"))


def test_values_of_a_property() -> None:
    assert values_of("Terry Pratchett, Neil Gaiman") == ("Terry Pratchett", "Neil Gaiman")
    assert values_of(["red", "blue, dark", "red"]) == ("red", "blue, dark")
    assert values_of(1999) == ("1999",)
    assert values_of(None) == ()


def test_an_event_is_unrelated_and_the_same_again(served: Served) -> None:
    asked = served.readers[::5]
    pages = page(served.asking, asked)
    after = served.events.after(served.asking, asked, pages)
    assert after == served.events.after(served.asking, asked, pages)
    popularity = rounds.popularity(served.material.data, served.turn.round.split)
    for reader, made, later_on in zip(asked, pages, after, strict=True):
        newest, *rest = later_on.who["history"]
        assert rest == reader.who["history"]
        row = served.material.data.known.items.row(newest["item_id"])
        assert row is not None
        assert popularity[row] >= 5
        assert row not in known_to(reader) | set(items_of(made))
        only = {"history": [newest], "exclude_seen": False, "count": 1}
        segments = served.server.ask("POST", "/v1/segments/recommend", only)["segments"]
        assert not {one["segment_id"] for one in segments} & made.segments


def test_where_everything_is_related_there_is_no_event(served: Served) -> None:
    reader = served.readers[0]
    few = Events(np.zeros(len(served.material.data.known.items), np.float32), seed=0)
    with pytest.raises(DataError, match="all items that 5 users have are of a segment on the page"):
        few.after(served.asking, [reader], [Page(np.full(PHONE, -1, np.int32))])


def test_what_is_kept_of_a_page() -> None:
    before, after = np.array([[1, 2, 3], [4, -1, -1]], np.int32), np.array([[4, 3, 9], [8, 7, -1]], np.int32)
    assert kept(Page(before), Page(after)) == 0.5
    assert kept(Page(np.full((1, 2), -1, np.int32)), Page(after)) == 1
    assert shown_on(Page(before)).tolist() == [1, 2, 3, 4]


def test_figures_are_means_of_questions(served: Served) -> None:
    data, told = served.material.data, list[int]()
    ids = data.known.items.item_ids(range(len(data.known.items)))
    alike = likeness_of(rounds.held_out(data, served.turn.round.split), served.material.properties, ids)
    ways = {"page": page, "flat": flat}
    found = judging.judge(served.asking, served.readers, ways, alike, served.events, told.append)
    assert sum(told) == len(served.readers)
    for name, way in ways.items():
        made = way(served.asking, served.readers)
        worth = [ndcg(one.cells, each.question.targets) for one, each in zip(made, served.readers, strict=True)]
        figure = found[name].per_user["ndcg_2d"]
        assert figure.values == pytest.approx(np.array(worth).reshape(N_READERS, 5).mean(axis=1)[order(served)])
        shown = np.unique(np.concatenate([one.cells[one.cells >= 0] for one in made]))
        assert found[name].coverage == pytest.approx(len(shown) / len(data.known.items))
        assert found[name].per_user["duplicates"].mean() == 0
        assert 0 < found[name].per_user["stability"].mean() <= 1
        assert set(found[name].per_user) == set(METRICS)


def order(served: Served) -> Int32:
    """Where the readers are, ascending, of the order in which they are asked."""
    return np.argsort([each.question.user for each in served.readers[::5]]).astype(np.int32)


def test_histories_are_newest_first(served: Served) -> None:
    known = served.material.data.known
    question = served.turn.round.exam.questions[0]
    drawn = readers.newest_first(question, known, 0)
    assert sorted(drawn.tolist()) == question.given.tolist() != drawn.tolist()
    assert drawn.tolist() == readers.newest_first(question, known, 0).tolist()
    assert drawn.tolist() != readers.newest_first(question, known, 1).tolist()
    times = np.random.default_rng(0).permutation(len(known.user)).astype(np.int64)
    timed = type(known)(known.user, known.item, known.weight, times, known.users, known.items)
    of = {int(item): int(time) for user, item, time in zip(known.user, known.item, times, strict=True)
          if user == question.user}  # fmt: skip
    assert readers.newest_first(question, timed, 0).tolist() == sorted(of.keys() & known_to(served.readers[0]),
                                                                       key=lambda item: -of[item])  # fmt: skip


def test_a_long_history_is_cut_and_the_rest_left_out() -> None:
    who = {"history": [{"item_id": str(n)} for n in range(readers.MOST)], "exclude_ids": ["x"]}
    question = Question(0, np.empty(0, np.int32), np.empty(0, np.int32))
    liked = Reader(question, who).liking("new").who
    assert [each["item_id"] for each in liked["history"][:2]] == ["new", "0"]
    assert len(liked["history"]) == readers.MOST
    assert liked["exclude_ids"] == [str(readers.MOST - 1), "x"]


def test_what_the_server_refuses_is_an_error(served: Served) -> None:
    with pytest.raises(ServerError, match="/v1/batch answers 422"):
        served.server.batch([{"endpoint": "recommend", "body": {"count": 0}}])
    unknown = {"history": [{"item_id": "no such book"}], "count": 1}
    with pytest.raises(ServerError, match="warning unknown_items"):
        served.server.batch([{"endpoint": "recommend", "body": unknown}])
    assert served.server.ask("GET", "/livez") == {"status": "ok"}


def test_many_and_large_requests_are_asked_in_parts(served: Served) -> None:
    body = {"history": [{"item_id": each["item_id"]} for each in served.readers[0].who["history"]], "count": 1}
    calls = [{"endpoint": "recommend", "body": {**body, "exclude_ids": ["x" * 200] * 900}}] * 45
    answers = served.server.batch(calls)
    assert len(answers) == 45
    assert len({answer["items"][0]["item_id"] for answer in answers}) == 1


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no address of a server"), server.reached("localhost:8000"):
        pass
    with pytest.raises(ServerError, match="cannot be asked"), server.reached("http://127.0.0.1:1"):
        pass
    settings = {"SPARROW_LOG_LEVEL": "loud"}
    with (
        pytest.raises(ServerError, match=r"does not serve; it said: .*LOG_LEVEL"),
        server.started(tmp_path, tmp_path / "store", settings),
    ):
        pass


def figure(*values: float) -> PerUser:
    return PerUser(np.arange(len(values), dtype=np.int32), np.array(values), np.ones(len(values)))


def test_the_report_by_hand() -> None:
    def judged(*values: float) -> Judgement:
        return Judgement(dict.fromkeys(METRICS, figure(*values)), 0.25)

    findings = [
        Finding("phone", 0, {"page": judged(0.4, 0.8), "flat": judged(0.5, 0.9)}),
        Finding("phone", 1, {"page": judged(0.2, 0.6), "flat": judged(0.5, 0.5)}),
    ]
    document = report.document(findings, {"dataset": "by hand"})
    found = document["sizes"]["phone"]
    assert found["figures"]["page"]["ndcg_2d"]["mean"] == pytest.approx(0.5)
    assert found["figures"]["page"]["ndcg_2d"]["standard_error"] == pytest.approx(0.2)
    assert found["seeds"] == {"page": pytest.approx([0.6, 0.4]), "flat": pytest.approx([0.7, 0.5])}
    assert found["page_minus"]["flat"]["ndcg_2d"]["mean"] == pytest.approx(-0.1)
    assert found["page_minus"]["flat"]["ndcg_2d"]["standard_error"] == pytest.approx(0.1)
    assert set(found["page_minus"]) == {"flat"}
    table = report.markdown(document)
    assert "| page | 0.5000 (0.2000) | 1.000 | - | 0.5 |" in table
    assert "| flat | 0.6000 (0.1000) | 0.833 | -0.1000 (0.1000) | 0.6 |" in table


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["sparrow-train", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command(
    served: Served, books_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--readers", "validation", "--seeds", 1, "--max-users", 2, "--sizes", "phone", "--server",
             served.server.address]  # fmt: skip
    described = ["--items", datasets.bundled("goodbooks").items, "--property", "authors"]
    assert not run(monkeypatch, "pages", "--interactions", books_file, *described, *asked, "--json",
                   "--min-item-support", 3)  # fmt: skip
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(document["sizes"]["phone"]["figures"]) == {"page", "flat", "independent", "property"}
    assert document["sizes"]["phone"]["figures"]["page"]["ndcg_2d"]["users"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sizes", "watch"], 2, "there is no 'watch'; there is desktop, phone"),
        (["--ways", "flat,sorted"], 2, "there is no 'sorted'; there is flat, independent, property"),
        (["--env", "PORT=1"], 2, "settings of the server are called SPARROW_"),
        (["--property", "colour"], 2, "no item has it"),
        (["--server", "http://127.0.0.1:1"], 2, "ask --readers validation"),
        (["--recipe", "popularity"], 1, "has nothing to publish"),
    ],
)
def test_what_cannot_be_asked(
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "pages", "--dataset", "goodbooks", "--seeds", 1, *arguments) == code
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
