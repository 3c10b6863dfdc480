"""The manifest: what a snapshot is and which bytes it is made of. Written last, so that it vouches for all the rest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from index import embeddings
from index.errors import CorruptSnapshot, UnsupportedFormat
from index.types import JSON

FORMAT = 1
FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class FileInfo:
    """One file of a snapshot."""

    bytes: int
    """Its size."""
    sha256: str
    """Its hash, hexadecimal."""


@dataclass(frozen=True)
class Manifest:
    """A snapshot in numbers."""

    format: int
    """Number of the format, see FORMAT.md."""
    version: str
    """Name of the snapshot: UTC time of building, a dash, the first 8 digits of content_hash."""
    created_at: str
    """UTC time of building, ISO 8601."""
    content_hash: str
    """SHA-256 of what is stored, not of when or by whom: equal content, equal hash."""
    files: Mapping[str, FileInfo]
    """Every file but the manifest, by name."""
    n_items: int
    """Number of items."""
    n_dims: int
    """Number of dimensions."""
    n_nonzeros: int
    """Number of non-zeros of the decoder."""
    n_segments: int
    """Number of segments."""
    values: str
    """float32 or int8: what the decoder's values are stored as."""
    encoder: str
    """tied, identity or rows (see SparseItemEmbeddings.encoder)."""
    item_scale: bool
    """Whether each item has a scale."""
    dims_are: str
    """latents or items."""
    query_dims: int | None
    """How many of its largest dimensions a query keeps; None: all."""
    provenance: Mapping[str, JSON]
    """Model, recipe, metrics, data."""
    query_width: int | None = None
    """Columns of the query factor; None, which is not written: there is no factor."""


def content_hash(header: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """One hash of what is stored: the format, how the arrays are to be read, and the hash of each file's content."""
    return _canonical_hash({"format": FORMAT, **header, "files": dict(hashes)})


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest as a JSON document that carries its own checksum."""
    fields = json.loads(json.dumps(asdict(manifest), allow_nan=False))
    if manifest.query_width is None:  # as manifests were before there were query factors
        del fields["query_width"]
    return (json.dumps({**fields, "checksum": _canonical_hash(fields)}, indent=2, allow_nan=False) + "\n").encode()


def from_bytes(raw: bytes, where: str) -> Manifest:
    """Read it back; UnsupportedFormat for another format, CorruptSnapshot for anything that to_bytes did not write."""
    try:
        fields = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptSnapshot(f"{where} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CorruptSnapshot(f"{where} is not a JSON object")
    if fields.get("format") != FORMAT:
        raise UnsupportedFormat(
            f"{where}: format {fields.get('format')!r}; this Sparrow reads {FORMAT}: "
            "rebuild with 'sparrow-train publish RUN', or open it with the version of Sparrow that wrote it"
        )
    if fields.pop("checksum", None) != _canonical_hash(fields):
        raise CorruptSnapshot(f"{where} does not match its checksum")
    try:
        files = {str(name): FileInfo(**info) for name, info in fields.pop("files").items()}
        embeddings.check_header(fields)
        _check_counts(fields)
        return Manifest(files=files, **fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptSnapshot(f"{where}: {error}") from error


def _check_counts(fields: Mapping[str, Any]) -> None:
    for name in ("n_nonzeros", "n_segments"):
        if type(fields.get(name)) is not int or fields[name] < 0:
            raise ValueError(f"{name} is {fields.get(name)!r}; must be a whole number from 0")


def _canonical_hash(fields: Mapping[str, Any]) -> str:
    return sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
