"""What can be wrong with stored data: a closed set of errors, each message naming the thing and the way out."""

# ruff: noqa: N818  -- the names say what is the matter; "Error" would add nothing


class SnapshotError(Exception):
    """A snapshot cannot be written, found, opened or trusted."""


class CorruptSnapshot(SnapshotError):
    """A file of a snapshot is missing, cut, altered or contradicts another one; the message names it."""


class UnsupportedFormat(SnapshotError):
    """The snapshot is written in a format that this version of Sparrow does not read."""


class UnknownVersion(SnapshotError):
    """No snapshot of that name is stored, or the name is not a version name."""


class InvalidEmbeddings(ValueError):
    """Embeddings, or what comes with them, break a rule of the format; the message names array, row and value."""


class InvalidEdits(ValueError):
    """Edits of segments break a rule; the message names the segment, the value and the rule."""


class FilterError(ValueError):
    """A filter cannot be understood or is too large; the message names the place in it, the value and the way out."""


class InvalidUsers(ValueError):
    """A file of users holds what is no user; the message names file, line and reason."""
