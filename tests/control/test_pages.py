"""The dashboard's files over HTTP: who gets the page, what a browser keeps, what a page may do."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from engine.control.pages import FOLDER, MEDIA_TYPES, page_routes, read_files

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Client:
    """Asks an application of nothing but the pages."""

    def __init__(self) -> None:
        self._app = Starlette(routes=page_routes("what there is"))

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(send())

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.ask("GET", path, headers)


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_browser_gets_the_page_and_others_the_text(client: Client) -> None:
    page = client.get("/", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8" and "/static/main.js" in page.text
    for accept in ("*/*", "text/plain", "application/json"):
        plain = client.get("/", headers={"Accept": accept})
        assert plain.text == "what there is" and plain.headers["content-type"].startswith("text/plain")
    assert "Accept" in page.headers["vary"] and "Accept" in plain.headers["vary"]


def test_what_a_page_may_do(client: Client) -> None:
    for path in ("/", "/static/main.js", "/static/css/base.css"):
        headers = client.get(path, headers=BROWSER).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_a_file_is_sent_once_and_asked_about_afterwards(client: Client) -> None:
    first = client.get("/static/main.js")
    assert first.headers["cache-control"] == "no-cache" and first.headers["content-type"].startswith(
        "text/javascript"
    )
    etag = first.headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = client.get("/static/main.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get("/static/main.js", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["nothere.js", "../pages.py", "%2e%2e/pages.py", "css", "", "css/../main.js", "//main.js"]
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code == 404 or answer.text == (FOLDER / "main.js").read_text()
    assert "StaticFile" not in answer.text


def test_only_get_and_head(client: Client) -> None:
    assert client.ask("HEAD", "/static/main.js").status_code == 200
    assert client.ask("POST", "/static/main.js").status_code == 405
    assert client.ask("DELETE", "/").status_code == 405


def test_only_files_of_a_page_are_served(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.js", "notes.txt", "sub/b.css"):
        (tmp_path / name).write_text("text")
    assert set(read_files(tmp_path)) == {"a.js", "sub/b.css"}
    assert all(path.suffix in MEDIA_TYPES for path in FOLDER.rglob("*") if path.is_file())


def test_nothing_in_the_page_needs_what_the_policy_forbids() -> None:
    files = read_files()
    html = files["index.html"].body.decode()
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|\sstyle=", html)
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org)"
    )
    for name, file in files.items():
        if name.endswith((".js", ".css")):
            assert not forbidden.search(file.body.decode()), name


def test_every_import_is_there_and_every_file_is_used() -> None:
    files = read_files()
    named = {"index.html"}
    for file in files.values():
        text = file.body.decode()
        named |= set(re.findall(r'"/static/([^"]+)"', text))
        named |= set(re.findall(r'from "\./([^"]+)"', text))
    assert named == set(files)
