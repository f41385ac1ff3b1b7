"""What answers say of a login: right, old nonce, refused, locked. Bodies are those of ISAPI.

Pure. Read without a parser: what comes with a refusal need not be whole.
"""

from __future__ import annotations

import re

from ptz.digest import challenges
from ptz.http import Response

LOOKED_AT_BYTES = 65_536


def accepts(response: Response) -> bool:
    """It shows that the login was right. Who is busy, or finds a request wrong, may not have looked at it."""
    return response.status < 300 or response.status == 403


def is_stale(response: Response) -> bool:
    """The login was right but for its nonce, which is used up."""
    return any(found.stale for found in challenges(response.all_headers("WWW-Authenticate")))


def lock_time(response: Response) -> int | None:
    """Seconds for which a refusal says that the account is locked (0 = it does not say), None where it says no such."""
    if response.status not in (401, 403):
        return None
    if not re.search(rb"userLocked|lockStatus>\s*lock\s*<", response.body[:LOOKED_AT_BYTES]):
        return None
    return unlock_time(response) or 0


def unlock_time(response: Response) -> int | None:
    """Seconds until the account is free again, as far as this answer tells."""
    return _number(response, b"unlockTime")


def tries_left(response: Response) -> int | None:
    """Refusals that are left until the account is locked, as far as this answer tells."""
    return _number(response, b"retryLoginTime")


def _number(response: Response, name: bytes) -> int | None:
    found = re.search(rb"\b" + name + rb">\s*([0-9]{1,6})\s*<", response.body[:LOOKED_AT_BYTES])
    return int(found[1]) if found else None
