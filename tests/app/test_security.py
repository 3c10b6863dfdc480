from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from app import keys
from app.errors import Problem
from app.keys import ROLES, Role
from app.main import create_app
from app.security import role_of
from app.settings import Settings

pytestmark = pytest.mark.anyio

OPEN = {"/livez", "/readyz"}

NEEDED = {
    ("get", "/info"): "read",
    ("get", "/metrics"): "read",
    ("post", "/v1/recommend"): "read",
    ("post", "/v1/homepage"): "read",
    ("post", "/v1/similar"): "read",
    ("post", "/v1/next"): "read",
    ("post", "/v1/batch"): "read",
    ("post", "/v1/explain"): "read",
    ("get", "/v1/segments"): "read",
    ("get", "/v1/segments/{segment_id}"): "read",
    ("patch", "/v1/segments/{segment_id}"): "admin",
    ("get", "/v1/segments/edits"): "read",
    ("put", "/v1/segments/edits"): "admin",
    ("post", "/v1/segments/recommend"): "read",
    ("post", "/v1/segments/{segment_id}/items"): "read",
    ("get", "/v1/versions"): "read",
    ("get", "/v1/items"): "read",
    ("put", "/v1/items"): "admin",
    ("get", "/v1/items/{item_id}"): "read",
    ("delete", "/v1/items/{item_id}"): "admin",
    ("post", "/v1/events"): "write",
    ("get", "/v1/users/{user_id}"): "write",
    ("delete", "/v1/users/{user_id}"): "write",
    ("get", "/v1/users/{user_id}/export"): "write",
    ("put", "/v1/users/{user_id}/steering"): "write",
    ("put", "/v1/users/{target}/merge/{source}"): "write",
}
"""Operation -> role, of the whole contract: a new operation is closed until somebody says here who may use it."""

OPERATIONS = [
    (method, path)
    for path, item in create_app(Settings.model_validate({"redis_url": "redis://nowhere"})).openapi()["paths"].items()
    for method in item
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=str)
def test_each_operation_needs_the_role_of_the_contract(method: str, path: str) -> None:
    wanted = None if path in OPEN else NEEDED.get((method, path), "admin")
    assert role_of(method.upper(), path) == wanted


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/", None),
        ("HEAD", "/", None),
        ("GET", "/web/page.js", None),
        ("GET", "/openapi.json", None),
        ("HEAD", "/livez", None),
        ("GET", "/nothing", "read"),
        ("HEAD", "/metrics", "read"),
        ("DELETE", "/nothing", "admin"),
        ("POST", "/nothing", "admin"),
        ("WHATEVER", "/v1/recommend", "admin"),
        ("HEAD", "/v1/users/u", "write"),
        ("GET", "/v1/users/a/b", "write"),
        ("POST", "/v1/events", "write"),
        ("PUT", "/v1/thought/of/later", "admin"),
    ],
)
def test_what_no_route_has_is_closed_too(method: str, path: str, role: str | None) -> None:
    assert role_of(method, path) == role


@pytest.fixture
def secrets(tmp_path: Path) -> dict[Role, str]:
    """A key of each role."""
    return {role: keys.add(tmp_path / "keys", f"{role}er", role) for role in ROLES}


