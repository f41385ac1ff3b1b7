"""Real message brokers on the loopback: mosquitto, nats-server, redis-server. Killed, frozen and started again at will.

Use the fixtures with `from tests.peers.brokers import mosquitto  # noqa: F401` in a conftest.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.fixtures import free_port

LOGIN = ("gate", "s3cret/@")
"""User name and password of brokers that ask for them."""


class Broker:
    """One server process. `folder` holds its configuration; what it keeps in memory is lost with it."""

    package = ""
    program = ""
    scheme = ""

    def __init__(self, folder: Path, *, login: bool = False, certificate: Path | None = None) -> None:
        """`certificate`: PEM file with a certificate and its key; then only TLS is spoken."""
        self.port = free_port()
        self.certificate = certificate
        self.login = login
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    def url(self, login: str = "", prefix: str = "") -> str:
        """Its URL; `login` is `user:password@`."""
        return f"{self.scheme}://{login}127.0.0.1:{self.port}{prefix}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        path = find(self.program)
        assert path is not None, f"{self.program} is missing"
        self._process = subprocess.Popen(
            [path, *self.command()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder
        )
        deadline_s = time.monotonic() + 10
        while not listens(self.port):
            assert self._process.poll() is None, f"{self.program} has ended with {self._process.returncode}"
            assert time.monotonic() < deadline_s, f"{self.program} does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as if its machine had gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: its sockets stay open, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Mosquitto(Broker):
    """MQTT."""

    package, program, scheme = "mosquitto", "mosquitto", "mqtt"

    def command(self) -> list[str]:
        config = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            f"allow_anonymous {str(not self.login).lower()}",
        ]
        if self.login:
            passwords = self._folder / "passwords"
            if not passwords.exists():
                tool = find("mosquitto_passwd")
                assert tool is not None
                subprocess.run([tool, "-b", "-c", str(passwords), *LOGIN], check=True, capture_output=True)
                passwords.chmod(0o644)
            config.append(f"password_file {passwords}")
        if self.certificate is not None:
            config += [f"certfile {self.certificate}", f"keyfile {self.certificate}"]
        if os.geteuid() == 0:
            config.append("user root")  # or it could not read a folder of root's
        path = self._folder / "mosquitto.conf"
        path.write_text("\n".join(config) + "\n")
        return ["-c", str(path)]


class NatsServer(Broker):
    """NATS."""

    package, program, scheme = "nats-server", "nats-server", "nats"

    def command(self) -> list[str]:
        login = ["--user", LOGIN[0], "--pass", LOGIN[1]] if self.login else []
        tls = ["--tls", "--tlscert", str(self.certificate), "--tlskey", str(self.certificate)]
        return ["-a", "127.0.0.1", "-p", str(self.port), *login, *(tls if self.certificate else [])]


class RedisServer(Broker):
    """Redis."""

    package, program, scheme = "redis-server", "redis-server", "redis"

    def command(self) -> list[str]:
        config = [f"port {self.port}", "bind 127.0.0.1", 'save ""', "appendonly no"]
        if self.login:
            config += [f"user {LOGIN[0]} on >{LOGIN[1]} ~* &* +@all", "user default off"]
        if self.certificate is not None:
            config[0] = "port 0"
            config += [f"tls-port {self.port}", "tls-auth-clients no"]
            config += [f"tls-{what}-file {self.certificate}" for what in ("cert", "key", "ca-cert")]
        path = self._folder / "redis.conf"
        path.write_text("\n".join(config) + "\n")
        return [str(path)]


BROKERS: dict[str, type[Broker]] = {each.scheme: each for each in (Mosquitto, NatsServer, RedisServer)}


def find(program: str) -> str | None:
    """Path of a program; servers lie where only root looks."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_broker(scheme: str, folder: Path, *, login: bool = False, certificate: Path | None = None) -> Broker:
    """A broker that is not started yet; skips with the command that installs it."""
    kind = BROKERS[scheme]
    if find(kind.program) is None:
        pytest.skip(f"{kind.program} is missing: apt-get install {kind.package}")
    folder.mkdir(parents=True, exist_ok=True)
    return kind(folder, login=login, certificate=certificate)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """An MQTT broker that listens."""
    broker = make_broker("mqtt", tmp_path / "mosquitto")
    assert isinstance(broker, Mosquitto)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each kind of broker, listening."""
    found = make_broker(request.param, tmp_path / request.param)
    found.start()
    yield found
    found.kill()
