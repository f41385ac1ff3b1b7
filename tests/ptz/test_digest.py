"""Digest logins: published vectors, and challenges as cameras write them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptz.digest import (
    Challenge,
    Credentials,
    authorization,
    best,
    challenges,
    next_nonce,
    offers,
    response_of,
)

MUFASA = Credentials("Mufasa", "Circle Of Life")
RFC2617 = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093")
MUFASA_7616 = Credentials("Mufasa", "Circle of Life")
NONCE_7616 = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE_7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
ADMIN = Credentials("admin", "Passw0rd!")
CONTINUOUS = "/ISAPI/PTZCtrl/channels/1/continuous"


@pytest.mark.parametrize(
    ("challenge", "login", "method", "uri", "cnonce", "expected"),
    [
        (
            Challenge(RFC2617.realm, RFC2617.nonce, qop="auth"),
            MUFASA,
            "GET",
            "/dir/index.html",
            "0a4f113b",
            "6629fae49393a05397450978507c4ef1",
        ),
        (RFC2617, MUFASA, "GET", "/dir/index.html", "0a4f113b", "670fd8c2df070c60b045671b8b24ff02"),
        (
            Challenge("http-auth@example.org", NONCE_7616, "MD5", qop="auth"),
            MUFASA_7616,
            "GET",
            "/dir/index.html",
            CNONCE_7616,
            "8ca523f5e9506fed4657c9700eebdbec",
        ),
        (
            Challenge("http-auth@example.org", NONCE_7616, "SHA-256", qop="auth"),
            MUFASA_7616,
            "GET",
            "/dir/index.html",
            CNONCE_7616,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (
            Challenge("IP Camera(51253)", "4e44493d4d6a417a", qop="auth"),
            ADMIN,
            "PUT",
            CONTINUOUS,
            "0a4f113b",
            "e9da791fdee35716b3743c9edf3a0631",
        ),
        (
            Challenge("IP Camera(51253)", "4e44493d4d6a417a"),
            ADMIN,
            "PUT",
            CONTINUOUS,
            "0a4f113b",
            "9dab9c7b01080aa40d39bfb02ffbc42c",
        ),
    ],
)
def test_vectors(
    challenge: Challenge, login: Credentials, method: str, uri: str, cnonce: str, expected: str
) -> None:
    assert response_of(challenge, login, method, uri, 1, cnonce) == expected


@pytest.mark.parametrize(
    "header",
    [
        'Digest realm="IP Camera(51253)", nonce="4e44", stale="FALSE"',
        'digest REALM = "IP Camera(51253)" ,NONCE=4e44,  Stale=false',
        'DIGEST   nonce="4e44",realm="IP Camera(51253)"',
        'Digest realm="IP Camera(51253)",nonce="4e44",algorithm=MD5',
        'Basic realm="x", Digest realm="IP Camera(51253)", nonce="4e44"',
        'Digest realm="IP Camera(51253)", nonce="4e44", domain="/ ,a=b"',
        '  Digest\trealm="IP Camera(51253)",\tnonce="4e44",',
    ],
)
def test_challenges_of_any_spelling(header: str) -> None:
    (found,) = challenges([header])
    assert (found.realm, found.nonce, found.algorithm) == ("IP Camera(51253)", "4e44", "MD5")
    assert found.qop == "" and found.stale is False and found.opaque is None


@pytest.mark.parametrize("text", ['stale="TRUE"', "stale=true", "STALE = True", 'stale="true"'])
def test_stale_is_read_quoted_or_not(text: str) -> None:
    (found,) = challenges([f'Digest realm="r", {text}, nonce="n", qop="auth"'])
    assert found.stale and found.qop == "auth"


@pytest.mark.parametrize(
    ("text", "qop"), [('"auth"', "auth"), ("auth", "auth"), ('"auth,auth-int"', "auth"), ("auth,auth-int", "auth"),
                      ('"auth-int, auth"', "auth"), ('"AUTH"', "auth")],
)  # fmt: skip
def test_ways_of_quality(text: str, qop: str) -> None:
    (found,) = challenges([f'Digest realm="r", qop={text}, nonce="n"'])
    assert found.qop == qop and found.nonce == "n"


@pytest.mark.parametrize(
    "header",
    ['Digest realm="r"', 'Digest realm="r", nonce=""', 'Digest realm="r", nonce="n", qop="auth-int"', "",
     'Digest realm="r", nonce="n", algorithm=SHA-512-256', 'Basic realm="r"', "Negotiate", 'nonce="n"', "=,=,,="],
)  # fmt: skip
def test_what_cannot_be_answered_is_no_challenge(header: str) -> None:
    assert challenges([header]) == []


def test_two_headers_and_the_better_of_them() -> None:
    headers = [
        'Digest qop="auth", realm="IP Camera(1)", nonce="a", stale="FALSE"',
        'Digest qop="auth", realm="IP Camera(1)", nonce="b", algorithm="SHA-256", stale="FALSE"',
    ]
    found = challenges(headers)
    assert [challenge.nonce for challenge in found] == ["a", "b"]
    preferred = best(found)
    assert preferred is not None and preferred.algorithm == "SHA-256"
    other = best(found, without={"SHA-256"})
    assert other is not None and other.nonce == "a"
    assert best(found, without={"SHA-256", "MD5"}) is None
    assert best(challenges([", ".join(headers)])) == preferred


def test_what_is_offered() -> None:
    assert offers(['Basic realm="x"', 'Digest realm="r", nonce="n"', "Negotiate"]) == {
        "basic",
        "digest",
        "negotiate",
    }


def test_the_header_holds_what_the_challenge_asks_for() -> None:
    challenge = Challenge('a "b" \\', "n", "SHA-256", "SHA-256", "auth", "o")
    value = authorization(challenge, Credentials('u"', "p"), "GET", "/a?b=c", 0x1F, "cn")
    assert value.startswith('Digest username="u\\"", realm="a \\"b\\" \\\\", nonce="n", uri="/a?b=c", ')
    assert 'algorithm=SHA-256, qop=auth, nc=0000001f, cnonce="cn", opaque="o"' in value
    old = authorization(Challenge("r", "n"), ADMIN, "GET", "/", 7, "cn")
    assert "qop" not in old and "nc=" not in old and "cnonce" not in old and "algorithm" not in old
    assert "opaque" not in old and "opaque" in authorization(
        Challenge("r", "n", opaque=""), ADMIN, "G", "/", 1, ""
    )


def test_sessions_hash_the_nonces_into_the_secret() -> None:
    plain, session = Challenge("r", "n", qop="auth"), Challenge("r", "n", "MD5-SESS", "MD5-sess", "auth")
    assert response_of(plain, ADMIN, "GET", "/", 1, "c") != response_of(session, ADMIN, "GET", "/", 1, "c")
    assert response_of(session, ADMIN, "GET", "/", 1, "c") != response_of(session, ADMIN, "GET", "/", 1, "d")


def test_the_next_nonce() -> None:
    assert next_nonce('rspauth="x", nextnonce="abc=", qop=auth') == "abc="
    assert next_nonce("NextNonce = abc") == "abc" and next_nonce("") == ""


def test_passwords_are_not_shown() -> None:
    assert "Passw0rd" not in repr(ADMIN) and "Passw0rd" not in str(ADMIN)


@given(st.text(st.characters(codec="latin-1"), max_size=200))
def test_any_header_is_read_without_complaint(header: str) -> None:
    for found in challenges([header, "Digest " + header]):
        assert found.nonce


@given(realm=st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=30))
def test_quoted_text_comes_back(realm: str) -> None:
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    (found,) = challenges([f'Digest realm="{quoted}", nonce="n"'])
    assert found.realm == realm


@pytest.mark.parametrize("piece", ["a", " ", 'a="', 'a="\\', "a ", "Digest ", "a=,", '"'])
def test_long_headers_take_no_long_time(piece: str) -> None:
    start_s = time.perf_counter()
    challenges([piece * (32_768 // len(piece))])
    assert time.perf_counter() - start_s < 1.0
