"""Measures of segments against their plain definitions, and the whole measurement on real books."""

import json
import sys
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from index.types import JSON, Int32
from training import datasets, segment_quality, segment_rivals
from training.__main__ import main

N_ITEMS = 25
SETS = st.lists(st.sets(st.integers(0, N_ITEMS - 1), max_size=9), max_size=6)


def rows_of(groups: list[set[int]]) -> list[Int32]:
    return [np.array(sorted(group), np.int32) for group in groups]


@given(SETS, st.integers(0, 99))
def test_coherence_is_the_mean_cosine_of_two_different_members(groups: list[set[int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    read = csr_array((rng.random((12, N_ITEMS)) < 0.2).astype(np.float32))
    dense = read.toarray().T
    length = np.linalg.norm(dense, axis=1)
    means = []
    for group in groups:
        own = [item for item in group if length[item]]
        cosines = [dense[a] @ dense[b] / length[a] / length[b] for a, b in combinations(own, 2)]
        means += [np.mean(cosines)] if cosines else []
    found = segment_quality.coherence(segment_quality.co_reading(read), rows_of(groups))
    assert found == pytest.approx(np.mean(means) if means else 0, abs=1e-6)


@given(SETS, SETS)
def test_overlap_is_the_jaccard_index_and_partners_are_one_to_one(one: list[set[int]], two: list[set[int]]) -> None:
    alike = [[len(a & b) / max(len(a | b), 1) for b in two] for a in one]
    found = segment_quality.jaccard(rows_of(one), rows_of(two), N_ITEMS)
    assert found.shape == (len(one), len(two))
    np.testing.assert_allclose(found, np.array(alike).reshape(found.shape))
    fewer, more = (found, found.T)[len(one) > len(two)], max(len(one), len(two))
    orders = permutations(range(more), min(len(one), len(two)))
    best = max((sum(fewer[a, b] >= 0.5 for a, b in enumerate(order)) for order in orders), default=0)
    share = segment_quality.found_again(rows_of(one), rows_of(two), N_ITEMS)
    assert share == pytest.approx(best / more if more else 0)


def test_overlap_tells_of_the_nearest_and_of_all_pairs() -> None:
    told = segment_quality.overlap(rows_of([{1, 2}, {2, 3}, {7, 8}]), N_ITEMS)
    assert told == {
        "nearest_median": pytest.approx(1 / 3),
        "nearest_maximum": pytest.approx(1 / 3),
        "pairs_median": 0,
        "sharing_pairs_median": pytest.approx(1 / 3),
    }
    assert set(segment_quality.overlap([], N_ITEMS).values()) == {0.0}


def test_coverage_counts_items_with_enough_users() -> None:
    popularity = np.array([9, 5, 4, 5], np.float32)
    assert segment_quality.coverage(rows_of([{0, 2}, {2}]), popularity) == pytest.approx(1 / 3)
    assert segment_quality.coverage(rows_of([{0, 2}]), popularity, least=0) == pytest.approx(1 / 2)


def test_a_word_that_is_everywhere_counts_nothing() -> None:
    told: list[dict[str, JSON]] = [
        {"text": "the dragon sleeps"},
        {"text": "the dragon wakes"},
        {"text": "the ship"},
        {"year": 1},
    ]
    cosines = (rows := segment_quality.texts(told)) @ rows.T
    assert cosines[0, 1] > 0.1
    assert cosines[0, 2] < cosines[0, 1]
    everywhere = segment_quality.texts([{"text": "the dragon"}, {"text": "the ship"}])
    assert (everywhere @ everywhere.T)[0, 1] == 0


@given(SETS, st.integers(0, 99))
def test_random_sets_have_the_same_sizes_and_the_same_popularity(groups: list[set[int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    popularity = rng.permutation(np.arange(N_ITEMS, dtype=np.float32) // 5)
    pool = np.arange(N_ITEMS, dtype=np.int32)
    sets = rows_of(groups)
    for drawn in (
        segment_rivals.random_sets(sets, pool, rng),
        segment_rivals.as_popular(sets, pool, popularity, rng),
    ):
        assert [len(np.unique(items)) for items in drawn] == [len(items) for items in sets]


def test_what_stands_for_an_item_is_as_popular() -> None:
    popularity = np.arange(1000, dtype=np.float32)
    pool = np.arange(100, 1000, dtype=np.int32)
    items = np.arange(100, 1000, 7, dtype=np.int32)
    (drawn,) = segment_rivals.as_popular([items], pool, popularity, np.random.default_rng(0))
    assert np.abs(popularity[drawn] - popularity[items]).max() < segment_rivals.BAND
    assert not np.array_equal(drawn, items)


def test_k_means_finds_planted_clusters_in_the_sizes_asked_for() -> None:
    rng = np.random.default_rng(1)
    middles = np.eye(4, 30, dtype=np.float32)
    owners = np.repeat(np.arange(4), [40, 30, 20, 10])
    vectors = (middles[owners] + 0.02 * rng.standard_normal((100, 30))).astype(np.float32)
    wanted = np.array([20, 40, 10, 30])
    found = segment_rivals.nearest_sets(vectors, wanted, np.arange(100, dtype=np.int32), rng)
    assert [len(items) for items in found] == [40, 30, 20, 10]
    assert [len(np.unique(owners[items])) for items in found] == [1, 1, 1, 1]
    equal = np.ones((9, 3), np.float32)
    assert len(segment_rivals.nearest_sets(equal, wanted, np.arange(9, dtype=np.int32), rng)) == 4


def measured(*options: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["sparrow-train", "segments", *map(str, options), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out if not ended.value.code else err


@pytest.fixture
def quick(books_file: Path) -> list[object]:
    items = datasets.bundled("goodbooks").items
    few = ["--set", "training.epochs=2", "--set", "model.n_dims=256", "--set", "training.batch_size=64"]
    return ["--interactions", books_file, "--items", items, "--min-item-support", 3, *few, "--seeds", 2]


def test_segments_of_real_books_are_better_than_random_ones(
    quick: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = tmp_path / "dense.toml"
    bundled = Path(segment_quality.__file__).parent / "recipes" / "elsa.toml"
    rival.write_text(bundled.read_text().replace("n_dims = 2048", "n_dims = 64").replace("epochs = 15", "epochs = 2"))
    code, out = measured(*quick, "--rival", rival, "--out", tmp_path / "o", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    ways = document["figures"]
    assert list(ways) == ["segments", "after others", "random", "random, as popular", "k-means"]
    for name in ("text", "co_reading"):
        assert ways["segments"][name]["mean"] > 1.2 * ways["random, as popular"][name]["mean"]
    for name in ("number", "size_median", "size_largest"):
        assert ways["k-means"][name] == ways["segments"][name] == ways["random"][name]
    assert document["users"] == {"train": 205, "validation": 20, "test": 75}
    stable = document["stability"]
    assert stable["a fit after another"]["mean"] > stable["two fits, each afresh"]["mean"]
    assert json.loads((tmp_path / "o.json").read_text()) == document
    assert "| coherence of texts |" in (tmp_path / "o.md").read_text()


def test_what_has_no_segments_is_refused(
    quick: list[object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*quick[:6], "--rival", "none", "--recipe", "sansa"]
    assert measured(*options, capsys=capsys, monkeypatch=monkeypatch) == (
        1,
        "Error: there are no segments of sansa; fit compressed-elsa\n",
    )
    code, text = measured(*quick, "--rival", "popularity", "--seeds", 1, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 1
    assert "k-means needs dense vectors, which popularity has not; name elsa, or none" in text
