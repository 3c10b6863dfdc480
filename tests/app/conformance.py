"""What the runner of schemathesis learns about this API beside its document; see test_schemathesis.py."""

from collections.abc import Mapping
from typing import Any

import schemathesis

from app.errors import Problem

EVENT_USER = "$request.body#/events/0/user_id"
NEXT = "#/paths/~1v1~1next/post"

LINKS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("/v1/recommend", "200"): {
        "next": {"operationRef": NEXT, "requestBody": {"cursor": "$response.body#/next_cursor"}},
    },
    ("/v1/homepage", "200"): {
        "rows": {"operationRef": NEXT, "requestBody": {"cursor": "$response.body#/page_cursor"}},
        "row": {
            "operationRef": NEXT,
            "requestBody": {"cursor": "$response.body#/rows/0/next_cursor"},
        },
    },
    ("/v1/next", "200"): {
        "next": {"operationRef": NEXT, "requestBody": {"cursor": "$response.body#/next_cursor"}},
    },
    ("/v1/events", "202"): {
        "user": {"operationRef": "#/paths/~1v1~1users~1{user_id}/get", "parameters": {"user_id": EVENT_USER}},
        "export": {"operationRef": "#/paths/~1v1~1users~1{user_id}~1export/get", "parameters": {"user_id": EVENT_USER}},
        "forget": {"operationRef": "#/paths/~1v1~1users~1{user_id}/delete", "parameters": {"user_id": EVENT_USER}},
        "items": {
            "operationRef": "#/paths/~1v1~1recommend/post",
            "requestBody": {"user_id": EVENT_USER, "cursors": True, "explain": True},
        },
        "page": {
            "operationRef": "#/paths/~1v1~1homepage/post",
            "requestBody": {"user_id": EVENT_USER, "cursors": True},
        },
    },
}
"""Which request may follow which answer, by path and status: the chains that are tried."""


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    """Adds the links."""
    for (path, status), links in LINKS.items():
        raw_schema["paths"][path]["post"]["responses"][status]["links"] = dict(links)


@schemathesis.check
def an_error_is_a_problem(_: Any, response: Any, __: Any) -> None:
    """Every answer of 400 and above has the one shape of errors, and its own id in the header."""
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    found = Problem.model_validate_json(response.content)
    assert [found.request_id] == response.headers["x-request-id"]
    assert found.status == response.status_code
    assert b"Traceback" not in response.content
