"""Addresses of brokers: what they may be, what they may not, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bus.base import bus_class
from engine.config import load_run_config
from engine.config.bus import DEFAULT_PORTS, bus_address
from engine.errors import ConfigError


@pytest.mark.parametrize("scheme", DEFAULT_PORTS)
def test_every_scheme_has_a_port_and_a_bus(scheme: str) -> None:
    address = bus_address(f"{scheme}://broker.lan")
    assert address.port == DEFAULT_PORTS[scheme] and address.prefix == ("camring",)
    assert address.tls == (scheme in ("mqtts", "rediss", "nats+tls", "kafka+tls"))
    assert scheme in bus_class(scheme).schemes


def test_what_variables_hold_is_taken_as_it_is() -> None:
    environ = {"USER_": "gate", "WORD": "p@ss/w:rd#?%41", "WHOLE": "mqtt://u:p@h:1884/site"}
    address = bus_address("mqtts://${USER_}:${WORD}@[::1]:8884/site/camring", environ)
    assert (address.user, address.password) == ("gate", "p@ss/w:rd#?%41")
    assert (address.host, address.port, address.prefix) == ("::1", 8884, ("site", "camring"))
    assert address.shown == "mqtts://[::1]:8884/site/camring" and "p@ss" not in repr(address)
    whole = bus_address("${WHOLE}", environ)
    assert (whole.user, whole.password, whole.port, whole.prefix) == ("u", "p", 1884, ("site",))


def test_written_out_passwords_may_be_escaped() -> None:
    address = bus_address("mqtt://u:p%40ss%2Fword@h")
    assert address.password == "p@ss/word"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mqt://h", "unknown scheme 'mqt'; did you mean|unknown scheme 'mqt'"),
        ("mqtt:/h", "no URL; write SCHEME://HOST"),
        ("mqtt://", "names no host"),
        ("mqtt://h:0", "the port must be"),
        ("mqtt://h:x", "the port must be"),
        ("mqtt://h/a b", "the path is the prefix of all topics"),
        ("mqtt://h/a/+/b", "the path is the prefix of all topics"),
        ("redis://h/0", "not the number of a database"),
        ("mqtt://h?x=1", r"neither \? nor #"),
        ("mqtt://u:${GONE}@h", "GONE is not set"),
    ],
)
def test_what_cannot_be_used_is_one_line_without_secrets(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        bus_address(url, {})
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError) as secret:
        bus_address(url.replace("://", "://user:hunter2@"), {})
    assert "hunter2" not in str(secret.value)


def load(tmp_path: Path, text: str, **flags: object) -> None:
    profile = tmp_path / "p.toml"
    profile.write_text(text)
    load_run_config(str(profile), None, {"source": ["test://"], **flags}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('urls = ["amqp://h"]', r"p\.toml: bus\.urls: amqp://h: unknown scheme"),
        ('urls = ["mqtt://h", "mqtt://u:p@h:1883/camring"]', "is named twice"),
        ("urls = [" + ", ".join(f'"mqtt://h{n}"' for n in range(9)) + "]", "at most 8 brokers"),
        ('tls_ca = "/nowhere.pem"', r"bus\.tls_ca: /nowhere\.pem: no file of certificates"),
        ('home_assistant = "a//b"', "must be a prefix such as 'homeassistant'"),
        ('snapshot_url = "engine.lan"', "must be 'off' or begin with http"),
    ],
)
def test_settings_are_checked_when_they_are_read(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, f"[bus]\n{text}\n")


def test_flags_and_files_that_can_be_used(tmp_path: Path) -> None:
    load(tmp_path, '[bus]\nurls = ["mqtt://h", "nats://h"]\nhome_assistant = "off"\n')
    load(tmp_path, "", **{"bus.urls": ["redis://h", "kafka://h/site"]})
