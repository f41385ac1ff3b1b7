"""RTMP and RTSP over TLS: certificates are checked, and what is sent arrives."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from engine.errors import PublishUnreachable
from tests.peers.media_servers import RtmpServer, RtspRecorder
from tests.publish.conftest import PacketMaker, probe
from tests.publish.test_rtmp import publish, wait_for


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that has signed itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "media server of a test")])
    now = datetime.datetime.now(datetime.UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(made.public_bytes(kind) + key.private_bytes(kind, form, serialization.NoEncryption()))
    return path


@pytest.fixture
def with_tls(certificate: Path) -> Iterator[Callable[[int], int]]:
    """Puts TLS in front of a port of the loopback; gives the port to connect to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(OSError):
                    client = context.wrap_socket(plain, server_side=True)
                    server = socket.create_connection(("127.0.0.1", port))
                    for pair in ((client, server), (server, client)):
                        threading.Thread(target=pump, args=pair, daemon=True).start()

    def front(port: int) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, port), daemon=True).start()
        number: int = listener.getsockname()[1]
        return number

    yield front
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError), closing(sink):
        while data := source.recv(65536):
            sink.sendall(data)


def test_rtmps(
    rtmp_server: RtmpServer, encoded: PacketMaker, ffprobe: str, with_tls: Callable[[int], int],
    certificate: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    url = f"rtmps://127.0.0.1:{with_tls(rtmp_server.port)}/live/camera"
    with pytest.raises(PublishUnreachable, match=r"no TLS connection: .*certificate verify failed"):
        publish(url, encoded(2))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    publish(url, encoded(60), pause_s=0.002).close()
    wait_for(lambda: (rtmp_server.folder / "error.log").read_text().count("disconnect") >= 1)
    assert probe(ffprobe, rtmp_server.recordings()[0])["nb_read_frames"] == "60"


def test_rtsps(
    rtsp_recorder: RtspRecorder, encoded: PacketMaker, ffprobe: str, with_tls: Callable[[int], int],
    certificate: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    packets = encoded(60)
    sink = publish(f"rtsps://127.0.0.1:{with_tls(rtsp_recorder.port)}/live", packets, pause_s=0.002)
    (recording,) = rtsp_recorder.recordings()
    wait_for(lambda: recording.stat().st_size >= sum(len(packet.data) for packet in packets))
    assert probe(ffprobe, recording)["nb_read_frames"] == "60"
    sink.close()
