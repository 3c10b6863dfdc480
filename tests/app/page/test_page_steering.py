import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app.page.planted import PHONE, Open, Reader, Store, cards, first_title, forgive, shown


@pytest.fixture
def stored(address: str) -> Callable[[str], object]:
    """What the server keeps of a reader's steering."""
    return lambda reader: httpx.get(f"{address}/v1/users/{reader}").json()["steering"]


Stored = Callable[[str], object]


def entry(page: Page, title: str) -> Locator:
    """A segment in the panel."""
    return page.get_by_role("complementary", name="Why this page").get_by_role("listitem").filter(has_text=title)


def steering_panel(page: Page) -> Locator:
    """The panel with its sliders open."""
    shown(page)
    page.get_by_role("button", name="Steer").click()
    panel = page.get_by_role("complementary", name="Why this page")
    panel.get_by_role("slider").first.wait_for()
    return panel


def share(page: Page, prefix: str) -> float:
    """Of the top picks."""
    shown(page)
    picks = page.locator("#shelves .shelf").first.locator(".card")
    return picks.and_(page.locator(f"[data-item^={prefix}]")).count() / picks.count()


def test_a_slider_changes_the_page_at_once_and_is_kept(tab: Open, reader: Reader, stored: Stored) -> None:
    page = tab(reader("anna"))
    panel = steering_panel(page)
    before = share(page, "kit")
    slider = entry(page, "Kitchens").get_by_role("slider", name="How much of All about Kitchens")
    expect(slider).to_have_attribute("aria-valuetext", "as it is")
    slider.focus()
    page.keyboard.press("End")
    expect(entry(page, "Kitchens")).to_contain_text("much more")
    expect(slider).to_be_focused()
    expect(panel.get_by_role("button", name="Reset")).to_be_visible()
    assert stored("anna") == {"s3": 1}
    assert share(page, "kit") > before
    page.reload()
    shown(page)
    expect(slider).to_have_value("1")
    expect(slider).to_have_attribute("aria-valuetext", "much more (1)")
    page.get_by_role("button", name="Steer").click()
    expect(slider).to_have_count(0)
    expect(entry(page, "Kitchens")).to_contain_text("much more")


def test_a_drag_stores_where_it_ends(tab: Open, reader: Reader, stored: Stored) -> None:
    page = tab(reader("anna"))
    steering_panel(page)
    slider = entry(page, "Starships").get_by_role("slider")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    for step in range(1, 12):
        page.mouse.move(box["x"] + box["width"] * (0.5 + step / 20), middle)
    page.mouse.up()
    expect(entry(page, "Starships")).to_contain_text("much more")
    expect(page.get_by_role("button", name="Reset")).to_be_visible()
    expect(slider).to_have_value("1")
    page.wait_for_load_state("networkidle")
    assert stored("anna") == {"s2": 1}


def test_never_leaves_a_segment_out_until_it_is_allowed_again(tab: Open, reader: Reader, stored: Stored) -> None:
    page = tab(reader("anna"))
    steering_panel(page)
    assert share(page, "dra") > 0
    never = entry(page, "Dragons").get_by_role("button", name="Never All about Dragons")
    never.click()
    expect(never).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#shelves .card[data-item^=dra]")).to_have_count(0)
    expect(entry(page, "Dragons").get_by_role("slider")).to_be_disabled()
    expect(entry(page, "Dragons")).to_contain_text("never")
    assert stored("anna") == {"s0": "never"}
    page.reload()
    shown(page)
    expect(never).to_have_attribute("aria-pressed", "true")
    never.click()
    expect(page.locator("#shelves .card[data-item^=dra]")).not_to_have_count(0)
    assert stored("anna") == {}


def test_what_is_steered_and_not_active_stays_listed(tab: Open, reader: Reader, address: str) -> None:
    url = reader("anna")
    body = {"steering": {"s5": -0.6, "gone": 0.4}}
    assert httpx.put(f"{address}/v1/users/anna/steering", json=body).status_code == 200
    active = httpx.post(f"{address}/v1/segments/recommend", json={"user_id": "anna"}).json()["segments"]
    assert "s5" not in [segment["segment_id"] for segment in active]
    page = tab(url)
    shown(page)
    expect(entry(page, "All about Battles")).to_contain_text("less")
    expect(entry(page, "A segment that this index does not have")).to_contain_text("more")


def test_a_reset_forgets_all_and_can_be_undone(tab: Open, reader: Reader, address: str, stored: Stored) -> None:
    url = reader("anna")
    steering = {"s1": 0.8, "s0": "never"}
    assert httpx.put(f"{address}/v1/users/anna/steering", json={"steering": steering}).status_code == 200
    page = tab(url)
    shown(page)
    reset = page.get_by_role("button", name="Reset")
    reset.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing is steered any more.")).to_be_visible()
    expect(reset).to_be_hidden()
    expect(page.get_by_role("button", name="Steer")).to_be_focused()
    assert stored("anna") == {}
    page.keyboard.press("Control+z")
    expect(reset).to_be_visible()
    assert stored("anna") == steering


