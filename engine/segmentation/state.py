"""What a camera's successor must know after its process has died: identities, and what somebody pointed at.

Memories are not kept: they are large, and the picture has moved on. Objects begin again from the box they had last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.segmentation.identities import Identities
from engine.segmentation.modes import Mode
from engine.segmentation.planning import restart_prompt
from engine.segmentation.table import HeldObject, ObjectTable, Origin

NAMES_KEPT = 256
"""Renamed tracks in a state: the ones seen last."""


def state(table: ObjectTable, mode: str) -> dict[str, Any]:
    """Plain values, for JSON."""
    return {
        "mode": mode,
        "next_id": table.identities.next_own_id,
        "names": [[track_id, name] for track_id, name in table.identities.names(NAMES_KEPT).items()],
        "declined": list(table.declined)[-NAMES_KEPT:],
        "objects": [
            {
                "id": held.object_id, "box": restart_prompt(held), "class": held.class_id,
                "protected": held.protected, "pointed": held.origin is Origin.PROMPT, "track": held.last_track_id,
            }
            for held in table.objects.values()
            if (held.protected or held.origin is Origin.PROMPT) and held.lost_since_s is None
        ],
    }  # fmt: skip


def restore(table: ObjectTable, document: Mapping[str, Any]) -> Mode | None:
    """Fill a new table from `state`; returns the mode, None where it says none. An empty document changes nothing."""
    if not document:
        return None
    names = {int(track_id): int(name) for track_id, name in document.get("names", [])}
    table.identities = Identities(int(document.get("next_id", 0)), names)
    table.declined = dict.fromkeys(int(object_id) for object_id in document.get("declined", []))
    for entry in document.get("objects", []):
        held = HeldObject(
            int(entry["id"]), Origin.PROMPT if entry["pointed"] else Origin.TRACK,
            np.array(entry["box"], np.float32), table.now_s, table.now_s, int(entry["class"]),
            bool(entry["protected"]), last_track_id=int(entry["track"]),
        )  # fmt: skip
        table.add(held)
        if held.protected:
            table.seat(held, insist=True)
    mode = document.get("mode")
    return Mode(mode) if mode in [str(known) for known in Mode] else None
