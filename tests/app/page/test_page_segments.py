from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from app import keys
from tests.app.page.planted import GROUPS, HOSTILE, PHONE, SHELVES, Open, Reader, Store, publish, serving, shown


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


def test_segments_of_one_group_are_picked_out(browsing: Page) -> None:
    group = browsing.get_by_role("combobox", name="Group")
    assert group.locator("option").all_text_contents() == ["All groups", "At home (5)", "Far away (3)"]
    group.select_option("Far away (3)")
    names = [f"All about {SHELVES[number]}" for number in GROUPS["Far away"]]
    expect(browsing.locator(".tile-title")).to_have_count(3)
    assert sorted(tiles(browsing)) == sorted(names)
    expect(browsing.get_by_text(f"3 of {len(SHELVES)} segments")).to_be_visible()
    browsing.get_by_label("Find").fill("star")
    expect(browsing.locator(".tile-title")).to_have_text(["All about Starships"])
    browsing.get_by_label("Find").fill("")
    group.select_option("All groups")
    expect(browsing.locator(".tile-title")).to_have_count(len(SHELVES))


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


# --- edits, for everybody ---------------------------------------------------------------------------------------------


@pytest.fixture
def unedited(address: str) -> Iterator[str]:
    """The address of a server whose segments are as the model found them, before and after."""
    yield address
    assert httpx.put(f"{address}/v1/segments/edits", json={"edits": {}}).status_code == 200


def opened(page: Page, name: str) -> Locator:
    page.locator(".tile").filter(has_text=name).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("heading", name="Edit, for everybody").wait_for()
    return dialog


def as_served(address: str, segment_id: str) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{address}/v1/segments/{segment_id}").json()
    return {name: found[name] for name in ("title", "hidden", "merged_into")}


def test_a_segment_is_renamed_and_the_undo_takes_it_back(browsing: Page, unedited: str) -> None:
    dialog = opened(browsing, "Gardens")
    dialog.get_by_role("button", name="Rename").press("Enter")
    field = dialog.get_by_label("New title")
    expect(field).to_be_focused()
    browsing.keyboard.type("Green things")
    browsing.keyboard.press("Enter")
    expect(dialog.get_by_text("All about Gardens is called Green things now.")).to_be_visible()
    expect(dialog.get_by_role("heading", name="Green things")).to_be_visible()
    expect(dialog.get_by_text("The model calls it “All about Gardens”.")).to_be_visible()
    assert as_served(unedited, "s4")["title"] == "Green things"
    dialog.get_by_role("button", name="Undo").click()
    expect(dialog.get_by_role("heading", name="All about Gardens")).to_be_visible()
    browsing.keyboard.press("Escape")
    expect(browsing.locator(".tile-title").filter(has_text="All about Gardens")).to_have_count(1)
    assert as_served(unedited, "s4")["title"] == "All about Gardens"


def test_a_title_goes_back_to_what_the_model_calls_it_and_rows_follow(tab: Open, reader: Reader, unedited: str) -> None:
    assert httpx.patch(f"{unedited}/v1/segments/s0", json={"title": "Scales"}).status_code == 200
    page = tab(reader("anna"))
    shown(page)
    page.get_by_role("complementary", name="Why this page").get_by_role("button", name="Scales").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Rename").click()
    dialog.get_by_role("button", name="As the model calls it").click()
    expect(dialog.get_by_text("It is called All about Dragons again.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary").get_by_role("button", name="All about Dragons")).to_be_visible()
    expect(page.get_by_text("Scales")).to_have_count(0)


def test_a_hidden_segment_is_listed_on_request_and_shown_again(browsing: Page, unedited: str) -> None:
    dialog = opened(browsing, "Battles")
    dialog.get_by_role("button", name="Hide", exact=True).click()
    expect(dialog.get_by_text("All about Battles is hidden.")).to_be_visible()
    browsing.keyboard.press("Escape")
    expect(browsing.locator(".tile-title")).to_have_count(len(SHELVES) - 1)
    browsing.get_by_role("checkbox", name="Hidden and merged ones, too").check()
    tile = browsing.locator(".tile").filter(has_text="Battles")
    expect(tile).to_contain_text("hidden")
    dialog = opened(browsing, "Battles")
    dialog.get_by_role("button", name="Show again").click()
    expect(dialog.get_by_role("button", name="Hide", exact=True)).to_be_visible()
    browsing.keyboard.press("Escape")
    expect(tile).not_to_contain_text("hidden")
    assert as_served(unedited, "s5")["hidden"] is False


