import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.routes.page import WEB_FOLDER, page_router

SCRIPTS = sorted(path.name for path in WEB_FOLDER.glob("*.js"))


def ask(path: str, *, method: str = "GET", tags: str = "", folder: Path = WEB_FOLDER) -> httpx.Response:
    """The answer of the page's routes alone."""
    application = FastAPI()
    application.include_router(page_router(folder))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return await client.request(method, path, headers={"If-None-Match": tags} if tags else {})

    return asyncio.run(send())


def test_the_page_comes_with_a_policy_that_allows_only_this_origin_and_pictures() -> None:
    answer = ask("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(maxsplit=1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["img-src"] == "'self' https: data:"
    assert not {"script-src", "style-src", "connect-src"} & policy.keys(), "these fall back to default-src"
    assert policy["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_served_as_scripts(name: str) -> None:
    answer = ask(f"/web/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.content == (WEB_FOLDER / name).read_bytes()


def test_an_unchanged_file_is_not_sent_again() -> None:
    first = ask("/web/page.css")
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for tags in (etag, f'"other", W/{etag}', "*"):
        again = ask("/web/page.css", tags=tags)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert ask("/web/page.css", tags='"other"').status_code == 200


def test_a_changed_file_has_another_tag(tmp_path: Path) -> None:
    tags = set()
    for text in ("a", "b"):
        (tmp_path / "index.html").write_text(text)
        tags.add(ask("/", folder=tmp_path).headers["etag"])
    assert len(tags) == 2


def test_head_has_the_headers_and_no_body() -> None:
    answer = ask("/", method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == (WEB_FOLDER / "index.html").stat().st_size


@pytest.mark.parametrize(
    "path", ["/web/nothing.js", "/web/..%2Fmain.py", "/web/%2e%2e/main.py", "/web/", "/web/.", "/web/a/b.js"]
)
def test_only_files_of_the_folder_have_an_address(path: str) -> None:
    assert ask(path).status_code == 404


def test_files_of_other_types_are_not_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "notes.txt").write_text("private")
    assert ask("/web/notes.txt", folder=tmp_path).status_code == 404


def test_the_page_holds_no_inline_code_and_needs_nothing_from_elsewhere() -> None:
    page = (WEB_FOLDER / "index.html").read_text()
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert page.count("<script") == page.count('<script type="module" src="web/')
    for path in WEB_FOLDER.iterdir():
        assert "https://" not in path.read_text(), f"{path.name} names another host"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_never_turn_data_into_markup(name: str) -> None:
    script = (WEB_FOLDER / name).read_text()
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert danger not in script
