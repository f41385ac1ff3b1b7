"""Who may do what: every operation by every role, logins, limits, other sites, secrets."""

from __future__ import annotations

import logging
import re
from typing import Any

import httpx
import pytest

from engine.control.access import FAILURES_AT_ONCE
from engine.control.app import create_app
from engine.control.operations import Operation
from engine.control.roles import Role
from engine.control.security import Security
from engine.control.sessions import COOKIE, IDLE_S, LONGEST_S
from engine.control.video import VideoHub
from engine.control.video_routes import LiveVideo
from tests.control.asking import SECRETS, TOKENS, Site
from tests.control.statuses import make_status
from tests.control.test_app import assert_problem
from tests.control.test_openapi import make_app

OPERATIONS: list[Operation] = make_app().state.operations
JSON = {"content-type": "application/json"}
PASSWORD = "hunter2"  # of a camera, in the sources below
LEAST_ROLES = {
    "GET /health": "viewer", "GET /health/live": "anyone", "GET /metrics": "viewer", "GET /openapi.json": "anyone",
    "POST /login": "anyone", "POST /logout": "anyone", "GET /session": "anyone",
    "GET /cameras": "viewer", "POST /cameras": "admin",
    "GET /cameras/{camera}": "viewer", "PATCH /cameras/{camera}": "admin", "DELETE /cameras/{camera}": "admin",
    "POST /start": "operator", "POST /stop": "operator", "POST /fps": "operator", "GET /config": "admin",
    "POST /prompt": "operator", "POST /mode": "operator",
    "GET /cameras/{camera}/segmentation": "viewer", "PUT /cameras/{camera}/segmentation": "operator",
    "POST /cameras/{camera}/prompts": "operator",
    "PUT /cameras/{camera}/objects/{object_id:int}": "operator",
    "DELETE /cameras/{camera}/objects/{object_id:int}": "operator",
    "GET /identities": "viewer", "PUT /identities": "admin", "DELETE /identities": "admin",
    "GET /identities/{gid:int}": "viewer", "DELETE /identities/{gid:int}": "admin",
    "GET /ptz/{camera}": "viewer", "GET /ptz/{camera}/presets": "viewer",
    "POST /ptz/{camera}/move": "operator", "POST /ptz/{camera}/stop": "operator",
    "POST /ptz/{camera}/resume": "operator", "POST /ptz/{camera}/preset": "operator",
    "POST /ptz/{camera}/policy": "operator", "POST /ptz/{camera}/select": "operator",
    "GET /events": "viewer", "GET /results": "viewer", "GET /ws": "viewer",
    "POST /whep/{camera}": "viewer", "PATCH /whep/{camera}/{session}": "viewer",
    "DELETE /whep/{camera}/{session}": "viewer",
    "GET /hls/{camera}/{view}/index.m3u8": "viewer", "GET /hls/{camera}/{view}/{file}": "viewer",
    "GET /mjpeg/{camera}": "viewer", "GET /snapshot/{camera}.jpg": "viewer",
}  # fmt: skip
"""Written down a second time, so that a change is one on purpose."""


@pytest.fixture
def site() -> Site:
    return Site(Security(TOKENS))


@pytest.fixture(scope="module")
def whole() -> Site:
    """One with video, and with cameras that nobody removes."""
    site = Site(Security(TOKENS))
    video = LiveVideo(VideoHub(site.engine.commands), lambda: [])
    site.app = create_app(
        make_status,
        site.engine.commands,
        security=Security(TOKENS),
        more=video.operations(),
        now_s=site.clock,
    )
    return site


def test_every_operation_has_the_role_that_it_is_meant_to_have() -> None:
    assert {f"{each.method} {each.path}": each.role.word for each in OPERATIONS} == LEAST_ROLES


def path_of(operation: Operation) -> str:
    return re.sub(r"\{\w+(:int)?\}", lambda match: "7" if match[1] else "gate", operation.path)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_a_role_may_do_what_it_is_for_and_no_more(whole: Site, operation: Operation, role: Role) -> None:
    site = whole
    site.engine.heard.clear()
    answer = site.ask(operation.method, path_of(operation), role, json={} if operation.body else None)
    if role >= operation.role:
        assert answer.status_code not in (401, 403), answer.text
    else:
        detail = assert_problem(answer, 401 if role is Role.ANYONE else 403)
        assert ("log in" in detail) if role is Role.ANYONE else (operation.role.word in detail)
        assert (role is Role.ANYONE) == ("www-authenticate" in answer.headers)
        assert site.engine.heard == []


