"""What an operator sets store by: SPARROW_PAGE_... from the environment to the page."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from pydantic import ValidationError

from app.emphasis import PLAIN_EMPHASIS, WEIGHTS
from app.settings import Settings

Serving = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without what the machine's environment says."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SPARROW_{name.upper()}", raising=False)
    return monkeypatch


@pytest.mark.usefixtures("set_to")
def test_without_settings_the_emphasis_is_the_plain_one() -> None:
    assert Settings().emphasis == PLAIN_EMPHASIS


def test_every_setting_reaches_the_emphasis(set_to: pytest.MonkeyPatch) -> None:
    set_to.setenv("SPARROW_PAGE_WEIGHTS", '{"property": 0.5, "popular": 2}')
    set_to.setenv("SPARROW_PAGE_DIVERSITY", "0.25")
    set_to.setenv("SPARROW_PAGE_STABILITY", "0.5")
    set_to.setenv("SPARROW_PAGE_PROPERTIES", "authors, brand")
    set_to.setenv("SPARROW_PAGE_NEW", "year")
    weights = {**WEIGHTS, "property": 0.5, "popular": 2.0}
    assert Settings().emphasis == (weights, 0.25, 0.5, ("authors", "brand"), "year")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WEIGHTS", '{"banner": 1}', "rows of kind 'banner' have no weight; the kinds that have are segment, because"),
        ("WEIGHTS", '{"top_picks": 2}', "rows of kind 'top_picks' have no weight"),
        ("WEIGHTS", '{"segment": -1}', "greater than or equal to 0"),
        ("WEIGHTS", '{"segment": 101}', "less than or equal to 100"),
        ("WEIGHTS", '{"segment": NaN}', "a finite number"),
        ("DIVERSITY", "1.1", "less than or equal to 1"),
        ("STABILITY", "-0.1", "greater than or equal to 0"),
    ],
)
def test_what_weighs_nothing_that_there_is_is_refused(
    set_to: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    set_to.setenv(f"SPARROW_PAGE_{name}", value)
    with pytest.raises(ValidationError, match=told):
        Settings()


@pytest.mark.anyio
async def test_the_settings_reach_the_page(settings: Settings, serving: Serving) -> None:
    history = [{"item_id": "book-0"}, {"item_id": "book-24"}]
    body = {"history": history, "row_size": 1, "layout": [{"kind": "new"}]}
    weighed = {"page_new": "year", "page_weights": {**WEIGHTS, "because": 100.0}}
    async with serving(settings.model_copy(update=weighed)) as client:
        rows = (await client.post("/v1/homepage", json=body)).json()["rows"]
    assert rows[0]["kind"] == "because"
    assert [row["property"] for row in rows if row["kind"] == "new"] == ["year"]


@pytest.mark.anyio
async def test_rows_of_the_last_page_rather_stay(settings: Settings, serving: Serving) -> None:
    """The page of two rows keeps one that stood further down the last page, in place of one that gains more."""
    body = {"history": [{"item_id": "book-0"}, {"item_id": "book-16"}], "row_size": 3}

    async with serving(settings.model_copy(update={"page_stability": 10.0})) as client:

        async def row_ids(n_rows: int, last: list[str]) -> list[str]:
            answer = await client.post("/v1/homepage", json={**body, "n_rows": n_rows, "last_rows": last})
            return [row["row_id"] for row in answer.json()["rows"] if row["kind"] in ("segment", "because")]

        small, large = await row_ids(2, []), await row_ids(6, [])
        other = next(one for one in large if one not in small)
        assert other in await row_ids(2, [other])
