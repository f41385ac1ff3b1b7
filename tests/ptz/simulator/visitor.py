"""Somebody who calls on a simulated camera and logs in as it wants: a client without sockets or time of its own."""

from __future__ import annotations

import re

from ptz.http import Request, Response
from ptz.simulator.accounts import Accounts, LoginSettings, User, expected_response
from ptz.simulator.answer import Answer
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.profiles import PROFILES
from ptz.xml import Element, parse

ADMIN = User("admin", "Passw0rd!")
PTZ = "/ISAPI/PTZCtrl/channels/1"
NAMED = 'version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"'


def camera(
    profile: str = "hik-8425ix",
    *faults: Fault,
    settings: CameraSettings | None = None,
    login: LoginSettings | None = None,
) -> SimulatedCamera:
    """A camera with one administrator, an operator and a viewer."""
    users = [ADMIN, User("op", "letmein", role="operator"), User("guest", "guest", role="viewer")]
    return SimulatedCamera(Device(PROFILES[profile], 7, Faults(faults)), Accounts(users, login), settings)


def ptz_data(pan: int, tilt: int, zoom: int, more: str = "", named: str = NAMED) -> bytes:
    """The body of continuous and momentary."""
    return f"<PTZData {named}><pan>{pan}</pan><tilt>{tilt}</tilt><zoom>{zoom}</zoom>{more}</PTZData>".encode()


class Visitor:
    """Asks one camera. Time passes only where `now_s` is set."""

    def __init__(self, host: SimulatedCamera, user: User = ADMIN, peer: str = "192.0.2.7:50000") -> None:
        self.camera = host
        self.user = user
        self.peer = peer
        self.now_s = 0.0
        self._challenge: dict[str, str] = {}
        self._count = 0

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "application/xml") -> Answer:
        """The answer, after one login where it is asked for."""
        for _ in range(2):
            headers = [("Host", "192.0.2.10"), ("Content-Type", content_type)]
            if self._challenge:
                headers.append(("Authorization", self._authorization(method, path)))
            answer = self.camera.handle(Request(method, path, tuple(headers), body), self.now_s, self.peer)
            told = answer.response.header("WWW-Authenticate") or ""
            if answer.response.status != 401 or (self._challenge and 'stale="TRUE"' not in told):
                break
            self._challenge, self._count = parameters(told), 0
        return answer

    def _authorization(self, method: str, path: str) -> str:
        self._count += 1
        told = {"username": self.user.name, "uri": path, **self._challenge}
        if "qop" in told:
            told |= {"qop": "auth", "nc": f"{self._count:08x}", "cnonce": "0a4f113b"}
        told["response"] = expected_response(told, self.user, told["realm"], method)
        bare = ("qop", "nc", "algorithm")
        return "Digest " + ", ".join(f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in told.items())

    def get(self, path: str) -> Element:
        """The document at a path; fails where it is not answered with 200."""
        return document_of(self.ask("GET", path).response)

    def put(self, path: str, body: bytes = b"") -> tuple[int, str]:
        """Status and subStatusCode of a command."""
        response = self.ask("PUT", path, body).response
        return response.status, parse(response.body, path).text_of("subStatusCode")

    def soap(self, operation: str, content: str = "", service: str = "ptz", header: str = "") -> Element:
        """The first element in the body of the answer to an operation."""
        answer = self.ask("POST", f"/onvif/{service}_service", envelope(operation, content, service, header))
        body = parse(answer.response.body, operation).need("Body")
        return body.children[0]


def parameters(challenge: str) -> dict[str, str]:
    """Of a challenge: realm, nonce, and qop and algorithm if any."""
    words = re.findall(r'(\w+)\s*=\s*("[^"]*"|[^\s,]+)', challenge)
    return {key.lower(): value.strip('"') for key, value in words if key.lower() != "stale"}


def document_of(response: Response) -> Element:
    """The document in an answer of 200."""
    assert response.status == 200, response
    return parse(response.body, "answer")


def envelope(operation: str, content: str = "", service: str = "ptz", header: str = "") -> bytes:
    """A SOAP request."""
    version = "ver20" if service == "ptz" else "ver10"
    return (
        '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema">'
        f"<e:Header>{header}</e:Header><e:Body>"
        f'<{operation} xmlns="http://www.onvif.org/{version}/{service}/wsdl">{content}</{operation}>'
        "</e:Body></e:Envelope>"
    ).encode()