def test_without_tokens_everybody_on_this_machine_may_do_everything() -> None:
    site = Site()
    assert site.ask("GET", "/session").json() == {"role": "admin", "name": "local", "login_required": False}
    assert site.ask("DELETE", "/cameras/gate").status_code == 200
    assert site.ask("POST", "/login", json={"token": "anything"}).json()["role"] == "admin"


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer ", "Basic dXNlcjpwYXNz", "viewer-0123456789-abcdef", "Bearer " + "x" * 600],
)
def test_what_is_no_token_is_nobody(site: Site, header: str) -> None:
    answer = site.ask("GET", "/health", headers={"Authorization": header})
    assert "not known" in assert_problem(answer, 401)
    assert "Bearer" in answer.headers["www-authenticate"]


def test_a_login_is_a_cookie_that_no_script_and_no_other_site_can_use(site: Site) -> None:
    answer = site.ask("POST", "/login", json={"token": SECRETS[Role.OPERATOR]})
    assert answer.json() == {"role": "operator", "name": "operator", "login_required": True}
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")) and "Secure" not in cookie
    assert SECRETS[Role.OPERATOR] not in cookie
    secure = site.ask(
        "POST", "/login", json={"token": SECRETS[Role.VIEWER]}, base_url="https://127.0.0.1:8080"
    )
    assert "Secure" in secure.headers["set-cookie"].split("; ")


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].split(";")[0]}


def test_who_has_logged_in_is_known_until_he_logs_out(site: Site) -> None:
    held = cookie_of(site.ask("POST", "/login", json={"token": SECRETS[Role.OPERATOR]}))
    assert site.ask("GET", "/session", headers=held).json()["role"] == "operator"
    assert site.ask("POST", "/stop", headers=held).status_code == 200
    assert_problem(site.ask("GET", "/config", headers=held), 403)
    gone = site.ask("POST", "/logout", headers=held)
    assert gone.status_code == 204 and f'{COOKIE}=""' in gone.headers["set-cookie"]
    assert "over" in assert_problem(site.ask("POST", "/stop", headers=held), 401)
    assert site.ask("GET", "/session", headers=held).json() == {
        "role": None,
        "name": "",
        "login_required": True,
    }


@pytest.mark.parametrize(
    ("pause_s", "times"), [(IDLE_S + 1, 1), (IDLE_S - 1, int(LONGEST_S / (IDLE_S - 1)) + 1)]
)
def test_a_login_ends_when_it_is_not_used_and_some_time_anyhow(
    site: Site, pause_s: float, times: int
) -> None:
    held = cookie_of(site.ask("POST", "/login", json={"token": SECRETS[Role.VIEWER]}))
    for _ in range(times):
        assert site.ask("GET", "/session", headers=held).json()["role"] == "viewer"
        site.clock.now_s += pause_s
    assert site.ask("GET", "/session", headers=held).json()["role"] is None


def test_guessing_is_slow_and_hinders_nobody_else(site: Site) -> None:
    assert site.ask("GET", "/health", Role.VIEWER).status_code == 200
    wrong: dict[str, Any] = {"headers": {"Authorization": "Bearer guess"}}
    for _ in range(FAILURES_AT_ONCE):
        assert_problem(site.ask("GET", "/health", **wrong), 401)
    for refused in (
        site.ask("GET", "/health", **wrong),
        site.ask("POST", "/login", json={"token": SECRETS[Role.ADMIN]}),
        site.ask("GET", "/session", **wrong),
    ):
        assert "try again in 30 s" in assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "30"
    assert site.ask("GET", "/health", Role.VIEWER).status_code == 200, "was right before from this address"
    assert (
        site.ask("POST", "/login", address="192.0.2.8", json={"token": SECRETS[Role.ADMIN]}).status_code
        == 200
    )
    site.clock.now_s += 30.0
    assert site.ask("POST", "/login", json={"token": SECRETS[Role.ADMIN]}).status_code == 200


def test_a_network_of_ipv6_is_one_guesser(site: Site) -> None:
    for number in range(FAILURES_AT_ONCE):
        site.ask("POST", "/login", address=f"2001:db8::{number}", json={"token": "wrong"})
    assert site.ask("POST", "/login", address="2001:db8::ffff", json={"token": "wrong"}).status_code == 429
    assert site.ask("POST", "/login", address="2001:db8:0:1::1", json={"token": "wrong"}).status_code == 401


