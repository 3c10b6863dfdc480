"""docker/observe: the dashboard and the alerts ask for what /metrics really tells."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "docker" / "observe"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
SCRAPING: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]] + [alert["expr"] for alert in ALERTS]

ADDED = {"job", "instance", "le"}
"""Labels that Prometheus adds, and that buckets have."""

Told = dict[str, dict[str, set[str]]]


@pytest.fixture
async def told(client: httpx.AsyncClient) -> Told:
    """Sample -> label -> values, of a server that has answered a few requests."""
    event = {"user_id": "u", "item_id": "book-1", "kind": "like"}
    assert (await client.post("/v1/events", json={"events": [event]})).status_code == 202
    recomm_id = (await client.post("/v1/recommend", json={"user_id": "u"})).json()["recomm_id"]
    await client.post("/v1/events", json={"events": [event | {"recomm_id": recomm_id}]})
    await client.post("/v1/homepage", json={"user_id": "u"})
    found: Told = {}
    for family in text_string_to_metric_families((await client.get("/metrics")).text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def selectors(query: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Every sample that a query selects, with what it asks of labels: name, operator, value."""
    for name, inside in re.findall(r"\b(sparrow_\w+)(?:\{((?:[^}\"]|\"[^\"]*\")*)\})?", query):
        yield name, re.findall(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"", inside)


@pytest.mark.parametrize("query", QUERIES)
async def test_every_sample_and_label_is_told(told: Told, query: str) -> None:
    named = list(selectors(query))
    assert named or "up{" in query
    for name, asked in named:
        assert name in told, f"{name} is not in /metrics"
        for label, operator, value in asked:
            assert label in ADDED | told[name].keys(), f"{name} has no label {label}"
            if label == "job":
                assert value in ("sparrow", "$job")
            elif label == "status" and operator == "=~":
                assert re.fullmatch(value, "503")
            elif operator == "=~":
                assert any(re.fullmatch(value, known) for known in told[name][label]), f"no {label} is like {value}"
            else:
                assert value in told[name][label], f"no {label} of {name} is {value}"
    grouped = {label.strip() for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in labels.split(",")}
    assert grouped <= ADDED.union(*(told[name].keys() for name, _ in named)) if named else True


async def test_what_is_told_is_looked_at(told: Told) -> None:
    told_metrics = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in told}
    asked = {re.sub(r"_(total|bucket|sum|count)$", "", name) for query in QUERIES for name, _ in selectors(query)}
    assert told_metrics - asked == set()


def test_counters_are_used_as_counters() -> None:
    for query in QUERIES:
        for counter in re.findall(r"sparrow_\w+_(?:total|bucket)\b", query):
            assert re.search(rf"(?:rate|increase)\(\s*{counter}", query), query


def test_panels_lie_side_by_side_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]


def test_alerts_say_what_is_the_matter_and_how_bad() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS) >= 10
    for alert in ALERTS:
        assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"]["severity"] in ("page", "warn")
        assert set(alert["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", alert.get("for", "0s"))


def test_prometheus_reads_the_rules_beside_it() -> None:
    assert SCRAPING["rule_files"] == ["rules.yml"]
    (job,) = SCRAPING["scrape_configs"]
    assert job["job_name"] == "sparrow"
    assert job["metrics_path"] == "/metrics"


def test_prometheus_itself_finds_nothing_wrong() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        return  # Debian has it in the package prometheus; the tests above look at the same files
    done = subprocess.run(
        [promtool, "check", "config", str(FOLDER / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
