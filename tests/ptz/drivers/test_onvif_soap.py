"""SOAP of ONVIF: the login's digest, envelopes, and what refusals mean."""

from __future__ import annotations

import base64

import pytest

from engine.errors import (
    PtzBusy,
    PtzError,
    PtzLocked,
    PtzProtocolError,
    PtzRefused,
    PtzUnauthorized,
    PtzUnsupported,
)
from ptz.drivers.base import DriverOptions
from ptz.drivers.onvif_soap import (
    Fault,
    answer_of,
    envelope,
    error_of,
    password_digest,
    username_token,
    utc_of,
)
from ptz.http import Response
from ptz.xml import Element, element, parse

OPTIONS = DriverOptions(url="http://192.0.2.7", user="operator", password="userpassword")


def fault(*codes: str, reason: str = "No") -> bytes:
    subcode = "".join(f"<s:Subcode><s:Value>{code}</s:Value>" for code in codes[1:])
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code>'
        f"<s:Value>{codes[0]}</s:Value>{subcode}{'</s:Subcode>' * (len(codes) - 1)}</s:Code>"
        f"<s:Reason><s:Text>{reason}</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"
    ).encode()


def test_password_digest_of_the_onvif_guide() -> None:
    nonce = base64.b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    digest = password_digest(nonce, "2010-09-16T07:50:45Z", "userpassword")
    assert digest == "tuOSpGlFlIXsozq4HFNeeGeFLEI="


def test_a_token_holds_the_cameras_time_and_a_digest_of_it() -> None:
    token = parse(username_token(OPTIONS, 1284623445.7, as_text=False).replace("s:", "").encode(), "ours")
    fields = token.need("UsernameToken")
    assert fields.text_of("Username") == "operator"
    assert fields.text_of("Created") == "2010-09-16T07:50:45Z"
    nonce = base64.b64decode(fields.text_of("Nonce"))
    assert len(nonce) == 16
    assert fields.text_of("Password") == password_digest(nonce, "2010-09-16T07:50:45Z", "userpassword")
    assert fields.need("Password").attributes["Type"].endswith("#PasswordDigest")


def test_the_password_is_in_a_token_only_as_text() -> None:
    assert "userpassword" not in username_token(OPTIONS, 0.0, as_text=False)
    assert "userpassword" in username_token(OPTIONS, 0.0, as_text=True)


def test_an_envelope_has_no_addressing() -> None:
    body = envelope(element("Stop", attributes={"xmlns": "urn:ptz"}))
    root = parse(body, "ours")
    assert root.namespace == "http://www.w3.org/2003/05/soap-envelope"
    assert root.find("Header") is None and root.need("Body/Stop").namespace == "urn:ptz"
    assert b"addressing" not in body


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (("env:Sender", "ter:NotAuthorized"), PtzUnauthorized),
        (("s:Sender", "wsse:FailedAuthentication"), PtzUnauthorized),
        (("env:Sender", "ter:InvalidArgVal", "ter:SpaceNotSupported"), PtzUnsupported),
        (("env:Receiver", "ter:ActionNotSupported", "ter:NoStatus"), PtzUnsupported),
        (("env:Sender", "ter:InvalidArgVal", "ter:InvalidPosition"), PtzRefused),
        (("env:Receiver", "ter:Action", "ter:MovingPTZ"), PtzBusy),
        (("env:Receiver", "ter:Action", "ter:TooManyPresets"), PtzRefused),
        (("env:Sender",), PtzRefused),
    ],
)
def test_faults(codes: tuple[str, ...], kind: type[PtzError]) -> None:
    answer = answer_of(Response(400, (), fault(*codes)), "camera")
    assert isinstance(answer, Fault)
    assert answer.codes == tuple(code.partition(":")[2] for code in codes)
    error = error_of(answer, "camera ONVIF Stop")
    assert type(error) is kind and str(error).startswith("camera ONVIF Stop: ") and "\n" not in str(error)


def test_a_fault_of_soap_1_1_and_one_that_locks() -> None:
    old = (
        b"<E:Envelope xmlns:E='urn:soap'><E:Body><E:Fault><faultcode>E:Client</faultcode>"
        b"<faultstring>bad thing</faultstring></E:Fault></E:Body></E:Envelope>"
    )
    assert answer_of(Response(500, (), old), "camera") == Fault(("Client",), "bad thing")
    locked = answer_of(Response(400, (), fault("Sender", "NotAuthorized", reason="User is locked")), "camera")
    assert isinstance(locked, Fault) and type(error_of(locked, "camera")) is PtzLocked


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (503, b"", PtzBusy, "503"),
        (404, b"<html>not found</html>", PtzUnsupported, "no such ONVIF service"),
        (405, b"", PtzUnsupported, "405"),
        (302, b"", PtzProtocolError, "HTTP 302 without a SOAP answer"),
        (200, b"<html><title>Log in</title>", PtzProtocolError, "HTML page"),
        (200, b"<ResponseStatus/>", PtzProtocolError, "not SOAP"),
        (200, b"<Envelope><Body/></Envelope>", PtzProtocolError, "Body is empty"),
        (200, b"<Envelope><Header/></Envelope>", PtzProtocolError, "no <Body>"),
    ],
)
def test_answers_that_are_no_soap(status: int, body: bytes, kind: type[PtzError], words: str) -> None:
    with pytest.raises(kind, match=words):
        answer_of(Response(status, (), body), "camera")


def date_and_time(hour: str = "7", month: str = "9") -> Element:
    return parse(
        f"<R><SystemDateAndTime><UTCDateTime><Time><Hour>{hour}</Hour><Minute>50</Minute><Second>45</Second></Time>"
        f"<Date><Year>2010</Year><Month>{month}</Month><Day>16</Day></Date></UTCDateTime></SystemDateAndTime></R>".encode(),
        "camera",
    )


def test_the_cameras_clock() -> None:
    assert utc_of(date_and_time()) == 1284623445
    assert utc_of(date_and_time(hour="25")) is None
    assert utc_of(date_and_time(month="")) is None
    assert utc_of(parse(b"<R/>", "camera")) is None
