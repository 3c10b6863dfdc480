"""The bundled data sets: plain files, read by the same loader as a user's."""

from dataclasses import dataclass
from pathlib import Path

from training.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """The files of a data set."""

    interactions: Path
    """Columns user_id, item_id."""
    items: Path
    """Column item_id and properties."""


def names() -> tuple[str, ...]:
    """The bundled data sets."""
    return tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/interactions.parquet")))


def bundled(name: str) -> Dataset:
    """The files of a bundled data set; DataError if there is none of that name."""
    if name not in names():
        raise DataError(f"there is no bundled data set {name!r}; there is {', '.join(names())}")
    directory = Path(__file__).parent / name
    return Dataset(directory / "interactions.parquet", directory / "items.parquet")
