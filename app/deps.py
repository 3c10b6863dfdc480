"""What routes ask for: everything lives in the application that `create_app` made, nothing in modules."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from app.inquiry import Inquiry, read_user
from app.live_index import LiveIndex
from app.metrics import Metrics
from app.settings import Settings
from app.store.users import Users
from app.telemetry import Timings
from index.snapshot import Snapshot

# async although they wait for nothing: FastAPI would run plain functions in a thread each.


async def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


async def _metrics(request: Request) -> Metrics:
    found: Metrics = request.app.state.metrics
    return found


async def _live_index(request: Request) -> LiveIndex:
    found: LiveIndex = request.app.state.live_index
    return found


async def _users(request: Request) -> Users:
    found: Users = request.app.state.users
    return found


async def _timings(request: Request) -> Timings:
    found: Timings = request.state.timings
    return found


SettingsDep = Annotated[Settings, Depends(_settings)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
LiveIndexDep = Annotated[LiveIndex, Depends(_live_index)]
UsersDep = Annotated[Users, Depends(_users)]
TimingsDep = Annotated[Timings, Depends(_timings)]


async def _snapshot(live_index: LiveIndexDep) -> Snapshot:
    return live_index.snapshot


SnapshotDep = Annotated[Snapshot, Depends(_snapshot)]
"""The snapshot of the whole request; 503 where nothing is published."""


class Asking(NamedTuple):
    """What a route of retrieval needs, as one dependency: FastAPI takes its time for each."""

    snapshot: Snapshot
    users: Users
    settings: Settings
    timings: Timings

    async def about(self, user_id: str | None) -> Inquiry:
        """Read the user; the inquiry that the answer is made of."""
        user = await read_user(user_id, self.users, self.timings)
        return Inquiry(self.snapshot, self.settings, self.timings, user)


async def _asking(request: Request) -> Asking:
    state = request.app.state
    return Asking(state.live_index.snapshot, state.users, state.settings, request.state.timings)


AskingDep = Annotated[Asking, Depends(_asking)]
"""503 where nothing is published."""
