"""The short way to the endpoints that are asked most: the same functions, without what a framework does for all cases.

FastAPI takes about as long to find a route, to solve its dependencies and to check its answer as the search takes. Here
a request of the common form is parsed, answered and written at once. Whatever is not of that form goes FastAPI's way,
as if nothing had been: another method, media type or query, a body that is not valid, and every exception. So there is
one contract, one set of errors, and one declaration of a route; tests hold both ways to the same answers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, get_type_hints

from fastapi import BackgroundTasks
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import SchemaSerializer, SchemaValidator
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.deps import asking_of

JSON = b"application/json"


class _Way(NamedTuple):
    """A route that can be gone straight."""

    route: APIRoute
    reads: SchemaValidator
    writes: SchemaSerializer


class Shortcut:
    """Innermost middleware. Its routes take a body and an `Asking`, return a model, and change nothing."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._ways = {route.path: _way(route) for route in routes if isinstance(route, APIRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        way = self._ways.get(scope["path"]) if scope["type"] == "http" else None
        if way is None or not _is_common(scope):
            await self._app(scope, receive, send)
            return
        came = [await receive()]
        while came[-1].get("more_body"):
            came.append(await receive())
        after = BackgroundTasks()
        content = await _straight(way, came, scope, after)
        if content is None:
            await self._app(scope, _again(came, receive), send)
            return
        scope["route"] = way.route
        length = (b"content-length", b"%d" % len(content))
        await send({"type": "http.response.start", "status": 200, "headers": [length, (b"content-type", JSON)]})
        await send({"type": "http.response.body", "body": content})
        if after.tasks:
            await after()


async def _straight(way: _Way, came: list[Message], scope: Scope, after: BackgroundTasks) -> bytes | None:
    """The body of the answer; None where there is none, for whatever reason."""
    try:
        body = way.reads.validate_json(b"".join([message["body"] for message in came]))
        answer = await way.route.endpoint(body, asking_of(scope["app"].state, scope["state"]["timings"], after))
        return way.writes.to_json(answer, exclude_none=True)
    except Exception:  # noqa: BLE001  (the other way meets it again, and knows what to answer)
        return None  # what comes of that way is logged without this one, whose words may quote the body


def _is_common(scope: Scope) -> bool:
    """Whether a request is a POST of plain JSON of a length that was announced (and so checked), and nothing more."""
    if scope["method"] != "POST" or scope["query_string"]:
        return False
    headers = dict(scope["headers"])
    announced = b"content-length" in headers and b"transfer-encoding" not in headers
    return announced and headers.get(b"content-type") == JSON


def _way(route: APIRoute) -> _Way:
    types = get_type_hints(route.endpoint)
    body, answer = types["body"], types["return"]
    if not (issubclass(body, BaseModel) and issubclass(answer, BaseModel) and len(types) == 3):
        raise TypeError(f"{route.path} takes or returns something else than a body, an Asking and a model")
    return _Way(route, body.__pydantic_validator__, answer.__pydantic_serializer__)


def _again(came: list[Message], receive: Receive) -> Receive:
    """What was received already, then the rest."""
    left: list[Any] = list(reversed(came))

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay
