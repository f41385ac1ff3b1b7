"""RTSP against a real GStreamer server in RECORD mode: what it writes is what was sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from engine.errors import PublishError, PublishRefused, PublishUnreachable
from engine.publish.rtsp import MOST_PAYLOAD_BYTES, payloads_of
from engine.publish.rtsp_messages import Login, digest_response, ntp_time
from tests.peers.media_servers import RtspRecorder
from tests.publish.conftest import PacketMaker, probe
from tests.publish.test_rtmp import publish, wait_for


def test_the_server_writes_every_picture(
    rtsp_recorder: RtspRecorder, encoded: PacketMaker, ffprobe: str
) -> None:
    packets = encoded(60, size=(640, 480))
    assert max(len(packet.data) for packet in packets) > 2 * MOST_PAYLOAD_BYTES
    sink = publish(rtsp_recorder.url(), packets, pause_s=0.005)
    (recording,) = rtsp_recorder.recordings()
    # Not after `close`: the server throws away what waits in its jitter buffer then.
    wait_for(lambda: recording.stat().st_size >= sum(len(packet.data) for packet in packets))
    assert probe(ffprobe, recording)["nb_read_frames"] == "60"
    sink.close()
    assert probe(ffprobe, recording)["width"] == "640"


@pytest.mark.parametrize("kind", ["digest", "basic"])
def test_logins(
    start_rtsp_recorder: Callable[..., RtspRecorder],
    encoded: PacketMaker,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    server = start_rtsp_recorder("--user", "me", "--password", "p@ss/word", "--auth", kind)
    monkeypatch.setenv("PUBLISH_PASSWORD", "p@ss/word")
    sink = publish(server.url(login="me:${PUBLISH_PASSWORD}@"), encoded(20), pause_s=0.005)
    wait_for(lambda: server.recordings()[0].stat().st_size > 0)
    sink.close()
    with pytest.raises(PublishRefused, match="401"):
        publish(server.url(), encoded(2))


def test_a_wrong_password_is_not_hammered(
    start_rtsp_recorder: Callable[..., RtspRecorder], encoded: PacketMaker
) -> None:
    server = start_rtsp_recorder("--user", "me", "--password", "right")
    for _ in range(2):
        with pytest.raises(PublishRefused, match="401") as refused:
            publish(server.url(login="me:wrong@"), encoded(2))
        assert "wrong" not in str(refused.value) and "me:" not in str(refused.value)
    with pytest.raises(PublishRefused, match="nothing is sent"):
        publish(server.url(login="me:wrong@"), encoded(2))


def test_a_path_that_there_is_not(rtsp_recorder: RtspRecorder, encoded: PacketMaker) -> None:
    with pytest.raises(PublishError, match="ANNOUNCE: 404"):
        publish(rtsp_recorder.url("/elsewhere"), encoded(2))


def test_servers_that_are_gone_or_frozen(rtsp_recorder: RtspRecorder, encoded: PacketMaker) -> None:
    packets = encoded(200)
    sink = publish(rtsp_recorder.url(), packets[:25], pause_s=0.02, timeout_s=0.5)
    rtsp_recorder.freeze()
    started_s = time.monotonic()
    with pytest.raises(PublishUnreachable, match="has not answered"):
        for packet in packets[25:]:
            sink.write(packet)
            time.sleep(0.03)
    assert time.monotonic() - started_s < 4
    sink.close()
    rtsp_recorder.kill()
    with pytest.raises(PublishUnreachable, match="cannot connect"):
        publish(rtsp_recorder.url(), packets)


def test_somebody_who_never_answers(encoded: PacketMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(PublishUnreachable, match=r"no answer in 0\.3 s"):
            publish(f"rtsp://127.0.0.1:{port}/live", encoded(2), timeout_s=0.3)


def test_fragmentation_units() -> None:
    """RFC 6184, section 5.8."""
    small = b"\x65" + bytes(100)
    assert payloads_of(small) == [small]
    large = b"\x65" + bytes(range(256)) * 12
    payloads = payloads_of(large)
    assert all(len(payload) <= MOST_PAYLOAD_BYTES and payload[0] == 0x7C for payload in payloads)
    assert [payload[1] for payload in payloads] == [0x85, 0x05, 0x45]
    assert b"\x65" + b"".join(payload[2:] for payload in payloads) == large


def test_proof_of_a_password() -> None:
    """The example of RFC 2617, section 3.5, and the same without `qop` as in RFC 2069."""
    login = Login("Mufasa", "Circle Of Life")
    challenge = {"realm": "testrealm@host.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    action = ("GET", "/dir/index.html")
    with_qop = digest_response(login, challenge | {"qop": "auth,auth-int"}, action, 1, "0a4f113b")
    assert with_qop == "6629fae49393a05397450978507c4ef1"
    assert digest_response(login, challenge, action, 1, "0a4f113b") == "670fd8c2df070c60b045671b8b24ff02"


def test_time_of_reports() -> None:
    assert ntp_time(1_500_000_000) == (2_208_988_801 << 32) + (1 << 31)