def test_a_segment_is_merged_into_another_and_taken_apart(browsing: Page, unedited: str) -> None:
    dialog = opened(browsing, "Battles")
    dialog.get_by_role("button", name="Merge into …").click()
    dialog.get_by_label("Make it part of").select_option("All about Mountains")
    dialog.get_by_role("button", name="Merge", exact=True).click()
    expect(dialog.get_by_text("All about Battles is part of All about Mountains now.")).to_be_visible()
    assert as_served(unedited, "s5")["merged_into"] == "s7"
    dialog.get_by_role("button", name="Undo").click()
    expect(dialog.get_by_role("button", name="Merge into …")).to_be_visible()
    assert as_served(unedited, "s5")["merged_into"] is None
    assert httpx.patch(f"{unedited}/v1/segments/s5", json={"merged_into": "s7"}).status_code == 200
    browsing.keyboard.press("Escape")
    browsing.get_by_role("checkbox", name="Hidden and merged ones, too").check()
    expect(browsing.locator(".tile").filter(has_text="Battles")).to_contain_text("part of All about Mountains")
    dialog = opened(browsing, "Battles")
    dialog.get_by_role("button", name="Take apart").click()
    expect(dialog.get_by_role("button", name="Merge into …")).to_be_visible()
    assert as_served(unedited, "s5")["merged_into"] is None


def test_markup_in_a_title_is_only_text(tab: Open, reader: Reader, unedited: str) -> None:
    assert httpx.patch(f"{unedited}/v1/segments/s0", json={"title": HOSTILE}).status_code == 200
    page = tab(reader("anna"))
    shown(page)
    page.get_by_role("complementary").get_by_role("button", name=HOSTILE).click()
    expect(page.get_by_role("dialog").get_by_role("heading", name=HOSTILE)).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Segments").click()
    expect(page.locator(".tile-title").filter(has_text=HOSTILE)).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


def test_an_edit_the_server_refuses_says_why(browsing: Page, unedited: str, complaints: list[str]) -> None:
    assert httpx.patch(f"{unedited}/v1/segments/s5", json={"merged_into": "s7"}).status_code == 200
    dialog = opened(browsing, "Mountains")
    dialog.get_by_role("button", name="Merge into …").click()
    field = dialog.get_by_label("Make it part of")
    field.evaluate("node => node.append(new Option('gone', 's5'))")
    field.select_option("gone")
    dialog.get_by_role("button", name="Merge", exact=True).click()
    expect(dialog.locator(".toast.bad")).to_be_visible()
    complaints[:] = [one for one in complaints if "Failed to load resource" not in one]


def test_an_edit_asks_for_a_key_of_the_admin_where_the_server_wants_one(
    tab: Open, tmp_path: Path, store: Store, complaints: list[str]
) -> None:
    publish(tmp_path / "snapshots", 0)
    secrets = {role: keys.add(tmp_path / "keys", role, role) for role in ("write", "admin")}
    with serving(tmp_path, store, SPARROW_KEYS_FILE=str(tmp_path / "keys")) as address:
        page = tab(f"{address}/?view=segments&reader=anna")
        asked = page.get_by_role("dialog", name="This server asks for a key")
        asked.get_by_label("Key", exact=True).fill(secrets["write"])
        page.keyboard.press("Enter")
        dialog = opened(page, "Battles")
        dialog.get_by_role("button", name="Hide", exact=True).click()
        expect(asked).to_contain_text("One of role admin")
        expect(asked.get_by_role("alert")).to_have_text("The key is not of role admin.")
        asked.get_by_role("button", name="Not now").click()
        expect(dialog.get_by_text("This needs a key of role admin.")).to_be_visible()
        dialog.get_by_role("button", name="Hide", exact=True).click()
        asked.get_by_label("Key", exact=True).fill(secrets["admin"])
        page.keyboard.press("Enter")
        expect(dialog.get_by_text("All about Battles is hidden.")).to_be_visible()
        dialog.get_by_role("button", name="Undo").click()
        expect(dialog.get_by_role("button", name="Hide", exact=True)).to_be_visible()
    complaints[:] = [one for one in complaints if "Failed to load resource" not in one]
