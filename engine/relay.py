"""Commands on their way from one worker to another, and the answers on their way back.

Part of the supervisor: everybody talks to it and to nobody else. Knows names and messages, not what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from ipc.channel import Message

NOT_IN_RUN = {
    "segment": "this run has no segmentation; start it with --segment MODE, or with segment.standby = true",
    "ptz": "no camera of this run has a head that is steered; give one a table [camera.ptz]; docs/ptz.md",
}
"""What a run need not have, and how it would have it: asking for it is a conflict, not a worker's absence."""


class Partner(Protocol):
    """Somebody who takes messages."""

    @property
    def name(self) -> str:
        """Unique among all."""

    def send(self, message: Message) -> None:
        """Send it; a dead one is noticed elsewhere."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A command under way: who asked, under which id of its own, and who is to answer."""

    requester: Partner
    asked_as: str
    target: str


@dataclass
class Relay:
    """Who is asked what at present.

    pending  by the id that a command has on its way: ids of its own are unique for each that asks, not among all
    """

    pending: dict[str, Pending] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def forward(
        self, command: Message, requester: Partner, target: Partner | None, *, belongs: bool = False
    ) -> None:
        """Hand a command to the worker it is for; where there is none, answer in its place.

        belongs  the run has such a worker, though it may not be there at the moment
        """
        name = command["to"]
        if target is None:
            if not belongs and name in NOT_IN_RUN:
                requester.send(refusal(command["id"], NOT_IN_RUN[name], "conflict"))
            else:
                requester.send(refusal(command["id"], f"no worker {name!r} runs"))
            return
        way_id = f"{requester.name}/{next(self._numbers)}"
        self.pending[way_id] = Pending(requester, command["id"], name)
        target.send({**command, "id": way_id})

    def answer(self, message: Message) -> None:
        """Hand an answer to who has asked. One that nobody waits for any more is dropped."""
        pending = self.pending.pop(message["id"], None)
        if pending is not None:
            pending.requester.send({**message, "id": pending.asked_as})

    def died(self, name: str) -> None:
        """Answer in the place of a worker that will not, and forget what a dead one has asked."""
        for way_id, pending in list(self.pending.items()):
            if pending.target == name:
                self.answer(refusal(way_id, f"the worker {name!r} died before it could answer; ask again"))
            elif pending.requester.name == name:
                del self.pending[way_id]


def refusal(command_id: str, error: str, failure: str = "unavailable") -> Message:
    """The answer of somebody who is not there, or does not want to."""
    return {"type": "answer", "id": command_id, "ok": False, "failure": failure, "error": error}
