"""What the tests of the service share: a real redis-server, a small published snapshot, the application itself.

Asynchronous tests carry `pytest.mark.anyio`; the fixtures below give them one event loop each.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.main import create_app
from app.settings import Settings
from app.store.binary import candidates, find_binary
from index.builder import build
from index.embeddings import SparseItemEmbeddings
from index.groups import grouped
from index.publication import publish
from index.segments import CarriedIds, FoundSegment, assemble
from index.snapshot import Snapshot, open_snapshot
from index.sparse import SparseRows
from index.types import JSON, Float32, Int32
from index.vocabulary import Vocabulary

SHELVES = {
    "Fantasy": ("The Fellowship of the Ring", "A Wizard of Earthsea", "The Name of the Wind", "Assassin's Apprentice",
                "The Last Unicorn", "The Once and Future King", "Jonathan Strange", "Howl's Moving Castle"),
    "Science fiction": ("Dune", "The Left Hand of Darkness", "Neuromancer", "Hyperion", "Solaris", "Foundation",
                        "A Fire Upon the Deep", "The Dispossessed"),
    "Mystery": ("The Big Sleep", "Gaudy Night", "The Moonstone", "In the Woods", "The Name of the Rose",
                "And Then There Were None", "The Maltese Falcon", "Rebecca"),
    "Classics": ("Pride and Prejudice", "Middlemarch", "Jane Eyre", "Moby-Dick", "Great Expectations",
                 "Anna Karenina", "The Trial", "Wuthering Heights"),
}  # fmt: skip
"""Real titles, eight a taste; the books of a taste are alike and of different tastes are not."""

BOOKS = [(title, shelf) for shelf, titles in SHELVES.items() for title in titles]
ITEM_IDS = [f"book-{number}" for number in range(len(BOOKS))]
N_DIMS = 16


class RedisServer:
    """A redis-server of the tests on a unix socket, which can be stopped and started again."""

    def __init__(self, binary: Path | None = None) -> None:
        self.binary = binary or find_binary().path
        self.folder = Path(tempfile.mkdtemp(prefix="sparrow-test-"))
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), protocol=2, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        line = [str(self.binary), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        self._process = subprocess.Popen([*line, "--save", "", "--logfile", str(self.folder / "log")])
        for _ in range(200):
            try:
                with self.client() as client:
                    client.ping()
                    return
            except (OSError, RedisError):
                time.sleep(0.02)
        raise AssertionError(f"redis-server did not start: {(self.folder / 'log').read_text()}")

    def freeze(self) -> None:
        """It holds its connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As by a crash: nothing is saved."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(_shared_redis: RedisServer) -> str:
    """A real and empty redis-server."""
    with _shared_redis.client() as client:
        client.flushall()
    return _shared_redis.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """To look into the server of `redis_url`."""
    with Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A server of the test's own, to stop and start."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=list(candidates()), ids=str)
