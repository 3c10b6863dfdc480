"""Requests made from the OpenAPI document, right and wrong ones, against a real server: nothing gets a 5xx.

FUZZ_EXAMPLES=2000 pytest tests/app/test_schemathesis.py makes a long run of it.
"""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from app.errors import Problem
from app.main import create_app
from app.settings import Settings

load_all_checks()

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
"""Requests for each operation."""

REPEATABLE = "FUZZ_EXAMPLES" not in os.environ
"""The same requests each time, so that a change of the code alone decides; a long run makes new ones."""

OPERATIONS = [
    (path, method)
    for path, item in create_app(Settings.model_validate({"redis_url": "redis://nowhere"})).openapi()["paths"].items()
    for method in item
]

CHECKS = [
    not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
]


@pytest.fixture(scope="module")
def settings_of_module(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Settings:
    books, redis = request.getfixturevalue("_books"), request.getfixturevalue("_shared_redis")
    data = tmp_path_factory.mktemp("data")
    return Settings.model_validate(
        {"snapshots": books, "redis_url": redis.url, "data": data, "store_timeout_ms": 10_000, "max_queue_ms": 60_000}
    )


@pytest.fixture(scope="module")
def api(settings_of_module: Settings) -> Iterator[Any]:
    """The API of a server in a thread, as its own document describes it."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings_of_module), port=0, log_level="warning", ws="none", lifespan="on")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    (port,) = {socket.getsockname()[1] for one in server.servers for socket in one.sockets}
    address = f"http://127.0.0.1:{port}"
    body = {"events": [{"user_id": user_id, "item_id": "book-1", "kind": "like"} for user_id in ("0", "a", "u1")]}
    assert httpx.post(f"{address}/v1/events", json=body).status_code == 202
    yield schemathesis.openapi.from_url(f"{address}/openapi.json")
    server.should_exit = True
    thread.join()


def check(operation: Any, mode: GenerationMode) -> None:
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=REPEATABLE,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            (content_type,) = response.headers["content-type"]
            assert content_type == "application/problem+json"
            found = Problem.model_validate_json(response.content)
            assert [found.request_id] == response.headers["x-request-id"]
            assert found.status == response.status_code

    answers()


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=str)
def test_what_the_document_allows_is_answered(api: Any, path: str, method: str) -> None:
    check(api[path][method], GenerationMode.POSITIVE)


TAKING = [
    (path, method)
    for path, method in OPERATIONS
    if method == "post" or "{" in path or path in ("/v1/items", "/v1/users")
]


@pytest.mark.parametrize(("path", "method"), TAKING, ids=str)
def test_what_the_document_does_not_allow_is_refused(api: Any, path: str, method: str) -> None:
    check(api[path][method], GenerationMode.NEGATIVE)
