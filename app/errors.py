"""The closed set of errors and their one shape on the wire: application/problem+json (RFC 9457).

    {"type": "urn:sparrow:not-found", "title": "Not found", "status": 404, "detail": "...", "request_id": "..."}

Code below the routes raises exceptions of its own; this table alone knows their status. Details never repeat what was
sent, save the names of fields, so that nothing a user did ends up in a log of errors.
"""

# ruff: noqa: N818  -- the names say what is the matter; "Error" would add nothing

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from app.cursors import BadCursor
from app.live_index import NothingPublished, NotOpen, StillOpening
from app.store.users import StoreUnavailable

MEDIA_TYPE = "application/problem+json"

MAX_ERRORS = 20
"""Fields that one answer names."""

MAX_NAME = 80
"""Characters of the name of a field that the caller made up."""

NOT_JSON = "the body must be sent with the header Content-Type: application/json"

NO_SEGMENT = "there is no segment of this id in this index version; GET /v1/segments lists them"

ANYWHERE = (408, 422, 431, 500)
"""What any request may be answered, whatever it asks for: it came late, is wrong or too long, or the fault is ours."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class NotFound(Exception):
    """What the path names does not exist; the message says what and where to look."""


class Invalid(Exception):
    """A well-formed request asks for what cannot be, for example an unknown property; the message names it."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.errors: tuple[FieldError, ...] = () if field is None else (FieldError(field=field, message=message),)
        """Where it stands, such as body.filter, if it was given."""


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(description="Where: body.events.0.item_id")
    message: str


class Problem(BaseModel):
    """Every error that this service answers with."""

    type: str = Field(description="Stable name of the sort of error.")
    title: str
    status: int
    detail: str
    request_id: str = Field(description="As in the X-Request-ID header and in the server's log.")
    errors: list[FieldError] | None = Field(None, description="Where several fields are wrong: the first of them.")


class Sort(NamedTuple):
    """A sort of error."""

    name: str
    title: str
    detail: str
    """What is said where the code that failed says nothing."""


SORTS = {
    400: Sort("bad-request", "Bad request", "the body cannot be read as JSON"),
    401: Sort("unauthorized", "Unauthorized", "send a key: Authorization: Bearer KEY"),
    403: Sort("forbidden", "Forbidden", "the role of this key does not reach so far"),
    404: Sort("not-found", "Not found", "there is nothing at this path; /openapi.json describes the API"),
    405: Sort("method-not-allowed", "Method not allowed", "this path does not take this method; see the Allow header"),
    408: Sort("timeout", "Request timeout", "the request did not come in whole in time"),
    413: Sort("too-large", "Body too large", "the body is over the limit of this server"),
    422: Sort("invalid", "Invalid request", "the request does not match the API; /openapi.json describes it"),
    429: Sort("too-many", "Too many requests", "over the rate of this key; see the Retry-After header"),
    431: Sort("headers-too-large", "Headers too large", "the headers are over the limit of this server"),
    500: Sort("internal", "Internal error", "the request failed; its request_id is in the server's log"),
    503: Sort("unavailable", "Unavailable", "try again shortly"),
}
"""By status."""


def problem(
    scope: Scope,
    status: int,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
) -> JSONResponse:
    """The answer to a request that failed; a status outside the table keeps its number and is called a bad request."""
    sort = SORTS.get(status, SORTS[400])
    content: dict[str, Any] = {
        "type": f"urn:sparrow:{sort.name}",
        "title": sort.title,
        "status": status,
        "detail": detail or sort.detail,
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    if errors:
        content["errors"] = [error.model_dump() for error in errors]
    return JSONResponse(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def install(application: FastAPI) -> None:
    """Map every error of the closed set, and declare them in the OpenAPI document."""
    application.add_exception_handler(RequestValidationError, _invalid_request)
    application.add_exception_handler(HTTPException, _http)
    application.add_exception_handler(NotFound, _not_found)
    application.add_exception_handler(Invalid, _invalid)
    application.add_exception_handler(StoreUnavailable, _unavailable)
    application.add_exception_handler(NothingPublished, _unavailable)
    application.add_exception_handler(StillOpening, _unavailable)
    application.add_exception_handler(NotOpen, _not_open)
    application.add_exception_handler(BadCursor, _bad_cursor)
    application.openapi = lambda: document(application)  # type: ignore[method-assign]


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a router declares: the errors its routes may answer with, `ANYWHERE` always among them."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": SORTS[status].title, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*statuses, *ANYWHERE})
    }


def document(application: FastAPI) -> dict[str, Any]:
    """The OpenAPI document with the schema that `responses` refers to."""
    if application.openapi_schema is None:
        made = get_openapi(
            title=application.title,
            version=application.version,
            description=application.description,
            routes=application.routes,
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(own.pop("$defs"))
        schemas["Problem"] = own
        application.openapi_schema = made
    return application.openapi_schema


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (narrows the type that starlette promises)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        position = next(one["loc"][-1] for one in found if one["type"] == "json_invalid")
        return problem(request.scope, 400, f"the body is not JSON, it breaks at character {position}")
    if not _is_json(request) and any(one["loc"] == ("body",) for one in found):
        return problem(request.scope, 422, NOT_JSON, errors=[FieldError(field="body", message=NOT_JSON)])
    errors = [FieldError(field=_place(one["loc"]), message=one["msg"]) for one in found[:MAX_ERRORS]]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return problem(request.scope, 422, f"{errors[0].field}: {errors[0].message}{more}", errors=errors)


def _is_json(request: Request) -> bool:
    """Whether FastAPI reads the body: application/json, or application/anything+json."""
    kind, _, name = request.headers.get("content-type", "").partition(";")[0].strip().lower().partition("/")
    return kind == "application" and (name == "json" or name.endswith("+json"))


def _place(location: Sequence[str | int]) -> str:
    """A path like body.events.0.item_id; parts that the caller made up are made printable and short."""
    parts = (str(part)[:MAX_NAME].encode("ascii", "backslashreplace").decode() for part in location)
    return ".".join(parts)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    said_nothing = error.detail == HTTPStatus(error.status_code).phrase
    return problem(request.scope, error.status_code, None if said_nothing else error.detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """Every method that some route takes at this path; one route alone knows only its own."""
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    return [name for name, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)]


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    return problem(request.scope, 404, str(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Invalid)  # noqa: S101
    return problem(request.scope, 422, str(error), errors=error.errors)


async def _not_open(request: Request, error: Exception) -> JSONResponse:
    named = FieldError(field="body.index_version", message=str(error))
    return problem(request.scope, 422, str(error), errors=[named])


async def _bad_cursor(request: Request, error: Exception) -> JSONResponse:
    named = FieldError(field="body.cursor", message=str(error))
    return problem(request.scope, 400, str(error), errors=[named])


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    retry_after = "5" if isinstance(error, NothingPublished) else "1"
    return problem(request.scope, 503, str(error), headers={"Retry-After": retry_after})