def any_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Every redis-server of this machine: that of PATH, and the oldest that is supported, which a wheel ships."""
    with RedisServer(request.param) as server:
        yield server


def _decoder() -> SparseRows:
    """Rows of unit length: a dimension for the taste, and weaker ones that books of other tastes share."""
    dense = np.zeros((len(BOOKS), N_DIMS), dtype=np.float32)
    for item in range(len(BOOKS)):
        dense[item, item // 8] = 1.0 + 0.05 * (item % 8)
        dense[item, 4 + item % 4] = 0.3
        dense[item, 8 + item % 7] = -0.1 if item % 2 else 0.2
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    rows, dims = dense.nonzero()
    starts = np.searchsorted(rows, np.arange(len(BOOKS) + 1))
    return SparseRows.from_csr(starts, dims, dense[rows, dims], N_DIMS)


def _found(decoder: SparseRows, shelf: int) -> FoundSegment:
    rows = np.array([decoder.dense_row(item) for item in range(8 * shelf, 8 * shelf + 8)])
    centroid: Float32 = rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0))
    strengths = (rows @ centroid).astype(np.float32)
    order = np.argsort(-strengths, kind="stable")
    items = (8 * shelf + order).astype(np.int32)
    return FoundSegment(((shelf, 1),), items, np.minimum(strengths[order], np.float32(1)), centroid)


def _build_books(root: Path, item_ids: Sequence[str] = ITEM_IDS) -> str:
    """Store a snapshot of the 32 books under `root` and return its version."""
    decoder = _decoder()
    provenance: dict[str, Any] = {"model": "planted"}
    embeddings = SparseItemEmbeddings(
        items=Vocabulary.build(item_ids),
        decoder=decoder,
        item_scale=None,
        encoder="tied",
        query_dims=None,
        dims_are="latents",
        provenance=provenance,
    )
    found = [_found(decoder, shelf) for shelf in range(len(SHELVES))]
    ids = tuple(f"s{name.lower().replace(' ', '')}" for name in SHELVES)
    segments = assemble(found, CarriedIds(ids, frozenset()), list(SHELVES), [(name,) for name in SHELVES], N_DIMS)
    segments = grouped(segments, [(0, 1), (2, 3)], ["Wonders", "This world"], None)
    properties: list[dict[str, JSON]] = [
        {"title": title, "shelf": shelf, "year": 1900 + n} for n, (title, shelf) in enumerate(BOOKS)
    ]
    popularity = np.array([100 - (7 * item) % 32 for item in range(len(BOOKS))], dtype=np.float32)
    return build(root, embeddings=embeddings, properties=properties, popularity=popularity, segments=segments)


@pytest.fixture(scope="session")
def _books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("books")
    publish(root, _build_books(root))
    return root


@pytest.fixture
def build_books() -> Callable[..., str]:
    """build_books(root, item_ids=...) stores one more snapshot and returns its version."""
    return _build_books


@pytest.fixture
def snapshots(_books: Path, tmp_path: Path) -> Path:
    """A root with one small published snapshot, the test's own."""
    return Path(shutil.copytree(_books, tmp_path / "snapshots"))


@pytest.fixture
def settings(snapshots: Path, redis_url: str, tmp_path: Path) -> Settings:
    """Of the application under test; change them by `settings.model_copy(update=...)`."""
    return Settings.model_validate(
        {
            "snapshots": snapshots,
            "redis_url": redis_url,
            "data": tmp_path / "data",
            "poll_seconds": 0.02,
            # Two noisy cores: no test may turn red because a machine was slow.
            "store_timeout_ms": 10_000,
            "deadline_ms": 60_000,
            "max_queue_ms": 60_000,
        }
    )


Serving = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serving() -> Serving:
    """For tests that need settings of their own: async with serving(settings) as client."""
    return _serving


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The application in this process, between start and end of its lifespan."""
    application = create_app(settings)
    async with application.router.lifespan_context(application), client_of(application) as client:
        yield client


def client_of(application: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://sparrow")


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP to the application, which has a snapshot and a store."""
    async with _serving(settings) as client:
        yield client