@pytest.mark.parametrize(("name", "strength"), [("More", 0.2), ("Less", -0.2)])
def test_more_or_less_of_a_row_is_one_step_and_can_be_undone(
    tab: Open, reader: Reader, stored: Stored, name: str, strength: float
) -> None:
    page = tab(reader("anna"))
    before = shown(page)
    button = page.get_by_role("button", name=re.compile(f"^{name} like All about")).last
    title = (button.get_attribute("aria-label") or "").removeprefix(f"{name} like ")
    button.click()
    toast = page.locator(".toast").filter(has_text=f"{name} like {title}. The page ")
    expect(toast).to_be_visible()
    assert list(stored("anna").values()) == [strength]  # type: ignore[attr-defined]
    assert (shown(page) != before) == ("has changed" in toast.inner_text())
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Reset")).to_be_hidden()
    assert stored("anna") == {}
    assert shown(page) == before


def test_keys_of_a_card_say_more_or_less_of_its_row(tab: Open, reader: Reader, stored: Stored) -> None:
    page = tab(reader("anna"))
    shown(page)
    rows = page.locator("#shelves .shelf").filter(has=page.get_by_role("button", name=re.compile("^More like")))
    row = page.locator(f"[data-row='{rows.first.get_attribute('data-row')}']")
    row.locator(".card-open").first.focus()
    page.keyboard.press("+")
    expect(
        page.get_by_text(re.compile("^More like All about .* The page (has changed|stays as it is)"))
    ).to_be_visible()
    row.locator(".card.current .card-open").focus()
    page.keyboard.press("-")
    expect(page.get_by_role("button", name="Reset")).to_be_hidden()
    assert stored("anna") == {}
    page.locator("#shelves .card-open").first.focus()  # of no segment: nothing to say
    page.keyboard.press("+")
    page.wait_for_load_state("networkidle")
    assert stored("anna") == {}


def test_a_visitor_without_a_history_steers_too(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    page.get_by_label("Reader").select_option(label="You")
    panel = steering_panel(page)
    title = panel.locator(".segment-title").first.inner_text()
    panel.get_by_role("slider").first.press("End")
    expect(entry(page, title)).to_contain_text("much more")
    expect(panel.get_by_role("button", name="Reset")).to_be_visible()
    page.reload()
    expect(entry(page, title)).to_contain_text("much more")
    panel.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("Nothing is steered any more.")).to_be_visible()


def test_what_cannot_be_stored_is_said_and_taken_back(
    tab: Open, reader: Reader, store: Store, complaints: list[str]
) -> None:
    page = tab(reader("anna"))
    steering_panel(page)
    slider = entry(page, "Dragons").get_by_role("slider")
    store.stop()
    try:
        slider.press("End")
        expect(page.locator(".toast.bad")).to_be_visible()
    finally:
        store.start()
    forgive(complaints, "503")


# --- why --------------------------------------------------------------------------------------------------------------


def test_an_item_says_why_it_is_here(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    title = first_title(page)
    cards(page).first.locator(".card-open").click()
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog.get_by_role("heading", name="Why this one")).to_be_visible()
    expect(dialog.get_by_text(re.compile("^Mostly because of .* and Plan "))).to_be_visible()
    shares = dialog.locator(".shares").first.locator(".segment-score").all_inner_texts()
    percents = [int(text.removesuffix(" %")) for text in shares]
    assert percents == sorted(percents, reverse=True)
    assert 0 < sum(percents) <= 101
    dialog.locator(".shares button").first.click()
    segment = page.get_by_role("dialog", name=re.compile("^All about"))
    expect(segment.get_by_role("slider")).to_be_visible()


def test_an_item_for_nobody_in_particular_says_that(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    page.get_by_label("Reader").select_option(label="You")
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    cards(page).first.locator(".card-open").click()
    expect(page.get_by_role("dialog").get_by_text("it is what everybody likes")).to_be_visible()


def test_a_row_of_a_segment_opens_it_and_its_slider_steers(tab: Open, reader: Reader, stored: Stored) -> None:
    page = tab(reader("anna"))
    shown(page)
    title = page.locator(".shelf-open").first
    name = title.inner_text()
    title.click()
    dialog = page.get_by_role("dialog", name=name)
    dialog.get_by_role("slider").press("Home")
    expect(dialog.get_by_role("slider")).to_have_attribute("aria-valuetext", "much less (-1)")
    page.keyboard.press("Escape")
    expect(entry(page, name)).to_contain_text("much less")
    assert list(stored("anna").values()) == [-1]  # type: ignore[attr-defined]


def test_a_thumb_steers_and_the_panel_fits_a_phone(tab: Open, reader: Reader, stored: Stored) -> None:
    page = tab(reader("anna"), **PHONE)
    shown(page)
    page.get_by_role("button", name="Steer").tap()
    slider = entry(page, "Kitchens").get_by_role("slider")
    box = slider.bounding_box()
    assert box is not None
    slider.tap(position={"x": box["width"] - 2, "y": box["height"] / 2})
    expect(entry(page, "Kitchens")).to_contain_text("much more")
    entry(page, "Dragons").get_by_role("button", name="Never").tap()
    expect(page.locator("#shelves .card[data-item^=dra]")).to_have_count(0)
    assert stored("anna") == {"s3": 1, "s0": "never"}
    assert page.evaluate("document.documentElement.scrollWidth") == 390
