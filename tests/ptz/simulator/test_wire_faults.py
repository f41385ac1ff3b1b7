"""Every fault of the network side does what the table in docs/ptz_simulator.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PtzProtocolError
from ptz.http import Request, Response
from ptz.simulator.accounts import LoginSettings
from ptz.simulator.answer import GARBAGE, TRAILING, Answer, Wire, bytes_of
from ptz.simulator.camera import MOST_REQUEST_BYTES
from ptz.simulator.fault_kinds import ANSWERS, FACES, KINDS, LOGIN, WIRE
from ptz.simulator.faults import Fault
from ptz.xml import parse
from tests.ptz.simulator.visitor import PTZ, Visitor, camera, envelope, parameters, ptz_data

STATUS = f"{PTZ}/status"
MOVE = f"{PTZ}/continuous"


def visit(*faults: Fault) -> Visitor:
    visitor = Visitor(camera("hik-8425ix", *faults))
    visitor.camera.device.faults.clear()
    visitor.get("/ISAPI/System/deviceInfo")
    for fault in faults:
        visitor.camera.device.faults.add(fault)
    return visitor


def moved(visitor: Visitor) -> bool:
    """Whether the camera obeys a turn that is asked for now."""
    visitor.ask("PUT", MOVE, ptz_data(50, 0, 0))
    return visitor.camera.device.commands > 0


@pytest.mark.parametrize(
    ("kind", "status", "code", "word"),
    [
        ("busy", 503, 2, "deviceBusy"),
        ("status_in_200", 200, 4, "notSupport"),
        ("method_not_allowed", 403, 6, "methodNotAllowed"),
        ("not_support", 403, 4, "notSupport"),
        ("insufficient_permission", 403, 4, "insufficientPermission"),
        ("not_found", 404, 4, "notSupport"),
        ("bad_request", 400, 6, "badParameters"),
        ("device_error", 500, 3, "deviceError"),
    ],
)
def test_answers_instead_of_deeds(kind: str, status: int, code: int, word: str) -> None:
    visitor = visit(Fault(kind, path="continuous"))
    response = visitor.ask("PUT", MOVE, ptz_data(50, 0, 0)).response
    told = parse(response.body, kind)
    assert (response.status, told.int_of("statusCode"), told.text_of("subStatusCode")) == (status, code, word)
    assert visitor.camera.device.commands == 0
    assert visitor.get(STATUS).name == "PTZStatus", "only where the path holds it"


def test_status_in_200_tells_the_code_that_is_asked_for() -> None:
    response = visit(Fault("status_in_200", value=3)).ask("PUT", MOVE, ptz_data(1, 0, 0)).response
    assert parse(response.body, "").int_of("statusCode") == 3


def test_busy_from_so_many_open_requests_on() -> None:
    visitor = visit(Fault("busy", value=2))
    visitor.now_s = 1.0
    statuses = [visitor.ask("GET", STATUS).response.status for _ in range(4)]
    assert statuses == [200, 200, 503, 503]
    visitor.now_s = 2.0
    assert visitor.ask("GET", STATUS).response.status == 200
    assert visit(Fault("busy_no_body")).ask("GET", STATUS).response.body == b""


def test_busy_in_bursts() -> None:
    visitor = visit(Fault("busy", start_s=1.0, duration_s=1.0), Fault("busy", start_s=3.0, duration_s=1.0))
    statuses = []
    for visitor.now_s in (0.5, 1.5, 2.5, 3.5, 4.5):
        statuses.append(visitor.ask("GET", STATUS).response.status)
    assert statuses == [200, 503, 200, 503, 200]


@pytest.mark.parametrize(
    ("kind", "wire", "obeys"),
    [
        ("half_answer", Wire.HALF_THEN_HANG, True),
        ("half_answer_close", Wire.HALF_THEN_CLOSE, True),
        ("reset_before", Wire.RESET, False),
        ("reset_after", Wire.RESET, True),
        ("silent", Wire.HANG, False),
        ("half_open", Wire.HANG, False),
        ("close_each", Wire.CLOSE, True),
        ("trailing_bytes", Wire.TRAILING, True),
        ("garbage", Wire.GARBAGE, True),
        ("chunked", Wire.CHUNKED, True),
        ("length_too_long", Wire.LONG_LENGTH, True),
        ("length_too_short", Wire.SHORT_LENGTH, True),
        ("refused", Wire.REFUSED, False),
    ],
)
def test_ways_of_travelling(kind: str, wire: Wire, obeys: bool) -> None:
    visitor = visit(Fault(kind, start_s=1.0, duration_s=1.0, value=1))
    visitor.now_s = 1.5
    assert visitor.ask("PUT", MOVE, ptz_data(50, 0, 0)).wire is wire
    assert (visitor.camera.device.commands > 0) == obeys
    visitor.now_s = 2.5
    visitor.peer = "192.0.2.7:50001"
    answer = visitor.ask("GET", STATUS)
    assert (answer.wire, answer.response.status) == (Wire.PLAIN, 200), "over when it is over"


def test_a_connection_dies_silently_after_so_many_requests() -> None:
    visitor = visit(Fault("half_open", value=3))
    visitor.peer = "192.0.2.7:50002"
    wires = [visitor.ask("GET", STATUS).wire for _ in range(5)]
    assert wires == [Wire.PLAIN] * 3 + [Wire.HANG] * 2
    visitor.peer = "192.0.2.7:50003"
    assert visitor.ask("GET", STATUS).wire is Wire.PLAIN


@pytest.mark.parametrize(("kind", "path", "delay_s"), [("slow", MOVE, 4.0), ("status_blocks", STATUS, 4.0),
                                                       ("status_blocks", MOVE, 0.0)])  # fmt: skip
def test_slow_answers(kind: str, path: str, delay_s: float) -> None:
    usual_s = visit().ask("GET", path).delay_s
    assert usual_s == pytest.approx(0.035)
    assert visit(Fault(kind, value=4.0)).ask("GET", path).delay_s == pytest.approx(usual_s + delay_s)


def test_status_blocks_for_half_a_minute_over_onvif_too() -> None:
    visitor = Visitor(camera("onvif-fov", Fault("status_blocks")))
    body = envelope("GetStatus", "<ProfileToken>Profile_1</ProfileToken>")
    assert visitor.ask("POST", "/onvif/ptz_service", body).delay_s > 30


@pytest.mark.parametrize("kind", ["truncated_xml", "xml_bomb", "html_page", "wrong_charset"])
def test_documents_that_must_not_be_believed(kind: str) -> None:
    visitor = visit(Fault(kind))
    answer = visitor.ask("GET", STATUS)
    assert answer.response.status == 200
    with pytest.raises(PtzProtocolError):
        parse(answer.response.body, kind)
    assert moved(visitor) == (kind != "html_page"), "a login page does nothing"


def test_pictures_are_not_spoilt_as_documents() -> None:
    visitor = visit(Fault("truncated_xml"), Fault("xml_bomb"))
    assert visitor.ask("GET", "/ISAPI/Streaming/channels/101/picture").response.body.endswith(b"\xff\xd9")


def refused(visitor: Visitor) -> tuple[int, bytes]:
    response = visitor.ask("GET", STATUS).response
    return response.status, response.body


def test_a_storm_of_401_costs_no_tries() -> None:
    visitor = visit(Fault("unauthorized", duration_s=5.0))
    assert refused(visitor)[0] == 401
    assert visitor.camera.accounts.standing("192.0.2.7", 0.0).tries_left == 7
    visitor.now_s = 6.0
    visitor.ask("GET", STATUS)
    assert refused(visitor)[0] == 200


def test_a_lockout_refuses_the_right_password_and_ends() -> None:
    visitor = visit(Fault("lockout", duration_s=30.0))
    status, body = refused(visitor)
    assert (status, b"userLocked" in body) == (401, True)
    told = parse(visitor.ask("GET", "/ISAPI/Security/userCheck").response.body, "")
    assert (told.text_of("lockStatus"), told.int_of("unlockTime")) == ("lock", 30)
    visitor.now_s = 31.0
    assert refused(visitor)[0] == 200


def stale_answers(visitor: Visitor, requests: int) -> int:
    for _ in range(requests):
        visitor.now_s += 1.0
        assert visitor.ask("GET", STATUS).response.status == 200
    return sum(entry.status == 401 for entry in visitor.camera.log) - 1


@pytest.mark.parametrize(("kind", "value", "least", "most"), [("stale_nonce", 3, 4, 6), ("nonce_life", 2.5, 3, 4),
                                                              ("nonce_uses", 1, 9, 10)])  # fmt: skip
def test_nonces_go_stale_and_cost_no_tries(kind: str, value: float, least: int, most: int) -> None:
    visitor = visit(Fault(kind, value=value))
    assert least <= stale_answers(visitor, 10) <= most
    assert visitor.camera.accounts.standing("192.0.2.7", 20.0).tries_left == 7


def challenge(*faults: Fault, login: LoginSettings | None = None) -> tuple[str, ...]:
    host = camera("hik-8425ix", *faults, login=login)
    return host.handle(Request("GET", STATUS), 0.0).response.all_headers("WWW-Authenticate")


def test_challenges_of_all_kinds() -> None:
    assert 'qop="auth"' in challenge()[0]
    assert "qop" not in challenge(Fault("no_qop"))[0]
    md5, sha256 = challenge(Fault("dual_challenge"))
    assert "algorithm=MD5" in md5
    assert "algorithm=SHA-256" in sha256
    assert parameters(md5)["nonce"] != parameters(sha256)["nonce"]
    odd = challenge(Fault("challenge_spelling"))[0]
    assert odd.startswith("DIGEST   ")
    assert "stale=false" in odd
    assert "Realm = " in odd


@pytest.mark.parametrize("kind", ["no_qop", "dual_challenge"])
def test_a_login_works_with_each_kind_of_challenge(kind: str) -> None:
    assert Visitor(camera("hik-8425ix", Fault(kind))).get(STATUS).name == "PTZStatus"


def test_a_command_without_a_body_may_be_refused_before_any_challenge() -> None:
    host = camera("hik-8425ix", Fault("empty_body_refused"))
    assert host.handle(Request("PUT", MOVE), 0.0).response.status == 400
    assert host.handle(Request("PUT", f"{PTZ}/presets/1/goto"), 0.0).response.status == 401
    assert host.handle(Request("GET", STATUS), 0.0).response.status == 401


def test_basic_is_refused_and_counted() -> None:
    host = camera()
    request = Request("GET", STATUS, (("Authorization", "Basic YWRtaW46UGFzc3cwcmQh"),))
    assert host.handle(request, 0.0, "h:1").response.status == 401
    assert host.accounts.refused_since(0.0) == 1


def test_a_reboot_refuses_connections_and_makes_nonces_stale() -> None:
    visitor = visit()
    visitor.camera.device.faults.add(Fault("reboot", start_s=1.0, value=20.0))
    visitor.now_s = 5.0
    assert visitor.ask("GET", STATUS).wire is Wire.REFUSED
    assert not visitor.camera.reachable(5.0)
    visitor.now_s = 25.0
    assert visitor.ask("GET", STATUS).response.status == 200
    assert [entry.status for entry in visitor.camera.log][-2:] == [401, 200], "once stale"
    assert visitor.camera.accounts.standing("192.0.2.7", 25.0).tries_left == 7
    assert visitor.get("/ISAPI/System/status").int_of("deviceUpTime") <= 5


def test_a_clock_that_jumps() -> None:
    visitor = visit(Fault("clock_jump", start_s=1.0, value=86_400.0))
    before = visitor.get("/ISAPI/System/time").text_of("localTime")
    visitor.now_s = 2.0
    after = visitor.get("/ISAPI/System/time").text_of("localTime")
    assert (before, after) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:02+00:00")


def test_what_is_too_large_is_not_read() -> None:
    answer = camera().handle(Request("PUT", MOVE, (), b" " * (MOST_REQUEST_BYTES + 1)), 0.0)
    assert (answer.response.status, answer.wire) == (413, Wire.CLOSE)


def test_the_same_seed_and_requests_give_the_same_answers() -> None:
    def run() -> list[Answer]:
        visitor = visit(Fault("busy", probability=0.3), Fault("slow", probability=0.2, value=1.0))
        return [visitor.ask("GET", STATUS) for visitor.now_s in range(30)]

    first = run()
    assert first == run()
    assert {answer.response.status for answer in first} == {200, 503}


def test_every_answer_is_logged() -> None:
    visitor = visit()
    visitor.ask("PUT", MOVE, ptz_data(1, 0, 0))
    last = visitor.camera.log[-1]
    assert (last.method, last.path, last.status, last.peer) == ("PUT", MOVE, 200, "192.0.2.7:50000")
    assert visitor.camera.requests == len(visitor.camera.log) == 3


WIRES: dict[Wire, Callable[[bytes], bool]] = {
    Wire.PLAIN: lambda whole: whole.endswith(b"<a/>") and b"Content-Length: 4\r\n" in whole,
    Wire.CLOSE: lambda whole: b"Connection: close\r\n" in whole and whole.endswith(b"<a/>"),
    Wire.CHUNKED: lambda whole: whole.endswith(b"\r\n\r\n2\r\n<a\r\n2\r\n/>\r\n0\r\n\r\n"),
    Wire.TRAILING: lambda whole: whole.endswith(b"<a/>" + TRAILING),
    Wire.LONG_LENGTH: lambda whole: b"Content-Length: 68\r\n" in whole,
    Wire.SHORT_LENGTH: lambda whole: b"Content-Length: 0\r\n" in whole,
    Wire.HALF_THEN_HANG: lambda whole: whole.endswith(b"\r\n\r\n<a"),
    Wire.HALF_THEN_CLOSE: lambda whole: whole.endswith(b"\r\n\r\n<a"),
    Wire.GARBAGE: lambda whole: whole == GARBAGE,
    Wire.HANG: lambda whole: whole == b"",
    Wire.RESET: lambda whole: whole == b"",
    Wire.REFUSED: lambda whole: whole == b"",
}


@pytest.mark.parametrize("wire", list(Wire))
def test_bytes_of_each_way(wire: Wire) -> None:
    assert WIRES[wire](bytes_of(Answer(Response(200, (), b"<a/>"), wire=wire)))


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_no_kind_of_fault_raises(kind: str) -> None:
    for profile in ("hik-8425ix", "onvif-fov", "encoder-mh6171"):
        visitor = Visitor(camera(profile, Fault(kind, value=2.0)))
        for visitor.now_s in (0.1, 1.0, 2.0):
            visitor.ask("GET", STATUS)
            visitor.ask("PUT", MOVE, ptz_data(10, 10, 10))
            visitor.ask(
                "POST", "/onvif/ptz_service", envelope("GetStatus", "<ProfileToken>Profile_1</ProfileToken>")
            )
            visitor.ask("GET", "/ISAPI/Event/notification/alertStream")


def test_every_kind_is_named_once() -> None:
    assert not set(LOGIN) & set(ANSWERS)
    assert not (set(WIRE) | set(FACES)) & (set(LOGIN) | set(ANSWERS))


texts = st.text(st.characters(codec="latin-1"), max_size=60)
paths = st.sampled_from([STATUS, MOVE, f"{PTZ}/absoluteEx", f"{PTZ}/presets/1", "/onvif/ptz_service",
                         "/onvif/device_service", "/onvif/snapshot", "/ISAPI/Streaming/channels/101"])  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda a, b: f"<PTZData><pan>{a}</pan><{b}>1</{b}></PTZData>".encode(), texts, texts),
    st.builds(
        lambda a, b: envelope(a or "x", b),
        st.sampled_from(["GetStatus", "ContinuousMove", "AbsoluteMove"]),
        texts,
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    method=st.one_of(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]), texts),
    path=st.one_of(paths, texts.map(lambda text: "/" + text)),
    headers=st.lists(
        st.tuples(st.sampled_from(["Authorization", "Host", "Content-Type", "X"]), texts), max_size=4
    ),
    body=bodies,
)
def test_no_request_breaks_the_camera(
    method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    for profile in ("hik-8425ix", "onvif-fov"):
        visitor = Visitor(camera(profile))
        answer = visitor.camera.handle(Request(method, path, tuple(headers), body), 0.0, "h:1")
        assert isinstance(bytes_of(answer), bytes)
        if method and path.isascii():
            assert isinstance(visitor.ask(method, path, body), Answer)


def test_the_document_names_every_kind_and_no_other() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/ptz_simulator.md").read_text()
    tables = text[text.index("## Faults of motion and of reports") :]
    rows = [line.split("|")[1] for line in tables.splitlines() if line.startswith("| `")]
    assert {kind for row in rows for kind in re.findall(r"`(\w+)`", row)} == set(KINDS)


def test_every_kind_is_asked_for_somewhere() -> None:
    """A kind that no code asks for would do nothing."""
    folder = Path(__file__).resolve().parents[3] / "ptz" / "simulator"
    text = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "fault_kinds.py")
    dead_axes = {"dead_pan", "dead_tilt", "dead_zoom"}
    assert [kind for kind in KINDS if f'"{kind}"' not in text and kind not in dead_axes] == []
