"""What the service is measured beside: endpoints of the same framework and server that do next to nothing.

    /empty   a FastAPI endpoint as anyone would write it: a model for the body, and one for the answer, which is always
             the same and has the size of ours. No middleware
    /get     the same, after one GET from Redis of as many bytes as a user's state has, by redis-py and its pool
    /bare    no model: the body is not looked at, the answer is bytes that were made before. Nothing can be faster

python -m benchmarks.serving.plain PORT REDIS_URL ANSWER.json
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel
from redis.asyncio import Redis

from app.server import KEEP_ALIVE_SECONDS

MAX_CONNECTIONS = 1000
"""Of the pool: its own default refuses more than a hundred at a time."""

KEY = b"plain"
"""What is read from Redis."""


class Body(BaseModel):
    """As ours, without what a request leaves out."""

    user_id: str
    count: int = 10


class Item(BaseModel):
    """As ours."""

    item_id: str
    score: float


class Answer(BaseModel):
    """As ours."""

    recomm_id: str
    index_version: str
    took_ms: float
    degraded: bool
    warnings: list[str]
    items: list[Item]
    rest: str = ""


def create_app(redis_url: str, content: bytes) -> FastAPI:
    """The application; `content` is an answer of ours."""
    redis: Redis = Redis.from_url(redis_url, max_connections=MAX_CONNECTIONS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await redis.aclose()

    application = FastAPI(lifespan=lifespan)
    answer = of_size(content)

    @application.post("/empty")
    async def post_empty(body: Body) -> Answer:  # noqa: ARG001  (reading it is what is measured)
        return answer

    @application.post("/get")
    async def post_get(body: Body) -> Answer:  # noqa: ARG001
        await redis.get(KEY)
        return answer

    @application.post("/bare")
    async def post_bare() -> Response:
        return Response(content, media_type="application/json")

    return application


def of_size(content: bytes) -> Answer:
    """The answer of as many bytes, without what only ours has."""
    answer = Answer.model_validate_json(content)
    missing = len(content) - len(answer.model_dump_json())
    return answer.model_copy(update={"rest": "x" * max(0, missing)})


def main(port: str, redis_url: str, path: str) -> None:
    """Serve until told to end."""
    application = create_app(redis_url, Path(path).read_bytes())
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
