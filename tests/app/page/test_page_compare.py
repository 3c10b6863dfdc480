import re

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.app.page.planted import PHONE, Open, Reader, shown


def panes(page: Page) -> list[Locator]:
    """Both sides, once their rows are there."""
    both = [page.get_by_role("region", name=name) for name in ("Left page", "Right page")]
    for pane in both:
        pane.locator(".mini-open").first.wait_for()
    return both


def titles(pane: Locator) -> list[str]:
    found: list[str] = pane.locator(".mini-open").evaluate_all("nodes => nodes.map(node => node.title)")
    return found


def test_two_readers_stand_side_by_side_and_what_differs_is_marked(tab: Open, reader: Reader) -> None:
    reader("ben")
    page = tab(reader("anna"))
    shown(page)
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Side by side")
    left, right = panes(page)
    expect(left.get_by_label("Reader")).to_have_value("anna")
    expect(right.get_by_label("Reader")).to_have_value("ben")
    annas, bens = set(titles(left)), set(titles(right))
    assert annas
    assert annas != bens
    marked = left.locator(".minis .alone .mini-open").evaluate_all("nodes => nodes.map(node => node.title)")
    assert set(marked) == annas - bens
    expect(page.get_by_role("status").filter(has_text="items are on both pages")).to_contain_text(
        f"{len(annas & bens)} of {len(annas)} and {len(bens)}"
    )
    heads = [{one.inner_text().split("\n")[0] for one in pane.locator("h2").all()} for pane in (left, right)]
    alone = {one.inner_text().split("\n")[0] for one in left.locator(".mini-shelf.alone h2").all()}
    assert alone == heads[0] - heads[1]


def test_only_what_differs_can_be_asked_for(tab: Open, reader: Reader) -> None:
    reader("ben")
    page = tab(f"{reader('anna')}&view=compare&beside=anna")
    left, _ = panes(page)
    expect(page.get_by_text("of 6 and 6 rows")).to_be_visible()
    page.get_by_role("checkbox", name="Only what differs").press("Space")
    expect(left.locator(".mini-open").first).to_be_hidden()
    right = page.get_by_role("region", name="Right page")
    right.get_by_label("Reader").select_option(label="Reader ben")
    expect(left.locator(".alone .mini-open").first).to_be_visible()
    assert re.search("beside=ben", page.url)


def test_two_versions_of_the_index_stand_side_by_side_under_an_address(tab: Open, reader: Reader, address: str) -> None:
    versions = httpx.get(f"{address}/v1/versions").json()["versions"]
    current, before = (next(one["version"] for one in versions if one[role]) for role in ("current", "before"))
    page = tab(f"{reader('anna')}&view=compare&beside=anna")
    left, right = panes(page)
    assert titles(left) == titles(right)
    expect(right.get_by_label("Index").locator("option")).to_have_text(
        ["Current", *(f"{one['version']}{' (current)' if one['current'] else ''}" for one in versions)]
    )
    right.get_by_label("Index").select_option(before)
    expect(page.locator(".pane .alone").first).to_be_attached()
    left, right = panes(page)
    there = titles(right)
    assert there != titles(left)
    asked = {"user_id": "anna", "index_version": before, "include_properties": True}
    answer = httpx.post(f"{address}/v1/homepage", json=asked).json()
    assert there == [item["properties"]["title"] for row in answer["rows"] for item in row["items"]]
    again = tab(page.url)
    assert titles(panes(again)[1]) == there
    page.go_back()
    expect(page.locator(".pane .alone")).to_have_count(0)
    assert current != before


def test_a_version_that_is_no_more_says_so_on_its_side(tab: Open, reader: Reader, complaints: list[str]) -> None:
    page = tab(f"{reader('anna')}&view=compare&beside=anna&beside_version=20000101T000000Z-00000000")
    right = page.get_by_role("region", name="Right page")
    expect(right.locator(".nothing")).to_be_visible()
    expect(page.get_by_role("region", name="Left page").locator(".mini-open").first).to_be_visible()
    complaints[:] = [one for one in complaints if "Failed to load resource" not in one]


def test_an_item_of_the_other_reader_opens_with_that_readers_reasons(tab: Open, reader: Reader) -> None:
    reader("ben")
    page = tab(f"{reader('anna')}&view=compare&beside=ben")
    _, right = panes(page)
    right.locator(".mini-open").first.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile("^Mostly because of (Battles|Romances|Mountains|Gardens)"))).to_be_visible()
    expect(dialog.locator(".solid")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(right.locator(".mini-open").first).to_be_focused()


def test_on_a_phone_the_second_page_is_a_swipe_away(tab: Open, reader: Reader) -> None:
    reader("ben")
    page = tab(f"{reader('anna')}&view=compare&beside=ben", **PHONE)
    _, right = panes(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    left_edge = "node => node.getBoundingClientRect().left"
    assert right.evaluate(left_edge) > 300
    page.locator(".panes").evaluate("node => node.scrollTo(node.scrollWidth, 0)")
    assert right.evaluate(left_edge) < 60
