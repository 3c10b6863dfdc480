"""Who may ask for what: keys and roles, the Host header, other origins; all decided before a body is read.

The role of a request follows from its method and the beginning of its path. What is not listed needs `admin`, so that a
route nobody thought of is closed. What is personal (users, events) needs `write`; what changes the catalogue, `admin`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import document, problem, responses
from app.keys import Key, Keyring, Role
from app.metrics import Metrics
from app.store.limits import Limits
from app.telemetry import header

OPEN = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"})
"""Paths that need no key: health, the contract, and the page, which asks for one."""

READING = frozenset({"GET", "HEAD"})

SCHEME = "key"
"""Name of the security scheme in the OpenAPI document."""

CORS_SECONDS = 600
"""A browser remembers for so long what another origin may do."""


def role_of(method: str, path: str) -> Role | None:
    """The role that a request needs; None for none."""
    if path in OPEN or path.startswith("/web/"):
        return None
    if path in ("/info", "/metrics"):
        return "read"
    if path == "/v1/events" or path.startswith("/v1/users/"):
        return "write"
    if method in READING:
        return "read"
    if method == "POST" and path.startswith("/v1/"):
        return "read"
    return "admin"


class Guard:
    """Answers 401, 403 or 429 to whom a request is not for; `keyring` None: everybody may do everything."""

    def __init__(self, app: ASGIApp, keyring: Keyring | None, limits: Limits | None, metrics: Metrics) -> None:
        self._app = app
        self._keyring = keyring
        self._limits = limits
        self._refused = {
            status: metrics.refusals.labels(reason)
            for status, reason in ((401, "unauthorized"), (403, "forbidden"), (429, "rate"))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        self._refused[refusal.status_code].inc()
        await refusal(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        role = role_of(scope["method"], path)
        if role is None:
            return None
        caller = ""
        if self._keyring is not None:
            key = _key(scope, self._keyring)
            if key is None:
                return _unauthorized(scope)
            if not key.may(role):
                return _forbidden(scope, key, role)
            caller = key.name
        if self._limits is not None and path.startswith("/v1/"):
            return await self._over(scope, caller, self._limits)
        return None

    @staticmethod
    async def _over(scope: Scope, caller: str, limits: Limits) -> Response | None:
        wait_seconds = limits.spend(caller)
        if wait_seconds is None:
            wait_seconds = await limits.refill(caller)
        if not wait_seconds:
            return None
        detail = f"over {limits.rate:g} requests a second; see the Retry-After header"
        return problem(scope, 429, detail, headers=limits.headers(wait_seconds))


def _key(scope: Scope, keyring: Keyring) -> Key | None:
    scheme, _, secret = (header(scope, b"authorization") or "").partition(" ")
    return keyring.find(secret.strip()) if scheme.lower() == "bearer" else None


def _unauthorized(scope: Scope) -> Response:
    given = header(scope, b"authorization") is not None
    told = 'Bearer realm="sparrow"' + (', error="invalid_token"' if given else "")
    detail = "this key is not known" if given else "send a key: Authorization: Bearer KEY"
    return problem(scope, 401, detail, headers={"WWW-Authenticate": told})


def _forbidden(scope: Scope, key: Key, role: Role) -> Response:
    told = f'Bearer realm="sparrow", error="insufficient_scope", scope="{role}"'
    detail = f"this needs a key of role {role}; the key sent has role {key.role}"
    return problem(scope, 403, detail, headers={"WWW-Authenticate": told})


class HostCheck:
    """Answers 400 to requests for a name that is not this server's: a page of another name may lead browsers here."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 400. Probes of health ask by address, and learn nothing."""
        if scope["type"] == "http" and scope["path"] not in ("/livez", "/readyz"):
            host = _without_port((header(scope, b"host") or "").strip().lower())
            if host not in self._hosts:
                await problem(scope, 400, "this server goes by another name than the Host header says")(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    """The name, or the address in its brackets."""
    end = host.rfind("]") + 1
    return host[:end] if host.startswith("[") else host.partition(":")[0]


class Origins:
    """CORS: lets pages of these origins read answers; `*` for all. Never with cookies, which nothing here uses."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a preflight is answered here."""
        origin = header(scope, b"origin") if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
            return
        allowed = "*" if "*" in self._origins else origin if origin in self._origins else None
        if scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method"):
            await Response(status_code=204, headers=_preflight(allowed))(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = {"Vary": "Origin"} if allowed is None else {**_allowing(allowed), **EXPOSED}
                more = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await self._app(scope, receive, send_with_headers)


EXPOSED = {"Access-Control-Expose-Headers": "X-Request-ID, Server-Timing, Retry-After, RateLimit, RateLimit-Policy"}


def _allowing(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, **({} if origin == "*" else {"Vary": "Origin"})}


def _preflight(allowed: str | None) -> dict[str, str]:
    if allowed is None:
        return {"Vary": "Origin"}
    return {
        **_allowing(allowed),
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Request-ID, traceparent, tracestate",
        "Access-Control-Max-Age": str(CORS_SECONDS),
    }


def install(application: FastAPI, *, required: bool) -> None:
    """Say in the OpenAPI document which role each operation needs; `required` is false where nobody needs a key."""

    def described() -> dict[str, Any]:
        if application.openapi_schema is None:
            _describe(document(application), required=required)
        return document(application)

    application.openapi = described  # type: ignore[method-assign]


def _describe(made: dict[str, Any], *, required: bool) -> None:
    made["components"]["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of `sparrow-serve keys add`, of the role that the operation names or a stronger one: "
            "read, write, admin.",
        }
    }
    for path, item in made["paths"].items():
        for method, operation in item.items():
            role = role_of(method.upper(), path)
            if role is not None:
                _close(operation, role, required=required)


def _close(operation: dict[str, Any], role: Role, *, required: bool) -> None:
    # An empty requirement among several says that a key may be left out.
    operation["security"] = [{SCHEME: []}] if required else [{}, {SCHEME: []}]
    operation["x-role"] = role
    refused: Mapping[int | str, Any] = responses(401, 403, 429)
    for status in (401, 403, 429):
        operation["responses"][str(status)] = refused[status]
