"""What may be in an answer, what rather, and in which order: fields that several requests share."""

from typing import Annotated, Any, TypeAlias

from pydantic import Field, WithJsonSchema

from app.schemas.wire import Id, Request

MAX_FACTOR = 16.0
"""Of a boost; the least is 1 / MAX_FACTOR."""

MAX_BOOSTS = 8
"""Of a request: all together multiply a score by at most 2^32."""

MAX_CAPS = 8
"""Properties that `max_per` names at most."""

ROTATION_SECONDS = 7200.0
"""Default of `rotation_time`."""

_CONDITIONS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}

Filter: TypeAlias = Annotated[
    dict[str, Any],
    Field(max_length=3),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"must": _CONDITIONS, "should": _CONDITIONS, "must_not": _CONDITIONS},
            "additionalProperties": False,
            "description": "Only items that pass: every condition of `must`, at least one of `should` where there are "
            "any, none of `must_not`. A condition is {key, match: {value} | {any} | {except}}, "
            '{key, range: {gt, gte, lt, lte}} or a filter; times are ISO 8601, Unix seconds or {"now": "-30d"}. A key '
            "that no item has is refused, and the known ones are named. A filter that leaves nothing gives an empty "
            "answer with the warning nothing_left.",
            "examples": [{"must": [{"key": "year", "range": {"gte": 1990}}]}],
        }
    ),
]


class Boost(Request):
    """A factor on the scores of some items."""

    filter: Filter
    factor: float = Field(
        ge=1 / MAX_FACTOR,
        le=MAX_FACTOR,
        description="Their scores are multiplied by it, before everything else: above 1 they are found rather. Where "
        "several boosts name an item, their factors multiply.",
    )


class Filtered(Request):
    """A request that asks for some of the items only."""

    filter: Filter | None = None


class Selecting(Filtered):
    """A request that asks for some of the items only, or for some rather."""

    boost: list[Boost] = Field(
        default_factory=list,
        max_length=MAX_BOOSTS,
        description="Factors on the scores of items that pass a filter; nothing is left out.",
        examples=[[{"filter": {"must": [{"key": "year", "range": {"gte": 2000}}]}, "factor": 1.5}]],
    )


class Ordered(Request):
    """A request that asks for another list than the best items by score: capped, diverse, rotated or shuffled.

    Scores are those before any of this; so they need not descend.
    """

    max_per: dict[Id, Annotated[int, Field(ge=1, le=1000)]] = Field(
        default_factory=dict,
        max_length=MAX_CAPS,
        description="At most so many items with the same value of a property, in each list and in each row of a page: "
        '{"author": 2}. An item with a list of values counts for each; items without the property are not restricted.',
        examples=[{"author": 2}],
    )
    diversity: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="0: the best items by score. Towards 1 items give way to others that are less like what stands "
        "before them (maximal marginal relevance, among the best 5 times as many items, at least 100).",
    )
    rotation_rate: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How much an item is held back that this user was just given: its score counts (1 - rotation_rate) "
        "times, and more again as time goes by. Needs a user_id. What an answer with rotation gives is remembered.",
    )
    rotation_time: float = Field(
        default=ROTATION_SECONDS,
        ge=1,
        le=604_800,
        description="Seconds after which an item counts fully again. Without rotation_rate it has no effect.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=2**53 - 1,
        description="Lets items of nearly equal scores (within 5 %) trade places. The same seed gives the same list, "
        "another seed another one. Without it nothing is shuffled.",
    )
