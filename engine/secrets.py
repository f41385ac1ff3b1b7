"""Secrets: resolved from references, masked wherever they could be seen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from engine.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CREDENTIALS_IN_TEXT = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]*@", re.IGNORECASE)
_SECRET_QUERY = re.compile(r"(?i)([?&](?:pass(?:word|wd)?|pwd|token|key|secret|auth)=)[^&#\s]*")

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
    try:
        parts = urlsplit(url)
        if parts.netloc and "@" in parts.netloc:
            host = parts.netloc.rpartition("@")[2]
            url = urlunsplit(parts._replace(netloc=f"{MASK}@{host}"))
    except ValueError:
        return mask_text(url)
    return _SECRET_QUERY.sub(rf"\1{MASK}", url)


def mask_text(text: str) -> str:
    """Free text, such as a message from FFmpeg, with the credentials of every URL in it masked."""
    return _SECRET_QUERY.sub(rf"\1{MASK}", _CREDENTIALS_IN_TEXT.sub(rf"\g<scheme>{MASK}@", text))
