"""Commands on their way from the control process to a worker, and the answers on their way back.

Part of the supervisor: everybody talks to it and to nobody else. Knows names and messages, not what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ipc.channel import Message


class Partner(Protocol):
    """Somebody who takes messages."""

    @property
    def name(self) -> str:
        """Unique among all."""

    def send(self, message: Message) -> None:
        """Send it; a dead one is noticed elsewhere."""


@dataclass
class Relay:
    """Who is asked what at present.

    pending  by the command's id: who asked, and who is to answer
    """

    pending: dict[str, tuple[Partner, str]] = field(default_factory=dict)

    def forward(self, command: Message, requester: Partner, target: Partner | None) -> None:
        """Hand a command to the worker it is for; where there is none, answer in its place."""
        name = command["to"]
        if target is None:
            requester.send(refusal(command["id"], f"no worker {name!r} runs"))
            return
        self.pending[command["id"]] = (requester, name)
        target.send(command)

    def answer(self, message: Message) -> None:
        """Hand an answer to who has asked. One that nobody waits for any more is dropped."""
        requester, _ = self.pending.pop(message["id"], (None, ""))
        if requester is not None:
            requester.send(message)

    def died(self, name: str) -> None:
        """Answer in the place of a worker that will not, and forget what a dead one has asked."""
        for command_id, (requester, target) in list(self.pending.items()):
            if target == name:
                self.answer(
                    refusal(command_id, f"the worker {name!r} died before it could answer; ask again")
                )
            elif requester.name == name:
                del self.pending[command_id]


def refusal(command_id: str, error: str) -> Message:
    """The answer of a worker that is not there."""
    return {"type": "answer", "id": command_id, "ok": False, "failure": "unavailable", "error": error}
