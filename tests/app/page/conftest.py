"""One store and one server for all tests of the page, a browser for those of a file."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from tests.app.page.planted import DESKTOP, READERS, Open, Store, publish, serving, wait_until

CHROMIUM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PIXEL = bytes.fromhex("47494638396102000200800000ff0000ffffff2c00000000020002000002028451003b")  # a GIF of 2 x 2


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    # A socket's path must be short: pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="sparrow-page-") as folder:
        store = Store(Path(folder))
        yield store
        store.stop()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[str]:
    """A server that has two versions of the index open."""
    folder = tmp_path_factory.mktemp("page")
    publish(folder / "snapshots", 0, step=2)
    with serving(folder, store) as address:
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 200, "the server did not become ready")
        version = publish(folder / "snapshots", 0)
        ready = f"{address}/readyz"
        wait_until(lambda: httpx.get(ready).json()["index_version"] == version, "the new version was not taken")
        yield address


@pytest.fixture(scope="module")  # while it is open, its event loop is in the way of whoever wants one
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "the tests of the page need Chromium: install the package 'chromium'"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM.split())
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the console said that it should not have said."""
    return []


@pytest.fixture
def tab(browser: Browser, complaints: list[str]) -> Iterator[Open]:
    """Opens pages, each in a context of its own; afterwards their consoles may hold no error."""
    contexts: list[BrowserContext] = []

    def listen(message: ConsoleMessage) -> None:
        # What the test keeps from being loaded is the test's doing.
        if message.type in ("error", "warning") and ".example/" not in message.location.get("url", ""):
            complaints.append(message.text)

    def open_page(url: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce"} | options)
        contexts.append(context)
        context.set_default_timeout(8000)
        context.route(re.compile(r"https://.*\.example/"), picture)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def picture(route: Route) -> None:
    if "pictures.example" in route.request.url:
        route.fulfill(body=PIXEL, content_type="image/gif")
    else:
        route.abort()


@pytest.fixture
def reader(address: str) -> Iterator[Callable[[str], str]]:
    """The address of the page of an example reader, whose history is as new afterwards."""
    used: list[str] = []

    def as_new(name: str) -> str:
        httpx.delete(f"{address}/v1/users/{name}")
        events = [{"user_id": name, "item_id": item, "kind": "like"} for item in READERS[name]]
        assert httpx.post(f"{address}/v1/events", json={"events": events}).status_code == 202
        used.append(name)
        return f"{address}/?reader={name}"

    yield as_new
    for name in used:
        httpx.delete(f"{address}/v1/users/{name}")
