"""The HTTP endpoints, one noun a module."""

from starlette.convertors import Convertor, register_url_convertor


class AnyText(Convertor[str]):
    """The rest of a path, whatever it holds: ids may have slashes and, unlike starlette's own `path`, line breaks."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """From the path, decoded already."""
        return value

    def to_string(self, value: str) -> str:
        """Into a path."""
        return value


# Starlette looks convertors up by name in a table of its own, when the modules of this package declare their routes.
register_url_convertor("id", AnyText())
