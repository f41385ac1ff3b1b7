"""Brokers that speak TLS: their certificates are checked against `bus.tls_ca`, or against those of the system."""

from __future__ import annotations

import datetime
import gc
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from engine.bus.base import Bus, BusOptions, bus_class
from engine.bus.topics import EVENTS
from engine.config.bus import SYSTEM, bus_address
from engine.errors import BusUnreachable
from tests.bus.listeners import run, topic
from tests.peers.brokers import BROKERS, Broker, make_broker

SECURE = {"mqtt": "mqtts", "nats": "nats+tls", "redis": "rediss"}
pytestmark = [
    pytest.mark.peer,
    # paho leaves the socket of a handshake that has failed to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that has signed itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "broker of a test")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
        )
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "broker.pem"
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(made.public_bytes(kind) + key.private_bytes(kind, form, serialization.NoEncryption()))
    return path


@pytest.fixture(params=sorted(BROKERS))
def secure_broker(request: pytest.FixtureRequest, tmp_path: Path, certificate: Path) -> Iterator[Broker]:
    found = make_broker(request.param, tmp_path / request.param, certificate=certificate)
    found.start()
    yield found
    found.kill()


def connection(broker: Broker, host: str, tls_ca: str) -> Bus:
    address = bus_address(f"{SECURE[broker.scheme]}://{host}:{broker.port}")
    return bus_class(address.scheme)(address, BusOptions("test", tls_ca=tls_ca, patience_s=2.0))


def test_the_file_of_certificates_decides(secure_broker: Broker, certificate: Path) -> None:
    async def body() -> None:
        trusted = connection(secure_broker, "127.0.0.1", str(certificate))
        await trusted.connect()
        await trusted.publish(topic(EVENTS, "gate"), b"x")
        await trusted.close()
        for host, tls_ca in (("127.0.0.1", SYSTEM), ("localhost", str(certificate))):
            refused = connection(secure_broker, host, tls_ca)
            with pytest.raises(BusUnreachable):
                await refused.connect()
            await refused.close()
            del refused
            gc.collect()

    run(body())