@pytest.fixture
async def closed(
    settings: Settings, serving: Any, secrets: dict[Role, str], tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A server that asks for keys."""
    assert secrets
    async with serving(settings.model_copy(update={"keys_file": tmp_path / "keys"})) as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


REQUESTS = [
    ("POST", "/v1/recommend", {"user_id": "u"}, "read", 200),
    ("GET", "/info", None, "read", 200),
    ("GET", "/metrics", None, "read", 200),
    ("POST", "/v1/events", {"events": [{"user_id": "u", "item_id": "book-1", "kind": "like"}]}, "write", 202),
    ("GET", "/v1/users/u", None, "write", 404),
    ("DELETE", "/v1/users/u", None, "write", 204),
    ("DELETE", "/v1/nothing", None, "admin", 404),
]


@pytest.mark.parametrize(("method", "path", "body", "role", "status"), REQUESTS)
async def test_a_key_of_the_role_opens_and_a_lesser_one_does_not(
    closed: httpx.AsyncClient, secrets: dict[Role, str], method: str, path: str, body: Any, role: Role, status: int
) -> None:
    for name, secret in secrets.items():
        answer = await closed.request(method, path, json=body, headers=bearer(secret))
        if ROLES.index(name) >= ROLES.index(role):
            assert answer.status_code == status
        else:
            assert answer.status_code == 403
            told = Problem.model_validate_json(answer.content)
            assert told.detail == f"this needs a key of role {role}; the key sent has role {name}"
            assert f'scope="{role}"' in answer.headers["www-authenticate"]
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic {}",
        "{}",
        "Bearer {}x",
        "Bearer\t{}",
        "bearer {} x",
        "\xff",
    ],
)
async def test_without_a_known_key_nothing_is_said(
    closed: httpx.AsyncClient, secrets: dict[Role, str], header: str | None
) -> None:
    told_by = {} if header is None else {"Authorization": header.format(secrets["admin"])}
    given = httpx.Headers(told_by, encoding="latin-1")
    bodies = []
    for method, path in [("POST", "/v1/recommend"), ("GET", "/v1/users/u"), ("GET", "/metrics"), ("GET", "/nothing")]:
        answer = await closed.request(method, path, headers=given)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer realm="sparrow"')
        assert ("invalid_token" in answer.headers["www-authenticate"]) is (header is not None)
        told = Problem.model_validate_json(answer.content)
        assert told.request_id == answer.headers["x-request-id"]
        bodies.append(answer.json() | {"request_id": ""})
    assert all(body == bodies[0] for body in bodies), "it does not even say what exists"


async def test_the_scheme_is_read_as_http_wants_it(closed: httpx.AsyncClient, secrets: dict[Role, str]) -> None:
    for header in (f"bearer {secrets['read']}", f"BEARER   {secrets['read']} "):
        assert (await closed.get("/info", headers={"Authorization": header})).status_code == 200


async def test_the_hash_of_a_key_is_no_key(closed: httpx.AsyncClient, secrets: dict[Role, str]) -> None:
    digest = sha256(secrets["admin"].encode()).hexdigest()
    assert (await closed.get("/info", headers=bearer(digest))).status_code == 401


async def test_a_body_without_a_key_is_not_read(closed: httpx.AsyncClient) -> None:
    asked = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        asked = True
        yield b"{"

    answer = await closed.post("/v1/recommend", content=body(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 401
    assert not asked


async def test_health_and_the_page_need_no_key(closed: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/", "/web/page.js", "/openapi.json", "/docs"):
        assert (await closed.get(path)).status_code == 200, path


async def test_refusals_are_counted_and_nobody_is_named_in_metrics(
    closed: httpx.AsyncClient, secrets: dict[Role, str]
) -> None:
    await closed.get("/info")
    await closed.post("/v1/events", json={}, headers=bearer(secrets["read"]))
    exposition = (await closed.get("/metrics", headers=bearer(secrets["read"]))).text
    assert 'sparrow_refusals_total{reason="unauthorized"} 1.0' in exposition
    assert 'sparrow_refusals_total{reason="forbidden"} 1.0' in exposition
    assert not any(secret in exposition for secret in secrets.values())


async def test_the_document_says_what_is_needed(closed: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    needs: list[tuple[httpx.AsyncClient, Any]] = [(closed, [{"key": []}]), (client, [{}, {"key": []}])]
    for one, wanted in needs:
        document = (await one.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        for path, item in document["paths"].items():
            for method, operation in item.items():
                role = role_of(method.upper(), path)
                assert operation.get("security") == (None if role is None else wanted)
                assert operation.get("x-role") == role
                if role is not None:
                    assert {"401", "403", "429"} <= operation["responses"].keys()


async def test_without_a_file_of_keys_nobody_needs_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("/info", headers=bearer("whatever"))).status_code == 200


# --- other origins and names ------------------------------------------------------------------------------------------

SHOP = "https://shop.example"


async def test_other_origins_may_read_nothing_by_default(client: httpx.AsyncClient) -> None:
    answer = await client.get("/info", headers={"Origin": SHOP})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = await client.options("/v1/recommend", headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 405


async def test_named_origins_may(settings: Settings, serving: Any, tmp_path: Path, secrets: dict[Role, str]) -> None:
    update = {"cors_origins": (SHOP,), "keys_file": tmp_path / "keys"}
    async with serving(settings.model_copy(update=update)) as client:
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = await client.options("/v1/recommend", headers={"Origin": SHOP, **asking})
        assert preflight.status_code == 204, "a browser sends no key along"
        assert preflight.headers["access-control-allow-origin"] == SHOP
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in preflight.headers
        for headers, status in ((bearer(secrets["read"]), 200), ({}, 401)):
            answer = await client.get("/info", headers={"Origin": SHOP, **headers})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == SHOP
            assert answer.headers["vary"] == "Origin"
        for origin in ("https://other.example", "null", SHOP + ".evil.example", SHOP.upper()):
            other = await client.get("/info", headers={"Origin": origin, **bearer(secrets["read"])})
            assert "access-control-allow-origin" not in other.headers
            refused = await client.options("/v1/recommend", headers={"Origin": origin, **asking})
            assert "access-control-allow-origin" not in refused.headers
        same = await client.get("/info", headers=bearer(secrets["read"]))
        assert not [name for name in same.headers if name.startswith("access-control")]


async def test_all_origins_may_where_that_is_said(settings: Settings, serving: Any) -> None:
    async with serving(settings.model_copy(update={"cors_origins": ("*",)})) as client:
        answer = await client.get("/info", headers={"Origin": SHOP})
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://*.example", "https://", "null"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        Settings.model_validate({"cors_origins": origin})


async def test_only_named_hosts_are_answered(settings: Settings, serving: Any) -> None:
    hosts = ("books.example", "[::1]")
    async with serving(settings.model_copy(update={"allowed_hosts": hosts})) as client:
        for host in ("books.example", "BOOKS.example:8000", "[::1]", "[::1]:8000"):
            assert (await client.get("/info", headers={"Host": host})).status_code == 200, host
        for host in ("evil.example", "books.example.evil.example", "", "[::2]:8000", "books.example@evil.example"):
            refused = await client.get("/info", headers={"Host": host})
            assert refused.status_code == 400, host
            assert "Host header" in Problem.model_validate_json(refused.content).detail
        assert (await client.get("/livez", headers={"Host": "10.0.0.7"})).status_code == 200


# --- headers of answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/web/page.css", "/info", "/nothing", "/metrics"])
async def test_no_answer_is_taken_for_what_it_is_not(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]


async def test_the_page_runs_nothing_inline_and_in_no_frame(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/")).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["referrer-policy"] == "no-referrer"


def _application(tmp_path: Path) -> FastAPI:
    return create_app(Settings.model_validate({"redis_url": "redis://nowhere", "keys_file": tmp_path / "gone"}))


def test_a_server_without_its_keys_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(keys.KeysError, match="SPARROW_KEYS_FILE"):
        _application(tmp_path)
