"""SOAP 1.2 as ONVIF uses it: envelopes, logins, faults.

Knows how a call travels and what its refusal means, not what is called. Sends no WS-Addressing headers: there are
cameras that refuse Stop because of them.
"""

from __future__ import annotations

import base64
import hashlib


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """WS-UsernameToken's PasswordDigest: Base64 of SHA-1 over nonce, time and password (OASIS WSS 1.0)."""
    inside = nonce + created.encode() + password.encode()
    return base64.b64encode(hashlib.sha1(inside, usedforsecurity=False).digest()).decode()
