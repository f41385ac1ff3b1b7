"""SOAP as an ONVIF camera reads and writes it: what is asked, by whom, answers and faults."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import PtzProtocolError
from ptz.http import Response
from ptz.simulator.accounts import Token
from ptz.xml import Element, Markup, Value, document, element, parse

TDS = "http://www.onvif.org/ver10/device/wsdl"
TRT = "http://www.onvif.org/ver10/media/wsdl"
TPTZ = "http://www.onvif.org/ver20/ptz/wsdl"
TT = "http://www.onvif.org/ver10/schema"

PREFIXES: dict[str, Value] = {
    "xmlns:env": "http://www.w3.org/2003/05/soap-envelope",
    "xmlns:tds": TDS,
    "xmlns:trt": TRT,
    "xmlns:tptz": TPTZ,
    "xmlns:tt": TT,
    "xmlns:ter": "http://www.onvif.org/ver10/error",
}
SERVICES = {"tds": TDS, "trt": TRT, "tptz": TPTZ}

SOAP_HEADERS = (("Content-Type", "application/soap+xml; charset=utf-8"),)
MOST_BODY_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation that is asked for.

    service     "tds", "trt" or "tptz", "" where its namespace is none of these
    operation   its name
    body        its element
    token       the WS-UsernameToken, if one came
    addressed   whether WS-Addressing headers came with it
    """

    service: str
    operation: str
    body: Element
    token: Token | None = None
    addressed: bool = False


class SoapFault(Exception):
    """A fault to answer with: subcodes from the outer to the inner, and a reason for people.

    receiver  it is the camera's fault and not the caller's
    """

    def __init__(self, *subcodes: str, reason: str = "", receiver: bool = False) -> None:
        super().__init__("/".join(subcodes))
        self.subcodes = subcodes
        self.reason = reason or subcodes[-1]
        self.receiver = receiver


def read_envelope(body: bytes, where: str) -> Asked:
    """What a request asks for. Raises `SoapFault` where it is no envelope with one operation."""
    try:
        root = parse(body, where, MOST_BODY_BYTES)
    except PtzProtocolError as error:
        raise SoapFault("ter:WellFormed", reason="not well-formed") from error
    operations = root.find("Body")
    if root.name != "Envelope" or operations is None or not operations.children:
        raise SoapFault("ter:WellFormed", reason="no operation")
    operation = operations.children[0]
    service = next((prefix for prefix, uri in SERVICES.items() if uri == operation.namespace), "")
    header = root.find("Header")
    addressed = header is not None and header.find("Action") is not None
    return Asked(service, operation.name, operation, _token(header), addressed)


def _token(header: Element | None) -> Token | None:
    found = None if header is None else header.find("Security/UsernameToken")
    if found is None:
        return None
    password = found.find("Password")
    kind = password.attributes.get("Type", "") if password is not None else ""
    return Token(
        found.text_of("Username", ""),
        password.text if password is not None else "",
        kind.endswith("PasswordDigest"),
        found.text_of("Nonce", ""),
        found.text_of("Created", ""),
    )


def envelope(*content: Markup) -> bytes:
    """A whole answer."""
    return document(element("env:Envelope", element("env:Body", *content), attributes=PREFIXES))


def answered(service: str, operation: str, *content: Markup) -> Response:
    """The answer of an operation that was carried out."""
    return Response(200, SOAP_HEADERS, envelope(element(f"{service}:{operation}Response", *content)))


def faulted(fault: SoapFault) -> Response:
    """A fault: status 400 where the caller is to blame, 500 where the camera is."""
    subcode = Markup()
    for word in reversed(fault.subcodes):
        subcode = element("env:Subcode", element("env:Value", word), subcode)
    code = element("env:Value", "env:Receiver" if fault.receiver else "env:Sender")
    reason = element("env:Text", fault.reason, attributes={"xml:lang": "en"})
    body = envelope(element("env:Fault", element("env:Code", code, subcode), element("env:Reason", reason)))
    return Response(500 if fault.receiver else 400, SOAP_HEADERS, body)


_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,4})D)?(?:T(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,6})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)


def seconds_of(duration: str) -> float:
    """Seconds of an xs:duration without years and months. Raises `SoapFault` where it is none."""
    match = _DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        raise SoapFault("ter:InvalidArgVal", "ter:TimeoutNotSupported", reason="not a duration")
    factors = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
    return sum(float(match[name] or 0) * factor for name, factor in factors.items())
