"""A typed client of Sparrow's HTTP API: sync and async, with time-outs, retries and batches of events."""

from sparrow_client import answers, asked
from sparrow_client.async_client import AsyncClient
from sparrow_client.buffer import AsyncEventBuffer, EventBuffer
from sparrow_client.client import Client
from sparrow_client.errors import FieldError, Problem, SparrowError, Unreachable
from sparrow_client.retrying import Retrying

__all__ = [
    "AsyncClient",
    "AsyncEventBuffer",
    "Client",
    "EventBuffer",
    "FieldError",
    "Problem",
    "Retrying",
    "SparrowError",
    "Unreachable",
    "answers",
    "asked",
]
