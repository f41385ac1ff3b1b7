"""How ONVIF's least portable calls are written, and what is tried when a camera refuses one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ptz.drivers.onvif_soap import BUSY, Fault

MINUTE_SPEED = 0.001
"""Share of full speed that stands for no speed on cameras that want x and y to differ from zero."""
MOST_FORMS = 4
"""Forms of one turn that are tried at most."""
OF_THE_FORM = frozenset({"TimeoutNotSupported", "SpaceNotSupported", "InvalidVelocity"})
"""Faults that speak of how a turn is written; others, once a form was accepted, speak of the moment."""
STOP, ZERO_WITH_SPACES, ZERO, RELATIVE_ZERO, ABSOLUTE_HERE = (
    "stop", "zero_with_spaces", "zero", "relative_zero", "absolute_here",
)  # fmt: skip
VELOCITY, BOTH_AXES = "velocity", "both_axes"


@dataclass(frozen=True, slots=True)
class MoveForm:
    """How a ContinuousMove is written: spaces spelled out, Timeout as "fraction", "whole" or "none", both axes."""

    spaces: bool = False
    timeout: str = "fraction"
    both_axes: bool = False

    def others(self, fault: Fault) -> Iterator[MoveForm]:
        """What may be taken instead of a form that was refused like this, the likeliest first."""
        if fault.any_of(BUSY):
            return
        if "TimeoutNotSupported" not in fault.codes:
            if "SpaceNotSupported" in fault.codes:
                yield replace(self, spaces=not self.spaces)
            if "InvalidVelocity" in fault.codes and not self.both_axes:
                yield replace(self, both_axes=True)
            if self.timeout == "fraction":
                yield replace(self, timeout="whole")
        if self.timeout != "none":
            yield replace(self, timeout="none")
        yield replace(self, spaces=not self.spaces)

    def __str__(self) -> str:
        spaces = "with" if self.spaces else "without"
        timeout = {"fraction": "a Timeout", "whole": "a Timeout in whole seconds", "none": "no Timeout"}
        axes = ", both axes always turning" if self.both_axes else ""
        return f"{spaces} spaces spelled out, {timeout[self.timeout]}{axes}"
