"""The benchmark of the service measures what it says: the generator, the arithmetic, and a run of everything, small."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import catalogue, http
from benchmarks.catalogue import Variant
from benchmarks.model import Model
from benchmarks.serving import asking, drive, layers, places, plain, report, servers, soak, stage, tables
from benchmarks.serving.drive import Served
from benchmarks.serving.load import LOST, Plan, read
from benchmarks.serving.places import Place
from benchmarks.serving.soak import Rhythm
from benchmarks.serving.stage import QUICK
from benchmarks.serving.targets import TARGETS
from index.embeddings import SparseItemEmbeddings
from index.sparse import SparseRows
from index.vocabulary import Vocabulary

N, D, K = 400, 32, 4
TINY = replace(
    QUICK, users=20, rounds=1, seconds=0.3, warm_up_seconds=0.1, latency_seconds=0.4, open_connections=32,
    closed_connections=2, profile_seconds=1.0,
)  # fmt: skip


@contextmanager
def answering(*answers: bytes) -> Iterator[servers.Server]:
    """A server that gives one connection after the other these answers, each to one request; b"" closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        left = list(answers)

        def serve() -> None:
            while left:
                connection, _ = listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection:
                    while left and connection.recv(65536):
                        answer = left.pop(0)
                        if not answer:
                            break
                        for part in (answer[:7], answer[7:]):
                            connection.sendall(part)
                        if b"close" in answer:
                            break

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield servers.Server(listening.getsockname()[1], None)  # type: ignore[arg-type]  # nobody asks for its process


def ok(body: bytes = b"{}", more: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), more, body)


def one(name: str = "x") -> asking.Traffic:
    return asking.only(name, [asking.request("/x", {})])


def test_a_plan_is_what_was_written(tmp_path: Path) -> None:
    plan = Plan("127.0.0.1", 1, 2, [3, 2], [0, 1, 0], [0.5, 1.0], 0.0)
    plan.write(tmp_path / "plan", [b"abc", b"de"])
    with (tmp_path / "plan").open("rb") as file:
        assert read(file) == (plan, [b"abc", b"de"])


def test_the_generator_takes_down_statuses_and_comes_again_where_it_is_sent_away() -> None:
    answers = [
        ok(),
        ok(b"", status=b"503 Service Unavailable"),
        ok(more=b"connection: close\r\n"),
        b"",
        ok(b"x" * 9999),
    ]
    with answering(*answers) as server:
        served = drive.opened(server, one(), connections=1, rate=200.0, seconds=0.025)
    assert served.status.tolist() == [200, 503, 200, LOST, 200]
    assert served.n_errors == 2
    assert served.statuses() == {"0": 1, "200": 3, "503": 1}


def test_who_waits_for_a_connection_is_counted_from_when_he_came() -> None:
    # one connection, five arrivals within a few milliseconds, the first answer after 0.2 s
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for number in range(5):
                    connection.recv(65536)
                    if number == 0:
                        threading.Event().wait(0.2)
                    connection.sendall(ok())

        threading.Thread(target=serve, daemon=True).start()
        server = servers.Server(listening.getsockname()[1], None)  # type: ignore[arg-type]
        served = drive.opened(server, one(), connections=1, rate=1000.0, seconds=0.005)
    assert len(served) == 5
    assert (served.latency_ms >= 150).all()
    assert (1e3 * (served.ended - served.sent))[1:].min() < 150


def test_a_connection_that_ends_while_nothing_is_asked_on_it_is_no_error() -> None:
    # the first of two connections answers and is closed a little later, while the second waits for its answer
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            first, second = (listening.accept()[0] for _ in range(2))
            first.recv(65536)
            first.sendall(ok())
            second.recv(65536)
            first.close()
            threading.Event().wait(0.1)
            second.sendall(ok())
            third, _ = listening.accept()
            for connection in (third, second):
                with connection:
                    connection.recv(65536)
                    connection.sendall(ok())

        threading.Thread(target=serve, daemon=True).start()
        server = servers.Server(listening.getsockname()[1], None)  # type: ignore[arg-type]
        served = drive.opened(server, one(), connections=2, rate=5.0, seconds=0.8, seed=3)
    assert served.status.tolist() == [200] * 4


