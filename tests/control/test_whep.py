"""WHEP: a real server, real H.264, and aiortc as a viewer that decodes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import quote

import httpx
import pytest
from starlette.requests import Request

from engine.control.whep import WhepLimits, _reached_at
from tests.control.live_server import LiveServer, live_server, viewer, wait_for

SDP = {"Content-Type": "application/sdp"}
LIMITS = WhepLimits(sessions=2, connect_s=2.0, silence_s=3.0, check_s=0.1)


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server("gate", limits=LIMITS) as server:
        yield server


def test_a_viewer_sees_every_frame_and_is_told_which_it_is(server: LiveServer) -> None:
    async def watch() -> None:
        async with viewer(f"{server.url}/whep/gate?view=overlay") as each:
            await each.until_seen(45)
            numbers = [number for _, number, _ in each.seen]
            assert all(after == before + 1 for before, after in pairwise(numbers[:45]))
            told = [each.told.get(rtp, {"frame": number})["frame"] for rtp, number, _ in each.seen]
            assert told == numbers
            assert len(each.told) >= 40  # nearly all: the channel opens a moment after the video
            some = next(iter(each.told.values()))
            assert set(some) == {"rtp", "frame", "time", "no_signal"}
            assert some["no_signal"] is False
            # Timestamps are those of the frames, 90 kHz.
            steps = [after[0] - before[0] for before, after in pairwise(each.seen)]
            assert sorted(steps)[len(steps) // 2] == pytest.approx(3000, rel=0.2)
            assert server.sessions() == 1

    asyncio.run(watch())
    wait_for(lambda: server.sessions() == 0)
    assert server.statistics()["viewers"] == {}


def test_only_the_first_viewer_makes_the_encoder_run(server: LiveServer) -> None:
    async def watch() -> None:
        async with (
            viewer(f"{server.url}/whep/gate") as one,
            viewer(f"{server.url}/whep/gate", frames_channel=False) as two,
        ):
            await one.until_seen(20)
            await two.until_seen(20)
            assert one.told
            assert not two.told

    asyncio.run(watch())
    camera = server.live.cameras["gate"]
    wanted = [fields["renditions"] for command, fields in camera.asked if command == "stream-want"]
    assert set(map(tuple, wanted)) == {("clean",)}
    asked = len(wanted)
    wait_for(lambda: server.sessions() == 0)
    with pytest.raises(AssertionError):  # nobody looks: nothing is wanted any more
        wait_for(lambda: len([each for each in camera.asked if each[0] == "stream-want"]) > asked + 1, 1.0)


def test_viewers_stay_over_a_restart_of_the_stream_worker(server: LiveServer) -> None:
    async def watch() -> None:
        camera = server.live.cameras["gate"]
        async with viewer(f"{server.url}/whep/gate") as each:
            await each.until_seen(20)
            camera.silent.set()
            await asyncio.sleep(1.0)
            before = len(each.seen)
            camera.restart()
            camera.silent.clear()
            await each.until_seen(before + 30)
            assert each.peer.connectionState == "connected"
            assert each.seen[-1][1] > each.seen[before - 1][1]

    asyncio.run(watch())


def test_what_the_viewer_misses_is_sent_again_and_key_frames_are_made(server: LiveServer) -> None:
    async def watch() -> None:
        camera = server.live.cameras["gate"]
        async with viewer(f"{server.url}/whep/gate") as each:
            await each.until_seen(10)
            receiver = each.peer.getTransceivers()[0].receiver
            (source,) = receiver.getSynchronizationSources()
            jitter_buffer = receiver._RTCRtpReceiver__jitter_buffer  # type: ignore[attr-defined]  # as named in Python
            newest = jitter_buffer._origin
            await receiver._send_rtcp_nack(source.source, [(newest - 2) & 0xFFFF, (newest - 1) & 0xFFFF])
            await asyncio.to_thread(wait_for, lambda: server.statistics()["webrtc"]["again"] == 2)
            await asyncio.sleep(0.6)  # key frames are made twice a second at most
            asked = len(camera.asked)
            await receiver._send_rtcp_pli(source.source)
            await asyncio.to_thread(
                wait_for, lambda: ("stream-keyframe", {"rendition": "clean"}) in camera.asked[asked:]
            )

    asyncio.run(watch())


def test_who_vanishes_is_cleaned_up(server: LiveServer) -> None:
    async def watch() -> None:
        async with viewer(f"{server.url}/whep/gate") as each:
            await each.until_seen(10)
            # Gone without a word: nothing comes from it any more.
            transport = each.peer.getTransceivers()[0].receiver.transport.transport
            for protocol in transport._connection._protocols:
                protocol.transport.abort()
            await asyncio.to_thread(wait_for, lambda: server.sessions() == 0)

    asyncio.run(watch())
    assert server.statistics()["webrtc"]["ended"].get("silent") == 1


def test_who_never_comes_is_given_up(server: LiveServer) -> None:
    async def offer_only() -> None:
        async with viewer(f"{server.url}/whep/gate") as each:
            assert server.sessions() == 1
            for protocol in each.peer.getTransceivers()[
                0
            ].receiver.transport.transport._connection._protocols:
                protocol.transport.abort()
            await asyncio.to_thread(wait_for, lambda: server.sessions() == 0)

    asyncio.run(offer_only())


def test_sessions_are_limited_and_can_be_ended(server: LiveServer) -> None:
    async def watch() -> None:
        async with (
            viewer(f"{server.url}/whep/gate") as one,
            viewer(f"{server.url}/whep/gate"),
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            offer = one.peer.localDescription.sdp
            refused = await client.post("/whep/gate", content=offer, headers=SDP)
            assert refused.status_code == 503
            assert "2 WebRTC sessions are open already" in refused.json()["detail"]
            assert refused.headers["retry-after"]
            assert one.location.startswith("/whep/gate/")
            assert (await client.delete("/whep/other" + one.location[10:])).status_code == 404
            assert (await client.delete(one.location)).status_code == 200
            assert (await client.delete(one.location)).status_code == 404
            assert server.sessions() == 1

    asyncio.run(watch())


def test_candidates_may_come_later(server: LiveServer) -> None:
    async def watch() -> None:
        async with (
            viewer(f"{server.url}/whep/gate") as each,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            kind = {"Content-Type": "application/trickle-ice-sdpfrag"}
            fragment = (
                "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
                "a=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host\r\n"
                "a=candidate:2 1 udp 2130706431 0f1e2d3c.local 50001 typ host\r\na=end-of-candidates\r\n"
            )
            assert (await client.patch(each.location, content=fragment, headers=kind)).status_code == 204
            known = {**kind, "If-Match": each.etag}
            assert (await client.patch(each.location, content=fragment, headers=known)).status_code == 204
            wrong = {**kind, "If-Match": '"other"'}
            assert (await client.patch(each.location, content=fragment, headers=wrong)).status_code == 412
            bad = await client.patch(each.location, content="a=candidate:nonsense", headers=kind)
            assert bad.status_code == 422
            assert "candidate" in bad.json()["detail"]
            assert (await client.patch(each.location, content="{}", headers=SDP)).status_code == 415

    asyncio.run(watch())


AUDIO_ONLY = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
"""
VP8_ONLY = AUDIO_ONLY.replace("m=audio", "m=video").replace("111 opus/48000/2", "111 VP8/90000")
SENDING = VP8_ONLY.replace(
    "111 VP8/90000", "111 H264/90000\na=fmtp:111 packetization-mode=1;profile-level-id=42e01f"
)


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ("hello", "no video"),
        ("", "no video"),
        ("v=0\r\nm=video", "no usable session description"),
        (AUDIO_ONLY, "no video"),
        (VP8_ONLY, "no H.264"),
        (SENDING.replace("recvonly", "sendonly"), "recvonly"),
    ],
)
def test_offers_that_are_refused(server: LiveServer, offer: str, words: str) -> None:
    answer = httpx.post(f"{server.url}/whep/gate", content=offer.replace("\n", "\r\n"), headers=SDP)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert server.sessions() == 0
    assert server.statistics()["viewers"] == {}


