"""What holds at a simulated camera at the moment: rules that it always has, and faults that strike now."""

from __future__ import annotations

from collections.abc import Callable

from ptz.simulator.faults import Fault

Has = Callable[[str, float, str], Fault | None]
"""(kind, now_s, path) → the fault of this kind that strikes now, if one does. Permanent rules are faults too."""


class Refused(Exception):
    """A face refuses a request: HTTP status, code and word of the protocol."""

    def __init__(self, status: int, code: int, word: str) -> None:
        super().__init__(word)
        self.status = status
        self.code = code
        self.word = word
