from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from index.builder import build
from index.publication import current, publish
from index.snapshot import open_snapshot
from index.vocabulary import Vocabulary

pytestmark = pytest.mark.anyio


async def search(client: httpx.AsyncClient, **parameters: str | int) -> list[str]:
    answer = await client.get("/v1/items", params=parameters)
    assert answer.status_code == 200, answer.text
    return [item["properties"]["title"] for item in answer.json()["items"]]


async def test_an_item_comes_with_its_properties(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/items/book-8")
    assert answer.json() == {
        "item_id": "book-8",
        "properties": {"title": "Dune", "shelf": "Science fiction", "year": 1908},
    }


@pytest.mark.parametrize("item_id", ["book-99", "a/b/c", "%00", "%F0%9F%98%80"])
async def test_an_unknown_item_in_a_path_is_404(client: httpx.AsyncClient, item_id: str) -> None:
    answer = await client.get(f"/v1/items/{item_id}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "GET /v1/items?query=" in answer.json()["detail"]


async def test_an_id_that_is_too_long_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/v1/items/{'x' * 257}")).status_code == 422


async def test_items_are_found_by_their_words_the_last_as_a_prefix(client: httpx.AsyncClient) -> None:
    assert await search(client, query="moby") == ["Moby-Dick"]
    assert set(await search(client, query="the name")) == {"The Name of the Wind", "The Name of the Rose"}
    assert await search(client, query="the name of the ro") == ["The Name of the Rose"]
    assert await search(client, query="unheard of") == []


async def test_without_a_query_the_most_popular_come_first_page_by_page(client: httpx.AsyncClient) -> None:
    everything = await search(client, limit=100)
    assert len(everything) == 32
    popular = (await client.post("/v1/recommend", json={"count": 32, "include_properties": ["title"]})).json()
    assert everything == [item["properties"]["title"] for item in popular["items"]]
    assert len(await search(client)) == 20
    assert await search(client, limit=5, offset=7) == everything[7:12]
    assert await search(client, limit=5, offset=32) == []


@pytest.mark.parametrize("query", ['"', "*", "AND", "a OR", "NEAR(", "title:x", "\x00", "' --", "a" * 200, "\u0130"])
async def test_no_query_is_syntax(client: httpx.AsyncClient, query: str) -> None:
    await search(client, query=query)


@pytest.mark.parametrize(
    ("path", "known"),
    [("/v1/items", "query, filter, limit, offset"), ("/v1/users/u", "limit, include_properties")],
)
async def test_an_unknown_parameter_is_refused_and_the_known_are_named(
    client: httpx.AsyncClient, path: str, known: str
) -> None:
    answer = await client.get(f"{path}?qurey=dune&limit=1&%00=1")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error == {"field": "query.qurey", "message": f"there is no such parameter; the known ones are {known}"}


async def test_the_document_tells_each_parameter(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    told = {
        (path, one["name"]): one["schema"].get("default")
        for path in ("/v1/items", "/v1/users/{user_id}")
        for one in paths[path]["get"]["parameters"]
        if one["in"] == "query" and one["description"]
    }
    assert told == {
        ("/v1/items", "query"): "",
        ("/v1/items", "filter"): None,
        ("/v1/items", "limit"): 20,
        ("/v1/items", "offset"): 0,
        ("/v1/users/{user_id}", "limit"): 10_000,
        ("/v1/users/{user_id}", "include_properties"): False,
    }


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("limit=x", "query.limit"),
        ("offset=-1", "query.offset"),
        ("offset=1000001", "query.offset"),
        (f"query={'a' * 201}", "query.query"),
    ],
)
async def test_bad_parameters_are_refused_by_name(client: httpx.AsyncClient, parameters: str, field: str) -> None:
    answer = await client.get(f"/v1/items?{parameters}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    application = create_app(settings)
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://sparrow") as client,
    ):
        yield client


async def test_ids_may_hold_slashes_and_any_unicode(settings: Settings) -> None:
    """The books once more, under ids that a path has to carry with care."""
    item_ids = [f"shelf/\u00fcber//{number}?#%2F" for number in range(32)]
    version = current(settings.snapshots)
    assert version is not None
    books = open_snapshot(settings.snapshots, version)
    renamed = build(
        settings.snapshots,
        embeddings=replace(books.embeddings, items=Vocabulary.build(item_ids)),
        properties=books.catalogue.properties(range(32)),
        popularity=books.popularity,
        segments=books.segments,
    )
    publish(settings.snapshots, renamed)
    async with serving(settings) as client:
        for item_id in item_ids[:3]:
            answer = await client.get(f"/v1/items/{quote(item_id, safe='')}")
            assert answer.json()["item_id"] == item_id
        found = (await client.get("/v1/items", params={"query": "dune"})).json()
        assert [item["item_id"] for item in found["items"]] == [item_ids[8]]
