import re
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, expect

from app import keys
from tests.app.page.planted import (
    HOSTILE,
    READERS,
    Open,
    Reader,
    Store,
    cards,
    first_title,
    forgive,
    publish,
    serving,
    shown,
    wait_until,
)

# --- what a person sees -----------------------------------------------------------------------------------------------


def test_a_reader_sees_titled_rows_and_no_item_twice(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    items = shown(page)
    assert len(items) == len(set(items))
    assert not set(items) & set(READERS["anna"])
    titles = page.locator("#shelves .shelf h2").all_inner_texts()
    assert len(titles) >= 5
    assert all(titles)
    assert len(set(titles)) == len(titles)
    expect(page.get_by_role("heading", level=1)).to_have_text("Homepage of anna")
    expect(page.locator(".strip .bead-title").first).to_have_text("Kitchens and Plan 2")
    expect(page.locator("#badge")).to_contain_text("ms")


def test_the_first_load_is_few_requests(tab: Open, reader: Reader, address: str) -> None:
    page = tab("about:blank")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.resource_type != "image" else None)
    page.goto(reader("anna"))
    shown(page)
    page.wait_for_load_state("networkidle")
    assert all(url.startswith((address, "data:")) for url in requests)
    own = [url for url in requests if url.startswith(address)]
    assert len(own) <= 10, "\n".join(own)


