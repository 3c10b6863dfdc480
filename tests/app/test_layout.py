"""Rows that the caller asks for by name: at their places, of their items, through the real application."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from app.settings import Settings
from tests.app.conftest import Serving

pytestmark = pytest.mark.anyio

FANTASY = [f"book-{number}" for number in range(8)]
HISTORY = [{"item_id": "book-0"}, {"item_id": "book-16"}]


async def page(client: httpx.AsyncClient, *layout: dict[str, Any], **asked: object) -> dict[str, Any]:
    body = {"history": HISTORY, "row_size": 4, "layout": list(layout), **asked}
    answer = await client.post("/v1/homepage", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    shown = [item["item_id"] for row in found["rows"] for item in row["items"]]
    assert len(set(shown)) == len(shown)
    return found


def ids(row: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in row["items"]]


async def refusal(client: httpx.AsyncClient, **asked: object) -> str:
    answer = await client.post("/v1/homepage", json={"history": HISTORY, **asked})
    assert answer.status_code == 422
    return answer.text


async def test_a_list_stands_where_it_is_wanted_and_as_it_is_given(client: httpx.AsyncClient) -> None:
    picks = ["book-31", "book-3", "nobody-knows", "book-3", "book-24"]
    found = await page(client, {"kind": "list", "title": "Our picks", "item_ids": picks, "position": 2})
    row = found["rows"][1]
    assert (row["kind"], row["title"], ids(row)) == ("list", "Our picks", ["book-31", "book-3", "book-24"])
    assert [warning["code"] for warning in found["warnings"]] == ["unknown_items"]
    assert found["rows"][0]["kind"] == "top_picks"


async def test_a_list_obeys_what_the_request_leaves_out(client: httpx.AsyncClient) -> None:
    picks = {"kind": "list", "title": "Our picks", "item_ids": ["book-0", "book-1", "book-2"], "position": 1}
    found = await page(client, picks, exclude_ids=["book-2"])
    assert ids(found["rows"][0]) == ["book-1"]
    found = await page(client, picks, exclude_ids=["book-2"], exclude_seen=False)
    assert ids(found["rows"][0]) == ["book-0", "book-1"]


ORDERINGS: list[dict[str, Any]] = [{"seed": 3}, {"diversity": 0.5}, {"max_per": {"shelf": 2}}]


@pytest.mark.parametrize("ordering", [{}, *ORDERINGS])
async def test_no_ordering_disturbs_a_layout(client: httpx.AsyncClient, ordering: dict[str, Any]) -> None:
    """Lists stand as they are given and have their items before top picks do; so do the first items of other rows."""
    best = ids((await page(client))["rows"][0])
    led = {"kind": "popular", "item_ids": [best[2], best[0]], "row_size": 3, "position": 3}
    picks = {"kind": "list", "title": "Our picks", "item_ids": [best[3], best[1]], "position": 2}
    found = await page(client, led, picks, **ordering)
    assert [row["kind"] for row in found["rows"]][1:3] == ["list", "popular"]
    assert ids(found["rows"][1]) == [best[3], best[1]]
    assert (ids(found["rows"][2])[:2], len(found["rows"][2]["items"])) == ([best[2], best[0]], 3)


@pytest.mark.parametrize("ordering", ORDERINGS)
async def test_what_leads_a_row_counts_for_its_caps(client: httpx.AsyncClient, ordering: dict[str, Any]) -> None:
    lead = {"kind": "popular", "item_ids": FANTASY[1:4], "position": 1, "row_size": 10}
    row = (await page(client, lead, **(ordering | {"max_per": {"shelf": 1}})))["rows"][0]
    shelves = [(await client.get(f"/v1/items/{one}")).json()["properties"].get("shelf") for one in ids(row)]
    assert ids(row)[:3] == FANTASY[1:4]
    rest = [shelf for shelf in shelves[3:] if shelf is not None]
    assert rest
    assert len(set(rest)) == len(rest)
    assert not set(rest) & set(shelves[:3])


@pytest.mark.parametrize("ordering", [{}, *ORDERINGS[:2]])
async def test_a_row_may_be_longer_than_the_others(client: httpx.AsyncClient, ordering: dict[str, Any]) -> None:
    long = {"kind": "popular", "row_size": 20, "position": 1}
    row = (await page(client, long, n_rows=1, row_size=2, **ordering))["rows"][0]
    assert len(row["items"]) == 20


async def test_a_row_without_items_is_not_on_the_page(client: httpx.AsyncClient) -> None:
    empty = {"kind": "list", "title": "Our picks", "item_ids": ["nobody-knows"], "position": 1}
    found = await page(client, empty, {"kind": "continue", "position": 2})
    assert found["rows"][0]["kind"] == "top_picks"
    assert not {"list", "continue"} & {row["kind"] for row in found["rows"]}


async def test_what_was_begun_and_not_finished_can_be_continued(client: httpx.AsyncClient) -> None:
    acts = [("book-1", "view"), ("book-2", "cart"), ("book-3", "view"), ("book-3", "purchase"), ("book-4", "view")]
    events = [
        {"user_id": "u1", "item_id": item, "kind": kind, "timestamp": 1.7e9 + number}
        for number, (item, kind) in enumerate(acts)
    ]
    assert (await client.post("/v1/events", json={"events": events})).status_code == 202
    found = await page(client, {"kind": "continue", "position": 1}, history=[], user_id="u1")
    row = found["rows"][0]
    assert (row["title"], ids(row)) == ("Continue", ["book-4", "book-2", "book-1"])
    found = await page(client, {"kind": "continue", "position": 1}, history=[], user_id="u1", exclude_ids=["book-2"])
    assert ids(found["rows"][0]) == ["book-4", "book-1"]


async def test_a_segment_can_be_pinned_renamed_and_led_by_an_item(client: httpx.AsyncClient) -> None:
    segments = (await client.get("/v1/segments")).json()["segments"]
    wanted = segments[-1]["segment_id"]
    lead = (await client.get(f"/v1/segments/{wanted}")).json()["top_items"][5]["item_id"]
    pinned = {"kind": "segment", "segment_id": wanted, "title": "This week", "position": 1, "item_ids": [lead]}
    row = (await page(client, pinned))["rows"][0]
    assert (row["segment_id"], row["title"], ids(row)[0]) == (wanted, "This week", lead)


async def test_a_row_without_a_place_is_on_the_page_all_the_same(client: httpx.AsyncClient) -> None:
    segments = (await client.get("/v1/segments")).json()["segments"]
    for segment in segments:
        found = await page(client, {"kind": "segment", "segment_id": segment["segment_id"]}, n_rows=2)
        assert segment["segment_id"] in [row.get("segment_id") for row in found["rows"]]


async def test_a_row_of_a_property_names_its_value(client: httpx.AsyncClient) -> None:
    value = (await client.get("/v1/items/book-5")).json()["properties"]["shelf"]
    found = await page(client, {"kind": "property", "property": "shelf", "value": value, "position": 1})
    row = found["rows"][0]
    assert (row["kind"], row["title"], row["property"], row["value"]) == ("property", value, "shelf", value)
    for item_id in ids(row):
        assert (await client.get(f"/v1/items/{item_id}")).json()["properties"]["shelf"] == value


async def test_what_is_new_is_the_newest_twentieth(client: httpx.AsyncClient) -> None:
    about = [{"item_id": "book-24"}]
    found = await page(client, {"kind": "new", "property": "year", "position": 1}, history=about)
    row = found["rows"][0]
    assert (row["kind"], row["title"], row["property"]) == ("new", "New for you", "year")
    years = [(await client.get(f"/v1/items/book-{number}")).json()["properties"].get("year") for number in range(32)]
    newest = sorted(year for year in years if year is not None)
    for item_id in ids(row):
        assert (await client.get(f"/v1/items/{item_id}")).json()["properties"]["year"] >= newest[-2]


async def test_a_because_row_may_be_about_any_item(client: httpx.AsyncClient) -> None:
    row = (await page(client, {"kind": "because", "item_ids": ["book-16"], "position": 2}))["rows"][1]
    assert row["title"].startswith("Because you liked ")
    row = (await page(client, {"kind": "because", "item_ids": ["book-1"], "position": 1}))["rows"][0]
    assert row["title"].startswith("More like ")
    assert "book-1" not in ids(row)


async def test_a_newcomer_has_the_layout_too(client: httpx.AsyncClient) -> None:
    picks = {"kind": "list", "title": "Our picks", "item_ids": ["book-31"], "position": 1}
    found = await page(client, picks, {"kind": "top_picks", "position": 2}, history=[])
    assert [row["kind"] for row in found["rows"]][:2] == ["list", "popular"]


async def test_rows_of_a_layout_go_on_and_do_not_come_again(client: httpx.AsyncClient) -> None:
    value = (await client.get("/v1/items/book-5")).json()["properties"]["shelf"]
    layout = [{"kind": "property", "property": "shelf", "value": value}, {"kind": "new", "property": "year"}]
    found = await page(client, *layout, cursors=True, n_rows=3, row_size=3)
    shown = {item for row in found["rows"] for item in ids(row)}
    own = next(row for row in found["rows"] if row["kind"] == "property")
    more = (await client.post("/v1/next", json={"cursor": own["next_cursor"]})).json()["items"]
    assert more
    for item in more:
        assert item["item_id"] not in shown
        assert (await client.get(f"/v1/items/{item['item_id']}")).json()["properties"]["shelf"] == value
    if "page_cursor" in found:
        below = (await client.post("/v1/next", json={"cursor": found["page_cursor"]})).json()["rows"]
        assert not {row["row_id"] for row in below} & {row["row_id"] for row in found["rows"]}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"kind": "segment"}, "needs segment_id"),
        ({"kind": "property"}, "needs property"),
        ({"kind": "list", "title": "Ours"}, "needs item_ids"),
        ({"kind": "list", "item_ids": ["book-1"]}, "needs a title"),
        ({"kind": "popular", "segment_id": "x"}, "segment_id is for rows of kind segment, not of popular"),
        ({"kind": "because", "item_ids": ["book-1", "book-2"]}, "takes one of item_ids"),
        ({"kind": "continue", "item_ids": ["book-1"]}, "takes no item_ids"),
        ({"kind": "popular", "position": 7}, "position 7 is below the page, which has 6 rows"),
        (
            {"kind": "property", "property": "colour"},
            "'colour' is no property of texts that can be matched",
        ),
        ({"kind": "property", "property": "year", "value": "1900"}, "'year' is no property of texts"),
        ({"kind": "new"}, "name the property that tells how new an item is"),
        ({"kind": "new", "property": "shelf"}, "does not tell how new an item is"),
        ({"kind": "banner"}, "Input should be"),
    ],
)
async def test_what_cannot_be_a_row_is_refused(client: httpx.AsyncClient, row: dict[str, Any], told: str) -> None:
    assert told in await refusal(client, layout=[row])


async def test_a_layout_must_fit_into_the_page(client: httpx.AsyncClient) -> None:
    popular = {"kind": "popular", "position": 1}
    assert "two rows of the layout have the same position" in await refusal(client, layout=[popular, popular])
    assert "the layout has 2 rows, the page 1" in await refusal(client, layout=[popular, popular], n_rows=1)
    twice = "layout.1 asks for the same row as layout.0"
    assert twice in await refusal(client, layout=[popular, {"kind": "popular", "row_size": 2}])
    picks = {"kind": "list", "title": "Ours", "item_ids": ["book-1"]}
    assert f"{twice}; lists are told apart by their titles" in await refusal(client, layout=[picks, picks])
    segment = {"kind": "segment", "segment_id": "nobody-knows"}
    answer = await page(client, segment)
    assert "unknown_segments" in [warning["code"] for warning in answer["warnings"]]


@pytest.mark.parametrize("newness", ["year", "shelf", "nothing"])
async def test_what_an_operator_names_need_not_be_in_the_index(
    settings: Settings, serving: Serving, newness: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next index may lack it: the log says so, and pages are made without."""
    weights = {**settings.page_weights, "new": 50.0, "property": 50.0}
    named = settings.model_copy(
        update={"page_weights": weights, "page_new": newness, "page_properties": ("shelf", "year", "colour")}
    )
    async with serving(named) as client:
        found = await page(client)
    told = [record.getMessage().split(":")[0] for record in caplog.records if record.name == "app.main"]
    assert told == ["SPARROW_PAGE_PROPERTIES"] * 2 + ["SPARROW_PAGE_NEW"] * (newness != "year")
    assert found["rows"]


def test_rows_of_what_is_new_need_a_property_that_tells() -> None:
    with pytest.raises(ValidationError, match="SPARROW_PAGE_NEW"):
        Settings.model_validate({"page_weights": {"new": 1.0}})
