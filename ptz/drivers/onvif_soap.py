"""SOAP 1.2 as ONVIF uses it: envelopes, logins, faults.

Knows how a call travels and what its refusal means, not what is called. Sends no WS-Addressing headers: there are
cameras that refuse Stop because of them.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from engine.errors import (
    PtzBusy,
    PtzError,
    PtzLocked,
    PtzProtocolError,
    PtzRefused,
    PtzUnauthorized,
    PtzUnsupported,
)
from engine.secrets import mask_text
from ptz.drivers.base import DriverOptions
from ptz.http import Response
from ptz.http_client import HttpClient
from ptz.xml import Element, Markup, document, element, parse

SOAP = "http://www.w3.org/2003/05/soap-envelope"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
PTZ = "http://www.onvif.org/ver20/ptz/wsdl"
SCHEMA = "http://www.onvif.org/ver10/schema"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
SECURITY = f"{_OASIS}wssecurity-secext-1.0.xsd"
SECURITY_TIME = f"{_OASIS}wssecurity-utility-1.0.xsd"
PASSWORD_TYPE = f"{_OASIS}username-token-profile-1.0#"
BASE64 = f"{_OASIS}soap-message-security-1.0#Base64Binary"

DEVICE_PATH = "/onvif/device_service"
CLOCK_MOVED_S = 2.0
"""A camera's clock that differs by more than this from what we took it for may be why a token was refused."""
LOGINS = ("auto", "digest", "token", "token_text")

