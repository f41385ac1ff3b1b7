"""One controller per camera's head on this machine: a lock that the kernel frees, and a number that only rises.

The lock says who has the head. The number (fencing token) says who may still send: whoever takes a head over on purpose
raises it, and the old controller finds its own number too old before its next command. Knows files, not cameras. Heads
are shared with other machines and with other users of this one without a lease.
"""

from __future__ import annotations

from pathlib import Path


class Lease:
    """The right to move one head. Not for use from several threads."""

    def __init__(self, path: Path, owner: str = "") -> None:
        """`path`: the file that all who want this head agree on; `owner`: what others are told who has it."""
        raise NotImplementedError

    @classmethod
    def of_head(cls, url: str, channel: int = 1, owner: str = "", folder: Path | None = None) -> Lease:
        """The lease of a camera's head: same host, port and channel, same file. `folder`: the user's cache."""
        raise NotImplementedError

    @property
    def token(self) -> int:
        """Number of this term; 0 = not taken. Rises with every taking, over all processes."""
        raise NotImplementedError

    def take(self, by_force: bool = False) -> int:
        """Become the controller; returns the token.

        Raises `PtzLeaseLost` where somebody else is, unless `by_force`: then that one may not send any more.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Before every command. Raises `PtzLeaseLost` where the head was taken over, or was never taken."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go; may be called twice."""
        raise NotImplementedError
