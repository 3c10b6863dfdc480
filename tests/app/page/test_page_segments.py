import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.app.page.planted import PHONE, SHELVES, Open, Reader, shown


@pytest.fixture
def browsing(tab: Open, reader: Reader) -> Page:
    """The segment browser of anna."""
    page = tab(reader("anna"))
    shown(page)
    page.get_by_role("link", name="Segments").click()
    page.locator(".tile").first.wait_for()
    return page


def tiles(page: Page) -> list[str]:
    return page.locator(".tile-title").all_text_contents()


def test_all_segments_are_listed_first_those_the_reader_leans_to(browsing: Page, address: str) -> None:
    expect(browsing.get_by_role("heading", level=1)).to_have_text("Segments")
    expect(browsing.get_by_text(f"{len(SHELVES)} segments", exact=True)).to_be_visible()
    asked = {"user_id": "anna", "count": 1000}
    leaning = httpx.post(f"{address}/v1/segments/recommend", json=asked).json()["segments"]
    names = tiles(browsing)
    assert names[: len(leaning)] == [segment["title"] for segment in leaning]
    assert sorted(names) == sorted(f"All about {shelf}" for shelf in SHELVES)


def test_segments_are_sorted_by_title_and_by_size(browsing: Page) -> None:
    browsing.get_by_label("Sort by").select_option("Title")
    assert tiles(browsing) == sorted(tiles(browsing))
    browsing.get_by_label("Sort by").select_option("Size")
    sizes = [int(text.split()[0]) for text in browsing.locator(".tile-size").all_text_contents()]
    assert sizes == sorted(sizes, reverse=True)


def test_segments_are_found_by_title_and_by_term(browsing: Page) -> None:
    find = browsing.get_by_label("Find")
    find.fill("ABÓUT star")
    expect(browsing.locator(".tile-title")).to_have_text(["All about Starships"])
    expect(browsing.get_by_text(f"1 of {len(SHELVES)} segments")).to_be_visible()
    find.fill("plan")  # a term of all
    expect(browsing.locator(".tile-title")).to_have_count(len(SHELVES))
    find.fill("nothing of the kind")
    expect(browsing.locator(".tile-title")).to_have_count(0)


def test_a_segment_opens_by_keyboard_and_the_focus_returns(browsing: Page) -> None:
    tile = browsing.locator(".tile").filter(has_text="Gardens")
    tile.focus()
    browsing.keyboard.press("Enter")
    dialog = browsing.get_by_role("dialog", name="All about Gardens")
    expect(dialog.locator(".grid .card")).to_have_count(24)
    expect(dialog.get_by_text("40 items")).to_be_visible()
    browsing.keyboard.press("Escape")
    expect(tile).to_be_focused()


def test_the_browser_has_an_address_and_follows_the_reader(browsing: Page, reader: Reader) -> None:
    reader("ben")
    before = tiles(browsing)
    browsing.get_by_label("Reader", exact=True).select_option(label="Reader ben")
    expect(browsing.locator(".tile-title").first).not_to_have_text(before[0])
    browsing.reload()
    browsing.locator(".tile").first.wait_for()
    expect(browsing.get_by_role("link", name="Segments")).to_have_attribute("aria-current", "page")
    browsing.go_back()
    expect(browsing.locator(".tile-title").first).to_have_text(before[0])
    browsing.get_by_role("link", name="Page").click()
    expect(browsing.get_by_role("heading", level=1)).to_have_text("Homepage of anna")


def test_the_browser_fits_a_phone(tab: Open, reader: Reader) -> None:
    page = tab(f"{reader('anna')}&view=segments", **PHONE)
    page.locator(".tile").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".tile").first.tap()
    expect(page.get_by_role("dialog").locator(".grid .card").first).to_be_visible()
    assert page.get_by_role("dialog").evaluate("node => node.scrollWidth <= node.clientWidth")
