"""The benchmarks measure what they say: the generator, the oracle, the arithmetic, and a run of everything, small."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import (
    catalogue,
    limits,
    machine,
    oracle,
    peers,
    queries,
    report,
    search,
    storage,
    subject,
    targets,
    throughput,
    timing,
)
from benchmarks.catalogue import CLUSTERED, DIFFUSE, Codes, Variant
from benchmarks.comparison import ratio
from benchmarks.model import Model
from benchmarks.queries import Query
from benchmarks.subject import Place
from benchmarks.timing import Samples
from index import postings, reference, sparse
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.reference import Hits
from index.vocabulary import Vocabulary

N, D, K = 300, 64, 4
PLAIN = Variant("plain", swapped=0.0, sigma=0.0, partner="nearest", seed=5)
MACHINE = {"cpu": "a", "levels": ["portable"], "sparrow": "7", "peers": {"scipy": "1"}}
DOCUMENT = {"date": "2026-11-21", "rounds": 1, "machine": MACHINE}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "CHUNK", 512)


@pytest.fixture(scope="module")
def model() -> Model:
    rng = np.random.default_rng(1)
    dims = np.sort(np.stack([rng.choice(D, K, replace=False) for _ in range(N)]), axis=1).astype(np.uint16)
    values = rng.standard_normal((N, K)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    lengths = np.where(np.arange(N) % 50 == 49, 0, K)  # some items have no code
    rows = SparseRows(
        np.concatenate([[0], np.cumsum(lengths)]), dims[lengths > 0].ravel(), values[lengths > 0].ravel(), D
    )
    scale = rng.random(N).astype(np.float32)
    embeddings = SparseItemEmbeddings(
        Vocabulary.build([f"i{n}" for n in range(N)]), rows, scale, "tied", None, "latents", {}
    )
    histories = tuple(np.sort(rng.choice(N, n, replace=False)).astype(np.int32) for n in (12, 25, 40, 80))
    segments = tuple(np.sort(rng.choice(N, 20, replace=False)).astype(np.int32) for _ in range(15))
    properties = [{"title": f"title {n}"} for n in range(N)]
    return Model(embeddings, properties, np.ones(N, np.float32), histories, segments)


@pytest.fixture(scope="module")
def codes(model: Model) -> Codes:
    return catalogue.codes(model.embeddings.decoder)


def test_codes_are_the_complete_rows_with_their_nearest_neighbours(model: Model, codes: Codes) -> None:
    assert codes.rows.tolist() == [row for row in range(N) if row % 50 != 49]
    dense = np.stack([model.embeddings.decoder.dense_row(row) for row in codes.rows])
    scores = dense @ dense.T
    np.fill_diagonal(scores, -np.inf)
    found = np.take_along_axis(scores, codes.neighbours, axis=1)
    np.testing.assert_allclose(found, -np.sort(-scores, axis=1)[:, : catalogue.N_NEIGHBOURS], atol=1e-6)


def test_an_item_is_a_code_and_its_neighbours_in_dims_of_its_own(model: Model, codes: Codes) -> None:
    made = catalogue.generate(codes, PLAIN, 700)
    place = {int(row): number for number, row in enumerate(codes.rows)}
    for item in (0, 511, 512, 699):
        dense = made.embeddings.decoder.dense_row(item)
        base = place[int(made.bases[item])]
        neighbour = codes.rows[codes.neighbours[base, 0]]
        first = model.embeddings.decoder.dense_row(int(made.bases[item]))
        second = np.zeros(D, np.float32)
        second[codes.permutation] = model.embeddings.decoder.dense_row(int(neighbour))
        np.testing.assert_allclose(dense, np.concatenate([first, second]) / np.sqrt(2), atol=1e-6)


@pytest.mark.parametrize("variant", [CLUSTERED, DIFFUSE])
def test_items_are_of_form_unit_length_and_the_same_again(codes: Codes, variant: Variant) -> None:
    told: list[float] = []
    made = catalogue.generate(codes, variant, 1100, told.append)
    rows = made.embeddings.decoder
    sparse.check(rows, "rows")
    assert np.all(np.diff(rows.row_starts) == 2 * K)
    np.testing.assert_allclose(np.linalg.norm(rows.values.reshape(-1, 2 * K), axis=1), 1, atol=1e-5)
    assert told == [512, 512, 76]
    assert np.isin(made.bases, codes.rows).all()
    again = catalogue.generate(codes, variant, 600)
    assert np.array_equal(again.embeddings.decoder.dims, rows.dims[: 600 * 2 * K])
    assert np.array_equal(again.embeddings.decoder.values, rows.values[: 600 * 2 * K])
    assert np.array_equal(again.bases, made.bases[:600])


def test_the_share_that_is_swapped(codes: Codes) -> None:
    swapped = catalogue.generate(codes, replace(PLAIN, swapped=0.35), 2000).embeddings.decoder
    plain = catalogue.generate(codes, PLAIN, 2000).embeddings.decoder
    kept = [
        np.isin(*pair).sum() for pair in zip(*(rows.dims.reshape(-1, 2 * K) for rows in (swapped, plain)), strict=True)
    ]
    # some are swapped for a dim that the item had, and the bases are drawn before anything else
    assert 0.65 < np.mean(kept) / (2 * K) < 0.72


def test_a_stored_catalogue_is_made_once(codes: Codes, tmp_path: Path) -> None:
    told: list[float] = []
    made = [catalogue.stored(tmp_path, codes, CLUSTERED, 600, told.append) for _ in range(2)]
    assert told == [512, 88]
    generated = catalogue.generate(codes, CLUSTERED, 600)
    for each in made:
        assert np.array_equal(each.embeddings.decoder.values, generated.embeddings.decoder.values)
        assert np.array_equal(each.bases, generated.bases)


def test_queries_are_of_items_made_from_the_history(model: Model, codes: Codes) -> None:
    made = catalogue.generate(codes, CLUSTERED, 2000)
    asked = queries.of_clones(made, model.histories, 9)
    assert len(asked) == 9
    for number, query in enumerate(asked):
        history = model.histories[number % len(model.histories)]
        assert np.isin(made.bases[query.exclude], history).all()
        assert len(query.exclude) <= queries.LONGEST
        dense = sum(made.embeddings.decoder.dense_row(item) for item in query.exclude.tolist())
        np.testing.assert_allclose(query.vector, dense, atol=1e-5)
        assert query.dims.tolist() == np.flatnonzero(query.vector).tolist()


def test_a_cut_query_keeps_its_largest_dims() -> None:
    vector = np.array([0.5, -3, 0, 2, -0.1], np.float32)
    cut = queries.cut(Query(vector, np.array([1], np.int32)), 2)
    assert cut.vector.tolist() == [0, -3, 0, 2, 0]
    assert cut.exclude.tolist() == [1]


@pytest.mark.parametrize("n", [1, 100, 10_000])
def test_truth_is_the_oracles_answer(model: Model, codes: Codes, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "BLOCK", 700)
    repeated = catalogue.generate(codes, PLAIN, 2000)  # full of ties
    for embeddings, asked in (
        (repeated.embeddings, queries.of_clones(repeated, model.histories, 6)),
        (model.embeddings, queries.of_items(model.embeddings, model.histories, 6)),
    ):
        for query, hits in zip(asked, oracle.truth(embeddings, asked, n), strict=True):
            scores = oracle.all_scores(embeddings, query)
            assert oracle.identical(hits, reference.select(scores, n, query.exclude, None))


def test_recall_counts_what_scores_as_high_as_the_last(model: Model) -> None:
    (query,) = queries.of_items(model.embeddings, model.histories[:1], 1)
    (true,) = oracle.truth(model.embeddings, [query], 10)
    assert oracle.recall(model.embeddings, query, true.items[::-1], true) == 1
    wrong = np.concatenate([true.items[:4], query.exclude]).astype(np.int32)
    assert oracle.recall(model.embeddings, query, wrong, true) == 0.4
    assert oracle.recall(model.embeddings, query, true.items[[0, 0, 0]], true) == 0.1


def test_identical_takes_no_other_bits() -> None:
    hits = Hits(np.array([3, 1], np.int32), np.array([2, 1], np.float32))
    assert oracle.identical(hits, hits)
    assert not oracle.identical(hits, hits._replace(items=hits.items[::-1]))
    assert not oracle.identical(hits, hits._replace(scores=np.nextafter(hits.scores, np.float32(9))))


def test_touch_reads_every_line_of_the_query_once(codes: Codes, tmp_path: Path) -> None:
    made = catalogue.generate(codes, CLUSTERED, 2000)
    lists = postings.build(made.embeddings)
    dims = np.array([0, 5, 77, 2 * D - 1], np.int32)
    engine = limits.Touch(limits.build(tmp_path), lists)
    lines = lists.lines.view(np.uint64).reshape(-1, 8)
    inside = np.concatenate([lines[lists.list_starts[dim] : lists.list_starts[dim + 1]] for dim in dims])
    assert engine.read(dims) == int(np.bitwise_xor.reduce(inside.ravel()))
    assert limits.bytes_read(lists, dims) == inside.nbytes


def test_a_missing_or_failing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(ChildProcessError, match=r"false could not compile limits\.cpp"):
        limits.build(tmp_path)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"install g\+\+"):
        limits.build(tmp_path)


def test_each_task_does_each_query_in_each_round() -> None:
    did: dict[str, list[int]] = {"one": [], "other": []}
    told: list[float] = []
    samples = timing.interleave({name: did[name].append for name in did}, 3, 2, told.append)
    assert told == [1] * 6
    for name, numbers in did.items():
        assert numbers == [0, 1, 2, 0, 1, 2, 0, 1, 2]  # once untimed
        assert samples[name].wall.shape == samples[name].cpu.shape == (2, 3)
        assert (samples[name].wall > 0).all()


def test_ratios_are_of_medians() -> None:
    slow = Samples(np.array([[8, 20], [10, 90]]), np.array([[6, 6], [6, 6]]))
    fast = Samples(np.array([[1, 10], [2, 10]]), np.array([[3, 3], [3, 2]]))
    found = ratio(slow, fast)
    assert found["wall"] == 15 / 6
    assert found["by_query"] == pytest.approx((9 / 1.5 + 55 / 10) / 2)
    assert found["cpu"] == 2


def place(noisy: bool, outside: str | None = None, **figures: Any) -> dict[str, Any]:
    return {"about": {"outside": outside}, "latency": {"disturbance": {"noisy": noisy}, **figures}}


def verdict(document: dict[str, Any], name: str) -> targets.Verdict:
    (found,) = [each for each in targets.judge({"places": document}) if each.name == name]
    return found


def test_targets_are_judged_by_cpu_time_where_the_machine_was_busy() -> None:
    slower = {"qdrant-edge": {"wall": 4.5, "by_query": 5.0, "cpu": 3.9}}
    quiet = verdict({"1M clustered": place(False, slower_than_ours=slower)}, "qdrant-edge takes")
    assert (quiet.value, quiet.by, quiet.met, quiet.doubt) == (4.5, "wall", True, None)
    noisy = verdict({"1M clustered": place(True, slower_than_ours=slower)}, "qdrant-edge takes")
    assert (noisy.value, noisy.by, noisy.met, noisy.doubt) == (3.9, "cpu", False, "the machine was busy")


def test_targets_outside_the_windows_are_in_doubt_and_unmeasured_ones_left_out() -> None:
    slower = {"scipy": {"wall": 9.0, "by_query": 9.0, "cpu": 9.0}}
    document = {"1M diffuse": place(False, "kth_over_length is 0.2, outside 0.15 to 0.18", slower_than_ours=slower)}
    (found,) = targets.judge({"places": document})
    assert (found.name, found.met) == ("scipy takes", True)
    assert found.doubt is not None
    assert "outside" in found.doubt


@pytest.mark.parametrize(("identical", "met"), [(True, True), (False, False)])
def test_answers_must_be_the_oracles(identical: bool, met: bool) -> None:
    document = {"10k real": place(True, identical_to_the_oracle=identical)}
    found = verdict(document, "latency: the oracle's answers")
    assert (found.met, found.doubt) == (met, None)


def test_an_absent_peer_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name in peers.PEERS:
        assert (
            peers.absent(name)
            == f"{name} is not installed, so nothing is compared with it; to change that: {peers.INSTALL}"
        )
    assert peers.versions() == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--sizes", "5M"], "--sizes '5M' is not one of 10k, 100k, 1M, 10M"),
        (["--peers", "milvus"], "--peers 'milvus' is not one of"),
        (["--only", "speed"], "--only 'speed' is not one of latency"),
        (["--variants", "real"], "--variants 'real' is not one of clustered, diffuse"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(options: list[str], named: str) -> None:
    result = CliRunner().invoke(search.cli, options, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert named in " ".join(result.output.replace("│", "").split())


def test_the_machine_is_described() -> None:
    said = machine.describe()
    assert json.loads(json.dumps(said)) == said
    assert said["cpu"]


def test_places_have_the_names_that_targets_use() -> None:
    sizes = [size for size in search.SIZES.values() if size]
    names = {Place(size, variant).name for size in sizes for variant in catalogue.VARIANTS}
    assert {target.place for target in targets.TARGETS} <= names | {Place(0, subject.REAL).name}


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")  # faiss, from Python 3.12 on
@pytest.mark.parametrize("variant", ["clustered", subject.REAL])
def test_everything_small(
    model: Model, codes: Codes, tmp_path: Path, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "TIMES", 1)
    monkeypatch.setattr(throughput, "THREAD_ROUNDS", 2)
    monkeypatch.setattr(throughput, "SECONDS", 0.01)
    present = [name for name in peers.PEERS if peers.absent(name) is None]
    if variant == subject.REAL:
        what = subject.real(model, 4, present, tmp_path)
    else:
        what = subject.scaled(model, codes, Place(2000, variant), 4, present, tmp_path)
    figures, samples = search.ask(what, list(search.QUESTIONS), 1)
    assert set(figures) == {"about", *search.QUESTIONS}
    for question in search.QUESTIONS:
        assert figures[question].get("identical_to_the_oracle", True), question
        assert all(each.wall.min() > 0 for each in samples[question].values())
    for name in present:
        own = "of_its_dense_truth" if name == "faiss" else "of_the_truth"
        assert figures["latency"]["recall"][name][own] == 1, name
    document = {**DOCUMENT, "places": {"1M clustered": figures}}
    document["targets"] = targets.to_json(targets.judge(document))
    json.dumps(document, allow_nan=False)
    text = report.write(tmp_path, document, []).read_text()
    assert "\n* sparrow: 7\n" in text
    assert "\n* engine sparrow: Searcher.top_n" in text
    assert text.index("Why to doubt this") < text.index("What came out") < text.index("**Targets**")


def test_plots_are_drawn_and_shown_in_the_report(model: Model, tmp_path: Path) -> None:
    from benchmarks import plots

    what = subject.real(model, 4, [], tmp_path)
    figures, samples = search.ask(what, ["latency", "filters"], 1)
    names = ("10k real", "1M diffuse")
    document = {**DOCUMENT, "places": dict.fromkeys(names, figures), "targets": []}
    both = dict.fromkeys(names, samples)
    drawn = plots.draw(tmp_path, document, both, dict.fromkeys(both, subject.touched(what, what.queries)))
    text = report.write(tmp_path, document, drawn).read_text()
    assert len(drawn) == 4
    assert all(f"({path.name})" in text and path.stat().st_size > 1000 for _, path in drawn)
