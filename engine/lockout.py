"""Refused logins of a camera's accounts, counted over all protocols and processes, so that no account is locked.

Cameras lock an account after five to seven refused logins, for half an hour and for every protocol. Whoever sends a
password asks here first and tells the outcome: the drivers of heads (ISAPI, ONVIF) and the sources (RTSP, HTTP). The count
of an account lies in one small file of the user's cache, behind a lock. Knows no protocol; passwords never leave it, not
even as a plain hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MOST_REFUSED = 2
"""Refused requests that an account may cost until a person acts; also in any `WINDOW_S`."""
WINDOW_S = 60.0
BLOCK_S = 1800.0
"""How long nothing is tried after that; also how long a camera is taken to be locked that does not say."""
LOGINS_VARIABLE = "ENGINE_LOGINS"
"""The environment variable that names another folder for the files."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send credentials once. Hand it back with `accepted`, `refused` or `returned`.

    requests  how many refused requests it may turn out to be at most
    """

    number: str
    requests: int = 1


class Ledger:
    """Where the counts are kept: a folder, one file per account, or memory where `folder` is None.

    A folder that cannot be used is replaced by memory; `notes` then says so, once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.notes: list[str] = []


class Governor:
    """The guard of one account. May be asked from any thread and process.

    host      name or address of the camera, without port: an account is the camera's
    user      name of the account
    password  a changed one may be tried at once
    ledger    the folder of this user where None
    now       seconds of a monotonic clock that all processes share
    """

    def __init__(
        self,
        host: str,
        user: str,
        password: str,
        *,
        ledger: Ledger | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        raise NotImplementedError

    def reserve(self, requests: int = 1) -> Permit:
        """Leave to send credentials now.

        Raises `PtzLocked` while nothing may be tried (too many refused, or the camera said that it is locked), and
        `PtzBusy` while others try: ask again in a moment.
        """
        raise NotImplementedError

    def accepted(self, permit: Permit) -> None:
        """The camera accepted the credentials: refusals before are forgotten."""
        raise NotImplementedError

    def refused(self, permit: Permit, requests: int = 1) -> None:
        """The camera refused the credentials, so many requests of them."""
        raise NotImplementedError

    def returned(self, permit: Permit) -> None:
        """Nothing was decided: not sent, or a nonce too old. Without an answer to credentials that were sent call
        nothing: the permit then counts for `WINDOW_S` as if refused."""
        raise NotImplementedError

    def locked(self, seconds: float | None = None) -> None:
        """The camera says that the account is locked for so long: nothing is sent until then, whatever the password."""
        raise NotImplementedError

    def allow_again(self) -> None:
        """A person has acted: everything known of this account is forgotten."""
        raise NotImplementedError

    @property
    def blocked_s(self) -> float:
        """Seconds until credentials may be sent again, 0 = now."""
        raise NotImplementedError


def logins_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where the files are kept: $ENGINE_LOGINS, else `camring/logins` in the user's cache."""
    raise NotImplementedError
