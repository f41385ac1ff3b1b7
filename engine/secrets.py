"""Secrets: resolved from references, masked wherever they could be seen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from engine.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Up to the last @ of the word: a password may hold / or @ itself, and masking too much is the safe mistake.
_CREDENTIALS = re.compile(r"""([a-z][a-z0-9+.-]*://)(?=[^\s/"'<>]*[:@])[^\s"'<>]*@""", re.IGNORECASE)
_CREDENTIALS_IN_URL = re.compile(r"^([a-z][a-z0-9+.-]*://)(?=[^/]*[:@]).*@", re.IGNORECASE | re.DOTALL)
_SECRET_QUERY = re.compile(
    r"""([?&;](?:[\w-]*(?:pass|pwd|token|secret|auth|credential)[\w-]*|[\w-]*key|sig(?:nature)?|user(?:name)?)=)[^&;#\s"'<>]*""",
    re.IGNORECASE,
)

MASK = "***"


def resolve_references(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Replace each `${NAME}` by the environment variable NAME. Raises `ConfigError` if it is not set."""
    variables = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise ConfigError(f"environment variable {name} is not set, but {mask_text(text)} refers to it")
        return variables[name]

    return _REFERENCE.sub(value, text)


def mask_url(url: str) -> str:
    """The URL with user, password and secret query values replaced by `***`."""
    return mask_text(_CREDENTIALS_IN_URL.sub(rf"\1{MASK}@", url))


def mask_text(text: str) -> str:
    """Free text, such as a message from FFmpeg, with the credentials of every URL in it masked."""
    # Most texts have nothing to hide, and long ones (all metrics) are looked through often.
    if "@" in text:
        text = _CREDENTIALS.sub(rf"\1{MASK}@", text)
    return _SECRET_QUERY.sub(rf"\1{MASK}", text) if any(mark in text for mark in "?&;") else text
