"""Digest logins of HTTP and RTSP: RFC 2069 (no qop), RFC 2617 (MD5), RFC 7616 (SHA-256).

Pure functions: a challenge as a camera sends it goes in, the header that answers it comes out. Parsing takes what real
cameras send: any case and spacing, quotes or none, several challenges in one header or in several.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]*)')
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?=\s+[A-Za-z0-9_-]+\s*=)|^[A-Za-z][A-Za-z0-9-]*")
_OTHER = re.compile(r"[A-Za-z0-9_-]+|.", re.DOTALL)
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_SESSION = "-SESS"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in. The password is not in `repr`."""

    user: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a camera wants hashed.

    algorithm  "MD5" or "SHA-256", with "-SESS" behind it for a session; missing means MD5
    named      the algorithm as the camera wrote it, to be sent back; "" where it wrote none
    qop        "auth", or "" for the way of RFC 2069
    opaque     sent back as it came; None where there was none
    stale      the last answer was right, and only its nonce too old: no failed login
    """

    realm: str
    nonce: str
    algorithm: str = "MD5"
    named: str = ""
    qop: str = ""
    opaque: str | None = None
    stale: bool = False


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """The digest challenges that can be answered among `WWW-Authenticate` headers, in their order."""
    return [
        challenge
        for header in headers
        for scheme, parameters in _schemes(header)
        if scheme == "digest" and (challenge := _challenge(parameters)) is not None
    ]


def offers(headers: Iterable[str]) -> frozenset[str]:
    """The names of all ways to log in that these headers offer, in lower case: "digest", "basic", …"""
    return frozenset(scheme for header in headers for scheme, _ in _schemes(header))


def best(found: Iterable[Challenge], without: Collection[str] = ()) -> Challenge | None:
    """SHA-256 before MD5, leaving out algorithms that were found not to work; None where nothing is left."""
    usable = [challenge for challenge in found if challenge.algorithm not in without]
    return max(usable, key=lambda challenge: challenge.algorithm.startswith("SHA-256"), default=None)


def next_nonce(header: str) -> str:
    """The nonce that an `Authentication-Info` header wants next, "" where it names none."""
    found = {match[1].lower(): _plain(match[2]) for match in _PARAMETER.finditer(header)}
    return found.get("nextnonce", "")


def authorization(
    challenge: Challenge, login: Credentials, method: str, uri: str, count: int, cnonce: str
) -> str:
    """The value of an `Authorization` header.

    uri     as in the request line, with its query
    count   1 for the first use of this nonce, then rising
    cnonce  random text of ours; used with qop and sessions only
    """
    response = response_of(challenge, login, method, uri, count, cnonce)
    words = [
        f'username="{_escaped(login.user)}"',
        f'realm="{_escaped(challenge.realm)}"',
        f'nonce="{_escaped(challenge.nonce)}"',
        f'uri="{_escaped(uri)}"',
        f'response="{response}"',
    ]
    if challenge.named:
        words.append(f"algorithm={challenge.named}")
    if challenge.qop:
        words.append(f'qop={challenge.qop}, nc={count:08x}, cnonce="{cnonce}"')
    elif challenge.algorithm.endswith(_SESSION):
        words.append(f'cnonce="{cnonce}"')
    if challenge.opaque is not None:
        words.append(f'opaque="{_escaped(challenge.opaque)}"')
    return "Digest " + ", ".join(words)


def response_of(
    challenge: Challenge, login: Credentials, method: str, uri: str, count: int, cnonce: str
) -> str:
    """The hash that proves the password, in hex: RFC 7616 section 3.4.1, and RFC 2069 where there is no qop."""
    hashed = _HASHES[challenge.algorithm.removesuffix(_SESSION)]

    def digest(*words: str) -> str:
        return hashed(":".join(words).encode()).hexdigest()

    secret = digest(login.user, challenge.realm, login.password)
    if challenge.algorithm.endswith(_SESSION):
        secret = digest(secret, challenge.nonce, cnonce)
    request = digest(method, uri)
    if not challenge.qop:
        return digest(secret, challenge.nonce, request)
    return digest(secret, challenge.nonce, f"{count:08x}", cnonce, challenge.qop, request)


def _schemes(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each scheme of a header with its parameters; all names in lower case."""
    scheme: str | None = None
    parameters: dict[str, str] = {}
    header, position = header.strip(), 0
    while position < len(header):
        if found := _PARAMETER.match(header, position):
            parameters.setdefault(found[1].lower(), _plain(found[2]))
        elif found := _SCHEME.match(header, position):
            if scheme is not None:
                yield scheme, parameters
            scheme, parameters = found[0].lower(), {}
        else:
            found = _OTHER.match(header, position)
        position = found.end() if found else len(header)
    if scheme is not None:
        yield scheme, parameters


def _challenge(parameters: dict[str, str]) -> Challenge | None:
    named = parameters.get("algorithm", "")
    algorithm = named.upper().replace("SHA256", "SHA-256") or "MD5"
    ways = {way.strip().lower() for way in parameters.get("qop", "").split(",")} - {""}
    answerable = algorithm.removesuffix(_SESSION) in _HASHES and (not ways or "auth" in ways)
    if not parameters.get("nonce") or not answerable:
        return None
    return Challenge(
        realm=parameters.get("realm", ""),
        nonce=parameters["nonce"],
        algorithm=algorithm,
        named=named,
        qop="auth" if ways else "",
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
    )


def _plain(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value.strip('"')


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
