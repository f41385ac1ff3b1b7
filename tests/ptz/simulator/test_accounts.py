"""Logins of a simulated camera: digests against published vectors, nonces, lockout."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptz.http import Request
from ptz.simulator.accounts import Accounts, Login, LoginSettings, Strictness, Token, User, expected_response

PATH = "/ISAPI/PTZCtrl/channels/1/continuous"
REALM = "IP Camera(51253)"
ADMIN, OPERATOR = User("admin", "Passw0rd!"), User("op", "letmein", role="operator")


def accounts(**settings: object) -> Accounts:
    return Accounts([ADMIN, OPERATOR], LoginSettings(**settings))  # type: ignore[arg-type]


def parameters(challenge: str) -> dict[str, str]:
    fields = challenge.removeprefix("Digest ").split(", ")
    return {key: value.strip('"') for key, value in (field.split("=", 1) for field in fields)}


def login(
    challenge: str, user: User = ADMIN, *, password: str | None = None, nc: int = 1, method: str = "PUT",
    path: str = PATH,
) -> Request:  # fmt: skip
    offered = parameters(challenge)
    told = {"username": user.name, "realm": offered["realm"], "nonce": offered["nonce"], "uri": path}
    if "qop" in offered:
        told |= {"qop": "auth", "nc": f"{nc:08x}", "cnonce": "0a4f113b"}
    if "algorithm" in offered:
        told["algorithm"] = offered["algorithm"]
    known = User(user.name, user.password if password is None else password)
    told["response"] = expected_response(told, known, offered["realm"], method)
    bare = ("qop", "nc", "algorithm")
    words = ", ".join(f"{key}={value}" if key in bare else f'{key}="{value}"' for key, value in told.items())
    return Request(method, path, (("Authorization", f"Digest {words}"),))


VECTORS = [
    (User("Mufasa", "Circle Of Life"), "testrealm@host.com", "GET",
     {"uri": "/dir/index.html", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093", "nc": "00000001",
      "cnonce": "0a4f113b", "qop": "auth"}, "6629fae49393a05397450978507c4ef1"),
    (User("Mufasa", "Circle Of Life"), "testrealm@host.com", "GET",
     {"uri": "/dir/index.html", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"},
     "670fd8c2df070c60b045671b8b24ff02"),
    (User("Mufasa", "Circle of Life"), "http-auth@example.org", "GET",
     {"uri": "/dir/index.html", "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "nc": "00000001",
      "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "qop": "auth"},
     "8ca523f5e9506fed4657c9700eebdbec"),
    (User("Mufasa", "Circle of Life"), "http-auth@example.org", "GET",
     {"uri": "/dir/index.html", "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "nc": "00000001",
      "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "qop": "auth", "algorithm": "SHA-256"},
     "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    (ADMIN, REALM, "PUT",
     {"uri": PATH, "nonce": "4e44493d4d6a417a", "nc": "00000001", "cnonce": "0a4f113b", "qop": "auth"},
     "e9da791fdee35716b3743c9edf3a0631"),
    (ADMIN, REALM, "PUT", {"uri": PATH, "nonce": "4e44493d4d6a417a"}, "9dab9c7b01080aa40d39bfb02ffbc42c"),
]  # fmt: skip


@pytest.mark.parametrize(("user", "realm", "method", "told", "response"), VECTORS)
def test_digests_are_those_of_the_standards(
    user: User, realm: str, method: str, told: dict[str, str], response: str
) -> None:
    assert expected_response(told, user, realm, method) == response


@pytest.mark.parametrize(("digest", "headers"), [("noqop", 1), ("qop", 1), ("dual", 2)])
def test_every_challenge_of_a_mode_can_be_answered(digest: str, headers: int) -> None:
    door = accounts(digest=digest)
    challenges = door.challenges(0.0)
    assert len(challenges) == headers
    for challenge in challenges:
        assert door.digest(login(challenge), 1.0, "10.0.0.9", "isapi").login is Login.OK
    assert len({parameters(challenge)["nonce"] for challenge in challenges}) == headers
    assert any("SHA-256" in challenge for challenge in challenges) == (digest == "dual")
    assert any("qop" in challenge for challenge in challenges) == (digest != "noqop")


def test_a_nonce_serves_while_its_count_rises_and_is_stale_when_it_repeats() -> None:
    door = accounts()
    challenge = door.challenges(0.0)[0]
    assert [door.digest(login(challenge, nc=nc), 1.0, "h", "isapi").login for nc in (1, 2, 5)] == [
        Login.OK
    ] * 3
    assert door.digest(login(challenge, nc=5), 1.0, "h", "isapi").login is Login.STALE
    assert door.standing("h", 1.0).tries_left == 7, "a stale nonce is no failed login"


def test_nonces_grow_old_and_are_used_up() -> None:
    door = accounts(nonce_life_s=10.0, nonce_uses=2)
    old, used = door.challenges(0.0)[0], door.challenges(9.0)[0]
    assert door.digest(login(old), 10.1, "h", "isapi").login is Login.STALE
    logins = [door.digest(login(used, nc=nc), 11.0, "h", "isapi").login for nc in (1, 2, 3)]
    assert logins == [Login.OK, Login.OK, Login.STALE]


def test_a_reboot_makes_nonces_stale_for_who_knows_the_password_only() -> None:
    door = accounts()
    challenge = door.challenges(0.0)[0]
    door.forget_nonces()
    assert door.digest(login(challenge), 1.0, "h", "isapi").login is Login.STALE
    assert door.digest(login(challenge, password="no"), 1.0, "h", "isapi").login is Login.REFUSED


@pytest.mark.parametrize(("user", "tries"), [(ADMIN, 7), (OPERATOR, 5)])
def test_too_many_wrong_passwords_lock_the_address_for_everybody(user: User, tries: int) -> None:
    door = accounts(lock_s=30.0)
    for n in range(tries):
        assert door.standing("h", 1.0).locked is False
        challenge = door.challenges(1.0)[0]
        protocol = "onvif" if n % 2 else "isapi"
        assert (
            door.digest(login(challenge, user, password="wrong"), 1.0, "h", protocol).login is Login.REFUSED
        )
    challenge = door.challenges(1.0)[0]
    assert door.digest(login(challenge), 2.0, "h", "isapi").login is Login.LOCKED
    assert door.standing("h", 2.0).unlock_s == pytest.approx(29.0)
    assert door.digest(login(door.challenges(2.0)[0]), 2.0, "another", "isapi").login is Login.OK
    assert door.digest(login(door.challenges(31.1)[0]), 31.1, "h", "isapi").login is Login.OK
    assert door.refused_since(0.0) == tries + 1
    assert door.credentialed == door.credentialed_since(0.0) == tries + 3


def test_a_login_that_works_gives_all_tries_back() -> None:
    door = accounts()
    for password, tries_left in (("no", 6), ("no", 5), (ADMIN.password, 7), ("no", 6)):
        door.digest(login(door.challenges(0.0)[0], password=password), 0.0, "h", "isapi")
        assert door.standing("h", 0.0).tries_left == tries_left


def test_after_a_lock_the_count_begins_anew() -> None:
    door = accounts(lock_s=30.0, admin_tries=2)
    for _ in range(2):
        door.digest(login(door.challenges(0.0)[0], password="no"), 0.0, "h", "isapi")
    door.digest(login(door.challenges(31.0)[0], password="no"), 31.0, "h", "isapi")
    assert door.standing("h", 31.0) == type(door.standing("h", 31.0))(False, 0.0, 1)


def test_a_try_while_locked_may_begin_the_time_anew() -> None:
    door = accounts(lock_s=30.0, admin_tries=1, lock_restarts=True)
    door.digest(login(door.challenges(0.0)[0], password="no"), 0.0, "h", "isapi")
    door.digest(login(door.challenges(20.0)[0]), 20.0, "h", "isapi")
    assert door.standing("h", 20.0).unlock_s == pytest.approx(30.0)


@pytest.mark.parametrize(
    "header", ["Basic YWRtaW46UGFzc3cwcmQh", "Digest", "Digest nonsense", "", 'Digest username="admin"',
               'Digest username="admin", algorithm="MD5-sess", response="0"'],
)  # fmt: skip
def test_other_logins_are_refused(header: str) -> None:
    door = accounts()
    request = Request("GET", PATH, (("Authorization", header),))
    assert door.digest(request, 0.0, "h", "isapi").login is Login.REFUSED
    assert door.standing("h", 0.0).tries_left < 7


def test_a_digest_is_for_one_method_and_path() -> None:
    door = accounts()
    request = login(door.challenges(0.0)[0])
    moved = Request("PUT", PATH + "?x=1", request.headers)
    assert door.digest(moved, 0.0, "h", "isapi").login is Login.REFUSED
    got = Request("GET", PATH, request.headers)
    assert door.digest(got, 0.0, "h", "isapi").login is Login.REFUSED


def test_users_of_one_face_are_not_let_in_at_the_other() -> None:
    door = Accounts([User("cam", "x", onvif=False), User("onvif", "y", isapi=False)])

    def outcome(name: str, password: str, protocol: str) -> Login:
        request = login(door.challenges(0.0)[0], User(name, password))
        return door.digest(request, 0.0, "h", protocol).login

    assert outcome("cam", "x", "isapi") is Login.OK
    assert outcome("cam", "x", "onvif") is Login.REFUSED
    assert outcome("onvif", "y", "onvif") is Login.OK
    assert outcome("onvif", "y", "isapi") is Login.REFUSED


def test_strictness_of_the_moment() -> None:
    door = accounts()

    def outcome(strict: Strictness) -> Login:
        return door.digest(login(door.challenges(0.0)[0]), 0.0, "h", "isapi", strict).login

    assert outcome(Strictness(storm=True)) is Login.REFUSED
    assert outcome(Strictness(locked=True)) is Login.LOCKED
    assert outcome(Strictness(stale=True)) is Login.STALE
    assert outcome(Strictness()) is Login.OK
    assert door.standing("h", 0.0).tries_left == 7


def wsse(created: str, password: str, nonce: bytes = b"0123456789abcdef") -> Token:
    digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
    return Token("admin", base64.b64encode(digest).decode(), True, base64.b64encode(nonce).decode(), created)


def test_the_token_of_the_onvif_guide_is_accepted() -> None:
    door = Accounts([User("user", "userpassword")])
    clock_s = datetime(2010, 9, 16, 7, 51, tzinfo=UTC).timestamp()
    token = Token(
        "user", "tuOSpGlFlIXsozq4HFNeeGeFLEI=", True, "LKqI6G/AikKCQrN0zqZFlg==", "2010-09-16T07:50:45Z"
    )
    assert door.token(token, 0.0, clock_s, "h").login is Login.OK
    assert door.token(token, 1.0, clock_s + 1, "h").login is Login.STALE, "sent twice"


def test_tokens_by_another_clock_are_stale_and_wrong_ones_cost_a_try() -> None:
    door = accounts()
    clock_s = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    assert door.token(wsse("2026-01-01T12:06:00Z", ADMIN.password), 0.0, clock_s, "h").login is Login.STALE
    assert door.token(wsse("2026-01-01T12:04:00Z", ADMIN.password), 0.0, clock_s, "h").login is Login.OK
    assert door.token(wsse("2026-01-01T12:00:00Z", "wrong"), 0.0, clock_s, "h").login is Login.REFUSED
    plain = Token("admin", ADMIN.password, False)
    assert door.token(plain, 0.0, clock_s, "h").login is Login.OK
    for bad in (Token("admin", "x", True, "no base64", "2026-01-01T12:00:00Z"), Token("nobody", "x"),
                Token("admin", "x", True, "QUJD", "yesterday")):  # fmt: skip
        assert door.token(bad, 0.0, clock_s, "h").login is Login.REFUSED


def test_the_same_seed_gives_the_same_nonces() -> None:
    first, second = accounts(), accounts()
    assert first.challenges(0.0) == second.challenges(0.0)


@given(st.text(max_size=300))
def test_no_header_breaks_the_door(header: str) -> None:
    door = accounts()
    for text in (header, "Digest " + header):
        request = Request("GET", PATH, (("Authorization", text),))
        assert door.digest(request, 0.0, "h", "isapi").login is Login.REFUSED


def test_without_users_there_is_no_door() -> None:
    door = Accounts([])
    outcome = door.digest(Request("PUT", PATH), 0.0, "h", "isapi")
    assert outcome.login is Login.OK
    assert outcome.user is not None
    assert door.credentialed == 0
