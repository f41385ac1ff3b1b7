"""Tokens, where they are kept, and what is refused before anything is started."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from engine.cli import main
from engine.config.control import ControlConfig
from engine.control.limits import MOST_CLIENTS, RateLimiter, address_group
from engine.control.roles import Role
from engine.control.security import is_loopback, read_security
from engine.control.tokens import (
    Token,
    Tokens,
    append_token,
    check_private,
    digest_of,
    new_token,
    read_tokens,
)
from engine.errors import ConfigError
from tests.control.asking import ManualClock


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def line(role: str = "viewer", name: str = "ann", secret: str = "s") -> str:
    return f"{role}:{name}:{hashlib.sha256(secret.encode()).hexdigest()}"


def test_a_new_token_is_random_and_known_by_its_hash_alone() -> None:
    secret, token = new_token(Role.OPERATOR, "ann")
    assert re.fullmatch(r"[\w-]{43}", secret) and secret not in token.line and secret not in repr(token)
    assert token.line == line("operator", "ann", secret)
    assert new_token(Role.OPERATOR, "ann")[0] != secret
    known = Tokens((Token(Role.VIEWER, "bob", digest_of("b")), token))
    assert known.find(secret) is token and known.find(secret + "x") is None and known.find("") is None


def test_tokens_of_a_file_and_of_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens", f"# who may look\n\n{line()}\n{line('admin', 'b@x.example', 't')}\n")
    tokens = read_tokens(path, {"ENGINE_TOKEN_OPERATOR": "0123456789abcdef"})
    found = [tokens.find(secret) for secret in ("s", "t", "0123456789abcdef")]
    assert [(token.role.word, token.name) for token in found if token] == [
        ("viewer", "ann"), ("admin", "b@x.example"), ("operator", "ENGINE_TOKEN_OPERATOR"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no token"),
        ("root:ann:" + "0" * 64, "line 1: must begin with a role, one of viewer, operator, admin"),
        ("anyone:ann:" + "0" * 64, "must begin with a role"),
        ("viewer", "after the role comes a name"),
        ("viewer:a b:" + "0" * 64, "after the role comes a name"),
        ("viewer:ann:my-secret-token", "after the name comes the SHA-256"),
        ("viewer:ann:" + "A" * 64, "after the name comes the SHA-256"),
        (f"{line()}\n{line('admin')}", "the name 'ann' is used twice"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_without_repeating_it(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        read_tokens(written(tmp_path / "tokens", text), {})
    assert "my-secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o666])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=rf"mode {mode:03o}\); chmod 600 it"):
        read_tokens(written(tmp_path / "tokens", line(), mode), {})


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_tokens(tmp_path / "nothing", {})
    with pytest.raises(ConfigError, match="is not a file"):
        check_private(tmp_path, "file of tokens")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tokens(binary, {})


def test_a_token_of_the_environment_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ConfigError, match="ENGINE_TOKEN_ADMIN: a token has 16 to 512") as caught:
        read_tokens(None, {"ENGINE_TOKEN_ADMIN": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_command_makes_a_file_and_adds_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokens"
    for role, name in (("viewer", "ann"), ("admin", "bob")):
        assert main(["--new-token", role, "--token-name", name, "--tokens", str(path)]) == 0
        secret = capsys.readouterr().out.strip()
        token = read_tokens(path, {}).find(secret)
        assert token is not None and (token.role.word, token.name) == (role, name)
        assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert main(["--new-token", "admin", "--token-name", "ann", "--tokens", str(path)]) == 2
    assert "a token of the name 'ann' already" in capsys.readouterr().err
    assert main(["--new-token", "viewer", "--token-name", "a b"]) == 2
    with pytest.raises(ConfigError, match="cannot be written"):
        append_token(tmp_path / "no" / "where", new_token(Role.ADMIN, "x")[1])


@pytest.mark.parametrize(
    ("host", "only_us"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.1", False), ("2001:db8::1", False)],
)  # fmt: skip
def test_which_addresses_others_reach(host: str, only_us: bool) -> None:
    assert is_loopback(host) is only_us
    settings = ControlConfig(host=host)
    if only_us:
        assert not read_security(settings, {}).login_required
    else:
        with pytest.raises(ConfigError, match="others can reach this address, so it needs a token"):
            read_security(settings, {})
    assert read_security(settings, {"ENGINE_TOKEN_VIEWER": "v" * 20}).login_required


def test_an_address_that_others_reach_needs_a_token_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("ENGINE_TOKEN")]:
        monkeypatch.delenv(variable)
    arguments = ["--host", "0.0.0.0", "--model", "motion", "--out", str(tmp_path / "out"), "--port", "0"]
    assert main(arguments) == 2
    (line_,) = capsys.readouterr().err.splitlines()
    assert line_.startswith("engine-run: control.host 0.0.0.0: others can reach this address")
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"allowed_hosts": ("http://x",)}, "no name of a machine"),
        ({"allowed_hosts": ("x:80",)}, "no name of a machine"),
        ({"allowed_origins": ("x.example",)}, "no origin"),
        ({"allowed_origins": ("https://x.example/",)}, "no origin"),
        ({"allowed_origins": ("*",)}, "no origin"),
        ({"tls_cert": "a.pem"}, "go together"),
        ({"tls_cert": "/nowhere/a.pem", "tls_key": "/nowhere/b.pem"}, "there is no such file"),
    ],
)
def test_settings_that_make_no_sense(more: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_security(ControlConfig(**more), {})  # type: ignore[arg-type]  # by name


def test_a_bucket_refills_with_time_and_is_one_for_each() -> None:
    clock = ManualClock()
    limiter = RateLimiter(2.0, 3.0, clock)
    assert [limiter.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limiter.take("b") == 0.0
    clock.now_s += 0.25
    assert limiter.wait_s("a") == limiter.take("a") == 0.25
    clock.now_s += 100.0
    assert [limiter.take("a") for _ in range(4)][-1] == 0.5, "never more than the burst"
    assert not any(RateLimiter(0.0, 0.0, clock).take("a") for _ in range(1000))


def test_as_many_clients_are_remembered_as_there_is_room_for() -> None:
    limiter = RateLimiter(1.0, 1.0, ManualClock())
    for number in range(MOST_CLIENTS + 1):
        assert limiter.take(str(number)) == 0.0
    assert limiter.take(str(MOST_CLIENTS)) == 1.0 and limiter.take("0") == 0.0


def test_addresses_that_are_one_client() -> None:
    groups = [
        address_group(each) for each in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "x")
    ]
    assert groups == ["192.0.2.1", "192.0.2.1", "2001:db8::/64", "fe80::/64", "x"]
