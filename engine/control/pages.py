"""The dashboard's files: plain HTML, CSS and ES modules out of `static/`, held in memory, with a strict policy.

Knows files and headers, nothing of cameras. The files are public: a browser that has no token yet must be able to show
its login page. The content security policy allows nothing but this origin's own files, no inline script or style, and
no way for a script to turn text into markup (Trusted Types).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("static")
PAGE = "index.html"
MEDIA_TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
    }
)
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",  # Media Source Extensions play from a blob: URL
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = MappingProxyType(
    {
        "Cache-Control": "no-cache",  # kept, but asked about every time: files change with the version
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file: its bytes, media type and strong entity tag (quoted)."""

    body: bytes
    media_type: str
    etag: str


def read_files(folder: Path = FOLDER) -> Mapping[str, StaticFile]:
    """The files of a folder by their path in it, `/` between its parts. What has no media type here is left out."""
    files = {}
    for path in sorted(folder.rglob("*")):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is not None and path.is_file():
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            files[path.relative_to(folder).as_posix()] = StaticFile(body, media_type, etag)
    return MappingProxyType(files)


def page_routes(plain_index: str) -> list[Route]:
    """`/` and `/static/…`. A browser gets the dashboard at `/`, everybody else `plain_index`."""
    files = read_files()

    async def root(request: Request) -> Response:
        if wants_page(request):
            return file_response(request, files[PAGE], {"Vary": "Accept"})
        return PlainTextResponse(
            plain_index,
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"},
        )

    async def static(request: Request) -> Response:
        file = files.get(request.path_params["path"])
        if file is None:
            raise HTTPException(404)
        return file_response(request, file, {})

    return [
        Route("/", root, methods=["GET"], include_in_schema=False),
        Route("/static/{path:path}", static, methods=["GET"], include_in_schema=False),
    ]


def wants_page(request: Request) -> bool:
    """Whether it is a browser that asks: its `Accept` names text/html."""
    accepted = request.headers.get("accept", "")
    return any(entry.split(";")[0].strip().lower() == "text/html" for entry in accepted.split(","))


def file_response(request: Request, file: StaticFile, more_headers: Mapping[str, str]) -> Response:
    """The file, or 304 where the browser has this very one."""
    headers = {**HEADERS, **more_headers, "ETag": file.etag}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)
