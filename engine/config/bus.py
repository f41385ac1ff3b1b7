"""Settings of message buses: which brokers get what, and the addresses of brokers.

Checks what can be known before anything is opened: schemes, ports, prefixes, references to environment variables,
the file of certificates. Does not know how a broker is spoken to.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from engine.config.files import unknown_name
from engine.config.values import setting
from engine.errors import ConfigError
from engine.secrets import mask_url, resolve_references

OFF = "off"
SYSTEM = "system"
DEFAULT_PREFIX = "camring"
MOST_BROKERS = 8

DEFAULT_PORTS = {
    "mqtt": 1883, "mqtts": 8883, "nats": 4222, "nats+tls": 4222, "redis": 6379, "rediss": 6379, "kafka": 9092,
    "kafka+tls": 9093,
}  # fmt: skip
"""Schemes of brokers and the port of each where the address names none."""
_WITH_TLS = frozenset({"mqtts", "nats+tls", "rediss", "kafka+tls"})
_LEVEL = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class BusConfig:
    """Results and events for other programs, over brokers that they know already."""

    urls: tuple[str, ...] = setting(
        (),
        "brokers: `mqtt://`, `mqtts://`, `nats://`, `nats+tls://`, `redis://`, `rediss://`, `kafka://`, "
        "`kafka+tls://`, each `SCHEME://[USER:PASSWORD@]HOST[:PORT][/PREFIX]`; `${VARIABLE}` stands for a secret",
        flag="--bus",
    )
    records: str = setting(
        "events",
        "what is sent: `events` = what happens, and the state of each camera; `results` = every frame record besides",
        choices=("events", "results"),
    )
    home_assistant: str = setting(
        "homeassistant",
        "where Home Assistant looks for devices over MQTT (its discovery prefix); `off` = it is told of none",
    )
    snapshot_url: str = setting(
        OFF,
        "address of this engine's HTTP side as Home Assistant reaches it, such as `http://engine.lan:8080`, for "
        "pictures of the cameras; `off` = none are shown",
    )
    tls_ca: str = setting(
        SYSTEM,
        "file of certificates (PEM) that brokers with TLS are checked against; `system` = those that the system trusts",
    )
    state_s: float = setting(
        30.0,
        "the state of each camera is sent when it changes, at most once a second, and after this time at the latest",
        unit="s",
        bounds=(1.0, 3600.0),
    )
    queue_events: int = setting(
        10000,
        "events kept for a broker that is away, the oldest are dropped; 10000 take about 4 MB",
        unit="messages",
        bounds=(10, 1000000),
    )
    queue_results: int = setting(
        256,
        "frame records kept for a broker that is slow; few, because old ones are worth little",
        unit="messages",
        bounds=(1, 100000),
    )


@dataclass(frozen=True, slots=True)
class BusAddress:
    """A broker as its URL names it, secrets resolved. `repr` and `shown` are without them.

    prefix  levels before every topic
    shown   the URL without credentials: its name in the status and in messages
    """

    scheme: str
    host: str
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)
    prefix: tuple[str, ...]
    shown: str

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in _WITH_TLS


def bus_address(url: str, environ: Mapping[str, str] | None = None) -> BusAddress:
    """The broker of a URL. Raises `ConfigError` that begins with the URL without its credentials.

    `%` and two digits stand for a character; what a variable holds is taken as it is, `@` and `/` in it included.
    """
    shown = mask_url(url)
    resolved = resolve_references(url, environ)  # what is missing is told with the whole URL masked
    # A variable may hold the whole address.
    text = resolved if url.lstrip().startswith("${") else url
    parts = _split(text, shown)
    if parts.scheme not in DEFAULT_PORTS:
        raise ConfigError(f"{unknown_name(shown, 'scheme', parts.scheme, DEFAULT_PORTS)}")

    def plain(part: str | None) -> str:
        return resolve_references(unquote(part or ""), environ)

    host, port = plain(parts.hostname_text), plain(parts.port_text)
    if not host:
        raise ConfigError(f"{shown}: names no host")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"{shown}: the port must be a whole number from 1 to 65535")
    prefix = _prefix(parts.path, parts.scheme, shown)
    number = int(port) if port else DEFAULT_PORTS[parts.scheme]
    place = f"[{host}]" if ":" in host else host
    name = f"{parts.scheme}://{place}:{number}/{'/'.join(prefix)}"
    return BusAddress(
        parts.scheme, host, number, plain(parts.user), plain(parts.password), prefix, mask_url(name)
    )


def check_bus(config: BusConfig, where: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` for the first thing that cannot work. `where` tells the origin of each setting."""
    if len(config.urls) > MOST_BROKERS:
        raise ConfigError(
            f"{where['bus.urls']}: at most {MOST_BROKERS} brokers can be served, found {len(config.urls)}"
        )
    seen: set[str] = set()
    for url in config.urls:
        try:
            shown = bus_address(url, environ).shown
        except ConfigError as error:
            raise ConfigError(f"{where['bus.urls']}: bus.urls: {error}") from None
        if shown in seen:
            raise ConfigError(f"{where['bus.urls']}: bus.urls: {shown} is named twice")
        seen.add(shown)
    if config.tls_ca != SYSTEM:
        _check_certificates(config.tls_ca, f"{where['bus.tls_ca']}: bus.tls_ca")
    levels = config.home_assistant.split("/")
    if not all(_LEVEL.fullmatch(level) for level in levels):
        raise ConfigError(
            f"{where['bus.home_assistant']}: bus.home_assistant must be a prefix such as 'homeassistant', or 'off', "
            f"found {config.home_assistant!r}"
        )
    if config.snapshot_url != OFF and urlsplit(config.snapshot_url).scheme not in ("http", "https"):
        raise ConfigError(
            f"{where['bus.snapshot_url']}: bus.snapshot_url must be 'off' or begin with http:// or https://, found "
            f"{mask_url(config.snapshot_url)!r}"
        )


