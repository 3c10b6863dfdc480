"""Counting: what processes add up, what they leave behind, and what Prometheus reads."""

import json
import math
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.parser import text_string_to_metric_families

from app import tallies
from app.metrics import POSTINGS, SECONDS, Counter, Histogram, Metrics
from app.tallies import Name, Tallies
from app.telemetry import SAMPLED
from index.postings import reach
from index.snapshot import Snapshot

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: Metrics) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


@given(st.lists(st.floats(0, 100) | st.sampled_from(SECONDS), max_size=30))
def test_buckets_are_those_of_prometheus_client(values: list[float]) -> None:
    registry = CollectorRegistry()
    theirs = TheirHistogram("h", "H.", buckets=SECONDS, registry=registry)
    ours = Histogram(Tallies(None), "h", "H.")
    for value in values:
        theirs.observe(value)
        ours.observe(value)
    numbers = {Name("h", ()): list(ours._tallies.values[: len(SECONDS) + 2])}
    found = {(one.name, tuple(one.labels.items())): one.value for one in ours.family(numbers).samples}
    for (family,) in [list(registry.collect())]:
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                key = (sample.name, tuple(sample.labels.items()))
                assert math.isclose(found[key], sample.value, abs_tol=1e-9)
                del found[key]
    assert found == {}


def test_numbers_stand_under_their_labels() -> None:
    metrics = Metrics()
    metrics.requests.labels("GET", "/info", "200").inc()
    metrics.requests.labels("GET", "/info", "200").inc(2)
    metrics.requests.labels("GET", "/info", "404").inc()
    metrics.stage_seconds.labels("search").observe(0.003)
    metrics.in_flight.set(7)
    metrics.in_flight.inc(-2)
    found = samples(metrics)
    assert found["sparrow_requests_total", (("method", "GET"), ("route", "/info"), ("status", "200"))] == 3
    assert found["sparrow_requests_total", (("method", "GET"), ("route", "/info"), ("status", "404"))] == 1
    assert found["sparrow_stage_seconds_bucket", (("le", "0.002"), ("stage", "search"))] == 0
    assert found["sparrow_stage_seconds_bucket", (("le", "0.004"), ("stage", "search"))] == 1
    assert found["sparrow_stage_seconds_count", (("stage", "search"),)] == 1
    assert found["sparrow_stage_seconds_sum", (("stage", "search"),)] == 0.003
    assert found["sparrow_in_flight", ()] == 5
    assert found["sparrow_store_errors_total", ()] == 0, "what never happened is no gap"


def test_a_label_may_hold_anything() -> None:
    metrics = Metrics()
    metrics.warnings.labels('a"\\\nb').inc()
    assert samples(metrics)["sparrow_warnings_total", (("code", 'a"\\\nb'),)] == 1


def test_buckets_are_geometric() -> None:
    assert {upper / lower for lower, upper in pairwise(SECONDS)} == {2.0}
    assert {upper / lower for lower, upper in pairwise(POSTINGS)} == {4.0}


def test_too_many_labels_are_a_mistake_that_is_named() -> None:
    counter = Counter(Tallies(None), "c", "C.", ["n"])
    for number in range(tallies.SLOTS):
        counter.labels(str(number))
    with pytest.raises(RuntimeError, match="c has more labels"):
        counter.labels("more")


# --- several processes ------------------------------------------------------------------------------------------------

WORKER = """
import sys
import time
from itertools import pairwise
from pathlib import Path
from app.metrics import Metrics
metrics = Metrics(Path(sys.argv[1]))
metrics.requests.labels("GET", "/info", sys.argv[2]).inc()
metrics.request_seconds.labels("/info").observe(0.01)
metrics.in_flight.set(5)
print("ready", flush=True)
sys.stdin.readline()
"""


class Worker:
    """A process that has counted one request."""

    def __init__(self, folder: Path, status: str) -> None:
        line = [sys.executable, "-c", WORKER, str(folder), status]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


REQUESTS = "sparrow_requests_total"


def of_status(status: str) -> tuple[str, Any]:
    return REQUESTS, (("method", "GET"), ("route", "/info"), ("status", status))


