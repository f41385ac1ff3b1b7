"""Faults of the network side of a simulated camera: what happens instead of, or to, an answer.

docs/ptz_simulator.md has the table of kinds. Faults of the head itself are in `ptz.simulator.device`.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from ptz.http import Response
from ptz.simulator.accounts import Strictness
from ptz.simulator.answer import Answer, Wire, cut_off
from ptz.simulator.rules import Has, Refused

REFUSALS = {
    "method_not_allowed": Refused(403, 6, "methodNotAllowed"),
    "not_support": Refused(403, 4, "notSupport"),
    "insufficient_permission": Refused(403, 4, "insufficientPermission"),
    "not_found": Refused(404, 4, "notSupport"),
    "bad_request": Refused(400, 6, "badParameters"),
    "device_error": Refused(500, 3, "deviceError"),
}
"""Kinds that answer so instead of doing anything."""

WIRES = {
    "reset_after": Wire.RESET,
    "half_answer": Wire.HALF_THEN_HANG,
    "half_answer_close": Wire.HALF_THEN_CLOSE,
    "close_each": Wire.CLOSE,
    "trailing_bytes": Wire.TRAILING,
    "garbage": Wire.GARBAGE,
    "chunked": Wire.CHUNKED,
    "length_too_long": Wire.LONG_LENGTH,
    "length_too_short": Wire.SHORT_LENGTH,
}
"""Kinds that are done to an answer on its way, after the camera has obeyed."""

HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Login</title></head><body><form method='post'>"
    b"<input name='user'><input name='password' type='password'></form></body></html>"
)
XML_BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "boom">'
    + b"".join(
        b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(ord("b"), ord("j"))
    )
    + b"]><PTZStatus>&i;</PTZStatus>"
)
REMEMBERED_PEERS = 1000


class WireFaults:
    """What strikes requests and answers of one camera."""

    def __init__(self, has: Has) -> None:
        self._has = has
        self._finishes: deque[float] = deque(maxlen=10_000)
        self._requests_of: Counter[str] = Counter()
        self._logins = 0

    def open_requests(self, now_s: float) -> int:
        """Requests that are not answered yet."""
        return sum(finish_s > now_s for finish_s in self._finishes)

    def started(self, answer: Answer, now_s: float) -> None:
        """An answer is under way."""
        while self._finishes and self._finishes[0] <= now_s:
            self._finishes.popleft()
        self._finishes.append(now_s + answer.delay_s)

    def cut(self, path: str, now_s: float, peer: str) -> Answer | None:
        """The connection is cut before anything is done."""
        if len(self._requests_of) >= REMEMBERED_PEERS:
            self._requests_of.clear()
        self._requests_of[peer] += 1
        if self._has("refused", now_s, path):
            return cut_off(Wire.REFUSED)
        if self._has("reset_before", now_s, path):
            return cut_off(Wire.RESET)
        half_open = self._has("half_open", now_s, path)
        if self._has("silent", now_s, path) or (
            half_open and self._requests_of[peer] > max(half_open.value, 1.0)
        ):
            return cut_off(Wire.HANG)
        return None

    def busy(self, path: str, now_s: float) -> str:
        """ "body" or "bare" where the camera is too busy to answer, and how it says so; "" where it is not."""
        for kind, how in (("busy", "body"), ("busy_no_body", "bare")):
            fault = self._has(kind, now_s, path)
            if fault and self.open_requests(now_s) >= fault.value:
                return how
        return ""

    def strictness(self, path: str, now_s: float) -> Strictness:
        """What holds for a login now."""
        self._logins += 1
        every = self._has("stale_nonce", now_s, path)
        life, uses = self._has("nonce_life", now_s, path), self._has("nonce_uses", now_s, path)
        return Strictness(
            storm=self._has("unauthorized", now_s, path) is not None,
            locked=self._has("lockout", now_s, path) is not None,
            stale=every is not None and self._logins % max(int(every.value), 2) == 0,
            life_s=life.value if life else None,
            uses=max(int(uses.value), 1) if uses else None,
            digest=self._digest(path, now_s),
        )

    def _digest(self, path: str, now_s: float) -> str | None:
        if self._has("no_qop", now_s, path):
            return "noqop"
        return "dual" if self._has("dual_challenge", now_s, path) else None

    def challenge_headers(
        self, challenges: list[str], path: str, now_s: float
    ) -> tuple[tuple[str, str], ...]:
        """WWW-Authenticate headers, spelt oddly where a fault says so."""
        if not self._has("challenge_spelling", now_s, path):
            return tuple(("WWW-Authenticate", challenge) for challenge in challenges)
        odd = [
            challenge.replace("Digest ", "DIGEST   ").replace(", ", " ,").replace('stale="FALSE"', "stale=false")
            .replace('stale="TRUE"', "Stale=true").replace("realm=", "Realm = ")
            for challenge in challenges
        ]  # fmt: skip
        return tuple(("www-authenticate", challenge) for challenge in odd)

    def refusal(self, path: str, now_s: float) -> Refused | None:
        """What is answered instead of doing anything, if something is."""
        for kind, refused in REFUSALS.items():
            if self._has(kind, now_s, path):
                return refused
        told = self._has("status_in_200", now_s, path)
        return Refused(200, int(told.value) or 4, "notSupport") if told else None

    def html_page(self, path: str, now_s: float) -> Answer | None:
        """A page for people, whatever was asked."""
        if self._has("html_page", now_s, path) is None:
            return None
        return Answer(Response(200, (("Content-Type", "text/html"),), HTML_PAGE))

    def spoilt(self, answer: Answer, path: str, now_s: float) -> Answer:
        """The answer as it goes out."""
        answer = replace(answer, response=self._spoilt_body(answer.response, path, now_s))
        for kind, wire in WIRES.items():
            if self._has(kind, now_s, path):
                answer = answer.by(wire)
        if slow := self._has("slow", now_s, path):
            answer = answer.later(slow.value)
        is_status = path.endswith(("GetStatus", "/status"))
        if is_status and (blocked := self._has("status_blocks", now_s, path)):
            answer = answer.later(blocked.value or 30.0)
        return answer

    def _spoilt_body(self, response: Response, path: str, now_s: float) -> Response:
        if not response.body or not (response.header("Content-Type") or "").startswith("application/"):
            return response
        body = response.body
        if self._has("xml_bomb", now_s, path):
            body = XML_BOMB
        if self._has("truncated_xml", now_s, path):
            body = body[: len(body) * 2 // 3]
        if self._has("wrong_charset", now_s, path):
            body = body.replace(b'encoding="UTF-8"', b'encoding="x-camera-7"')
        return replace(response, body=body)
