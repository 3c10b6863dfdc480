import json
import logging
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from app import telemetry
from app.settings import EVENT_WEIGHTS, Settings
from app.telemetry import REQUEST_ID, JSONFormatter, Timings

pytestmark = pytest.mark.anyio


async def test_a_server_with_index_and_store_is_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["store"] == "ok"


async def test_a_server_without_a_store_is_ready_and_says_so(settings: Settings, serving: Any) -> None:
    gone = Settings.model_validate({**settings.model_dump(), "redis_url": "unix:///nowhere/redis.sock"})
    async with serving(gone) as client:
        ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["store"] == "unavailable"
        answer = await client.post("/v1/recommend", json={"user_id": "u", "history": [{"item_id": "book-1"}]})
        assert answer.status_code == 200
        assert answer.json()["degraded"] is True
        assert answer.json()["items"]


async def test_a_server_without_an_index_is_live_and_not_ready(
    settings: Settings, serving: Any, tmp_path: Path
) -> None:
    async with serving(settings.model_copy(update={"snapshots": tmp_path})) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        answer = (await client.get("/info")).json()
        assert (answer["index"], answer["property_keys"]) == (None, [])
        assert "sparrow_snapshot_age_seconds" not in (await client.get("/metrics")).text


async def test_info_says_exactly_what_is_served(settings: Settings, serving: Any) -> None:
    changed = settings.model_copy(update={"example_users": ("ann", "bob")})
    async with serving(changed) as client:
        found = (await client.get("/info")).json()
        ready = (await client.get("/readyz")).json()
    assert found["version"] == installed("sparrow-recs")
    assert found["index"]["version"] == ready["index_version"]
    assert (found["index"]["n_items"], found["index"]["n_segments"], found["index"]["format"]) == (32, 4, 1)
    assert found["index"]["provenance"] == {"model": "planted"}
    assert "files" not in found["index"]
    assert found["example_users"] == ["ann", "bob"]
    assert found["event_weights"] == EVENT_WEIGHTS
    assert found["property_keys"] == ["shelf", "title", "year"]


async def test_metrics_count_by_route_and_never_by_user(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "SAMPLED", 1)
    await client.post("/v1/events", json={"events": [{"user_id": "secret-user", "item_id": "x", "kind": "like"}]})
    await client.get("/v1/users/secret-user")
    await client.get("/v1/users/nobody")
    await client.get("/secret-path")
    await client.request("SECRETMETHOD", "/v1/recommend")
    await client.post("/v1/recommend", json={"user_id": "secret-user"})
    exposition = (await client.get("/metrics")).text
    assert "secret" not in exposition.lower()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }

    def count(method: str, route: str, status: str) -> float:
        return samples["sparrow_requests_total", (("method", method), ("route", route), ("status", status))]

    assert count("GET", "/v1/users/{user_id:raw}", "200") == 1
    assert count("GET", "/v1/users/{user_id:raw}", "404") == 1
    assert count("GET", "unmatched", "404") == 1
    assert count("other", "/v1/recommend", "405") == 1
    assert samples["sparrow_stage_seconds_count", (("stage", "search"),)] == 1
    assert samples["sparrow_warnings_total", (("code", "popular_fallback"),)] == 1
    assert samples["sparrow_stage_seconds_count", (("stage", "state"),)] == 4
    assert samples["sparrow_request_seconds_count", (("route", "/v1/recommend"),)] == 2
    assert 0 <= samples["sparrow_snapshot_age_seconds", ()] < 3600
    version = (await client.get("/readyz")).json()["index_version"]
    assert samples["sparrow_snapshot_info", (("version", version),)] == 1


async def test_the_stages_of_a_request_are_in_its_header(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/homepage", json={"user_id": "u"})
    stages = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(stages) == ["state", "encode", "search", "compose", "total"]
    assert (
        sum(float(stages[name]) for name in ("state", "encode", "search", "compose")) <= float(stages["total"]) + 0.05
    )


def test_stages_add_up_also_where_they_fail() -> None:
    timings = Timings()
    with timings.stage("state"):
        pass
    before = timings.stages["state"]
    with pytest.raises(KeyError), timings.stage("state"):
        raise KeyError
    assert timings.stages["state"] > before
    assert re.fullmatch(r"state;dur=\d+\.\d\d, total;dur=\d+\.\d\d", timings.header())


def test_logs_are_json_lines_with_the_request_id() -> None:
    try:
        int("no")
    except ValueError:
        record = logging.LogRecord("app.x", logging.ERROR, "", 1, "a %s\nb", ("c",), sys.exc_info())
    token = REQUEST_ID.set("r1")
    line = JSONFormatter().format(record)
    REQUEST_ID.reset(token)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"], found["request_id"]) == (
        "error",
        "app.x",
        "a c\nb",
        "r1",
    )
    assert "ValueError: invalid literal" in found["exception"]
    assert "request_id" not in json.loads(JSONFormatter().format(logging.makeLogRecord({"msg": "m"})))


async def test_a_request_is_logged_without_what_the_user_did(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "app")
    await client.post("/v1/events", json={"events": [{"user_id": "secret-user", "item_id": "x", "kind": "like"}]})
    await client.get("/v1/users/secret-user")
    lines = [record.getMessage() for record in caplog.records if record.name == "app.telemetry"]
    assert len(lines) == 2
    assert lines[1].startswith("GET /v1/users/{user_id:raw} 200 in ")
    assert "secret" not in caplog.text


async def test_the_api_describes_itself(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["info"]["title"] == "Sparrow"
    assert "/v1/users/{user_id}" in document["paths"]
    assert (await client.get("/docs")).status_code == 200


def test_the_environment_sets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARROW_EXAMPLE_USERS", " 12, ab ,,c")
    monkeypatch.setenv("SPARROW_EVENT_WEIGHTS", '{"view": 0.1}')
    monkeypatch.setenv("SPARROW_HISTORY_LIMIT", "50")
    monkeypatch.setenv("SPARROW_SEEN_LIMIT", "")
    monkeypatch.setenv("SPARROW_REDIS_URL", "redis://:hush@host")
    settings = Settings()
    assert settings.example_users == ("12", "ab", "c")
    assert settings.event_weights == EVENT_WEIGHTS | {"view": 0.1}
    assert (settings.history_limit, settings.seen_limit) == (50, 10_000)
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"event_weights": {"loved": 1}}, "no event kind is called 'loved'"),
        ({"event_weights": {"like": 101}}, "between -100 and 100"),
        ({"event_weights": {"like": float("nan")}}, "finite"),
        ({"history_limit": 300, "seen_limit": 200}, "counts as seen"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"redis_url": "http://host"}, "must begin with redis://"),
        ({"workers": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(given)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_can_be_asked_by_head(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.head(path)).status_code == 200
    assert (await client.get("/openapi.json")).json()["paths"][path].keys() == {"get"}
