"""What ISAPI's answers mean: every row of the table in docs/ptz_protocols.md."""

from __future__ import annotations

import pytest

from engine.errors import (
    PtzBusy,
    PtzError,
    PtzProtocolError,
    PtzRefused,
    PtzUnauthorized,
    PtzUnsupported,
)
from ptz.drivers.isapi_answers import NotAllowed, WrongBody, checked
from ptz.http import Response

WHERE = "http://camera: PUT /ISAPI/PTZCtrl/channels/1/continuous"
BOMB = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aa">]><PTZStatus>&a;</PTZStatus>'


def status(code: object, word: str = "", text: str = "", more: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ResponseStatus version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">'
        "<requestURL>/ISAPI/PTZCtrl/channels/1/continuous</requestURL>"
        f"<statusCode>{code}</statusCode><statusString>{text}</statusString>"
        f"<subStatusCode>{word}</subStatusCode>{more}</ResponseStatus>"
    ).encode()


@pytest.mark.parametrize("body", [b"", b"  \r\n", status(1, "ok", "OK"), status(0, "ok"), b"<PTZStatus/>"])
def test_yes(body: bytes) -> None:
    document = checked(Response(200, body=body), WHERE)
    assert (document is None) == (not body.strip())


@pytest.mark.parametrize(
    ("http", "body", "kind"),
    [
        # 200 with a failure in it
        (200, status(2, "deviceBusy", "Device Busy"), PtzBusy),
        (200, status(3, "deviceError"), PtzBusy),
        (200, status(4, "notSupport", "Invalid Operation"), PtzUnsupported),
        (200, status(4, "invalidOperation"), PtzRefused),
        (200, status(5, "badXmlFormat"), WrongBody),
        (200, status(6, "badXmlContent"), WrongBody),
        (200, status(7, "rebootRequired"), PtzRefused),
        (200, status(9), PtzRefused),
        # 400
        (400, status(5, "badXmlFormat"), WrongBody),
        (400, status(6, "badXmlContent"), WrongBody),
        (400, status(6, "badParameters"), WrongBody),
        (400, status(4, "invalidOperation"), WrongBody),
        (400, b"", WrongBody),
        (400, b"<html>Bad request</html>", WrongBody),
        # 403 is not always "no rights"
        (403, status(4, "notSupport"), PtzUnsupported),
        (403, status(4, "insufficientPermission"), PtzRefused),
        (403, status(4, "lowPrivilege"), PtzRefused),
        (403, status(6, "methodNotAllowed"), NotAllowed),
        (403, b"", PtzRefused),
        (403, status(4, "notActivated"), PtzUnauthorized),
        # absent
        (404, b"", PtzUnsupported),
        (404, b"<!DOCTYPE html><html><head><title>404</title></head></html>", PtzUnsupported),
        (404, status(4, "notSupport"), PtzUnsupported),
        (405, b"", PtzUnsupported),
        (501, b"", PtzUnsupported),
        # busy and broken
        (503, status(2, "deviceBusy"), PtzBusy),
        (503, b"", PtzBusy),
        (500, status(3, "deviceError"), PtzBusy),
        (500, b"<html/>", PtzBusy),
        (502, b"", PtzBusy),
        # no XML
        (200, b"<!DOCTYPE html><html><head><title>Login</title></head></html>", PtzProtocolError),
        (200, status(1, "ok")[:-20], PtzProtocolError),
        (200, BOMB, PtzProtocolError),
        (200, b"OK", PtzProtocolError),
        (200, status("one"), PtzProtocolError),
        (200, b"<a>" * 100_000, PtzProtocolError),
        (302, b"", PtzProtocolError),
    ],
)
def test_no(http: int, body: bytes, kind: type[PtzError]) -> None:
    with pytest.raises(PtzError) as caught:
        checked(Response(http, body=body), WHERE)
    assert type(caught.value) is kind
    assert (
        str(caught.value).startswith(WHERE) and "\n" not in str(caught.value) and len(str(caught.value)) < 300
    )


def test_details_are_told() -> None:
    body = status(4, "invalidOperation", more="<errorCode>1</errorCode><errorMsg>head is\n locked</errorMsg>")
    with pytest.raises(PtzRefused, match=r"continuous: invalidOperation \(head is locked\)$"):
        checked(Response(200, body=body), WHERE)


def test_what_to_do_is_told() -> None:
    with pytest.raises(PtzRefused, match="the right to control PTZ"):
        checked(Response(403, body=status(4, "insufficientPermission")), WHERE)
    with pytest.raises(PtzProtocolError, match="sends us on to https://camera/; set its url"):
        checked(Response(301, (("Location", "https://camera/"),)), WHERE)
