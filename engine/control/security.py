"""What protects the HTTP side: tokens, names of this machine, TLS. Read and checked before anything is started.

An address that others can reach is not listened on without a token.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from engine.control.tokens import VARIABLES, Tokens, check_private, read_tokens
from engine.errors import ConfigError

OFF = "off"
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}")


class ControlSettings(Protocol):
    """What is read of the section `control` of a configuration."""

    @property
    def host(self) -> str: ...
    @property
    def tokens(self) -> str: ...
    @property
    def tls_cert(self) -> str: ...
    @property
    def tls_key(self) -> str: ...
    @property
    def allowed_hosts(self) -> tuple[str, ...]: ...
    @property
    def allowed_origins(self) -> tuple[str, ...]: ...
    @property
    def requests_per_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Security:
    """As the HTTP side is protected. The default: this machine's own address, nobody has to log in.

    tokens           empty: whoever reaches the address may do everything
    allowed_hosts    names of this machine besides localhost, its own and its addresses, in small letters
    allowed_origins  pages of which other sites may ask here, with a token of their own
    certificate      paths of a certificate (chain) and its key, None: no TLS
    requests_per_s   of one client; 0 = no limit
    """

    tokens: Tokens = field(default_factory=Tokens)
    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    certificate: tuple[str, str] | None = None
    requests_per_s: float = 0.0

    @property
    def login_required(self) -> bool:
        """Whether anybody has to log in."""
        return len(self.tokens) > 0


def read_security(settings: ControlSettings, environ: Mapping[str, str] | None = None) -> Security:
    """What protects the address of these settings. Raises `ConfigError`, also where it needs a token and has none."""
    variables = os.environ if environ is None else environ
    path = None if settings.tokens == OFF else Path(settings.tokens).expanduser()
    tokens = read_tokens(path, variables)
    if not tokens and not is_loopback(settings.host):
        raise ConfigError(
            f"control.host {settings.host}: others can reach this address, so it needs a token: "
            "`engine-run --new-token admin --tokens FILE`, then `--tokens FILE` (or the environment variable "
            f"{list(VARIABLES)[-1]}); docs/security.md"
        )
    return Security(
        tokens,
        frozenset(_host(name) for name in settings.allowed_hosts),
        frozenset(_origin(origin) for origin in settings.allowed_origins),
        _certificate(settings),
        settings.requests_per_s,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on. One that is none is somebody else's to refuse."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        return True
    return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)


def _host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ConfigError(
            f"control.allowed_hosts: {name!r} is no name of a machine; write it without scheme and port"
        )
    return name.lower()


def _origin(origin: str) -> str:
    parts = urlsplit(origin)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or parts.path
        or parts.query
        or "@" in origin
    ):
        raise ConfigError(
            f"control.allowed_origins: {origin!r} is no origin; write scheme, host and port alone: "
            "https://site.example"
        )
    return origin.lower()


def _certificate(settings: ControlSettings) -> tuple[str, str] | None:
    if settings.tls_cert == OFF and settings.tls_key == OFF:
        return None
    if OFF in (settings.tls_cert, settings.tls_key):
        raise ConfigError("control.tls_cert and control.tls_key go together: TLS needs both")
    certificate, key = Path(settings.tls_cert).expanduser(), Path(settings.tls_key).expanduser()
    if not certificate.is_file():
        raise ConfigError(
            f"control.tls_cert {str(certificate)!r}: there is no such file (looked from {os.getcwd()})"
        )
    check_private(key, "control.tls_key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An encrypted key would be asked for on the terminal, of a process that has none.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        raise ConfigError(
            f"control.tls_cert {str(certificate)!r} and control.tls_key {str(key)!r} cannot be used: "
            f"{_ssl_problem(error, key)}"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"control.tls_cert {str(certificate)!r}: cannot be read: {error.strerror}"
        ) from None
    return str(certificate), str(key)


def _ssl_problem(error: ssl.SSLError, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    if b"ENCRYPTED" in key.read_bytes():
        return "the key is encrypted; write it without a password"
    return f"they must be PEM files ({error.reason or 'no PEM'})"
