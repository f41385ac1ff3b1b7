"""Logins over HTTP: every kind of challenge, nonces that grow old, refusals, locks, and what each of them costs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from engine.errors import (
    PtzBusy,
    PtzLocked,
    PtzProtocolError,
    PtzRefused,
    PtzUnauthorized,
    PtzUnreachable,
)
from engine.lockout import BLOCK_S, Governor
from engine.lockout_ledger import Ledger
from ptz.drivers.base import DriverOptions
from ptz.http import NotSent, Request, Response, Transport
from ptz.http_client import HttpClient
from ptz.simulator.accounts import Accounts, LoginSettings, User
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault
from ptz.simulator.profiles import PROFILES
from ptz.simulator.transport import DeviceTransport
from ptz.virtual_time import run_virtual

DEVICE_INFO = "/ISAPI/System/deviceInfo"
CONTINUOUS = "/ISAPI/PTZCtrl/channels/1/continuous"
BODY = b'<PTZData version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"><pan>0</pan></PTZData>'


class World:
    """A simulated camera and clients of it, on virtual time."""

    def __init__(self, **login: object) -> None:
        users = [User("admin", "Passw0rd!"), User("op", "richtig", role="operator")]
        self.device = Device(PROFILES["hik-8425ix"])
        self.camera = SimulatedCamera(self.device, Accounts(users, LoginSettings(**login)))  # type: ignore[arg-type]
        self.now = asyncio.get_running_loop().time
        self.ledger = Ledger()

    def client(
        self, password: str = "Passw0rd!", user: str = "admin", url: str = "http://10.0.0.9"
    ) -> HttpClient:
        options = DriverOptions(url, user, password)
        governor = Governor("10.0.0.9", user, password, ledger=self.ledger, now=self.now)
        transport = DeviceTransport(self.camera, self.now)
        return HttpClient(
            transport,
            options,
            governor,
            self.now,
            challenge_path=DEVICE_INFO,
            lock_path="/ISAPI/Security/userCheck",
        )

    @property
    def credentialed(self) -> int:
        """Requests with credentials that the camera has seen."""
        return self.camera.accounts.credentialed_since(0.0)

    def fault(self, kind: str, **about: float) -> None:
        self.device.faults.add(Fault(kind, **about))  # type: ignore[arg-type]


def in_world(**login: object) -> Callable[[Callable[[World], Awaitable[None]]], Callable[[], None]]:
    """Run a test's coroutine in virtual time, with a camera that wants such logins."""

    def decorated(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
        async def run() -> None:
            await test(World(**login))

        def wrapper() -> None:
            run_virtual(run())

        wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
        return wrapper

    return decorated


@pytest.mark.parametrize("digest", ["noqop", "qop", "dual"])
def test_every_kind_of_digest(digest: str) -> None:
    async def run() -> None:
        world = World(digest=digest)
        client = world.client()
        assert (await client.request("PUT", CONTINUOUS, BODY)).status == 200
        for _ in range(5):
            assert (await client.request("GET", DEVICE_INFO + "?a=b&c=d")).status == 200
        methods = [(entry.method, entry.status) for entry in world.camera.log]
        # The challenge comes from reading; afterwards each request is answered at once.
        assert methods == [("GET", 401), ("PUT", 200), *[("GET", 200)] * 5]
        assert world.camera.accounts.refused_since(0.0) == 0

    run_virtual(run())


@in_world(nonce_life_s=10.0)
async def test_old_nonces_cost_a_round_and_no_refusal(world: World) -> None:
    client = world.client()
    for _ in range(10):
        assert (await client.request("PUT", CONTINUOUS, BODY)).status == 200
        await asyncio.sleep(11)
    assert world.camera.accounts.refused_since(0.0) == 0
    assert client.governor.blocked_s == 0


@in_world(nonce_uses=3)
async def test_nonces_for_a_few_requests(world: World) -> None:
    client = world.client()
    for _ in range(20):
        assert (await client.request("GET", DEVICE_INFO)).status == 200
    assert world.camera.accounts.refused_since(0.0) == 0


@in_world()
async def test_a_wrong_password_costs_one_request_each_and_then_none(world: World) -> None:
    for _ in range(2):
        with pytest.raises(PtzUnauthorized, match="refused the user name or password"):
            await world.client("falsch").request("PUT", CONTINUOUS, BODY)
    requests = world.camera.requests
    for _ in range(20):
        await asyncio.sleep(3)
        with pytest.raises(PtzLocked, match="nothing is sent for"):
            await world.client("falsch").request("GET", DEVICE_INFO)
    assert world.credentialed == 2 and world.camera.requests == requests
    # Corrected, it works at once.
    assert (await world.client().request("GET", DEVICE_INFO)).status == 200


@in_world(digest="dual")
async def test_a_wrong_password_is_tried_with_both_hashes_at_most(world: World) -> None:
    with pytest.raises(PtzUnauthorized):
        await world.client("falsch").request("GET", DEVICE_INFO)
    with pytest.raises(PtzLocked):
        await world.client("falsch").request("GET", DEVICE_INFO)
    assert world.credentialed == 2


@in_world()
async def test_many_clients_at_once_share_the_budget(world: World) -> None:
    clients = [world.client("falsch") for _ in range(6)]
    outcomes = await asyncio.gather(
        *(client.request("GET", DEVICE_INFO) for client in clients), return_exceptions=True
    )
    assert all(isinstance(outcome, (PtzUnauthorized, PtzLocked)) for outcome in outcomes)
    assert world.credentialed == 2


@in_world()
async def test_many_clients_with_the_right_password_all_get_in(world: World) -> None:
    clients = [world.client() for _ in range(6)]
    answers = await asyncio.gather(*(client.request("GET", DEVICE_INFO) for client in clients))
    assert [answer.status for answer in answers] == [200] * 6


@in_world()
async def test_a_locked_account_is_left_alone_for_as_long_as_it_says(world: World) -> None:
    world.fault("lockout", duration_s=100.0)
    with pytest.raises(PtzLocked, match="the camera has locked the account; nothing is sent for 100 s"):
        await world.client().request("PUT", CONTINUOUS, BODY)
    requests = world.camera.requests
    await asyncio.sleep(90)
    with pytest.raises(PtzLocked):
        await world.client("another").request("GET", DEVICE_INFO)
    assert world.camera.requests == requests
    await asyncio.sleep(11)
    assert (await world.client().request("PUT", CONTINUOUS, BODY)).status == 200


@in_world()
async def test_requests_without_login_where_none_is_set(world: World) -> None:
    with pytest.raises(PtzUnauthorized, match="set its user and password"):
        await world.client("", user="").request("GET", DEVICE_INFO)
    assert world.credentialed == 0


@in_world()
async def test_a_reboot_kills_nonces(world: World) -> None:
    client = world.client()
    assert (await client.request("PUT", CONTINUOUS, BODY)).status == 200
    world.device.reboot(world.now())
    failed = 0
    for _ in range(200):
        await asyncio.sleep(1)
        try:
            answer = await client.request("PUT", CONTINUOUS, BODY)
        except PtzUnreachable as error:
            assert isinstance(error, NotSent)
            failed += 1
        else:
            assert answer.status == 200
            break
    assert 10 < failed < 190 and client.governor.blocked_s == 0


@in_world()
async def test_one_request_at_a_time(world: World) -> None:
    world.fault("slow", value=0.5)
    client = world.client()
    start_s = world.now()
    await asyncio.gather(*(client.request("GET", DEVICE_INFO, timeout_s=10) for _ in range(4)))
    assert world.now() - start_s >= 2.0


@in_world()
async def test_the_time_out_is_for_all_of_it(world: World) -> None:
    world.fault("slow", value=1.5)
    start_s = world.now()
    with pytest.raises(PtzUnreachable):
        await world.client().request("PUT", CONTINUOUS, BODY)
    assert world.now() - start_s == pytest.approx(2.0, abs=0.05)


Answer = Response | PtzUnreachable | PtzProtocolError


class Scripted(Transport):
    """Answers one after the other, whatever is asked; keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[Request] = []
        self._answers = list(answers)

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass

    def logins(self) -> list[dict[str, str]]:
        """Parameters of the Authorization headers, in order."""
        values = [request.header("Authorization") for request in self.requests]
        return [dict(re.findall(r'(\w+)="?([^",]*)"?', value)) for value in values if value]


def challenge(nonce: str, more: str = 'qop="auth"', status: int = 401, body: bytes = b"") -> Response:
    value = f'Digest realm="IP Camera(51253)", nonce="{nonce}", {more}'
    return Response(status, (("WWW-Authenticate", value),), body)


OK = Response(200)


def scripted(*answers: Answer, url: str = "http://camera", **about: str) -> tuple[HttpClient, Scripted]:
    transport = Scripted(*answers)
    options = DriverOptions(url, about.pop("user", "admin"), about.pop("password", "Passw0rd!"))
    # The transport is no socket, so nothing is noted in a folder.
    return HttpClient(transport, options, None, lambda: 1000.0, **about), transport


def asked(client: HttpClient, *requests: tuple[str, str]) -> list[int]:
    async def run() -> list[int]:
        return [(await client.request(method, path)).status for method, path in requests]

    return asyncio.run(run())


def test_nonces_are_kept_and_counted() -> None:
    client, transport = scripted(challenge("a"), OK, OK, OK)
    asked(client, ("GET", "/x?y=z"), ("PUT", "/b"), ("GET", "/c"))
    logins = transport.logins()
    assert [login["nc"] for login in logins] == ["00000001", "00000002", "00000003"]
    assert len({login["cnonce"] for login in logins}) == 3
    assert [login["uri"] for login in logins] == ["/x?y=z", "/b", "/c"]


def test_stale_is_repeated_once_and_not_counted() -> None:
    client, transport = scripted(challenge("a"), OK, challenge("b", "stale=TRUE"), OK)
    asked(client, ("GET", "/"), ("PUT", "/x"))
    assert [login["nonce"] for login in transport.logins()] == ["a", "a", "b"]
    assert client.governor.reserve().number == ""


def test_stale_again_is_a_refusal() -> None:
    stale = [challenge(nonce, 'stale="true"') for nonce in "bcd"]
    client, transport = scripted(challenge("a"), *stale)
    with pytest.raises(PtzUnauthorized):
        asked(client, ("GET", "/"))
    assert len(transport.logins()) == 2


def test_a_nonce_that_was_forgotten_without_a_word() -> None:
    client, transport = scripted(challenge("a"), OK, challenge("b", 'stale="FALSE"'), OK, OK)
    asked(client, ("GET", "/"), ("PUT", "/x"), ("PUT", "/x"))
    assert [login["nonce"] for login in transport.logins()] == ["a", "a", "b", "b"]


def test_nonces_without_a_word_are_renewed_before_they_die() -> None:
    class Forgetful(Scripted):
        """Forgets nonces after 30 s, and calls none stale."""

        async def exchange(self, request: Request, timeout_s: float) -> Response:
            self.requests.append(request)
            issued_s = re.search(r'nonce="([0-9.]+)"', request.header("Authorization") or "")
            if issued_s and now_s[0] - float(issued_s[1]) < 30:
                return OK
            return challenge(str(now_s[0]))

    async def run() -> None:
        client = HttpClient(Forgetful(), DriverOptions("http://camera", "admin", "x"), None, lambda: now_s[0])
        for _ in range(600):
            assert (await client.request("GET", "/")).status == 200
            now_s[0] += 1.0
        assert client._nonce_life_s == pytest.approx(24.0)
        # Two would have come each minute otherwise.
        assert client.governor.blocked_s == 0

    now_s = [1000.0]
    asyncio.run(run())


def test_a_password_that_was_changed_on_the_camera() -> None:
    client, transport = scripted(challenge("a"), OK, challenge("b"), challenge("c"))
    with pytest.raises(PtzUnauthorized):
        asked(client, ("GET", "/"), ("PUT", "/x"))
    with pytest.raises(PtzLocked):
        asked(client, ("GET", "/"))
    assert len(transport.logins()) == 3


DUAL = Response(
    401,
    (
        ("WWW-Authenticate", 'Digest realm="r", nonce="m", qop="auth"'),
        ("WWW-Authenticate", 'Digest realm="r", nonce="s", qop="auth", algorithm=SHA-256'),
    ),
)


def test_sha_256_first_and_md5_where_it_does_not_work() -> None:
    client, transport = scripted(DUAL, DUAL, OK, OK, DUAL, OK)
    asked(client, ("GET", "/"), ("GET", "/"))
    assert [login["nonce"] for login in transport.logins()] == ["s", "m", "m"]
    client._session = None
    asked(client, ("GET", "/"))
    assert transport.logins()[-1]["nonce"] == "m"


def test_the_nonce_that_the_camera_wants_next() -> None:
    told = Response(200, (("Authentication-Info", 'nextnonce="b"'),))
    client, transport = scripted(challenge("a"), told, OK)
    asked(client, ("GET", "/"), ("GET", "/"))
    assert [(login["nonce"], login["nc"]) for login in transport.logins()] == [
        ("a", "00000001"),
        ("b", "00000001"),
    ]


def test_the_challenge_is_read_before_anything_is_put() -> None:
    client, transport = scripted(challenge("a"), OK, challenge_path=DEVICE_INFO)
    asked(client, ("PUT", "/presets/1/goto"))
    first, second = transport.requests
    assert (first.method, first.path, first.header("Authorization")) == ("GET", DEVICE_INFO, None)
    assert second.header("Content-Length") == "0" and second.header("Authorization") is not None


def test_a_camera_without_logins() -> None:
    client, transport = scripted(OK, OK, OK, challenge_path=DEVICE_INFO)
    asked(client, ("PUT", "/a"), ("PUT", "/b"))
    assert [request.path for request in transport.requests] == [DEVICE_INFO, "/a", "/b"]
    assert transport.logins() == []


def test_a_busy_camera_is_not_asked_twice() -> None:
    client, transport = scripted(Response(503), challenge_path=DEVICE_INFO)
    assert asked(client, ("PUT", "/a")) == [503] and len(transport.requests) == 1


@pytest.mark.parametrize(
    ("status", "proven"), [(200, True), (403, True), (503, False), (400, False), (404, False)]
)
def test_what_shows_that_a_password_is_right(status: int, proven: bool) -> None:
    client, _ = scripted(challenge("a"), Response(status))
    asked(client, ("GET", "/"))
    assert (client.governor.reserve().number == "") is proven


def test_basic_is_for_tls_only() -> None:
    basic = Response(401, (("WWW-Authenticate", 'Basic realm="x"'),))
    client, transport = scripted(basic)
    with pytest.raises(PtzUnauthorized, match="not sent in the clear"):
        asked(client, ("GET", "/"))
    assert transport.logins() == [] and client.unknown_login
    client, transport = scripted(basic, OK, url="https://camera")
    assert asked(client, ("GET", "/")) == [200]
    assert transport.requests[1].header("Authorization") == "Basic YWRtaW46UGFzc3cwcmQh"


def test_no_way_to_log_in() -> None:
    with pytest.raises(PtzProtocolError, match="without saying how to log in"):
        asked(scripted(Response(401))[0], ("GET", "/"))


def test_a_camera_that_was_never_set_up() -> None:
    body = b"<ResponseStatus><statusCode>4</statusCode><subStatusCode>notActivated</subStatusCode></ResponseStatus>"
    with pytest.raises(PtzUnauthorized, match="not activated"):
        asked(scripted(challenge("a", body=body))[0], ("GET", "/"))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b"<userCheck><lockStatus>lock</lockStatus><unlockTime>125</unlockTime></userCheck>", 125),
        (b"<ResponseStatus><subStatusCode>userLocked</subStatusCode></ResponseStatus>", BLOCK_S),
        (
            b"<ResponseStatus><subStatusCode>userLocked</subStatusCode><unlockTime>7</unlockTime></ResponseStatus>",
            7,
        ),
    ],
)
@pytest.mark.parametrize("with_login", [False, True])
def test_locks(body: bytes, seconds: float, with_login: bool) -> None:
    first = [challenge("z")] if with_login else []
    client, transport = scripted(*first, challenge("a", body=body))
    with pytest.raises(PtzLocked):
        asked(client, ("GET", "/"))
    assert client.governor.blocked_s == seconds
    with pytest.raises(PtzLocked):
        asked(client, ("GET", "/"))
    assert len(transport.requests) == 1 + with_login


def test_few_tries_left_are_left() -> None:
    body = b"<userCheck><lockStatus>unlock</lockStatus><retryLoginTime>2</retryLoginTime></userCheck>"
    client, _ = scripted(challenge("a"), challenge("b", body=body))
    with pytest.raises(PtzUnauthorized, match="2 tries left"):
        asked(client, ("GET", "/"))
    assert client.governor.blocked_s == BLOCK_S


def test_credentials_without_an_answer_count() -> None:
    lost = PtzUnreachable("camera: cut off")
    client, transport = scripted(challenge("a"), lost, challenge("a"), lost, challenge("a"))
    for _ in range(2):
        with pytest.raises(PtzUnreachable):
            asked(client, ("GET", "/"))
    with pytest.raises(PtzBusy):
        client.governor.reserve()
    assert len(transport.logins()) == 2


def test_what_was_not_sent_does_not_count() -> None:
    client, _ = scripted(challenge("a"), *[NotSent("camera: refused")] * 5, OK)
    for _ in range(5):
        with pytest.raises(NotSent):
            asked(client, ("GET", "/"))
    assert asked(client, ("GET", "/")) == [200]


@pytest.mark.parametrize(("refused", "left"), [(True, 1), (False, 2)])
def test_logins_in_a_body(refused: bool, left: int) -> None:
    async def run() -> None:
        client, transport = scripted(Response(400 if refused else 200, body=b"x"))
        response = await client.request(
            "POST", "/onvif", b"<s/>", "text/xml", refuses=lambda got: got.status == 400
        )
        assert response.body == b"x" and transport.logins() == []
        for _ in range(left - (not refused)):
            client.governor.reserve()
        if refused:
            with pytest.raises(PtzBusy):
                client.governor.reserve()

    asyncio.run(run())


def test_bodies_have_type_and_length() -> None:
    async def run() -> None:
        client, transport = scripted(OK, OK)
        await client.request("PUT", "/", BODY)
        await client.request("POST", "/", BODY, 'application/soap+xml; action="x"')
        types = [request.header("Content-Type") for request in transport.requests]
        assert types == ["application/xml; charset=UTF-8", 'application/soap+xml; action="x"']
        assert transport.requests[0].header("Content-Length") == str(len(BODY))

    asyncio.run(run())


@pytest.mark.parametrize("user", ["a:b", "a\r\nX: y"])
def test_user_names_that_cannot_be_sent(user: str) -> None:
    with pytest.raises(PtzRefused):
        scripted(user=user)


def test_no_message_holds_a_secret() -> None:
    answers: list[tuple[Answer, ...]] = [
        (challenge("a"), challenge("b")),
        (Response(401),),
        (challenge("a", body=b"userLocked"),),
        (Response(401, (("WWW-Authenticate", "Basic"),)),),
    ]
    for script in answers:
        client, _ = scripted(*script, url="http://admin:Passw0rd!@camera")
        with pytest.raises((PtzUnauthorized, PtzProtocolError, PtzLocked)) as caught:
            asked(client, ("GET", "/"))
        assert "Passw0rd" not in str(caught.value) and "\n" not in str(caught.value)
        assert "Passw0rd" not in repr(client) + repr(client.governor)
