"""What all messages share: ids, bounds, and how strictly they are read.

Requests are strict: an unknown field, a string for a number, NaN or an infinity is refused. Ids are strings of 1 to 256
bytes in UTF-8. Row numbers of the index never appear on the wire.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from index.vocabulary import MAX_ID_BYTES


def _bounded_id(value: str) -> str:
    """Refuse what has no UTF-8 form, and what is too long in it: a bound on characters would not bound bytes."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("an id must be valid Unicode; this one holds an unpaired surrogate") from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise ValueError(f"an id must have 1 to {MAX_ID_BYTES} bytes in UTF-8; this one has {size}")
    return value


def _reachable(value: str) -> str:
    """Refuses what no URL can name, since clients resolve dots: such a user could be stored and never deleted."""
    if value in (".", ".."):
        raise ValueError("'.' and '..' cannot be the id of a user")
    return value


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), AfterValidator(_bounded_id)]
ItemId = Annotated[Id, Field(description="The id of an item, as in the training data: 1 to 256 bytes in UTF-8.")]
UserId = Annotated[Id, AfterValidator(_reachable), Field(description="The id of a user: 1 to 256 bytes in UTF-8.")]
Kind = Literal["impression", "view", "click", "cart", "purchase", "like", "rating", "dislike", "hide"]
Count = Annotated[int, Field(ge=1, le=1000, description="How many to return at most.")]


def unknown_key(model: type[BaseModel], given: Mapping[str, Any], message: str) -> ValidationError:
    """The error that names the first key of `given` that is no field of `model`, in its place."""
    key = next(key for key in given if key not in model.model_fields)
    printable = key.encode("utf-8", "backslashreplace").decode()  # JSON can name what no error can
    kind = PydanticCustomError("extra_forbidden", "{message}", {"message": message})
    return ValidationError.from_exception_data(model.__name__, [{"type": kind, "loc": (printable,), "input": None}])


class Request(BaseModel):
    """The strictness every request body shares."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: object) -> object:
        """Refuses an object of more keys than fields by one error: one a key would be hundreds of thousands."""
        if isinstance(given, dict) and len(given) > len(cls.model_fields):
            raise unknown_key(cls, given, "Extra inputs are not permitted")
        return given


class Parameters(BaseModel):
    """The strictness of a query string: an unknown name is refused, for the answer without it would be another one."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        """Refuses an unknown name; names the known ones."""
        if isinstance(given, dict) and not given.keys() <= cls.model_fields.keys():
            raise unknown_key(
                cls, given, f"there is no such parameter; the known ones are {', '.join(cls.model_fields)}"
            )
        return given
