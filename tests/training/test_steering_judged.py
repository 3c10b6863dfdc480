"""Steering judged through a real server: concepts by hand, lists against the API, curves and their picture."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from index import publication
from index.snapshot import open_snapshot
from index.types import JSON
from training import datasets, items, later, metrics, options
from training.__main__ import main
from training.figures import PerUser
from training.interactions import Columns, Filters
from training.pages import concepts, curve, rounds, server, steered
from training.pages.attention import Shape
from training.pages.concepts import Groups
from training.pages.curve import Point
from training.pages.readers import readers_of
from training.pages.rounds import Material
from training.pages.steered import CONCEPT, PERSONAL
from training.pages.ways import Asking, PropertyRows
from training.split import Question

QUICK = ["training.epochs=1", "model.n_dims=256", "training.batch_size=64"]
LIST = Shape(1, steered.AT)


def rows(*numbers: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.int32]]":
    return np.array(numbers, np.int32)


def test_the_concept_is_what_the_targets_have_more_of() -> None:
    groups = Groups(("a", "b", "c"), csr_array(np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]])))
    assert groups.concept(Question(0, rows(0), rows(2, 3))) == 1
    assert groups.concept(Question(0, rows(0, 1), rows(3))) == 1  # of equal ones the first
    assert groups.concept(Question(0, rows(2), rows(3, 4, 99))) == 2
    assert groups.concept(Question(0, rows(2, 3), rows(1, 4))) is None
    assert groups.items_of(1).tolist() == [2, 3]


def test_values_that_few_items_have_are_no_concepts() -> None:
    properties: list[dict[str, JSON]] = [{"by": "Ann, Bob"}, {"by": "Bob"}, {}, {"by": ["Cid", "Ann"]}]
    groups = concepts.of_property("by", properties, least=2)
    assert groups.names == ("Ann", "Bob")
    assert groups.members.toarray().tolist() == [[1, 0, 0, 1], [1, 1, 0, 0]]


@given(st.lists(st.integers(0, 60), max_size=30, unique=True), st.sets(st.integers(0, 60), min_size=1))
def test_ndcg_is_that_of_lists(listed: list[int], wanted: set[int]) -> None:
    ranked = np.full((1, 100), metrics.NOTHING, np.int32)
    ranked[0, : len(listed)] = listed
    targets, counts = np.array(sorted(wanted), np.int32), np.array([len(wanted)])
    (expected,) = metrics.ndcg(metrics.find(ranked, targets, counts), counts, steered.AT)
    assert steered.ndcg(np.array(listed, np.int32), targets) == pytest.approx(expected)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where fits are kept, so that one is enough."""
    return tmp_path_factory.mktemp("kept")


def test_lists_are_those_of_the_api(books_file: Path, kept: Path, tmp_path: Path) -> None:
    data = later.load(books_file, None, Columns(), Filters(min_item_support=3))
    material = Material(data, items.load(datasets.bundled("goodbooks").items, data.known.items)[0])
    (turn,) = rounds.turns(data, 1, groups=1, readers="validation", validation=0.05)
    recipe = rounds.seeded(options.recipe_of("compressed-elsa", [*QUICK, "filters.min_item_support=3"]), 0)
    snapshots = rounds.published(material, recipe, turn.round.split, kept)
    version = publication.current(snapshots)
    assert version is not None
    found = open_snapshot(snapshots, version)
    segments = concepts.of_segments(found.segments, len(data.known.items))
    assert segments.items_of(0).tolist() == sorted(found.segments.items_of(0).tolist())
    authors = concepts.of_property("authors", material.properties, 3)
    readers = readers_of(turn.round.exam.questions[:40], data.known, 0)
    with server.started(snapshots, tmp_path / "store", {}) as asked:
        asking = Asking(asked, data.known.items, LIST)
        wanted = steered.wanting(readers, segments)
        wish = steered.steering(lambda concept: [segments.names[concept]])
        plain, strong = (steered.judge(asking, wanted, wish, strength) for strength in (0.0, 0.8))
        assert strong[CONCEPT].mean() > 2 * plain[CONCEPT].mean()
        one = wanted[0]
        assert not set(one.wanted.tolist()) & set(one.reader.question.given.tolist())
        alone = asked.ask("POST", "/v1/recommend", {**one.reader.who, "count": 20, **wish(one.concept, 0.8)})
        ndcg = steered.ndcg(asking.rows(alone), one.wanted)
        (own,) = steered.judge(asking, [one], wish, 0.8)[CONCEPT].values
        assert own == pytest.approx(ndcg)
        by_author = steered.wanting(readers, authors)
        boost = steered.boosting(authors, PropertyRows("authors", material.properties))
        plain, strong = (steered.judge(asking, by_author, boost, factor) for factor in (1.0, 16.0))
        assert strong[CONCEPT].mean() > 2 * plain[CONCEPT].mean()
        nearest = steered.associated(asking, authors, [by_author[0].concept], 2)
        assert [len(each) for each in nearest.values()] == [2]
        assert set(nearest[by_author[0].concept]) <= set(segments.names)


def test_a_strength_is_divided_among_segments() -> None:
    wish = steered.steering({0: ["a", "b"], 1: []}.__getitem__)
    assert wish(0, 0.5) == {"steer": {"a": 0.25, "b": 0.25}}
    assert wish(0, 0) == wish(1, 0.5) == {}


def figure(*values: float) -> PerUser:
    return PerUser(np.arange(len(values), dtype=np.int32), np.array(values), np.ones(len(values)))


def test_the_curve_by_hand(tmp_path: Path) -> None:
    points = [
        Point("segment", 0.0, 0, {PERSONAL: figure(0.4, 0.8), CONCEPT: figure(0.1, 0.3)}),
        Point("segment", 0.2, 0, {PERSONAL: figure(0.4, 0.7), CONCEPT: figure(0.3, 0.5)}),
    ]
    document = curve.document(points, {"dataset": "by hand"})
    plain, steered_one = document["ways"]["segment"]
    assert plain[PERSONAL]["share"] == 1
    assert steered_one[PERSONAL]["change"] == pytest.approx(-0.05)
    assert steered_one[PERSONAL]["change_standard_error"] == pytest.approx(0.05)
    assert steered_one[CONCEPT]["share"] == pytest.approx(2)
    assert "| segment | 0.2 | 0.5500 | 0.917 | -0.0500 (0.0500) | 0.4000 | 2.000 |" in curve.markdown(document)
    curve.draw(document, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_command(
    books_file: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = [part for each in QUICK for part in ("--set", each)]
    described = ["--items", datasets.bundled("goodbooks").items, "--property", "authors"]
    line = ["steering", "--interactions", books_file, "--min-item-support", 3, *described, "--keep", kept]
    asked = ["--readers", "validation", "--seeds", 1, "--max-users", 4, "--json"]
    monkeypatch.setattr(sys, "argv", ["sparrow-train", *map(str, line), *quick, *map(str, asked)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(document["ways"]) == {"segment", "authors, boost", "authors, steer 1", "authors, steer 5"}
    assert [each["strength"] for each in document["ways"]["segment"]] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert len(list(kept.iterdir())) == 1