def test_a_like_changes_the_rows_at_once_and_the_page_does_not_jump(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    before = shown(page)
    card = page.locator("#shelves .shelf").nth(2).locator(".card").nth(1)
    card.scroll_into_view_if_needed()
    item, title = card.get_attribute("data-item"), card.locator(".card-title").inner_text()
    height = page.evaluate("scrollY")
    assert height > 0
    card.get_by_role("button", name=f"Like {title}").click()
    expect(page.get_by_role("status").filter(has_text=f"Liked {title}. The page has changed.")).to_be_visible()
    after = shown(page)
    assert item not in after
    assert after != [other for other in before if other != item], (
        "the rows follow the like, they do not only lose an item"
    )
    expect(page.locator(".strip .bead-title").first).to_have_text(title)
    assert page.evaluate("scrollY") == height


def test_what_is_hidden_never_comes_back(tab: Open, reader: Reader) -> None:
    page = tab(reader("ben"))
    title = first_title(page)
    item = shown(page)[0]
    cards(page).first.get_by_role("button", name=f"Hide {title}").click()
    expect(page.get_by_text(f"Hid {title}. The page has changed.")).to_be_visible()
    assert item not in shown(page)
    expect(page.locator(".history")).to_contain_text("1 hidden")
    page.reload()
    assert item not in shown(page)


def test_a_history_from_nothing_by_keyboard_and_by_click(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    shown(page)
    page.get_by_role("button", name="Start your own").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your homepage")
    expect(page.get_by_label("Reader").locator("option:checked")).to_have_text("You")
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    popular = shown(page)

    page.keyboard.press("/")
    page.keyboard.type("starships plan 3")
    results = page.get_by_role("listbox", name="Search results").get_by_role("option")
    expect(results.first).to_contain_text("Starships and Plan 3")
    page.keyboard.press("ArrowDown")
    expect(results.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator(".bead")).to_have_count(1)
    expect(page.locator("#search-results")).to_be_hidden()
    assert shown(page) != popular
    expect(page.locator("#shelves .shelf h2").first).to_contain_text("Top picks")

    page.locator(".bead").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Liked", exact=True)).to_be_disabled()
    page.keyboard.press("Escape")

    page.get_by_role("combobox", name="Search").fill("ada gardens")
    results.nth(2).click()
    expect(page.locator(".bead")).to_have_count(2)
    assert set(page.locator(".track").evaluate_all("nodes => nodes.map(node => node.scrollLeft)")) == {0}
    page.reload()
    expect(page.locator(".bead")).to_have_count(2)
    expect(page.locator(".bead-by").first).to_have_text("Ada Gardens")

    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    assert shown(page) == popular


def test_a_search_that_finds_nothing_says_so(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    search = page.get_by_role("combobox", name="Search")
    search.fill("zzzz")
    expect(page.get_by_text("Nothing is called “zzzz”.")).to_be_visible()
    search.press("Escape")
    expect(page.get_by_text("Nothing is called")).to_be_hidden()


def test_the_search_marks_what_is_liked_however_long_ago(tab: Open, reader: Reader, address: str) -> None:
    url = reader("anna")
    kinds = {"sta-20": "like", "sta-21": "view"} | {f"kit-{n}": "like" for n in range(20, 34)}
    now = time.time()
    events = [
        {"user_id": "anna", "item_id": item, "kind": kind, "timestamp": now - 60 + n}
        for n, (item, kind) in enumerate(kinds.items())
    ]
    httpx.delete(f"{address}/v1/users/anna")
    assert httpx.post(f"{address}/v1/events", json={"events": events}).status_code == 202
    page = tab(url)
    expect(page.locator(".more")).to_have_text(f"and {len(kinds) - 12} more")
    for item, mark in (
        ("Starships and Plan 20", "Liked"),
        ("Starships and Plan 21", "Like"),
        ("Kitchens and Plan 33", "Liked"),
    ):
        page.get_by_role("combobox", name="Search").fill(item)
        expect(page.locator(".result-title")).to_contain_text([item])
        expect(page.locator(".result-do")).to_have_text([mark])


def test_enter_never_takes_a_result_of_older_words(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    search = page.get_by_role("combobox", name="Search")
    search.fill("plan")
    results = page.get_by_role("listbox", name="Search results").get_by_role("option")
    expect(results.first).to_have_attribute("aria-selected", "true")
    page.clock.install(time=0)
    page.clock.pause_at(1)  # no timer of the page runs from here on, so the words below are not looked up yet at Enter
    search.press("End")
    page.keyboard.type(" gardens 3")
    expect(results.first).to_have_attribute("aria-selected", "false")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Liked Gardens and Plan 3. The page has changed.")).to_be_visible()
    expect(page.locator(".strip .bead-title").first).to_have_text("Gardens and Plan 3")
    expect(page.locator(".bead")).to_have_count(len(READERS["anna"]) + 1)
    expect(search).to_have_value("")


def test_the_picker_switches_the_reader_and_back_returns(tab: Open, reader: Reader) -> None:
    reader("ben")
    page = tab(reader("anna"))
    annas = shown(page)
    page.get_by_label("Reader").select_option(label="Reader ben")
    expect(page.get_by_role("heading", level=1)).to_have_text("Homepage of ben")
    expect(page.locator(".strip .bead-title").first).to_have_text("Gardens and Plan 6")
    assert shown(page) != annas
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Homepage of anna")
    expect(page.locator(".strip .bead-title").first).to_have_text("Kitchens and Plan 2")
    assert shown(page) == annas


def test_a_cover_is_drawn_where_the_picture_cannot_load(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    shown(page)
    missing = page.locator(".card[data-item^=kit] .cover").first
    missing.scroll_into_view_if_needed()
    expect(missing.locator("img")).to_have_count(0)
    expect(missing.locator(".cover-title")).to_be_visible()
    assert missing.locator("svg *").count() > 3
    loaded = page.locator(".card[data-item^=dra] .cover").first
    loaded.scroll_into_view_if_needed()
    expect(loaded).to_have_class(re.compile("pictured"))
    expect(loaded.locator(".cover-title")).to_be_hidden()


def test_covers_of_an_item_look_the_same_and_covers_of_items_differ(tab: Open, reader: Reader) -> None:
    drawings = []
    for _ in range(2):
        page = tab(reader("anna"))
        shown(page)
        drawings.append(page.locator("#shelves .cover-art").evaluate_all("nodes => nodes.map(node => node.outerHTML)"))
    assert drawings[0] == drawings[1]
    assert len(set(drawings[0])) > 0.9 * len(drawings[0])


def test_the_keyboard_alone_moves_opens_likes_and_hides(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    items = shown(page)
    focused = "document.activeElement.closest('.card')?.dataset.item"
    page.locator("#shelves .card-open").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == items[1]
    page.keyboard.press("ArrowDown")
    second_row = page.locator("#shelves .shelf").nth(1).locator(".card").nth(1)
    assert page.evaluate(focused) == second_row.get_attribute("data-item")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == items[1]

    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_be_visible()
    expect(dialog.locator(".grid .card")).to_have_count(12)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate(focused) == items[1]

    page.keyboard.press("l")
    expect(page.locator(".bead")).to_have_count(len(READERS["anna"]) + 1)
    assert items[1] not in shown(page)
    assert page.evaluate(focused) in shown(page), "the focus stays among the cards"
    hidden = page.evaluate(focused)
    page.keyboard.press("h")
    expect(page.locator(".history")).to_contain_text("1 hidden")
    assert hidden not in shown(page)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("^Like "))


def test_an_active_segment_opens_its_items(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"))
    shown(page)
    panel = page.get_by_role("complementary", name="Why this page")
    first = panel.get_by_role("listitem").first.get_by_role("button")
    expect(first).to_contain_text("All about Dragons")
    first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="All about Dragons")).to_be_visible()
    expect(dialog.get_by_text("dragons", exact=True)).to_be_visible()
    expect(dialog.locator(".card")).to_have_count(24)
    liked = dialog.locator(".card").first.get_attribute("data-item") or ""
    assert liked.startswith("dra-")
    second = dialog.locator(".card").nth(1).get_attribute("data-item")
    dialog.locator(".card").first.get_by_role("button", name=re.compile("^Like ")).press("Enter")
    expect(dialog.locator(f".card[data-item={liked}]")).to_have_count(0)
    expect(dialog.locator(f".card[data-item={second}] .card-open")).to_be_focused()
    expect(dialog.get_by_role("status")).to_contain_text("The page has changed.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert liked not in shown(page)
    expect(panel.get_by_role("button", name="All about Dragons")).to_be_focused()


def test_markup_in_the_catalogue_is_only_text(tab: Open, address: str) -> None:
    event = {"user_id": HOSTILE, "item_id": "mou-7", "kind": "like"}
    assert httpx.post(f"{address}/v1/events", json={"events": [event]}).status_code == 202
    page = tab(f"{address}/?reader={HOSTILE}")
    shown(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Homepage of {HOSTILE}")
    expect(page.locator(".bead-title")).to_have_text(f"{HOSTILE} of Mountains")
    page.get_by_role("combobox", name="Search").fill("onerror mountains")
    expect(page.locator(".result-title").first).to_have_text(f"{HOSTILE} of Mountains")
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_can_be_read(tab: Open, reader: Reader, scheme: str) -> None:
    page = tab(reader("anna"), color_scheme=scheme)
    shown(page)
    ground = luminance(page.locator("html"), "background-color")
    assert (ground < 0.05) if scheme == "dark" else (ground > 0.85)
    for selector in ("h1", ".who-line", ".reason", ".card-title", ".card-by", ".segment-score", ".bead-by", "#badge"):
        text = luminance(page.locator(selector).first, "color")
        ratio = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
        assert ratio >= 4.5, f"{selector} in {scheme} has a contrast of {ratio:.1f}"


def luminance(element: Locator, name: str) -> float:
    """Relative luminance, WCAG 2.2."""
    value = element.evaluate("(node, name) => getComputedStyle(node).getPropertyValue(name)", name)
    channels = [int(channel) / 255 for channel in re.findall(r"\d+", value)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_hangs_over_the_edge_of_a_small_screen(tab: Open, reader: Reader, width: int) -> None:
    page = tab(reader("anna"), viewport={"width": width, "height": 800}, has_touch=True, is_mobile=True)
    shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    name, avatar = page.locator(".wordmark").bounding_box(), page.locator("#avatar").bounding_box()
    assert name is not None
    assert avatar is not None
    assert name["height"] < 40, "the name is on one line"
    assert name["x"] + name["width"] <= avatar["x"], "nothing covers the name"
    for view in ("Page", "Compare", "Segments"):
        page.get_by_role("link", name=view, exact=True).click(trial=True)
    cards(page).first.locator(".card-open").tap()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".grid .card")).to_have_count(12)
    assert dialog.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_buttons_on_a_phone_fit_a_thumb(tab: Open, reader: Reader) -> None:
    page = tab(reader("anna"), viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    shown(page)
    page.get_by_role("button", name="Steer").click()
    page.get_by_role("slider").first.wait_for()
    first = [
        page.locator(where).first for where in (".nudges .round-more", ".nudges .round-less", ".dial .round-never")
    ]
    theme = page.get_by_role("button", name="Light or dark")
    for button in [*cards(page).first.locator(".card-actions button").all(), *first, theme]:
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44


# --- when something is away -------------------------------------------------------------------------------------------


def test_without_the_store_the_page_says_so_and_recovers(
    tab: Open, reader: Reader, store: Store, complaints: list[str]
) -> None:
    page = tab(reader("anna"))
    title = first_title(page)
    store.stop()
    try:
        cards(page).first.get_by_role("button", name=f"Like {title}").click()
        expect(page.get_by_text(f"{title} was not liked")).to_be_visible()
        page.reload()
        banner = page.locator(".banner")
        expect(banner).to_be_visible()
        assert len(shown(page)) > 10, "rows are shown all the same"
    finally:
        store.start()
    banner.get_by_role("button", name="Try again").click()
    expect(banner).to_be_hidden()
    expect(page.locator(".bead")).to_have_count(len(READERS["anna"]))
    forgive(complaints, "503")


def test_without_the_server_the_page_keeps_its_rows_and_offers_to_try_again(
    tab: Open, reader: Reader, complaints: list[str]
) -> None:
    page = tab(reader("anna"))
    items = shown(page)
    page.context.set_offline(True)
    page.get_by_label("Reader").select_option(label="You")
    banner = page.locator(".banner.bad")
    expect(banner).to_contain_text("The server does not answer.")
    assert shown(page) == items
    page.context.set_offline(False)
    banner.get_by_role("button", name="Try again").click()
    expect(banner).to_be_hidden()
    assert shown(page) != items
    forgive(complaints, "ERR_INTERNET_DISCONNECTED")


def test_the_page_waits_for_the_first_index_and_picks_up_the_next(
    tab: Open, reader: Reader, tmp_path: Path, store: Store, complaints: list[str]
) -> None:
    reader("anna")
    (tmp_path / "snapshots").mkdir()
    with serving(tmp_path, store) as address:
        page = tab(f"{address}/?reader=anna")
        expect(page.get_by_role("heading", name="No index is published yet")).to_be_visible()
        publish(tmp_path / "snapshots", 0)
        shown(page)
        expect(page.get_by_text("No index is published yet")).to_be_hidden()
        forgive(complaints, "503")

        version = publish(tmp_path / "snapshots", 1)
        wait_until(
            lambda: httpx.get(f"{address}/readyz").json()["index_version"] == version, "the new version was not taken"
        )
        cards(page).first.get_by_role("button", name=re.compile("^Like ")).click()
        expect(page.get_by_text("New index picked up.")).to_be_visible()


# --- where the server wants a key -------------------------------------------------------------------------------------


def test_the_page_asks_once_for_a_key_and_the_tab_keeps_it(
    tab: Open, tmp_path: Path, store: Store, complaints: list[str]
) -> None:
    publish(tmp_path / "snapshots", 0)
    secret = keys.add(tmp_path / "keys", "page", "write")
    with serving(tmp_path, store, SPARROW_KEYS_FILE=str(tmp_path / "keys")) as address:
        headers = {"Authorization": f"Bearer {secret}"}
        event = {"user_id": "anna", "item_id": READERS["anna"][0], "kind": "like"}
        assert httpx.post(f"{address}/v1/events", json={"events": [event]}, headers=headers).status_code == 202
        page = tab(f"{address}/?reader=anna")
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        field = dialog.get_by_label("Key", exact=True)
        expect(field).to_be_focused()
        assert field.get_attribute("type") == "password"
        field.fill("not a key")
        field.press("Enter")
        expect(dialog.get_by_role("alert")).to_have_text(re.compile("letters, digits"))
        field.fill("wrong")
        field.press("Enter")
        expect(dialog.get_by_role("alert")).to_have_text("The server does not know this key.")
        field.fill(secret)
        dialog.get_by_role("button", name="Go on").click()
        assert len(shown(page)) > 10
        expect(dialog).to_have_count(0)
        cards(page).first.get_by_role("button", name=re.compile("^Like ")).click()
        expect(page.get_by_text("The page has changed.")).to_be_visible()
        page.reload()
        shown(page)
        expect(dialog).to_have_count(0)
        assert page.evaluate("Object.values({...localStorage}).join()").find(secret) < 0
        assert secret not in page.url
        httpx.delete(f"{address}/v1/users/anna", headers=headers)
    forgive(complaints, "401")


def test_without_a_key_the_page_says_why_it_is_empty(
    tab: Open, tmp_path: Path, store: Store, complaints: list[str]
) -> None:
    publish(tmp_path / "snapshots", 0)
    secret = keys.add(tmp_path / "keys", "page", "write")
    with serving(tmp_path, store, SPARROW_KEYS_FILE=str(tmp_path / "keys")) as address:
        page = tab(address)
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        dialog.get_by_role("button", name="Not now").click()
        banner = page.locator('.banner[data-name="failure"]')
        expect(banner).to_contain_text("This server answers with a key only.")
        banner.get_by_role("button", name="Try again").click()
        dialog.get_by_label("Key", exact=True).fill(secret)
        dialog.get_by_role("button", name="Go on").click()
        assert len(shown(page)) > 10
        expect(banner).to_have_count(0)
    forgive(complaints, "401")


# --- light and dark ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_switch_turns_light_and_dark_and_is_kept(tab: Open, reader: Reader, scheme: str) -> None:
    page = tab(reader("anna"), color_scheme=scheme)
    shown(page)
    switch = page.get_by_role("button", name="Light or dark")
    switch.press("Enter")
    other = "dark" if scheme == "light" else "light"
    expect(page.locator("html")).to_have_attribute("data-theme", other)
    assert (luminance(page.locator("html"), "background-color") < 0.05) == (other == "dark")
    page.reload()
    assert (luminance(page.locator("html"), "background-color") < 0.05) == (other == "dark")
    switch.click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", other)
    assert page.evaluate("localStorage.getItem('sparrow.theme')") == "", "as the system says again"
