"""Passwords in URLs: the governor of logins is asked before FFmpeg may send one, and told how that went.

One refused open is one refused request: FFmpeg answers one challenge, and no second one (seen with RTSP and HTTP,
digest and Basic, challenges stale or not).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from engine.errors import PtzBusy, PtzLocked, SourceDisconnected, SourceError, SourceUnauthorized
from engine.lockout import Governor, Permit

Opened = TypeVar("Opened")

ASK_AGAIN_S = 0.05


def with_login(url: str, label: str, patience_s: float, opening: Callable[[], Opened]) -> Opened:
    """What `opening` gives. A URL without user and password is opened without more ado.

    label       how messages name the source
    patience_s  longest wait for others that log in to the same camera

    Raises what `opening` raises, and `SourceUnauthorized` where one more refused login could lock the account.
    """
    governor = _governor(url)
    if governor is None:
        return opening()
    permit = _reserved(governor, label, patience_s)
    try:
        opened = opening()
    except SourceUnauthorized:
        governor.refused(permit)
        raise
    except SourceError:
        # Nobody there, or no such stream: that says nothing of the password.
        governor.returned(permit)
        raise
    governor.accepted(permit)
    return opened


def _governor(url: str) -> Governor | None:
    try:
        parts = urlsplit(url)
        host, user, password = parts.hostname, parts.username, parts.password
    except ValueError:
        return None
    if parts.scheme not in ("rtsp", "rtsps", "http", "https") or not host or not user:
        return None
    return Governor(host, unquote(user), unquote(password or ""))


def _reserved(governor: Governor, label: str, patience_s: float) -> Permit:
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return governor.reserve()
        except PtzLocked as error:
            raise SourceUnauthorized(f"source {label}: {error}") from None
        except PtzBusy as error:
            if time.monotonic() > deadline_s:
                raise SourceDisconnected(f"source {label}: {error}") from None
            time.sleep(ASK_AGAIN_S)
