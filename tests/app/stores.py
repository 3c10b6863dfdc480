"""User stores for tests: their settings, and opening and closing them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.metrics import Metrics
from app.settings import Settings
from app.store.users import Users


def settings_of(redis_url: str, **changed: Any) -> Settings:
    """With a patient store: on two noisy cores no test may turn red because a machine was slow."""
    return Settings.model_validate({"redis_url": redis_url, "store_timeout_ms": 10_000, **changed})


def logging_of(redis_url: str, **changed: Any) -> Settings:
    """The same with an event log."""
    return settings_of(redis_url, **{"event_log": True, **changed})


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Users]:
    """The store, closed at the end."""
    users = Users(settings, Metrics())
    try:
        yield users
    finally:
        await users.close()
