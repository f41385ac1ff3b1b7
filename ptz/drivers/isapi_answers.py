"""What ISAPI's answers mean: a document, or one of our errors. Table in docs/ptz_protocols.md.

A 200 may hold a failure, a 403 may mean that there is no such function, and a page for people may stand where XML is
expected.
"""

from __future__ import annotations

from engine.errors import PtzBusy, PtzError, PtzProtocolError, PtzRefused, PtzUnauthorized, PtzUnsupported
from engine.secrets import mask_text
from ptz.http import Response
from ptz.xml import Element, parse

ACCEPTED = frozenset({0, 1})
BUSY, DEVICE_ERROR, INVALID_OPERATION, BAD_FORMAT, BAD_CONTENT, REBOOT_REQUIRED = 2, 3, 4, 5, 6, 7

_UNSUPPORTED = frozenset(
    {"notsupport", "methodnotallowed", "notsupported", "urlnotexist", "resourcenotfound"}
)
_NO_RIGHT = frozenset({"insufficientpermission", "lowprivilege", "permissiondenied", "nopermission"})
_BUSY = frozenset({"devicebusy", "busy", "deviceisbusy"})


class WrongBody(PtzRefused):
    """The camera does not like the body: another spelling of it may do."""


class NotAllowed(PtzUnsupported):
    """The place is there, but not for this method: what can be put cannot always be read."""


def checked(response: Response, where: str) -> Element | None:
    """The document of an answer that says yes; None where it came without one.

    where  opens every message: what was asked, without credentials

    Raises `PtzBusy`, `PtzUnsupported`, `PtzRefused` (`WrongBody` where the body is the reason), `PtzUnauthorized` or
    `PtzProtocolError`.
    """
    if 300 <= response.status < 400:
        place = mask_text(response.header("Location") or "nowhere")[:120]
        raise PtzProtocolError(f"{where}: the camera sends us on to {place}; set its url to that")
    document = _document(response, where)
    if document is not None and document.name == "ResponseStatus":
        failure = _failure(document, response.status, where)
        if failure is not None:
            raise failure
    if response.status >= 400:
        raise _by_status(response.status, where)
    return document


def _document(response: Response, where: str) -> Element | None:
    body = response.body.strip()
    if not body:
        return None
    if response.status < 400:
        return parse(body, where)
    try:
        return parse(body, where)
    except PtzProtocolError:
        # Pages for people are what servers say of errors; the status says enough.
        return None


def _failure(status: Element, http_status: int, where: str) -> PtzError | None:
    """The error that a ResponseStatus tells of, None where it says yes."""
    code = status.int_of("statusCode", 1 if http_status < 400 else 0)
    word = status.text_of("subStatusCode", "")
    if http_status < 400 and code in ACCEPTED:
        return None
    what = word or status.text_of("statusString", "") or f"HTTP {http_status}"
    detail = status.text_of("errorMsg", "")
    text = f"{where}: {' '.join(what.split())[:60]}" + (
        f" ({' '.join(detail.split())[:80]})" if detail else ""
    )
    return _meant(code, word.lower(), http_status, text)


def _meant(code: int, word: str, http_status: int, text: str) -> PtzError:
    if word in _NO_RIGHT:
        return PtzRefused(f"{text}; give this account of the camera the right to control PTZ")
    if word == "notactivated":
        return PtzUnauthorized(f"{text}; set a password on the camera first")
    if word == "methodnotallowed":
        return NotAllowed(text)
    if word in _UNSUPPORTED or http_status in (404, 405, 501):
        return PtzUnsupported(text)
    if word in _BUSY or code in (BUSY, DEVICE_ERROR) or http_status >= 500:
        return PtzBusy(text)
    if code in (BAD_FORMAT, BAD_CONTENT) or http_status == 400:
        return WrongBody(text)
    if code == REBOOT_REQUIRED:
        return PtzRefused(f"{text}; the camera wants to be restarted first")
    return PtzRefused(text)


def _by_status(status: int, where: str) -> PtzError:
    text = f"{where}: HTTP {status}"
    if status in (404, 405, 501):
        return PtzUnsupported(text)
    if status >= 500:
        return PtzBusy(text)
    if status == 400:
        return WrongBody(text)
    return PtzRefused(f"{text}; is this account of the camera allowed to control PTZ?")
