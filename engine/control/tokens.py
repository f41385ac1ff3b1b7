"""Tokens: who has one may log in. Only their SHA-256 is kept; a new one is random, so that no slower hash is needed.

A file of tokens has a line for each: `role:name:sha256-of-the-token`, empty lines and `#` comments besides. Tokens may
also stand themselves in the environment: ENGINE_TOKEN_VIEWER, ENGINE_TOKEN_OPERATOR, ENGINE_TOKEN_ADMIN.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.control.roles import LOGIN_ROLES, Role, role_of
from engine.errors import ConfigError

VARIABLES = {f"ENGINE_TOKEN_{role.upper()}": Role[role.upper()] for role in LOGIN_ROLES}
"""Environment variables that hold a token."""
LEAST_TOKEN_CHARACTERS = 16
"""Shorter ones from the environment could be guessed."""
MOST_TOKENS = 1000
MOST_TOKEN_CHARACTERS = 512

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Token:
    """Who may log in: what as, by which name, and the SHA-256 of what they have to show."""

    role: Role
    name: str
    digest: bytes

    @property
    def line(self) -> str:
        """As it stands in a file of tokens."""
        return f"{self.role.word}:{self.name}:{self.digest.hex()}"


class Tokens:
    """All tokens of a run."""

    def __init__(self, tokens: tuple[Token, ...] = ()) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, secret: str) -> Token | None:
        """Whose secret it is. Takes as long for a wrong one as for a right one."""
        digest = digest_of(secret)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def digest_of(secret: str) -> bytes:
    """SHA-256 of a token."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def new_token(role: Role, name: str) -> tuple[str, Token]:
    """A secret of 256 random bits, and what is kept of it. Raises `ConfigError` for a name that is none."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name of a token {name!r}: letters, digits and _ . @ - only, at most 64")
    secret = secrets.token_urlsafe(32)
    return secret, Token(role, name, digest_of(secret))


def append_token(path: Path, token: Token) -> None:
    """Add a token to a file, which is made where there is none, readable by this user alone. Raises `ConfigError`."""
    if path.exists() and path.stat().st_size and token.name in {each.name for each in _from_file(path)}:
        raise ConfigError(
            f"{path}: has a token of the name {token.name!r} already; give another by --token-name"
        )
    try:
        with open(
            os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8"
        ) as file:
            file.write(token.line + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def read_tokens(path: Path | None, environ: Mapping[str, str]) -> Tokens:
    """The tokens of a file and of the environment. Raises `ConfigError`."""
    found = [] if path is None else _from_file(path)
    for variable, role in VARIABLES.items():
        secret = environ.get(variable)
        if secret is None:
            continue
        if not LEAST_TOKEN_CHARACTERS <= len(secret) <= MOST_TOKEN_CHARACTERS or not secret.isprintable():
            raise ConfigError(
                f"environment variable {variable}: a token has {LEAST_TOKEN_CHARACTERS} to "
                f"{MOST_TOKEN_CHARACTERS} characters; `engine-run --new-token {role.word}` makes one"
            )
        found.append(Token(role, variable, digest_of(secret)))
    return Tokens(tuple(found))


def _from_file(path: Path) -> list[Token]:
    check_private(path, "file of tokens")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"control.tokens {path}: cannot be read: {error}") from None
    tokens: list[Token] = []
    for number, line in enumerate(lines, start=1):
        if (text := line.strip()) and not text.startswith("#"):
            tokens.append(_from_line(text, f"control.tokens {path}, line {number}"))
    if not tokens:
        raise ConfigError(f"control.tokens {path}: holds no token; `engine-run --new-token admin` makes one")
    if len(tokens) > MOST_TOKENS:
        raise ConfigError(f"control.tokens {path}: holds more than {MOST_TOKENS} tokens")
    names = [token.name for token in tokens]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"control.tokens {path}: the name {name!r} is used twice")
    return tokens


def _from_line(text: str, where: str) -> Token:
    """The line itself is not repeated in errors: somebody may have put a token into it."""
    role_word, _, rest = text.partition(":")
    name, _, digest = rest.partition(":")
    role = role_of(role_word)
    if role is None:
        raise ConfigError(f"{where}: must begin with a role, one of {', '.join(LOGIN_ROLES)}, and a colon")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: after the role comes a name (letters, digits and _ . @ -) and a colon")
    if not _DIGEST.fullmatch(digest):
        raise ConfigError(
            f"{where}: after the name comes the SHA-256 of the token, 64 small hexadecimal digits; "
            f"`engine-run --new-token {role.word}` prints such a line"
        )
    return Token(role, name, bytes.fromhex(digest))


def check_private(path: Path, what: str) -> None:
    """Raise `ConfigError` where a file is not there, or others may read or the group may change it."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{what} {str(path)!r}: {error.strerror} (looked from {os.getcwd()})") from None
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{what} {str(path)!r}: is not a file")
    if mode & 0o027:
        raise ConfigError(
            f"{what} {str(path)!r}: others may read or change it (mode {stat.S_IMODE(mode):03o}); chmod 600 it"
        )
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{what} {str(path)!r}: this user may not read it")
