"""Whether the server is well, and what it serves."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """A snapshot is loaded and warm."""

    index_version: str
    store: Literal["ok", "unavailable"] = Field(
        description="unavailable: answers are made without user state (degraded), events get 503."
    )


class IndexInfo(BaseModel):
    """The manifest of the snapshot that is served, without its list of files."""

    version: str
    created_at: str
    content_hash: str
    format: int
    n_items: int
    n_dims: int
    n_nonzeros: int
    n_segments: int
    dims_are: str
    query_dims: int | None
    provenance: dict[str, Any] = Field(description="Model, recipe, data and metrics.")


class OpenVersion(IndexInfo):
    """A version that requests may be answered from."""

    current: bool = Field(description="Requests that name no index_version are answered from it.")
    before: bool = Field(description="It was current before, and stays open for requests that name it and for cursors.")
    pinned: bool = Field(description="A rollback pinned it: what is published later does not become current.")


class Versions(BaseModel):
    """The open versions."""

    versions: list[OpenVersion] = Field(description="The newest first; empty: nothing is published yet.")


class Info(BaseModel):
    """What is served, by what, and how."""

    version: str = Field(description="Of the Sparrow package.")
    index: IndexInfo | None = Field(description="null: nothing is published yet.")
    example_users: list[str] = Field(description="Users that the page offers.")
    event_weights: dict[str, float] = Field(description="Weight of an event by kind, where it carries none.")
    property_keys: list[str] = Field(description="Names of the properties that items have.")
