"""The page at / and its files below /web/, as they lie in the package: read once, answered from memory.

Only what the folder held at the start has an address, so no path can lead out of it. Browsers ask again each time
(no-cache) and get 304 while the ETag, a hash of the content, stands. The policy forbids everything that is not this
origin, but pictures: a catalogue names those anywhere.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

WEB_FOLDER = Path(__file__).parent.parent / "web"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' https: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    body: bytes
    """Its content."""
    media_type: str
    """The Content-Type, with the character set where it has one."""
    etag: str
    """A strong entity tag with its quotes: the same content has the same."""


def assets(folder: Path) -> Mapping[str, Asset]:
    """File name -> asset, for the files of `folder` whose type the page uses."""
    files = sorted(path for path in folder.iterdir() if path.suffix in MEDIA_TYPES)
    return {path.name: _asset(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files}


def page_router(folder: Path = WEB_FOLDER) -> APIRouter:
    """Routes of the page: / is index.html, /web/NAME the file of that name, everything else 404."""
    found = assets(folder)
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return _answer(found["index.html"], request)

    @router.api_route("/web/{name}", methods=["GET", "HEAD"])
    async def file(name: str, request: Request) -> Response:
        if name not in found:
            raise HTTPException(404, "the page has no such file")
        return _answer(found[name], request)

    return router


def _asset(body: bytes, media_type: str) -> Asset:
    return Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(asset: Asset, request: Request) -> Response:
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache", "ETag": asset.etag}
    if _matches(request.headers.get("if-none-match", ""), asset.etag):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110, 13.1.2: a list of tags, compared weakly, or a star."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
