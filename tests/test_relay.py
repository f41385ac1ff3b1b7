"""Commands between workers: every one is answered once, by whom it was for or in his place."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.relay import Relay
from ipc.channel import Message


@dataclass
class Worker:
    name: str
    heard: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.heard.append(message)


def command(number: int = 1, to: str = "segment") -> Message:
    return {"type": "command", "id": f"0-{number}", "to": to, "command": "prompt"}


def test_a_command_and_its_answer() -> None:
    relay, control, segment = Relay(), Worker("control"), Worker("segment")
    relay.forward(command(), control, segment)
    assert segment.heard == [command()] and not control.heard
    answer = {"type": "answer", "id": "0-1", "ok": True, "result": {}}
    relay.answer(answer)
    relay.answer(answer)
    assert control.heard == [answer] and not relay.pending


def test_nobody_there_to_answer() -> None:
    relay, control = Relay(), Worker("control")
    relay.forward(command(), control, None)
    (refused,) = control.heard
    assert (refused["ok"], refused["failure"]) == (False, "unavailable") and "'segment'" in refused["error"]


def test_a_worker_that_dies_is_answered_for() -> None:
    relay, control, segment, other = Relay(), Worker("control"), Worker("segment"), Worker("other")
    relay.forward(command(1), control, segment)
    relay.forward(command(2, to="other"), control, other)
    relay.died("segment")
    (refused,) = control.heard
    assert refused["id"] == "0-1" and "died" in refused["error"]
    assert list(relay.pending) == ["0-2"]


def test_what_the_dead_have_asked_is_forgotten() -> None:
    relay, control, segment = Relay(), Worker("control"), Worker("segment")
    relay.forward(command(), control, segment)
    relay.died("control")
    relay.answer({"type": "answer", "id": "0-1", "ok": True, "result": {}})
    assert not control.heard and not relay.pending
