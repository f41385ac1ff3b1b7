"""A document without secrets: what a key names as one is masked, unless it is a reference to where the secret is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.secrets import MASK, mask_url

_SECRET_KEY = re.compile(
    r"(^|_)(pass|passwd|password|passphrase|secret|token|credentials?|api_key)$", re.IGNORECASE
)
_REFERENCE = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})*")
_STREAM_KEY = re.compile(r"^(rtmps?://[^/]+/[^/]+/)(?!\$\{)[^?]+", re.IGNORECASE)
"""Who knows the last part of the path of an RTMP address may publish there."""
_HARMLESS = ("", "off")


def masked(document: Any, key: str = "") -> Any:
    """A copy of plain JSON values with passwords, tokens and the credentials of URLs masked."""
    if isinstance(document, Mapping):
        return {name: masked(value, str(name)) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [masked(value, key) for value in document]
    if not isinstance(document, str):
        return document
    if _SECRET_KEY.search(key) and document not in _HARMLESS and not _REFERENCE.fullmatch(document):
        return MASK
    if key == "publish":
        document = _STREAM_KEY.sub(rf"\1{MASK}", document)
    return mask_url(document) if "://" in document else document