def test_a_client_that_asks_too_often_waits_and_others_do_not() -> None:
    site = Site(Security(TOKENS, requests_per_s=2.0))
    answers = [site.ask("GET", "/session", Role.VIEWER).status_code for _ in range(6)]
    assert answers == [200] * 4 + [429] * 2
    assert site.ask("GET", "/session", Role.ADMIN).status_code == 200
    assert site.ask("GET", "/session", Role.VIEWER, address="192.0.2.9").status_code == 200
    site.clock.now_s += 0.5
    assert [site.ask("GET", "/session", Role.VIEWER).status_code for _ in range(2)] == [200, 429]
    assert site.ask("GET", "/session", Role.VIEWER).headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}]
)
@pytest.mark.parametrize("role", [None, Role.ADMIN])
def test_no_page_of_another_site_changes_anything(
    site: Site, headers: dict[str, str], role: Role | None
) -> None:
    for method, path in (
        ("POST", "/stop"),
        ("DELETE", "/identities"),
        ("POST", "/login"),
        ("POST", "/logout"),
    ):
        assert_problem(site.ask(method, path, role, headers=headers, json={}), 403)
    assert site.engine.heard == []


def test_a_name_that_resolves_to_us_reads_nothing_where_nobody_logs_in(site: Site) -> None:
    rebound = {"Host": "evil.example:8080"}
    assert "evil.example" in assert_problem(Site().ask("GET", "/health", headers=rebound), 403)
    assert site.ask("GET", "/health", Role.VIEWER, headers=rebound).status_code == 200, (
        "a token is no ambient right"
    )
    assert_problem(site.ask("GET", "/health", headers=rebound), 401)


def test_names_of_this_machine_can_be_given() -> None:
    site = Site(Security(TOKENS, allowed_hosts=frozenset({"yard.example"})))
    for host, status in (
        ("yard.example", 200),
        ("YARD.example:8443", 200),
        ("a.yard.example", 403),
        ("[::1]:8", 200),
    ):
        assert site.ask("POST", "/stop", Role.ADMIN, headers={"Host": host}).status_code == status


