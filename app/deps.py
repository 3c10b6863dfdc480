"""What routes ask for: everything lives in the application that `create_app` made, nothing in modules."""

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from fastapi import BackgroundTasks, Depends, Request
from starlette.datastructures import State

from app.cursors import Cursors
from app.deadline import Deadline
from app.editing import Editing
from app.inquiry import Inquiry, KnownUser, note_served, read_user, read_users
from app.live_index import LiveIndex
from app.metrics import Metrics
from app.schemas.retrieval import HomepageRequest, ItemHit, RecommendRequest
from app.schemas.serving import Served
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


async def _editing(request: Request) -> Editing:
    found: Editing = request.app.state.editing
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
EditingDep = Annotated[Editing, Depends(_editing)]
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
    after: BackgroundTasks
    """What is done when the answer is out."""
    live_index: LiveIndex
    deadline: Deadline
    cursors: Cursors

    async def of(self, body: Served) -> "Asking":
        """The same for one request, or one whole batch: by the version and the deadline that it asks for.

        Raises what `LiveIndex.named` raises.
        """
        version, deadline_ms = body.index_version, body.deadline_ms
        if version is None and deadline_ms is None:
            return self
        return self._replace(
            snapshot=self.snapshot if version is None else await self.live_index.named(version),
            deadline=self.deadline if deadline_ms is None else Deadline(self.timings.start + deadline_ms / 1000),
        )

    async def about(self, user_id: str | None, *, served: bool = False) -> Inquiry:
        """Read the user; the inquiry that the answer is made of. `served`: what rotation needs is read as well."""
        user = await read_user(user_id, self.users, self.timings, self.deadline, served=served)
        return self._inquiry(user)

    async def about_each(self, user_ids: Sequence[str | None], *, served: bool = False) -> list[Inquiry]:
        """As `about` for several users, who are read in one round trip."""
        users = await read_users(user_ids, self.users, self.timings, self.deadline, served=served)
        return [self._inquiry(user) for user in users]

    def _inquiry(self, user: KnownUser) -> Inquiry:
        return Inquiry(self.snapshot, self.settings, self.timings, user, self.cursors, self.deadline)

    def remember(self, asked: RecommendRequest | HomepageRequest, items: Iterable[ItemHit]) -> None:
        """Note what the answer gives, once it is out, where it was asked for with rotation."""
        if asked.rotation_rate and asked.user_id is not None:
            self.after.add_task(note_served, asked.user_id, [item.item_id for item in items], self.users)


async def _asking(request: Request, after: BackgroundTasks) -> Asking:
    return asking_of(request.app.state, request.state.timings, after)


def asking_of(state: State, timings: Timings, after: BackgroundTasks) -> Asking:
    """What a request of retrieval needs, of what the application keeps; raises NothingPublished."""
    settings, live_index = state.settings, state.live_index
    deadline = Deadline(timings.start + settings.deadline_ms / 1000)
    return Asking(live_index.snapshot, state.users, settings, timings, after, live_index, deadline, state.cursors)


AskingDep = Annotated[Asking, Depends(_asking)]
"""503 where nothing is published."""