def test_requests_that_are_refused(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        unknown = client.post("/whep/nowhere", content="v=0", headers=SDP)
        assert unknown.status_code == 404
        assert "there is of: gate" in unknown.json()["detail"]
        assert client.post("/whep/gate?view=x", content="v=0", headers=SDP).status_code == 422
        assert client.post("/whep/gate", json={}).status_code == 415
        assert client.post("/whep/gate", content=b"\xff\xfe", headers=SDP).status_code == 400
        assert client.post("/whep/gate", content=b"v" * 70_000, headers=SDP).status_code == 413
        assert client.get("/whep/gate").status_code == 405
        page = client.post("/whep/gate", content="v=0", headers={**SDP, "Origin": "http://elsewhere"})
        assert page.status_code == 403


def test_without_the_extra_the_answer_names_it(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.control.whep.importlib.util.find_spec", lambda name: None)
    answer = httpx.post(f"{server.url}/whep/gate", content="v=0", headers=SDP)
    assert answer.status_code == 501
    assert "the extra `webrtc`" in answer.json()["detail"]


def test_a_camera_may_be_called_anything() -> None:
    async def watch(server: LiveServer) -> None:
        async with (
            viewer(f"{server.url}/whep/{quote('tür 1', safe='')}") as each,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            await each.until_seen(5)
            assert each.location.startswith("/whep/t%C3%BCr%201/")
            assert (await client.delete(each.location)).status_code == 200

    with live_server("tür 1") as server:
        asyncio.run(watch(server))


@pytest.mark.parametrize(
    ("server", "host", "reached_at"),
    [
        ("127.0.0.1", "127.0.0.1:8080", "127.0.0.1"),
        ("127.0.0.1", "localhost:8080", "127.0.0.1"),
        ("::1", "[::1]:8080", "::1"),
        ("127.0.0.1", "cameras.example", ""),
        ("127.0.0.1", "192.0.2.7", ""),
        ("192.0.2.7", "cameras.example", "192.0.2.7"),
        ("127.0.0.1", "", ""),
    ],
)
def test_which_address_the_viewer_knows(server: str, host: str, reached_at: str) -> None:
    scope = {"type": "http", "server": (server, 8080), "headers": [(b"host", host.encode())]}
    assert _reached_at(Request(scope)) == reached_at


def test_a_worker_that_does_not_encode_says_why(server: LiveServer) -> None:
    camera = server.live.cameras["gate"]

    def no_encoder(command: str, fields: dict[str, object]) -> dict[str, object]:
        return {"renditions": {"clean": {"running": False, "encoder": "", "reason": "libx264 is missing"}}}

    camera.ask = no_encoder  # type: ignore[method-assign]  # as a worker without an encoder answers
    answer = httpx.post(f"{server.url}/whep/gate", content="v=0", headers=SDP)
    assert answer.status_code == 503
    assert answer.json()["detail"] == "gate: no clean video: libx264 is missing"