UNAUTHORIZED = frozenset({"NotAuthorized", "FailedAuthentication", "SenderNotAuthorized"})
WRONG_TOKEN = frozenset({"UnsupportedSecurityToken", "UnsupportedAlgorithm", "InvalidSecurityToken"})
BUSY = frozenset({"MovingPTZ", "OutofMemory", "CriticalError", "Busy"})
UNSUPPORTED = frozenset(
    {
        "ActionNotSupported", "OptionalActionNotImplemented", "NoPTZProfile", "PTZNotSupported", "SpaceNotSupported",
        "TimeoutNotSupported", "NoStatus", "NoHomePosition", "CannotOverwriteHome",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal. `codes` are local names, the general first: ("Sender", "InvalidArgVal", "SpaceNotSupported")."""

    codes: tuple[str, ...]
    reason: str = ""

    def any_of(self, names: frozenset[str]) -> bool:
        """Whether one of its codes is among these."""
        return not names.isdisjoint(self.codes)

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{'/'.join(self.codes)}{reason}"


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """WS-UsernameToken's PasswordDigest: Base64 of SHA-1 over nonce, time and password (OASIS WSS 1.0)."""
    inside = nonce + created.encode() + password.encode()
    return base64.b64encode(hashlib.sha1(inside, usedforsecurity=False).digest()).decode()


def username_token(options: DriverOptions, utc_s: float, as_text: bool) -> Markup:
    """The `Security` header; `utc_s` is the camera's time, seconds since 1970."""
    nonce = os.urandom(16)
    created = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=utc_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    password = options.password if as_text else password_digest(nonce, created, options.password)
    kind = PASSWORD_TYPE + ("PasswordText" if as_text else "PasswordDigest")
    token = element(
        "UsernameToken",
        element("Username", options.user),
        element("Password", password, attributes={"Type": kind}),
        element("Nonce", base64.b64encode(nonce).decode(), attributes={"EncodingType": BASE64}),
        element("Created", created, attributes={"xmlns": SECURITY_TIME}),
    )
    return element("Security", token, attributes={"xmlns": SECURITY, "s:mustUnderstand": True})


def envelope(body: Markup, header: Markup | None = None) -> bytes:
    """A whole message."""
    parts = [element("s:Header", header)] if header else []
    return document(element("s:Envelope", *parts, element("s:Body", body), attributes={"xmlns:s": SOAP}))


def answer_of(response: Response, where: str) -> Element | Fault:
    """What an answer says: the element within its Body, or a fault.

    Raises `PtzBusy`, `PtzUnsupported` or `PtzProtocolError` where it is no SOAP.
    """
    if response.status == 503:
        raise PtzBusy(f"{where}: busy (HTTP 503)")
    try:
        root = parse(response.body, where)
    except PtzProtocolError:
        if response.status in (404, 405, 501):
            raise PtzUnsupported(f"{where}: HTTP {response.status}: no such ONVIF service there") from None
        if response.status != 200:
            raise PtzProtocolError(f"{where}: HTTP {response.status} without a SOAP answer") from None
        raise
    if root.name != "Envelope":
        raise PtzProtocolError(f"{where}: the answer is <{root.name}>, not SOAP (HTTP {response.status})")
    body = root.need("Body")
    fault = body.find("Fault")
    if fault is not None:
        return _fault(fault)
    if not body.children:
        raise PtzProtocolError(f"{where}: the answer's Body is empty (HTTP {response.status})")
    return body.children[0]


def _fault(fault: Element) -> Fault:
    """SOAP 1.2, or 1.1 as some answer anyway."""
    codes = [found.text for name in ("Value", "faultcode") for found in fault.walk() if found.name == name]
    texts = [found.text for name in ("Text", "faultstring") for found in fault.walk() if found.name == name]
    names = tuple(code.rpartition(":")[2] for code in codes if code)
    reason = " ".join(mask_text(texts[0]).split())[:160] if texts else ""
    return Fault(names or ("Fault",), reason)


def error_of(fault: Fault, where: str) -> PtzError:
    """The error that stands for a fault."""
    message = f"{where}: refused: {fault}"
    if fault.any_of(UNAUTHORIZED):
        if "lock" in fault.reason.lower():
            return PtzLocked(f"{where}: the account is locked: {fault}")
        return PtzUnauthorized(
            f"{where}: the camera refused the login ({fault}): check user and password (ONVIF often has its own users)"
        )
    if fault.any_of(BUSY):
        return PtzBusy(message)
    if fault.any_of(UNSUPPORTED):
        return PtzUnsupported(message)
    return PtzRefused(message)


class SoapClient:
    """Calls to one camera, with the login that it wants.

    http     carries them
    now      seconds of the event loop
    utc      seconds since 1970, where the camera does not tell its own time
    choices  what was chosen and why, one line each
    """

    def __init__(
        self, http: HttpClient, options: DriverOptions, now: Callable[[], float], utc: Callable[[], float]
    ) -> None:
        if options.login not in LOGINS:
            raise PtzRefused(f"login must be one of {', '.join(LOGINS)}, found {options.login!r}")
        self._http = http
        self._options = options
        self._now = now
        self._utc = utc
        self._login = options.login
        self._offset_s: float | None = None
        self.device_path = DEVICE_PATH
        self.url = options.url
        self.choices: list[str] = []

    async def call(self, path: str, service: str, operation: str, *content: Markup) -> Element:
        """Call, and return the answer's element. Raises the error that stands for a fault."""
        answer = await self.ask(path, service, operation, *content)
        if isinstance(answer, Fault):
            raise error_of(answer, self._where(operation))
        return answer

    async def ask(self, path: str, service: str, operation: str, *content: Markup) -> Element | Fault:
        """Call, and return the answer's element, or a fault other than a refused login."""
        before = self._login, tuple(self.choices)
        answer = await self._ask(path, service, operation, content)
        for _ in range(2):  # no login → token → password as text, or → the camera's new time
            if not _wants_login(answer) or not await self._other_login(answer):
                break
            answer = await self._ask(path, service, operation, content)
        if _wants_login(answer):
            self._login, self.choices = before[0], list(before[1])
            if not self._options.user:
                raise PtzUnauthorized(
                    f"{self._where(operation)}: the camera wants a login; set user and password"
                )
            raise error_of(Fault(("NotAuthorized", *answer.codes), answer.reason), self._where(operation))
        return answer

    async def read_clock(self) -> None:
        """Ask the camera for its time, without a login. Where it tells none, ours is taken."""
        try:
            answer = await self._ask(self.device_path, DEVICE, "GetSystemDateAndTime", (), anonymous=True)
            seconds = None if isinstance(answer, Fault) else utc_of(answer)
        except (PtzUnauthorized, PtzUnsupported) as error:
            self._choose(f"clock: ours, the camera's cannot be read ({type(error).__name__})")
            return
        if seconds is None:
            self._choose("clock: ours, the camera tells none")
            return
        self._offset_s = seconds - self._now()
        ahead = seconds - self._utc()
        if abs(ahead) > CLOCK_MOVED_S:
            self._choose(f"clock: the camera's, {ahead:+.0f} s from ours")

    async def _ask(
        self, path: str, service: str, operation: str, content: tuple[Markup, ...], anonymous: bool = False
    ) -> Element | Fault:
        body = element(operation, *content, attributes={"xmlns": service})
        kind = f'application/soap+xml; charset=utf-8; action="{service}/{operation}"'
        where = self._where(operation)
        if anonymous or not self._login.startswith("token") or not self._options.user:
            try:
                response = await self._http.request("POST", path, envelope(body), kind)
            except (PtzUnauthorized, PtzProtocolError):
                known = not self._http.unknown_login or not self._options.user
                if known or (self._login != "auto" and not anonymous):
                    raise
                return Fault(("NotAuthorized",), "HTTP 401 without a digest challenge")
        else:
            header = username_token(self._options, self._camera_utc(), self._login == "token_text")
            response = await self._http.request(
                "POST", path, envelope(body, header), kind, refuses=lambda got: _refuses(got, where)
            )
            if response.status == 401:
                return Fault(("NotAuthorized",), "HTTP 401")
        return answer_of(response, where)

    async def _other_login(self, fault: Fault) -> bool:
        """Whether it is worth asking again, once, in another way."""
        if not self._options.user:
            return False
        if self._login == "auto":
            self._login = "token"
            self._choose(f"login: WS-UsernameToken, the camera refuses calls without one ({fault})")
            return True
        if self._login == "token" and fault.any_of(WRONG_TOKEN):
            if not self.url.lower().startswith("https:"):
                raise PtzUnauthorized(
                    f"{self.url}: the camera takes the password only as text ({fault}); it is not sent in the clear "
                    "unless login = token_text is set, or over https"
                )
            self._login = "token_text"
            self._choose(f"login: the password as text, the camera refuses its digest ({fault})")
            return True
        if self._login != "token" or self._offset_s is None:
            return False
        before = self._offset_s
        await self.read_clock()
        return abs(self._offset_s - before) > CLOCK_MOVED_S

    def _camera_utc(self) -> float:
        return self._utc() if self._offset_s is None else self._now() + self._offset_s

    def _choose(self, choice: str) -> None:
        """Of each topic the latest choice is kept."""
        topic = choice.partition(":")[0]
        self.choices = [kept for kept in self.choices if kept.partition(":")[0] != topic] + [choice]

    def _where(self, operation: str) -> str:
        return f"{self._options.url} ONVIF {operation}"


def _wants_login(answer: Element | Fault) -> TypeGuard[Fault]:
    return isinstance(answer, Fault) and answer.any_of(UNAUTHORIZED | WRONG_TOKEN)


def _refuses(response: Response, where: str) -> bool:
    """Whether an answer refuses the token that its request carried."""
    if response.status == 401:
        return True
    try:
        answer = answer_of(response, where)
    except PtzError:
        return False
    return isinstance(answer, Fault) and answer.any_of(UNAUTHORIZED)


def utc_of(answer: Element) -> float | None:
    """Seconds since 1970 in an answer to GetSystemDateAndTime, None where it holds no such time."""
    time = answer.find("SystemDateAndTime/UTCDateTime")
    if time is None:
        return None
    try:
        parts = [
            time.int_of(path)
            for path in ("Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second")
        ]
        year, month, day, hour, minute, second = parts
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except (PtzProtocolError, ValueError):
        return None