# Snapshots for the modules that know neither HTTP nor a store.


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Four tastes a to d of twenty items each, a1 the most typical and most popular, and `blank`, which has no place.

    Each taste is a segment; `Twin of a` is a second one of the less typical half of a. b19 names a
    series, b20 has a name and no title.
    """
    matrix = np.zeros((81, 8), dtype=np.float32)
    for row in range(80):
        taste, number = divmod(row, 20)
        matrix[row, 2 * taste : 2 * taste + 2] = 1.0, 0.02 * number
    for taste in range(4):  # so that tastes are not quite apart
        matrix[20 * taste + 19, (2 * taste + 2) % 8] = 0.05
    matrix = _of_unit_length(matrix)
    tastes = np.arange(80, dtype=np.int32).reshape(4, 20)
    segments = {f"Group {name}": _cluster(matrix, tastes[taste], 2 * taste) for taste, name in enumerate("abcd")}
    segments["Twin of a"] = _cluster(matrix, tastes[0, 10:], 1)
    item_ids = [f"{taste}{number}" for taste in "abcd" for number in range(1, 21)]
    properties: list[dict[str, JSON]] = [{"title": f"Title {item_id}"} for item_id in item_ids]
    properties[item_ids.index("b19")] = {"title": "Title b19 (Tales of b, #19)"}
    properties[item_ids.index("b20")] = {"name": "Name b20"}
    popularity = np.array([400 - 10 * (row % 20) - row // 20 for row in range(80)] + [0], dtype=np.float32)
    root = tmp_path_factory.mktemp("planted")
    return _stored(root, [*item_ids, "blank"], matrix, popularity, segments, [*properties, {}])


@pytest.fixture(scope="session")
def make_snapshot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Snapshot]:
    """A random snapshot of the items i0 to i39, the same for the same seed.

    Most have a shelf, some tags, and a year. In every third snapshot some signed dimensions belong to no segment.
    """
    root = tmp_path_factory.mktemp("random")

    @cache
    def make(seed: int) -> Snapshot:
        random = np.random.default_rng(seed)
        matrix = random.normal(size=(40, 8)).astype(np.float32)
        matrix[random.random((40, 8)) < 0.6] = 0
        matrix = _of_unit_length(matrix)
        members = {(dim, sign): np.flatnonzero(sign * matrix[:, dim] > 0.2) for dim in range(8) for sign in (1, -1)}
        segments = {
            f"Dim {dim}, sign {sign}": _cluster(matrix, items.astype(np.int32), dim)
            for (dim, sign), items in members.items()
            if len(items) and (seed % 3 or dim < 2)
        }
        popularity = random.integers(1, 20, 40).astype(np.float32)
        properties = [_random_properties(random) for _ in range(40)]
        return _stored(root, [f"i{row}" for row in range(40)], matrix, popularity, segments, properties)

    return make


def _random_properties(random: np.random.Generator) -> dict[str, JSON]:
    shelf: str | None = str(random.choice(["north", "south", "east"])) if random.random() < 0.8 else None
    tags: list[str] = random.choice(["a", "b", "c", "d"], int(random.integers(0, 4)), replace=False).tolist()
    return {"shelf": shelf, "tags": tags, "year": int(random.integers(1990, 2000))}


def _of_unit_length(matrix: Float32) -> Float32:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Float32 = matrix / np.maximum(lengths, np.float32(1e-9))
    return unit


def _cluster(matrix: Float32, items: Int32, dim: int) -> FoundSegment:
    """The segment of these items: strengths are cosines to their centroid."""
    (centroid,) = _of_unit_length(matrix[items].sum(axis=0, keepdims=True))
    strengths = np.clip(matrix[items] @ centroid, 1e-3, 1).astype(np.float32)
    order = np.lexsort((items, -strengths))
    return FoundSegment(((dim, 1),), items[order], strengths[order], centroid)


def _stored(
    root: Path,
    item_ids: Sequence[str],
    matrix: Float32,
    popularity: Float32,
    segments: dict[str, FoundSegment],
    properties: Sequence[dict[str, JSON]],
) -> Snapshot:
    rows, dims = matrix.nonzero()
    starts = np.searchsorted(rows, np.arange(len(matrix) + 1))
    n_dims = matrix.shape[1]
    provenance: dict[str, JSON] = {"model": "planted"}
    embeddings = SparseItemEmbeddings(
        items=Vocabulary.build(item_ids),
        decoder=SparseRows.from_csr(starts, dims, matrix[rows, dims], n_dims),
        item_scale=None,
        encoder="tied",
        query_dims=None,
        dims_are="latents",
        provenance=provenance,
    )
    ids = tuple(f"s{number}" for number in range(len(segments)))
    terms = [(title.lower(),) for title in segments]
    made = assemble(list(segments.values()), CarriedIds(ids, frozenset()), list(segments), terms, n_dims)
    version = build(root, embeddings=embeddings, properties=properties, popularity=popularity, segments=made)
    return open_snapshot(root, version)
