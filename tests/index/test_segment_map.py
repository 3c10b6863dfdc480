"""The map of segments: what is alike lies together, nothing covers another, and the page works in a browser."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from index import builder, inspector, projection, publication, segment_map, segments, snapshot
from index.__main__ import main
from index.blockwise import unit
from index.embeddings import SparseItemEmbeddings
from index.segments import CarriedIds
from index.snapshot import Snapshot
from index.sparse import SparseRows
from index.vocabulary import Vocabulary

SIZE = 30
TITLES = ("Dragons & <swords>", "Whodunits", 'The "quoted"', "Caf\u00e9 stories")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A snapshot of four tastes that share nothing, published."""
    rng = np.random.default_rng(3)
    dense = np.zeros((4 * SIZE, 16), np.float32)
    for row in range(len(dense)):
        dense[row, 4 * (row // SIZE) : 4 * (row // SIZE) + 4] = rng.uniform(0.5, 1, 4)
    dense = unit(dense)
    items = Vocabulary.build([f"i{row}" for row in range(len(dense))])
    places = [np.flatnonzero(row) for row in dense]
    starts = np.cumsum([0, *map(len, places)])
    rows = SparseRows.from_csr(starts, np.concatenate(places), dense[dense != 0], 16)
    embeddings = SparseItemEmbeddings(items, rows, None, "tied", None, "latents", {})
    popularity = np.arange(len(dense), 0, -1, dtype=np.float32) + 50
    found = segments.find(embeddings, popularity)
    assert len(found) == 4
    carried = CarriedIds(("sa", "sb", "sc", "sd"), frozenset())
    made = segments.assemble(found, carried, TITLES, [()] * 4, 16)
    root = tmp_path_factory.mktemp("map")
    named = [{"title": f"Book {row} <b>"} if row else {} for row in range(len(dense))]
    version = builder.build(root, embeddings=embeddings, properties=named, popularity=popularity, segments=made)
    publication.publish(root, version)
    return snapshot.open_snapshot(root, version)


def test_facts_are_those_of_the_plain_definitions(opened: Snapshot) -> None:
    dense = np.stack([opened.embeddings.decoder.dense_row(row) for row in range(len(opened.items))])
    sets = [set(opened.segments.items_of(number).tolist()) for number in range(4)]
    for number, told in enumerate(inspector.facts(opened)):
        items = opened.segments.items_of(number)
        cosines = [dense[a] @ dense[b] for a, b in combinations(items, 2)]
        assert told["coherence"] == pytest.approx(np.mean(cosines), abs=1e-5)
        assert told["size"] == len(items)
        overlaps = [len(sets[number] & other) / len(sets[number] | other) for other in sets if other != sets[number]]
        assert told["nearest"]["overlap"] == pytest.approx(max(overlaps))
        assert told["nearest"]["title"] in TITLES
        assert told["nearest"]["title"] != told["title"]
        assert len(told["top_items"]) == inspector.TOP
    assert inspector.names(opened, np.array([0, 5], np.int32)) == ["i0", "Book 5 <b>"]


@given(st.lists(st.floats(1, 30), max_size=40), st.integers(0, 99))
def test_no_disc_covers_another(radii: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((len(radii), 2)) * rng.choice([0, 1])
    spread = projection.spread(places, np.array(radii))
    for a, b in combinations(range(len(radii)), 2):
        assert np.linalg.norm(spread[a] - spread[b]) > 0.9 * (radii[a] + radii[b])


def test_what_is_alike_lies_close_together() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 15)
    vectors = unit((np.eye(8, 40)[groups] + 0.1 * rng.standard_normal((120, 40))).astype(np.float32))
    places = projection.project(vectors @ vectors.T)
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert np.mean(groups[distance.argmin(axis=1)] == groups) > 0.95
    np.testing.assert_array_equal(places, projection.project(vectors @ vectors.T))


@pytest.mark.parametrize("n", range(6))
def test_a_few_equal_things_have_places_of_their_own(n: int) -> None:
    places = projection.spread(projection.project(np.ones((n, n), np.float32)), np.ones(n))
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert len({tuple(place) for place in places.tolist()}) == n


class Elements(HTMLParser):
    """Counts elements, and collects what they point at."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_map_is_one_file_with_every_segment_and_its_strongest_items(opened: Snapshot) -> None:
    drawn = segment_map.html(opened, inspector.facts(opened))
    found = Elements()
    found.feed(drawn)
    assert found.addresses == []
    assert not re.search(r"https?:|@import|url\(", drawn)
    assert found.tags.count("g") == found.tags.count("text") == 4
    dots = sum(min(len(opened.segments.items_of(number)), segment_map.DOTS) for number in range(4))
    assert found.tags.count("circle") == 4 + dots
    assert "Dragons &amp; &lt;swords&gt;" in drawn.replace("</tspan><tspan", "").replace("\n", " ")
    assert "{{" not in drawn


def test_the_map_is_searched_zoomed_and_moved(opened: Snapshot, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "this test needs Chromium: install the package 'chromium'"
    (tmp_path / "map.html").write_text(segment_map.html(opened, inspector.facts(opened)), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((tmp_path / "map.html").as_uri())
        assert page.locator(".segment").count() == 4
        page.fill("#search", "cafe")
        assert page.locator(".segment.found").count() == page.locator("text.found").count() == 1
        assert page.inner_text("#told") == "1 of 4 segments have it"
        page.fill("#search", "book 7 ")
        assert page.locator(".hit").count() >= 1
        page.fill("#search", "")
        assert page.locator(".found").count() == 0
        whole = page.get_attribute("#map", "viewBox")
        page.mouse.move(400, 300)
        page.mouse.wheel(0, -400)
        page.wait_for_function("whole => document.getElementById('map').getAttribute('viewBox') !== whole", arg=whole)
        zoomed = page.get_attribute("#map", "viewBox")
        page.mouse.down()
        page.mouse.move(450, 350)
        page.mouse.up()
        assert page.get_attribute("#map", "viewBox") != zoomed
        page.locator("body").press("0")
        assert page.get_attribute("#map", "viewBox") == whole
        browser.close()
    assert complaints == []


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sparrow-index", "segments", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), *capsys.readouterr()


def test_the_command_tells_and_draws(
    opened: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--snapshots", opened.directory.parent]
    code, out, _ = told(monkeypatch, capsys, *here)
    assert code == 0
    assert "Whodunits" in out
    assert f"{opened.version}: 4 segments" in out
    code, out, _ = told(monkeypatch, capsys, *here, "--map", tmp_path / "m.html", "--json")
    document = json.loads(out)
    assert [each["segment_id"] for each in document["segments"]] == ["sa", "sb", "sc", "sd"]
    assert document["map"] == str(tmp_path / "m.html")
    assert "<svg" in (tmp_path / "m.html").read_text(encoding="utf-8")
    code, _, error = told(monkeypatch, capsys, *here, "--map", tmp_path / "none" / "m.html")
    assert (code, error.split(":")[0]) == (1, "Error")
    assert "name a file in a directory that is there" in error