def test_a_closed_loop_keeps_every_connection_busy_until_its_time_is_over() -> None:
    with answering(*[ok()] * 100_000) as server:
        served = drive.closed(server, one(), connections=1, seconds=0.2)
    assert len(served) > 10
    assert served.n_errors == 0
    assert served.due.max() < 0.2
    assert served.per_second == pytest.approx(len(served) / served.ended.max())


def test_percentiles_and_histogram_hold_every_request() -> None:
    ended = np.arange(1, 1001) / 1000
    zeros = np.zeros(1000)
    served = Served(np.zeros(1000, np.int32), np.full(1000, 200, np.int32), zeros, zeros, ended)
    assert drive.percentiles(served)["p99_ms"] == pytest.approx(990, rel=1e-3)
    buckets = drive.histogram(served)
    assert sum(count for _, count in buckets) == 1000
    for upper, _ in buckets:
        below = sum(count for bound, count in buckets if bound <= upper)
        assert below == np.count_nonzero(served.latency_ms <= upper * (1 + 1e-9))


def test_mixed_traffic_has_the_shares_it_should() -> None:
    parts = {kind: [asking.request(f"/{kind}", {"n": n}) for n in range(3)] for kind in asking.MIX}
    traffic = asking.mixed(parts)
    shares = np.bincount(traffic.kind_of[traffic.order]) / len(traffic.order)
    assert shares == pytest.approx(list(asking.MIX.values()), abs=0.01)
    for kind, number in zip(asking.MIX, range(3), strict=True):
        assert [each for each, own in zip(traffic.requests, traffic.kind_of, strict=True) if own == number] == parts[
            kind
        ]


def test_the_plain_answer_has_the_size_of_ours() -> None:
    ours = {
        "recomm_id": "r",
        "index_version": "v",
        "took_ms": 1.5,
        "degraded": False,
        "warnings": [],
        "next_cursor": "c" * 80,
    }
    content = json.dumps({**ours, "items": [{"item_id": "1", "score": 0.5}]}, separators=(",", ":")).encode()
    assert len(plain.of_size(content).model_dump_json()) == pytest.approx(len(content), abs=8)


@pytest.mark.parametrize(
    ("frames", "layer"),
    [
        (["run (asyncio/runners.py:1)", "read (app/store/users.py:3)"], "state read"),
        (["resolve (app/recommend.py:1)", "unique (numpy/lib/sets.py:3)"], "encode"),
        (["post (app/routes/retrieval.py:1)", "best (app/recommend.py:1)", "top_n (index/search.py:3)"], "search"),
        (["send (uvicorn/protocols/http/httptools_impl.py:3)"], "writing"),
        (["on_body (uvicorn/protocols/http/httptools_impl.py:3)"], "parser"),
        (["run (asyncio/runners.py:1)"], layers.OTHER),
    ],
)
def test_a_sample_belongs_to_its_innermost_layer(frames: list[str], layer: str) -> None:
    assert layers.layer_of(frames) == layer


def test_samples_are_read_without_threads_that_wait() -> None:
    text = "a (x.py:1);b (y.py:2) 7\na (x.py:1);_worker (concurrent/futures/thread.py:81) 9\na (x.py:1);b (y.py:2) 1\n"
    assert layers.read(text) == {("a (x.py:1)", "b (y.py:2)"): 8}


