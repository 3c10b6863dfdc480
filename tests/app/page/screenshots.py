"""Take the pictures of the page that the documentation shows: `python -m tests.app.page.screenshots`.

Needs the bundled books as `make demo SERVE=0` publishes them, and Chromium. Nothing is loaded from elsewhere, so covers
are those that the page draws.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import typer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.app.page.planted import BIN, DESKTOP, PHONE, wait_until

N_READERS = 5
TALL = {"width": 900, "height": 1500}
COLOURS = 256
GAP = 24
GROUND = "#e5ddd2"


def main(demo: Path = Path(".demo"), out: Path = Path("app")) -> None:
    """Replace OUT/page*.png."""
    examples = (demo / "examples.txt").read_text().strip().split(",")
    with serving(demo, examples) as address, chromium() as browser:
        camera = Camera(browser, address)
        reader, *_ = readers = different(address, examples)
        save(out / "page.png", [camera.page(reader)])
        save(out / "page-readers.png", [camera.page(one, viewport=TALL) for one in readers], width=440)
        save(out / "page-steering.png", camera.steering(reader), width=960)
        save(out / "page-dark.png", [camera.page(reader, color_scheme="dark")])
        save(out / "page-compare.png", [camera.view(f"reader={reader}&view=compare&beside={readers[1]}")])
        save(out / "page-segments.png", [camera.view(f"reader={reader}&view=segments")])
        save(out / "page-phone.png", camera.phone(reader, readers[1]), width=360)


class Camera:
    """Takes pictures of views, each in a context of its own."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser, self.address = browser, address

    def open(self, query: str, ready: str, **options: Any) -> Page:
        """A page, once what `ready` selects is there."""
        context = self.browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce"} | options)
        context.route("https://**", lambda route: route.abort())
        page = context.new_page()
        for _ in range(2):  # the badge tells the time of an answer: not of the first one
            page.goto(f"{self.address}/?{query}")
        page.locator(ready).first.wait_for()
        page.wait_for_load_state("networkidle")
        return page

    def page(self, reader: str, **options: Any) -> Image.Image:
        return shot(self.open(f"reader={reader}", "#shelves .card .cover-art", **options))

    def view(self, query: str, **options: Any) -> Image.Image:
        return shot(self.open(query, ".mini-open, .tile", **options))

    def steering(self, reader: str) -> list[Image.Image]:
        """The panel as it is, and once the third segment is wanted and the first is not."""
        page = self.open(f"reader={reader}", "#shelves .card")
        page.get_by_role("button", name="Steer").click()
        page.get_by_role("slider").first.wait_for()
        before = shot(page)
        page.get_by_role("slider").nth(2).press("End")
        page.get_by_role("button", name="Never").first.click()
        page.locator(".unwanted-segment").wait_for()
        page.wait_for_load_state("networkidle")
        after = shot(page)
        page.get_by_role("button", name="Reset").click()
        page.get_by_text("Nothing is steered any more.").wait_for()
        return [before, after]

    def phone(self, reader: str, other: str) -> list[Image.Image]:
        """The page, its sliders in the dark, an item's reasons and two readers, on a phone."""
        page = self.open(f"reader={reader}", "#shelves .card", **PHONE)
        pictures = [shot(page)]
        dark = self.open(f"reader={reader}", "#shelves .card", color_scheme="dark", **PHONE)
        dark.get_by_role("button", name="Steer").click()
        dark.get_by_role("slider").first.wait_for()
        pictures.append(shot(dark))
        page.locator(".card-open").first.click()
        page.locator(".shares").first.scroll_into_view_if_needed()
        page.locator(".drawer").evaluate("node => node.scrollTo(0, node.querySelector('.why').offsetTop - 120)")
        pictures.append(shot(page))
        pictures.append(self.view(f"reader={reader}&view=compare&beside={other}", **PHONE))
        return pictures


def shot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot()))


def save(path: Path, pictures: Sequence[Image.Image], width: int | None = None) -> None:
    """One picture, or several of a `width` beside each other, in few colours: drawn covers need no more."""
    scaled = [one if width is None else one.resize((width, one.height * width // one.width)) for one in pictures]
    gap = GAP if len(scaled) > 1 else 0
    size = (sum(one.width + gap for one in scaled) - gap, max(one.height for one in scaled))
    sheet = Image.new("RGB", size, GROUND)
    for number, one in enumerate(scaled):
        sheet.paste(one, (number * (one.width + gap), 0))
    sheet.quantize(COLOURS).save(path, optimize=True)
    typer.echo(f"{path}: {size[0]} x {size[1]}, {path.stat().st_size / 1000:.0f} kB")


def different(address: str, examples: Sequence[str]) -> list[str]:
    """Readers whose pages have little in common: each the one that shares least with those before."""
    pages = {one: items(address, one) for one in examples}
    chosen = [examples[0]]
    while len(chosen) < N_READERS:
        taken = set().union(*(pages[one] for one in chosen))
        chosen.append(min((one for one in examples if one not in chosen), key=lambda one: len(pages[one] & taken)))
    return chosen


def items(address: str, reader: str) -> set[str]:
    answer = httpx.post(f"{address}/v1/homepage", json={"user_id": reader}).json()
    return {item["item_id"] for row in answer["rows"] for item in row["items"]}


@contextmanager
def serving(demo: Path, examples: Sequence[str]) -> Iterator[str]:
    """A server over the demo's snapshots with a store of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="sparrow-shots-") as folder:
        line = [str(BIN / "sparrow-serve"), "--port", str(port), "--data", folder]
        line += ["--snapshots", str(demo / "snapshots"), "--events", str(demo / "examples.jsonl")]
        environment = os.environ | {"SPARROW_EXAMPLE_USERS": ",".join(examples)}
        with subprocess.Popen(line, stdout=sys.stderr, env=environment) as process:
            try:
                wait_until(lambda: ready(address), "sparrow-serve did not become ready")
                yield address
            finally:
                process.terminate()
                process.wait(timeout=15)


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


if __name__ == "__main__":
    typer.run(main)