def test_processes_are_added_up_also_those_that_were_killed(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    first, second = Worker(folder, "200"), Worker(folder, "200")
    metrics = Metrics(folder)
    metrics.requests.labels("GET", "/info", "503").inc()
    assert samples(metrics)[of_status("200")] == 2
    assert samples(metrics)[of_status("503")] == 1
    assert samples(metrics)["sparrow_in_flight", ()] == 10
    first.kill()
    assert samples(metrics)[of_status("200")] == 2, "a counter never goes back"
    assert samples(metrics)["sparrow_in_flight", ()] == 5, "who has ended answers nothing"
    third = Worker(folder, "200")  # adds up what the first left
    assert samples(metrics)[of_status("200")] == 3
    assert samples(metrics)["sparrow_request_seconds_count", (("route", "/info"),)] == 3
    assert len(list(folder.glob("*.values"))) == 3
    for worker in (second, third):
        worker.kill()


def test_a_worker_a_minute_for_a_day_leaves_no_more_than_a_few_files(tmp_path: Path) -> None:
    for _ in range(50):
        metrics = Metrics(tmp_path)
        metrics.requests.labels("GET", "/info", "200").inc()
        metrics._tallies.close()  # as its process would when it ends
    assert samples(Metrics(tmp_path))[of_status("200")] == 50
    assert len(list(tmp_path.iterdir())) <= 6


def test_what_a_crash_left_half_done_is_not_counted_twice(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.requests.labels("GET", "/info", "200").inc()
    metrics._tallies.close()
    left = {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix}
    assert samples(Metrics(tmp_path))[of_status("200")] == 1
    for path, content in left.items():
        path.write_bytes(content)  # added up, and not yet removed
    assert samples(Metrics(tmp_path))[of_status("200")] == 1
    assert not any(path.exists() for path in left)


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.requests.labels("GET", "/info", "200").inc()
    (names,) = tmp_path.glob("*.names")
    with names.open("a") as opened:
        opened.write(json.dumps([REQUESTS, ["GET"]])[:-4])
    assert samples(metrics)[of_status("200")] == 1


# --- what is measured of an answer ------------------------------------------------------------------------------------


def test_a_query_reaches_the_lists_of_its_dims(planted: Snapshot) -> None:
    by_dim = planted.searcher.postings
    rows = planted.embeddings.decoder
    query = np.zeros(rows.n_dims, dtype=np.float32)
    assert reach(by_dim, query) == 0
    for dim in (0, 3):
        query[dim] = -1
    counts = [int((rows.dims == dim).sum()) for dim in (0, 3)]
    assert reach(by_dim, query) == sum(16 * -(-count // 16) for count in counts), "lists are whole lines of 16"
    assert reach(by_dim, np.ones(rows.n_dims, dtype=np.float32)) == len(by_dim.lines) // 2


@pytest.mark.anyio
async def test_how_soon_answers_follow_events_is_measured(client: httpx.AsyncClient) -> None:
    now = time.time()
    events = [
        {"user_id": "now", "item_id": "book-1", "kind": "like"},
        {"user_id": "then", "item_id": "book-1", "kind": "like", "timestamp": now - 3600},
        {"user_id": "soon", "item_id": "book-1", "kind": "like", "timestamp": now + 60},
    ]
    assert (await client.post("/v1/events", json={"events": events})).status_code == 202
    for user_id in ("now", "then", "soon", "nobody"):
        assert (await client.post("/v1/recommend", json={"user_id": user_id})).status_code == 200
    exposition = (await client.get("/metrics")).text
    assert "sparrow_effect_seconds_count 1.0" in exposition
    assert "sparrow_query_postings_count 1.0" not in exposition, "the first request was no query"


@pytest.mark.anyio
async def test_one_request_in_some_is_looked_at_more_closely(client: httpx.AsyncClient) -> None:
    for _ in range(SAMPLED + 1):
        await client.post("/v1/recommend", json={"history": [{"item_id": "book-1"}]})
    assert "sparrow_query_postings_count 2.0" in (await client.get("/metrics")).text


@pytest.mark.anyio
async def test_levels_are_told(client: httpx.AsyncClient) -> None:
    exposition = (await client.get("/metrics")).text
    version = (await client.get("/readyz")).json()["index_version"]
    assert "sparrow_workers 1.0" in exposition
    assert "sparrow_store_left_alone 0.0" in exposition
    assert re.search(r"^sparrow_in_flight_limit [1-9]", exposition, re.MULTILINE)
    assert f'sparrow_open_snapshot_age_seconds{{version="{version}"}}' in exposition
