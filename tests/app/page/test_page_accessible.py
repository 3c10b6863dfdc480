"""axe-core (Deque, MPL 2.0; version 4.14.1, as npm has it) finds nothing to complain about, light or dark."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.page.planted import DESKTOP, PHONE, Open, Reader, cards, shown

AXE = Path(__file__).with_name("axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """tags => axe.run({exclude: ['.cover']}, {runOnly: tags, resultTypes: ['violations']})"""  # covers are pictures


def violations(page: Page, where: str) -> list[str]:
    """What axe says about what is shown, one line a rule and place."""
    page.evaluate(AXE)
    found = page.evaluate(RUN, RULES)["violations"]
    return [f"{where}: {rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("device", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_any_view(tab: Open, reader: Reader, scheme: str, device: str) -> None:
    reader("ben")
    options = PHONE if device == "phone" else {"viewport": DESKTOP}
    page = tab(reader("anna"), color_scheme=scheme, **options)
    shown(page)
    found = violations(page, "the page")
    page.get_by_role("button", name="Steer").click()
    page.get_by_role("slider").first.press("End")
    expect(page.get_by_role("button", name="Reset")).to_be_visible()
    page.get_by_role("button", name="Never").nth(1).click()
    page.locator(".unwanted-segment").wait_for()
    found += violations(page, "sliders")
    cards(page).first.locator(".card-open").click()
    page.get_by_role("dialog").locator(".shares").first.wait_for()
    page.get_by_role("dialog").locator(".grid .card").first.wait_for()
    found += violations(page, "an item")
    page.keyboard.press("Escape")
    page.locator(".shelf-open").first.click()
    page.get_by_role("dialog").locator(".grid .card").first.wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Merge into …").click()
    page.get_by_label("Make it part of").wait_for()
    found += violations(page, "a segment")
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="Search").fill("plan")
    page.get_by_role("option").first.wait_for()
    found += violations(page, "the search")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Compare").click()
    page.locator(".mini-open").last.wait_for()
    found += violations(page, "side by side")
    page.get_by_role("link", name="Segments").click()
    page.locator(".tile").first.wait_for()
    found += violations(page, "the segment browser")
    assert not found, "\n".join(found)


def test_nothing_moves_where_the_reader_wants_no_motion(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"), reduced_motion="reduce")
    shown(page)
    cards(page).first.get_by_role("button", name="Like").click()
    expect(page.get_by_text("The page has changed.")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
