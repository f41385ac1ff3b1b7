"""What we read from and change in session descriptions (RFC 8866, 8839, 8840). Text in, text out."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_BYTES = 64 * 1024
"""A browser's offer has 2 to 10 KiB."""
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TrickledCandidate:
    """One candidate of a trickled fragment: the attribute's value after `candidate:`, and where it belongs."""

    value: str
    mid: str


def without_hidden_candidates(offer: str) -> str:
    """The offer without candidates that only multicast DNS could resolve, and without the end of candidates.

    A browser hides its addresses behind such names. It finds us by ours, and we see its own when its checks come:
    nothing has to be looked up, and what has been left out is no reason to give up.
    """
    lines = offer.replace("\r\n", "\n").split("\n")
    kept = [line for line in lines if not _is_hidden(line) and line.strip() != "a=end-of-candidates"]
    return "\r\n".join(kept)


def _is_hidden(line: str) -> bool:
    fields = line.split()
    return line.startswith("a=candidate:") and len(fields) > 4 and fields[4].lower().endswith(".local")


def user_fragment(description: str) -> str:
    """The first ICE user fragment, which names an ICE session; empty without one."""
    found = _UFRAG.search(description)
    return found.group(1) if found else ""


def trickled(fragment: str) -> list[TrickledCandidate]:
    """The candidates of an `application/trickle-ice-sdpfrag` body (RFC 8840) that need no multicast DNS."""
    candidates, mid = [], ""
    for line in fragment.replace("\r\n", "\n").split("\n"):
        if line.startswith("a=mid:"):
            mid = line[len("a=mid:") :].strip()
        elif line.startswith("a=candidate:") and not _is_hidden(line):
            candidates.append(TrickledCandidate(line[len("a=candidate:") :].strip(), mid))
    return candidates