def tls_context(tls_ca: str) -> ssl.SSLContext:
    """What brokers with TLS are checked against. Raises `ConfigError` for a file that cannot be used."""
    if tls_ca == SYSTEM:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=os.path.expanduser(tls_ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{tls_ca}: no file of certificates (PEM): {error}") from None


def _check_certificates(path: str, where: str) -> None:
    try:
        tls_context(path)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    user: str
    password: str
    hostname_text: str
    port_text: str
    path: str


def _split(text: str, shown: str) -> _Parts:
    try:
        found: SplitResult = urlsplit(text.strip())
    except ValueError as error:
        raise ConfigError(f"{shown}: no URL: {error}") from None
    if "://" not in text:
        raise ConfigError(f"{shown}: no URL; write SCHEME://HOST[:PORT][/PREFIX], such as mqtt://broker.lan")
    if found.query or found.fragment:
        raise ConfigError(f"{shown}: an address of a broker has neither ? nor #")
    login, _, place = found.netloc.rpartition("@")
    user, _, password = login.partition(":")
    # An IPv6 address stands in brackets.
    host, bracket, rest = place[1:].partition("]") if place.startswith("[") else ("", "", place)
    if not bracket:
        host, _, port = rest.partition(":")
    else:
        port = rest.removeprefix(":")
    return _Parts(found.scheme, user, password, host, port, found.path)


def _prefix(path: str, scheme: str, shown: str) -> tuple[str, ...]:
    levels = tuple(unquote(level) for level in path.strip("/").split("/") if level) or (DEFAULT_PREFIX,)
    if not all(_LEVEL.fullmatch(level) for level in levels):
        raise ConfigError(
            f"{shown}: the path is the prefix of all topics: letters, digits, - and _ between its slashes"
        )
    if scheme.startswith("redis") and levels[0].isdigit():
        raise ConfigError(f"{shown}: the path is the prefix of all keys, not the number of a database")
    return levels