def test_no_other_site_is_let_in_unless_it_is_named() -> None:
    origin = {"Origin": "https://dash.example"}
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    plain = Site(Security(TOKENS))
    for answer in (
        plain.ask("GET", "/health", Role.VIEWER, headers=origin),
        plain.ask("OPTIONS", "/stop", headers=preflight),
    ):
        assert not any(name.startswith("access-control") for name in answer.headers)
    site = Site(Security(TOKENS, allowed_origins=frozenset({"https://dash.example"})))
    allowed = site.ask("OPTIONS", "/stop", headers=preflight)
    assert allowed.status_code == 204 and "Authorization" in allowed.headers["access-control-allow-headers"]
    answer = site.ask("POST", "/stop", Role.OPERATOR, headers=origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://dash.example"
    assert "access-control-allow-credentials" not in answer.headers and "Origin" in answer.headers["vary"]
    other = {**preflight, "Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in site.ask("OPTIONS", "/stop", headers=other).headers


@pytest.mark.parametrize(
    "path", ["/", "/health", "/nowhere", "/openapi.json", "/metrics", "/static/index.html"]
)
@pytest.mark.parametrize("role", [None, Role.ADMIN])
def test_every_answer_has_the_headers_that_protect(site: Site, path: str, role: Role | None) -> None:
    headers = site.ask("GET", path, role).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (
        headers["referrer-policy"] == "no-referrer"
        and headers["cross-origin-resource-policy"] == "same-origin"
    )
    assert "server" not in headers


SECRET_SOURCE = f"rtsp://admin:{PASSWORD}@camera.example/live?token=abc123"


def with_secrets(site: Site) -> None:
    """A password wherever a worker could let one slip."""
    entry: dict[str, Any] = site.engine.cameras["gate"]
    entry["source"] = SECRET_SOURCE
    entry["settings"] = {
        "source": SECRET_SOURCE,
        "ptz": {"user": "admin", "password": PASSWORD, "url": SECRET_SOURCE},
    }
    site.engine.status["reasons"] = [f"cannot open {SECRET_SOURCE}"]
    site.engine.status["cameras"]["gate"]["source"] = SECRET_SOURCE
    site.engine.status["cameras"]["gate"]["reason"] = f"{SECRET_SOURCE}: no answer"


@pytest.mark.parametrize(
    "path",
    ["/health", "/metrics", "/config", "/cameras", "/cameras/gate", "/session", "/openapi.json", "/",
     "/cameras/gate/segmentation", "/nothing?x=" + SECRET_SOURCE, "/health?x=" + SECRET_SOURCE],
)  # fmt: skip
def test_no_password_leaves_the_house(site: Site, path: str) -> None:
    with_secrets(site)
    text = site.ask("GET", path, Role.ADMIN).text
    assert PASSWORD not in text and "abc123" not in text
    assert not any(secret in text for secret in SECRETS.values())


def test_what_somebody_sends_wrongly_is_not_repeated(site: Site) -> None:
    for body in (
        {"name": "x", "source": [SECRET_SOURCE]},
        {"name": 7, "source": SECRET_SOURCE},
        {"token": PASSWORD},
    ):
        text = site.ask("POST", "/cameras", Role.ADMIN, json=body).text
        assert PASSWORD not in text and "422" in text
    added = site.ask("POST", "/cameras", Role.ADMIN, json={"name": "x", "source": SECRET_SOURCE})
    assert added.status_code == 201 and PASSWORD not in added.text
    assert site.engine.cameras["x"]["source"] == SECRET_SOURCE, "it does reach the engine"


def test_no_log_line_has_a_token_or_a_password(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with_secrets(site)
    caplog.set_level(logging.DEBUG)
    guess = "a-guess-that-is-no-token"
    site.ask("GET", "/health", headers={"Authorization": f"Bearer {guess}"})
    site.ask("POST", "/login", json={"token": guess})
    held = site.ask("POST", "/login", json={"token": SECRETS[Role.ADMIN]})
    for path in ("/config", "/health", "/nowhere"):
        site.ask("GET", path, headers=cookie_of(held))
    assert "refused" in caplog.text and "192.0.2.7" in caplog.text and "admin" in caplog.text
    for secret in (guess, PASSWORD, "abc123", *SECRETS.values(), cookie_of(held)["Cookie"].partition("=")[2]):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("POST", "/mode", b"{", JSON, 400),
        ("POST", "/mode", b"[]", JSON, 400),
        ("POST", "/mode", b"\xff", JSON, 400),
        ("POST", "/mode", b'{"mode": "\\ud800"}', JSON, 400),
        ("POST", "/mode", b'{"mode": "off"}', {"content-type": "text/plain"}, 415),
        ("POST", "/mode", b'{"mode": "off"}', {}, 415),
        ("POST", "/stop", b"x", {}, 415),
        ("POST", "/mode", b" " * ((1 << 20) + 1), JSON, 413),
        ("POST", "/login", b" " * 5000, JSON, 413),
        ("POST", "/mode", b'{"mode": "of"}', JSON, 422),
        ("GET", "/events?limit=0", b"", {}, 422),
        ("GET", "/health?since=1", b"", {}, 422),
        ("GET", "/events?limit=1&limit=2", b"", {}, 422),
        ("PUT", "/mode", b"{}", JSON, 405),
        ("GET", "/mode/", b"", {}, 404),
        ("GET", "/identities/99999999999999999999", b"", {}, 404),
    ],
)
def test_what_cannot_be_taken_is_refused(
    site: Site, method: str, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert_problem(site.ask(method, path, Role.ADMIN, content=content, headers=headers), status)
    assert site.engine.heard == []


def test_a_refusal_says_where_and_what_is_allowed(site: Site) -> None:
    def errors(method: str, path: str, **more: Any) -> Any:
        return site.ask(method, path, Role.ADMIN, **more).json()["errors"]

    detail = "mode must be one of off, boxes, track, prompt, auto"
    assert errors("POST", "/mode", json={"mode": "of"}) == [
        {"detail": detail, "pointer": "#/mode", "allowed": ["off", "boxes", "track", "prompt", "auto"]}
    ]
    (unknown,) = errors("POST", "/fps", json={"fps": 1, "fsp": 2})
    assert unknown["pointer"] == "#/fsp" and unknown["allowed"] == ["camera", "fps"]
    (missing,) = errors("POST", "/fps", json={})
    assert missing["detail"].startswith("fps is missing: it must be a number from 0 to 1000")
    (deep,) = errors(
        "POST", "/cameras", json={"name": "x", "source": "0", "zone": [{"name": "z", "polygon": [[0, 2]]}]}
    )
    assert deep["pointer"].startswith("#/zone/") and "zone must be a list of zones" in deep["detail"]
    (parameter,) = errors("GET", "/events?kind=birthday")
    assert parameter["parameter"] == "kind" and "appeared" in parameter["allowed"]
    assert parameter["detail"].startswith("kind must be any of: appeared, left")


def test_every_method_of_a_path_is_named_to_who_uses_another(site: Site) -> None:
    answer = site.ask("POST", "/identities", Role.ADMIN)
    assert_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}


def test_json_of_a_login_hides_the_token() -> None:
    from engine.control.login import Login

    assert "secret" not in repr(Login("secret"))
