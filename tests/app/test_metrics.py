"""Counting: what processes add up, what they leave behind, and what Prometheus reads."""

import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import FOLDER, POSTINGS, SECONDS, Metrics, forget_levels
from app.telemetry import SAMPLED
from index.postings import reach
from index.snapshot import Snapshot

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(exposition: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def test_numbers_stand_under_their_labels() -> None:
    metrics = Metrics()
    metrics.requests.labels("GET", "/info", "200").inc()
    metrics.requests.labels("GET", "/info", "200").inc(2)
    metrics.requests.labels("GET", "/info", "404").inc()
    metrics.stage_seconds.labels("search").observe(0.003)
    metrics.in_flight.set(7)
    metrics.in_flight.inc(-2)
    found = samples(metrics.exposition().decode())
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
    assert samples(metrics.exposition().decode())["sparrow_warnings_total", (("code", 'a"\\\nb'),)] == 1


def test_buckets_are_geometric() -> None:
    assert {upper / lower for lower, upper in pairwise(SECONDS)} == {2.0}
    assert {upper / lower for lower, upper in pairwise(POSTINGS)} == {4.0}


# --- several processes ------------------------------------------------------------------------------------------------

WORKER = """
import sys
from app.metrics import Metrics
metrics = Metrics()
metrics.requests.labels("GET", "/info", sys.argv[1]).inc()
metrics.request_seconds.labels("/info").observe(0.01)
metrics.in_flight.set(5)
for _ in sys.stdin:
    print(metrics.exposition().decode(), end="# EOF\\n", flush=True)
"""


class Worker:
    """A process that has counted one request."""

    def __init__(self, folder: Path, status: str) -> None:
        line = [sys.executable, "-c", WORKER, status]
        environment = {**os.environ, FOLDER: str(folder)}
        self.process = subprocess.Popen(line, env=environment, stdin=PIPE, stdout=PIPE, text=True)
        self.samples()

    def samples(self) -> Samples:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("tell", file=self.process.stdin, flush=True)
        return samples("".join(iter(self.process.stdout.readline, "# EOF\n")))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def of_status(status: str) -> tuple[str, Any]:
    return "sparrow_requests_total", (("method", "GET"), ("route", "/info"), ("status", status))


def test_processes_are_added_up_also_those_that_were_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (Worker(tmp_path, status) for status in ("200", "200", "503"))
    told = third.samples()
    assert (told[of_status("200")], told[of_status("503")]) == (2, 1)
    assert told["sparrow_in_flight", ()] == 15
    monkeypatch.setenv(FOLDER, str(tmp_path))
    first.kill()
    forget_levels(first.process.pid)
    told = third.samples()
    assert told[of_status("200")] == 2, "a counter never goes back"
    assert told["sparrow_request_seconds_count", (("route", "/info"),)] == 3
    assert told["sparrow_in_flight", ()] == 10, "who has ended answers nothing"
    for worker in (second, third):
        worker.kill()


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
