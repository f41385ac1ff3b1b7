"""RTSP requests and answers on one TCP connection, with RTP in between (RFC 2326 sections 4 to 10), and logins.

Digest and Basic access: RFC 2069, RFC 7617, RFC 7616 (MD5 with and without `qop`).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

from engine.errors import PublishError
from engine.publish.connection import Connection

UNAUTHORIZED, FORBIDDEN = 401, 403
_LONGEST_ANSWER_BYTES = 1 << 16
_INTERLEAVED = ord("$")
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: status, its words, and the headers by name in small letters (of several, all in a list)."""

    number: int
    status: int
    reason: str
    headers: dict[str, list[str]]

    def header(self, name: str) -> str:
        """The first header of this name, empty if there is none."""
        return self.headers.get(name, [""])[0]


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password, resolved: never to be logged."""

    user: str
    password: str


class RtspLink:
    """Requests and their answers, in order. `login` is used where the server asks for it.

    asked_for_login   whether the server has asked
    answered          number of the newest answer, and `sent` that of the newest request
    """

    def __init__(self, connection: Connection, login: Login | None) -> None:
        self.asked_for_login = False
        self.sent = 0
        self.answered = 0
        self._connection = connection
        self._login = login
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._proofs = 0

    def ask(self, method: str, url: str, headers: dict[str, str], body: str = "") -> Answer:
        """Send a request and wait for its answer; once more with user and password where the server wants that.

        Raises `PublishUnreachable`, and `PublishError` for what is no RTSP.
        """
        answer = self._exchange(method, url, headers, body)
        if answer.status == UNAUTHORIZED and self._login and not self.asked_for_login:
            self.asked_for_login = True
            self._challenge = _strongest(answer.headers.get("www-authenticate", []))
            answer = self._exchange(method, url, headers, body)
        return answer

    def send(self, method: str, url: str, headers: dict[str, str], body: str = "") -> int:
        """Send a request without waiting for the answer; its number."""
        self.sent += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.sent}", "User-Agent: camring"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self._challenge and self._login:
            lines.append(
                f"Authorization: {self._authorization(self._login, *self._challenge, (method, url))}"
            )
        if body:
            lines.append(f"Content-Length: {len(body.encode())}")
        self._connection.send("\r\n".join([*lines, "", body]).encode())
        return self.sent

    def listen(self) -> None:
        """Take up what has come, without waiting. Raises `PublishUnreachable` where the server has hung up."""
        while self._connection.receive_now():
            pass
        while self._take_answer() is not None:
            pass

    def _authorization(
        self, login: Login, kind: str, challenge: dict[str, str], action: tuple[str, str]
    ) -> str:
        if kind == "basic":
            return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        self._proofs += 1
        ours = secrets.token_hex(8)
        values = {"username": login.user} | {
            name: challenge[name] for name in ("realm", "nonce", "opaque") if name in challenge
        }
        values |= {
            "uri": action[1],
            "response": digest_response(login, challenge, action, self._proofs, ours),
        }
        plain = ""
        if _offers_auth(challenge):
            values["cnonce"] = ours
            plain = f", qop=auth, nc={self._proofs:08x}"
        return "Digest " + ", ".join(f'{name}="{value}"' for name, value in values.items()) + plain

    def _exchange(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        number = self.send(method, url, headers, body)
        deadline_s = self._connection.deadline_s()
        while True:
            answer = self._take_answer()
            if answer is None:
                self._connection.receive(deadline_s)
            elif answer.number == number:
                return answer

    def _take_answer(self) -> Answer | None:
        """The next whole answer that has come; media of the server (RTCP) and its own requests are passed over."""
        received = self._connection.received
        while received:
            if received[0] == _INTERLEAVED:
                length = 4 + int.from_bytes(received[2:4], "big")
                if len(received) < 4 or len(received) < length:
                    return None
                self._connection.take(length)
                continue
            end = received.find(b"\r\n\r\n")
            if end < 0:
                if len(received) > _LONGEST_ANSWER_BYTES:
                    raise PublishError(f"publish {self._connection.label}: the server does not speak RTSP")
                return None
            answer = self._parsed(received[:end].decode(errors="replace"))
            content = answer.header("content-length")
            length = end + 4 + (int(content) if content.isdecimal() else 0)
            if len(received) < length:
                return None
            self._connection.take(length)
            if answer.status:
                self.answered = max(self.answered, answer.number)
                return answer
        return None

    def _parsed(self, text: str) -> Answer:
        first, *lines = text.split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        number = headers.get("cseq", ["0"])[0]
        words = first.split(" ", 2)
        if not first.startswith("RTSP/"):
            if not first.endswith("RTSP/1.0"):
                raise PublishError(f"publish {self._connection.label}: the server does not speak RTSP")
            words = ["", "0"]  # a request of the server's
        status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
        reason = words[2] if len(words) > 2 else ""
        return Answer(int(number) if number.isdecimal() else 0, status, reason, headers)


def _strongest(challenges: list[str]) -> tuple[str, dict[str, str]]:
    """Digest, where the server knows it (MD5, the one that RTSP servers use), else Basic."""
    parsed = [(each.partition(" ")[0].lower(), each.partition(" ")[2]) for each in challenges]
    fields = [
        (kind, {m[1].lower(): m[2] or m[3] or "" for m in _FIELD.finditer(rest)}) for kind, rest in parsed
    ]
    digests = [
        each for each in fields if each[0] == "digest" and each[1].get("algorithm", "MD5").upper() == "MD5"
    ]
    return next(iter(digests), ("basic", {}))


def digest_response(
    login: Login, challenge: dict[str, str], action: tuple[str, str], count: int, ours: str
) -> str:
    """The proof of knowing the password for one request (RFC 7616, section 3.4.1, MD5).

    action       method and URL
    count, ours  number of the request under this nonce, and a nonce of ours; used where the server offers `qop=auth`
    """
    realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
    secret, asked = _md5(f"{login.user}:{realm}:{login.password}"), _md5(":".join(action))
    middle = f"{nonce}:{count:08x}:{ours}:auth" if _offers_auth(challenge) else nonce
    return _md5(f"{secret}:{middle}:{asked}")


def _offers_auth(challenge: dict[str, str]) -> bool:
    return "auth" in challenge.get("qop", "").replace(" ", "").split(",")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def ntp_time(wall_ns: int) -> int:
    """A time in the 64 bits of RTCP: seconds since 1900 and their fraction."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return (seconds + 2_208_988_800) << 32 | (rest_ns << 32) // 1_000_000_000