def test_unknown_words_are_refused_by_name() -> None:
    for options, told in ((["--only", "speed"], "--only 'speed' is not one of"), (["--workers", "0"], "--workers '0'")):
        result = CliRunner().invoke(http.cli, options, env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert result.exit_code == 2
        assert told in " ".join(result.output.replace("│", "").split())


@pytest.fixture(scope="module")
def model() -> Model:
    rng = np.random.default_rng(1)
    dims = np.sort(np.stack([rng.choice(D, K, replace=False) for _ in range(N)]), axis=1).astype(np.uint16)
    values = rng.standard_normal((N, K)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    rows = SparseRows(np.arange(0, N * K + 1, K), dims.ravel(), values.ravel(), D)
    items = Vocabulary.build([f"book-{number}" for number in range(N)])
    embeddings = SparseItemEmbeddings(items, rows, None, "tied", None, "latents", {})
    histories = tuple(np.sort(rng.choice(N, 90, replace=False)).astype(np.int32) for _ in range(8))
    segments = tuple(np.flatnonzero((dims == dim).any(axis=1)).astype(np.int32) for dim in range(6))
    popularity = rng.integers(1, 50, N).astype(np.float32)
    return Model(embeddings, [{"title": f"Book {n}"} for n in range(N)], popularity, histories, segments)


@pytest.fixture(scope="module")
def place(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A generated catalogue of a thousand items, in two versions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "CHUNK", 512)
        patch.setattr(places, "SIZES", {"1k": 1000})
        patch.setattr(places, "CLUSTERED", Variant("clustered", swapped=0.2, sigma=0.3, partner="nearest", seed=1))
        root = tmp_path_factory.mktemp("cache")
        found = places.scaled(model, "1k", root, TINY.users)
        assert places.again(found, model, root) == places.again(found, model, root)
        yield found


@pytest.fixture(scope="module")
def document(place: Place) -> dict[str, Any]:
    name = stage.named("10k", 1)  # where targets look
    return http.documented({name: http.at(place, 1, list(http.QUESTIONS), TINY)}, TINY)


def test_a_place_has_two_versions_users_and_segments(place: Place) -> None:
    assert len(places.versions(place.snapshots)) == 2
    assert (place.n_items, place.n_segments) == (1000, 6)
    assert len(place.histories) == TINY.users
    assert {len(items) for items in place.histories} == {places.HISTORY}


def test_everything_small(document: dict[str, Any], tmp_path: Path) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    found = document["places"][stage.named("10k", 1)]
    assert set(found) == {"about", *http.QUESTIONS}
    endpoints = found["throughput"]["endpoints"]
    assert set(endpoints) == {*stage.OURS, *stage.PLAIN}
    assert found["throughput"]["errors"] == 0
    assert all(told["per_second"] > 0 for told in endpoints.values())
    assert all(told["errors"] == 0 and told["requests"] > 0 for told in found["latency"]["endpoints"].values())
    judged = [each["name"] for each in document["targets"]]
    assert judged == [target.name for target in TARGETS if "soak" not in target.name]
    text = report.write(tmp_path, document, []).read_text()
    assert text.startswith("# Http, ")
    assert text.index("Why to doubt this") < text.index("What came out") < text.index("**Targets**")
    assert len(tables.of(document)) >= 5


def test_a_soak_swaps_and_restarts_without_an_error(place: Place) -> None:
    rhythm = Rhythm(swap=1.0, restart=4.0, measure=0.1)
    versions = places.versions(place.snapshots)
    told = http.soaked(place, versions[:1], TINY, 0.1, rhythm)["soak"]
    assert told["disturbed"]["errors"] == 0, told["disturbed"]["statuses"]
    assert len(told["disturbed"]["swaps"]) >= 3
    assert told["disturbed"]["restarts"]
    assert not told["quiet"]["swaps"]
    assert len(tables.of(http.documented({stage.named("1M", 2): {**ABOUT, "soak": told}}, TINY))) == 3


ABOUT = {"about": {"items": 1, "segments": 1, "users": 1, "history": 1, "answer_bytes": 1, "server_cores": [0],
                   "other_cores": [0], "memory_locked": False, "outside": None}}  # fmt: skip


def test_plots_are_drawn_and_shown_in_the_report(document: dict[str, Any], tmp_path: Path) -> None:
    from benchmarks.serving import plots

    drawn = plots.draw(tmp_path, document)
    text = report.write(tmp_path, document, drawn).read_text()
    assert len(drawn) >= 2
    assert all(f"({path.name})" in text and path.stat().st_size > 1000 for _, path in drawn)


def test_windows_and_slopes_are_of_what_they_say() -> None:
    seconds = np.array([0.0, 1.0, 4.9, 5.0, 7.0])
    statuses = np.array([200, 200, 500, 200, 0], np.int32)
    served = Served(np.zeros(5, np.int32), statuses, seconds, seconds, seconds + 0.01)
    assert [each[0] for each in soak._windows(served)] == [0.0, 5.0]
    assert [each[3] for each in soak._windows(served)] == [1.0, 1.0]
    growing = [(60.0 * minute, 2**20 * (100 + 3 * minute)) for minute in range(20)]
    assert soak._slope(growing) == pytest.approx(3)
    assert soak._slope(growing[:2]) is None
