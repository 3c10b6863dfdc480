"""The HTTP endpoints, one noun a module."""

from urllib.parse import quote, unquote

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Scope


class AnyText(Convertor[str]):
    """The rest of a path, whatever it holds: ids may have slashes and, unlike starlette's own `path`, line breaks."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """From the path, decoded already."""
        return value

    def to_string(self, value: str) -> str:
        """Into a path."""
        return value


class RawText(Convertor[str]):
    """One segment of a path as it was sent, for routes of `RawPathRoute`: a slash in an id is %2F."""

    regex = "[^/]*"

    def convert(self, value: str) -> str:
        """From the path, which is not decoded yet."""
        return unquote(value)

    def to_string(self, value: str) -> str:
        """Into a path."""
        return quote(value, safe="")


class RawPathRoute(APIRoute):
    """A route that looks at the path as it was sent: decoded, an id with a slash could look like another route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As starlette's, on the raw path."""
        raw: bytes = scope.get("raw_path") or b""
        return super().matches({**scope, "path": raw.partition(b"?")[0].decode("latin-1")})


# Starlette looks convertors up by name in a table of its own, when the modules of this package declare their routes.
register_url_convertor("id", AnyText())
register_url_convertor("raw", RawText())
