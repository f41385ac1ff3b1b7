"""TLS: a handshake with a certificate of our own making, and files that cannot be used."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from websockets.sync.client import connect

from engine.config.control import ControlConfig
from engine.control.app import create_app
from engine.control.listen import bind_socket
from engine.control.security import read_security
from engine.control.server import ControlServer
from engine.errors import ConfigError
from tests.control.asking import SECRETS
from tests.control.workers import EngineInMemory

SECRET = next(iter(SECRETS.values()))


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str, password: bytes | None = None) -> Files:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camring test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, SHA256())
    )  # fmt: skip
    files = Files(folder / f"{name}.pem", folder / f"{name}-key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, hidden))
    files.key.chmod(0o600)
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("tls"), "one")


def settings_of(files: Files) -> ControlConfig:
    return ControlConfig(tls_cert=str(files.certificate), tls_key=str(files.key))


@pytest.fixture
def staying() -> Iterator[list[socket.socket]]:
    """Connections that are closed when the server has ended: asked for before `port`."""
    connections: list[socket.socket] = []
    yield connections
    for connection in connections:
        connection.close()


@pytest.fixture
def port(files: Files) -> Iterator[int]:
    engine, stop = EngineInMemory(), threading.Event()
    security = read_security(settings_of(files), {"ENGINE_TOKEN_VIEWER": SECRET})
    app = create_app(lambda: engine.status, engine.commands, security=security)
    listening = bind_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = ControlServer(app, listening, certificate=security.certificate)
    thread = threading.Thread(target=server.run, args=(lambda: not stop.is_set(),))
    thread.start()
    yield port
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_browser_that_knows_the_certificate_is_served(port: int, files: Files) -> None:
    trusting = ssl.create_default_context(cafile=str(files.certificate))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting) as client:
        assert client.get("/health").status_code == 401
        answer = client.post("/login", json={"token": SECRET})
        assert "Secure" in answer.headers["set-cookie"]
        assert client.get("/health").status_code == 200
    with connect(
        f"wss://127.0.0.1:{port}/ws",
        ssl=trusting,
        subprotocols=["camring", f"bearer.{SECRET}"],  # type: ignore[list-item]  # a plain text
    ) as websocket:
        websocket.send(json.dumps({"subscribe": ["health"]}))
        assert json.loads(websocket.recv(timeout=5))["type"] == "begin"


def test_one_that_has_said_goodbye_and_stays_does_not_disturb_the_stop(
    staying: list[socket.socket], port: int, files: Files
) -> None:
    """TLS waits for its own goodbye: until then the server knows a WebSocket that is closed already."""
    trusting = ssl.create_default_context(cafile=str(files.certificate))
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    browser = trusting.wrap_socket(raw, server_hostname="127.0.0.1")
    staying.append(browser)
    request = (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {SECRET}\r\n\r\n"
    )
    browser.sendall(request.encode())
    assert b"101" in browser.recv(1000)
    browser.sendall(b"\x88\x80\0\0\0\0")  # a close frame (RFC 6455, section 5.5.1), and then nothing more
    assert browser.recv(1)[0] == 0x88, "the server has said it, too"


def test_one_that_does_not_refuses_and_plain_text_gets_nothing(port: int) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://127.0.0.1:{port}/health/live")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"HTTP" not in raw.recv(1000)


def test_old_versions_of_tls_are_refused(port: int) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw)


def test_files_that_cannot_be_used_are_refused_in_words(files: Files, tmp_path: Path) -> None:
    other, hidden = make_certificate(tmp_path, "other"), make_certificate(tmp_path, "hidden", b"password")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    wrong = {
        "the key is not that of the certificate": Files(files.certificate, other.key),
        "the key is encrypted": hidden,
        "they must be PEM files": Files(broken, files.key),
        "No such file": Files(files.certificate, tmp_path / "nothing"),
    }
    for words, pair in wrong.items():
        with pytest.raises(ConfigError, match=words) as caught:
            read_security(settings_of(pair), {})
        assert "\n" not in str(caught.value)
    other.key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_security(settings_of(other), {})
