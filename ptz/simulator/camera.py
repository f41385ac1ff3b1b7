"""One simulated camera: a device, its accounts and the faces that it shows to the network.

Requests go in, answers come out, at times that are given: no sockets, no clock, no waiting. The same seed and the same
requests at the same times give the same answers.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from ptz.http import Request, Response
from ptz.simulator import pictures
from ptz.simulator.accounts import Accounts, Login, Outcome, Strictness
from ptz.simulator.answer import NOTHING, Answer, Wire, cut_off
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault
from ptz.simulator.isapi_documents import NAMESPACE, IsapiDocuments
from ptz.simulator.isapi_face import XML_HEADERS, IsapiFace
from ptz.simulator.onvif_device import SNAPSHOT_PATH, Place
from ptz.simulator.onvif_envelope import Asked, SoapFault, faulted, read_envelope
from ptz.simulator.onvif_face import NOT_AUTHORIZED, OnvifFace, refusal
from ptz.simulator.pictures import Picture
from ptz.simulator.wire_faults import WireFaults

USER_CHECK = "/ISAPI/Security/userCheck"
METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "HEAD"})
MOST_REQUEST_BYTES = 1 << 20
AUTHORITY = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What a camera's network side is like.

    epoch_s       what the camera's clock shows at time 0 of the device, seconds since 1970
    answer_s      how long it takes to answer, None = as its profile says
    namespace     of ISAPI's answers
    rules         kinds of faults that are its nature: they always hold (docs/ptz_simulator.md)
    heartbeat_s   between heartbeats of the event stream
    onvif_login   "both", "digest" or "token"
    zoom_scale    what ONVIF's generic zoom means, see `onvif_spaces.Spaces`
    stream_url    where ONVIF says the video is, "" = where such a camera has it
    xaddr         host:port that ONVIF tells of itself, "" = by which it was asked; devices behind NAT lie
    """

    epoch_s: float = 1_767_225_600.0
    answer_s: float | None = None
    namespace: str = NAMESPACE
    rules: frozenset[str] = frozenset()
    heartbeat_s: float = 10.0
    onvif_login: str = "both"
    zoom_scale: str = "ratio"
    stream_url: str = ""
    xaddr: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request: when, from whom, what, what was answered (status, 0 = nothing) and how that travelled."""

    time_s: float
    peer: str
    method: str
    path: str
    status: int
    wire: Wire


class SimulatedCamera:
    """One camera on the network.

    device    its mechanics; `device.faults` are the faults of all of it
    accounts  its users
    picture   what it sees; without it a grey picture
    log       the last requests; `requests` counts them all
    """

    def __init__(
        self,
        device: Device,
        accounts: Accounts,
        settings: CameraSettings | None = None,
        picture: Picture | None = None,
    ) -> None:
        self.device = device
        self.accounts = accounts
        self.settings = settings or CameraSettings()
        self.picture = picture or pictures.grey
        self.requests = 0
        self.log: deque[LogEntry] = deque(maxlen=10_000)
        self._rules = {kind: Fault(kind) for kind in self.settings.rules}
        self._wire = WireFaults(self.has)
        self._documents = IsapiDocuments(device.profile, self.settings.namespace)
        self._isapi = IsapiFace(device, self._documents, self.has, self.picture, self.settings.heartbeat_s)
        self._onvif = OnvifFace(device, self.has, self.settings.zoom_scale, self.settings.stream_url)
        self._boots = device.boots

    def has(self, kind: str, now_s: float, path: str = "") -> Fault | None:
        """The rule or fault of this kind that holds now, if one does."""
        return self._rules.get(kind) or self.device.faults.active(kind, now_s, path)

    def clock_s(self, now_s: float) -> float:
        """What the camera's clock shows, seconds since 1970."""
        return self.settings.epoch_s + self.device.clock_s(now_s)

    def reachable(self, now_s: float) -> bool:
        """Whether anybody answers at its address; False while it boots."""
        down = self.device.down(now_s)
        if self.device.boots != self._boots:
            self._boots = self.device.boots
            self.accounts.forget_nonces()
        return not down and self.has("refused", now_s) is None

    def handle(self, request: Request, now_s: float, peer: str = "") -> Answer:
        """What the camera answers to this request at this time, and does.

        peer  "host:port" of the other side: the host counts for lockouts, all of it names the connection.
        Never raises, whatever the request.
        """
        self.requests += 1
        asked: Asked | SoapFault | None = None
        path = request.path.partition("?")[0]
        label = path
        if path.startswith("/onvif/") and request.method == "POST":
            try:
                asked = read_envelope(request.body, path)
                label = f"{path} {asked.operation}"
            except SoapFault as fault:
                asked = fault
        answer = self._answer(request, asked, label, now_s, peer)
        answer = answer if answer.response is NOTHING else self._timed(answer)
        self._wire.started(answer, now_s)
        status = answer.response.status
        self.log.append(LogEntry(now_s, peer, request.method[:16], label[:256], status, answer.wire))
        return answer

    def _timed(self, answer: Answer) -> Answer:
        own_s = self.settings.answer_s
        return answer.later(self.device.profile.offer.answer_s if own_s is None else own_s)

    def _answer(
        self, request: Request, asked: Asked | SoapFault | None, label: str, now_s: float, peer: str
    ) -> Answer:
        if not self.reachable(now_s):
            return cut_off(Wire.REFUSED)
        cut = self._wire.cut(label, now_s, peer)
        if cut is not None:
            return cut
        if len(request.body) > MOST_REQUEST_BYTES:
            return Answer(Response(413)).by(Wire.CLOSE)
        busy = self._wire.busy(label, now_s)
        if busy:
            return self._wire.spoilt(self._busy(busy, label), label, now_s)
        answer = self._onvif_answer if label.startswith("/onvif/") else self._isapi_answer
        return self._wire.spoilt(answer(request, asked, label, now_s, peer), label, now_s)

    def _busy(self, how: str, label: str) -> Answer:
        if how == "bare":
            return Answer(Response(503))
        return (
            Answer(refusal(503))
            if label.startswith("/onvif/")
            else self._isapi.refusal(label, 503, 2, "deviceBusy")
        )

    # ISAPI

    def _isapi_answer(
        self, request: Request, _asked: Asked | SoapFault | None, path: str, now_s: float, peer: str
    ) -> Answer:
        if not self.device.profile.offer.isapi or request.method not in METHODS:
            return Answer(Response(404))
        if (
            not request.body
            and self._isapi.wants_body(request)
            and self.has("empty_body_refused", now_s, path)
        ):
            return self._isapi.refusal(path, 400, 6, "badXmlContent")
        host = peer.rpartition(":")[0] or peer
        strict = self._wire.strictness(path, now_s)
        outcome = self.accounts.digest(request, now_s, host, "isapi", strict)
        if outcome.user is None:
            return self._unauthorized(outcome, path, now_s, host, strict)
        instead = self._wire.html_page(path, now_s)
        if instead is not None:
            return instead
        refused = self._wire.refusal(path, now_s)
        if refused is not None:
            return self._isapi.refusal(path, refused.status, refused.code, refused.word)
        if path == USER_CHECK:
            return self._user_check(outcome, now_s, host)
        return self._isapi.handle(request, outcome.user, now_s, self.clock_s(now_s))

    def _unauthorized(
        self, outcome: Outcome, path: str, now_s: float, host: str, strict: Strictness
    ) -> Answer:
        if path == USER_CHECK:
            body = self._user_check(outcome, now_s, host).response.body
        else:
            word = "userLocked" if outcome.login is Login.LOCKED else "unauthorized"
            body = self._documents.response_status(path, 4, word)
        return self._challenged(outcome, path, now_s, strict, Response(401, XML_HEADERS, body))

    def _challenged(
        self, outcome: Outcome, path: str, now_s: float, strict: Strictness, told: Response
    ) -> Answer:
        """What is told, with status 401 and a new challenge."""
        stale = outcome.login is Login.STALE
        challenges = self.accounts.challenges(now_s, stale=stale, digest=strict.digest)
        headers = told.headers + self._wire.challenge_headers(challenges, path, now_s)
        return Answer(Response(401, headers, told.body))

    def _user_check(self, outcome: Outcome, now_s: float, host: str) -> Answer:
        standing = self.accounts.standing(host, now_s)
        lockout = self.has("lockout", now_s, USER_CHECK)
        unlock_s = min(lockout.end_s - now_s, 1800.0) if lockout else standing.unlock_s
        body = self._documents.user_check(
            accepted=outcome.user is not None,
            locked=standing.locked or lockout is not None,
            unlock_s=unlock_s,
            tries_left=0 if lockout else standing.tries_left,
        )
        return Answer(Response(200, XML_HEADERS, body))

    # ONVIF

    def _onvif_answer(
        self, request: Request, asked: Asked | SoapFault | None, label: str, now_s: float, peer: str
    ) -> Answer:
        if not self.device.profile.offer.onvif:
            return Answer(Response(404))
        if request.method == "GET" and request.path.partition("?")[0] == SNAPSHOT_PATH:
            return self._snapshot(request, now_s, peer)
        if asked is None:
            return Answer(Response(405))
        if isinstance(asked, SoapFault):
            return Answer(faulted(asked))
        rejected = self._onvif_login(request, asked, label, now_s, peer)
        if rejected is not None:
            return rejected
        instead = self._wire.html_page(label, now_s)
        if instead is not None:
            return instead
        refused = self._wire.refusal(label, now_s)
        if refused is not None and refused.status >= 400:
            return Answer(refusal(refused.status))
        place = Place(self.settings.xaddr or self._authority(request), self.clock_s(now_s))
        return Answer(self._onvif.handle(asked, label.partition(" ")[0], now_s, place))

    @staticmethod
    def _authority(request: Request) -> str:
        host = request.header("Host") or ""
        return host if AUTHORITY.fullmatch(host) else "127.0.0.1"

    def _onvif_login(
        self, request: Request, asked: Asked, label: str, now_s: float, peer: str
    ) -> Answer | None:
        """The refusal of a caller who is not let in, None for one who is."""
        if not self.accounts.users:
            return None
        host, way = peer.rpartition(":")[0] or peer, self.settings.onvif_login
        strict = self._wire.strictness(label, now_s)
        outcome = Outcome(Login.NONE)
        if request.header("Authorization") is not None and way != "token":
            outcome = self.accounts.digest(request, now_s, host, "onvif", strict)
        elif asked.token is not None and way != "digest":
            outcome = self.accounts.token(asked.token, now_s, self.clock_s(now_s), host, strict)
            if outcome.user is None and not self._onvif.is_open(asked):
                return Answer(faulted(NOT_AUTHORIZED))
        if outcome.user is not None or self._onvif.is_open(asked):
            return None
        if way == "token":
            return Answer(faulted(NOT_AUTHORIZED))
        return self._challenged(outcome, label, now_s, strict, faulted(NOT_AUTHORIZED))

    def _snapshot(self, request: Request, now_s: float, peer: str) -> Answer:
        strict = self._wire.strictness(SNAPSHOT_PATH, now_s)
        outcome = self.accounts.digest(request, now_s, peer.rpartition(":")[0] or peer, "onvif", strict)
        if outcome.user is None:
            return self._challenged(outcome, SNAPSHOT_PATH, now_s, strict, Response(401))
        return pictures.still(self.picture, now_s)
