"""The ways to segment a camera, and what of its objects each can keep."""

from __future__ import annotations

from enum import StrEnum

from engine.segmentation.events import EventKind
from engine.segmentation.table import ObjectTable, Origin


class Mode(StrEnum):
    """`segment.mode`."""

    OFF = "off"
    BOXES = "boxes"
    TRACK = "track"
    PROMPT = "prompt"
    AUTO = "auto"

    @property
    def remembers(self) -> bool:
        """Whether objects have a memory; only then can somebody point at them."""
        return self in (Mode.TRACK, Mode.PROMPT, Mode.AUTO)

    @property
    def seeds(self) -> bool:
        """Whether every chosen track becomes an object."""
        return self in (Mode.BOXES, Mode.TRACK, Mode.AUTO)


def keep_for(table: ObjectTable, mode: Mode) -> None:
    """Let go of what a mode has no use for. IDs stay with their tracks in every mode."""
    for held in list(table.objects.values()):
        if mode is Mode.OFF:
            table.drop(held, "segmentation is off")
        elif mode is Mode.BOXES and not held.tracked:
            table.drop(held, "mode boxes segments tracks only")
        elif mode is Mode.BOXES:
            if held.pointed is not None:
                table.note(
                    EventKind.REMOVED, held, "mode boxes takes no prompts: the one that waited is dropped"
                )
            held.pointed = None
            table.unseat(held)
        elif mode is Mode.PROMPT and held.origin is not Origin.PROMPT and not held.protected:
            table.drop(held, "mode prompt segments what somebody points at or protects")
    if mode is Mode.OFF:
        table.declined.clear()
