"""What the tests of the page stand on: a planted catalogue, a store that can be taken away, a real server.

Eight segments of 40 items each, with books' words; styles cross the segments, so that likes of one tell on the others.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from index import builder, publication
from index.embeddings import SparseItemEmbeddings, SparseRows
from index.groups import grouped
from index.segments import CarriedIds, FoundSegment, assemble
from index.types import JSON
from index.vocabulary import Vocabulary

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
BIN = Path(sys.executable).parent
SHELVES = ("Dragons", "Detectives", "Starships", "Kitchens", "Gardens", "Battles", "Romances", "Mountains")
PER_SHELF = 40
GROUPS = {"Far away": (0, 2, 5), "At home": (1, 3, 4, 6, 7)}
N_STYLES = 13
READERS = {"anna": ("dra-0", "dra-5", "sta-1", "kit-2"), "ben": ("bat-3", "rom-4", "mou-5", "gar-6")}
HOSTILE = "<img src=x onerror=alert(1)>"

Open = Callable[..., Page]
"""Opens an address in a browser context of its own."""

Reader = Callable[[str], str]
"""The address of the page of a reader, whose history is as new."""

# --- a planted catalogue, a store, a server, a browser ----------------------------------------------------------------


def item_ids() -> list[str]:
    return [f"{shelf[:3].lower()}-{n}" for shelf in SHELVES for n in range(PER_SHELF)]


def properties() -> list[dict[str, JSON]]:
    """Titles as books have them, one hostile; pictures of which only those of shelf Dragons can be loaded."""
    found: list[dict[str, JSON]] = []
    for shelf in SHELVES:
        host = "pictures.example" if shelf == "Dragons" else "gone.example"
        for n in range(PER_SHELF):
            title = f"{HOSTILE} of {shelf}" if n == 7 else f"{shelf} and Plan {n} (The {shelf} Cycle)"
            found.append(
                {
                    "title": title,
                    "authors": f"Ada {shelf}",
                    "year": 1950 + n,
                    "image_url": f"https://{host}/{shelf}-{n}.gif",
                }
            )
    return found


def embeddings(step: int) -> SparseItemEmbeddings:
    """Each item: its shelf's dimension, and one of a few styles that cross the shelves, dealt out in steps."""
    shelf, n = np.divmod(np.arange(len(SHELVES) * PER_SHELF), PER_SHELF)
    dims = np.stack([shelf, len(SHELVES) + n // step % N_STYLES], axis=1).astype(np.uint16)
    values = np.tile(np.array([0.8, 0.6], np.float32), (len(dims), 1))
    n_dims = len(SHELVES) + N_STYLES
    decoder = SparseRows(np.arange(0, dims.size + 1, 2, dtype=np.int64), dims.ravel(), values.ravel(), n_dims)
    return SparseItemEmbeddings(
        Vocabulary.build(item_ids()), decoder, None, "tied", None, "latents", {"model": "planted"}
    )


def publish(root: Path, more_popular: float, step: int = 1) -> str:
    """A snapshot whose segments are the shelves; another `more_popular` or `step` makes another version."""
    planted = embeddings(step)
    found = []
    for number in range(len(SHELVES)):
        centroid = np.zeros(planted.n_dims, np.float32)
        centroid[number] = 1
        items = np.arange(number * PER_SHELF, (number + 1) * PER_SHELF, dtype=np.int32)
        found.append(FoundSegment(((number, 1),), items, np.full(PER_SHELF, 0.8, np.float32), centroid))
    carried = CarriedIds(tuple(f"s{number}" for number in range(len(SHELVES))), frozenset())
    segments = assemble(
        found,
        carried,
        [f"All about {shelf}" for shelf in SHELVES],
        [[shelf.lower(), "plan"] for shelf in SHELVES],
        planted.n_dims,
    )
    segments = grouped(segments, list(GROUPS.values()), list(GROUPS), None)
    popularity = np.arange(planted.n_items, 0, -1, dtype=np.float32) + np.float32(more_popular)
    version = builder.build(root, embeddings=planted, properties=properties(), popularity=popularity, segments=segments)
    assert publication.publish(root, version)
    return version


class Store:
    """A redis-server of its own that can be taken away and brought back."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.line = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--dir",
            str(folder),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.line, stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.socket), "redis-server did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


def answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(address))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def wait_until(ready: Callable[[], bool], complaint: str) -> None:
    for _ in range(300):
        if ready():
            return
        time.sleep(0.05)
    pytest.fail(complaint)


@contextmanager
def serving(folder: Path, store: Store, **more: str) -> Iterator[str]:
    """A real server over folder/snapshots, with `more` in its environment; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "SPARROW_REDIS_URL": f"unix://{store.socket}",
        "SPARROW_EXAMPLE_USERS": ",".join(READERS),
        **more,
    }
    line = [str(BIN / "sparrow-serve"), "--port", str(port)]
    line += ["--snapshots", str(folder / "snapshots"), "--data", str(folder / "data")]
    address = f"http://127.0.0.1:{port}"
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(line, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            wait_until(lambda: alive(address), "sparrow-serve did not start")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=15)


def alive(address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez").status_code == 200
    except httpx.TransportError:
        return False


def cards(page: Page) -> Locator:
    return page.locator("#shelves .card")


def shown(page: Page) -> list[str]:
    """Item ids on the page, in reading order, once the rows are there."""
    expect(page.locator("#shelves")).to_have_attribute("aria-busy", "false")
    cards(page).first.wait_for()
    found: list[str] = cards(page).evaluate_all("nodes => nodes.map(node => node.dataset.item)")
    return found


def first_title(page: Page) -> str:
    return cards(page).first.locator(".card-title").inner_text()


def forgive(complaints: list[str], expected: str) -> None:
    """Take away what Chromium says about requests that this test made fail."""
    complaints[:] = [
        complaint for complaint in complaints if not ("Failed to load resource" in complaint and expected in complaint)
    ]
