"""Commands about identities: who is remembered, to forget somebody or everybody, and what may be remembered at all.

Each is answered once. What was forgotten is out of the file, too, when that is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.identity.gallery import Gallery
from engine.workers.runtime import Context
from engine.workers.track_identity import Identities
from ipc.channel import Message


@dataclass(slots=True)
class _Waiting:
    """An answer that waits for the file."""

    command: Message
    result: dict[str, Any]
    saving: int | None


class Commands:
    """Takes commands as they come. Belongs to the main thread."""

    def __init__(self, context: Context, identities: Identities) -> None:
        self._context = context
        self._identities = identities
        self._waiting: list[_Waiting] = []

    def handle(self) -> bool:
        """Carry out and answer what has come; whether that was anything."""
        commands = self._context.commands()
        for command in commands:
            self._take(command)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._answer_when_saved(each)
        return bool(commands)

    def _take(self, command: Message) -> None:
        gallery = self._identities.gallery
        if gallery is None:
            self._context.answer(
                command, error="nobody is remembered in this run: reid.model is off", failure="conflict"
            )
            return
        kind = command["command"]
        if kind == "identities":
            self._context.answer(command, page_of(gallery, command, self._context.labels or ()))
        elif kind == "identity":
            self._show(gallery, command)
        elif kind == "forget-identity":
            self._forget(gallery, command)
        elif kind == "forget-identities":
            self._begin(command, {"forgotten": gallery.forget_all(), "scope": gallery.scope})
        elif kind == "identity-scope":
            before = gallery.scope
            forgotten = gallery.set_scope(command["scope"])
            self._begin(command, {"scope": gallery.scope, "before": before, "forgotten": forgotten})
        else:
            self._context.answer(command, error=f"unknown command {kind!r}")

    def _show(self, gallery: Gallery, command: Message) -> None:
        row = gallery.table.row_of.get(command["gid"])
        if row is None:
            self._context.answer(command, error=f"no identity {command['gid']}", failure="not-found")
            return
        self._context.answer(command, identity_of(gallery, row, self._context.labels or ()))

    def _forget(self, gallery: Gallery, command: Message) -> None:
        if not gallery.forget(command["gid"]):
            self._context.answer(command, error=f"no identity {command['gid']}", failure="not-found")
            return
        self._begin(command, {"forgotten": 1, "gid": command["gid"]})

    def _begin(self, command: Message, result: dict[str, Any]) -> None:
        """It is forgotten here; the answer waits until it is out of the file."""
        # A successor has to know of it, however soon this process dies.
        self._context.publish_status()
        waiting = _Waiting(command, result, self._identities.save(forgetting=True))
        self._answer_when_saved(waiting)

    def _answer_when_saved(self, waiting: _Waiting) -> None:
        if not self._identities.saved(waiting.saving):
            self._waiting.append(waiting)
        elif waiting.saving is not None and self._identities.still_in_file:
            error = f"forgotten, but: {self._identities.problem}"
            self._context.answer(waiting.command, error=error, failure="unavailable")
        else:
            self._context.answer(waiting.command, waiting.result)


def page_of(gallery: Gallery, command: Message, labels: tuple[str, ...]) -> dict[str, Any]:
    """Identities in the order of their gids, from behind `after`, at most `limit`; `next` is the following `after`."""
    rows = gallery.table.rows()
    behind = rows[gallery.table.gids[rows] > command["after"]]
    chosen = behind[: command["limit"]]
    return {
        "scope": gallery.scope,
        "total": len(rows),
        "identities": [identity_of(gallery, row, labels) for row in chosen.tolist()],
        "next": int(gallery.table.gids[chosen[-1]]) if len(behind) > len(chosen) else None,
    }


def identity_of(gallery: Gallery, row: int, labels: tuple[str, ...]) -> dict[str, Any]:
    """One identity for people: no looks."""
    table = gallery.table
    class_id, gid = int(table.class_ids[row]), int(table.gids[row])
    known = {
        camera: int(track_id)
        for camera, track_id in zip(gallery.cameras, table.known_ids[row].tolist(), strict=True)
        if track_id
    }
    place = int(table.places[row])
    return {
        "gid": gid,
        "class": labels[class_id] if 0 <= class_id < len(labels) else str(class_id),
        "ids": known,
        "present": [camera for camera, own in known.items() if gallery.gid_of(camera, own) == gid],
        "last_camera": gallery.cameras[place] if place >= 0 else None,
        "first_seen": round(float(table.first_s[row]), 3),
        "last_seen": round(float(table.last_s[row]), 3),
        "visits": int(table.visits[row]),
        "looks": len(table.looks_of(row)),
    }
