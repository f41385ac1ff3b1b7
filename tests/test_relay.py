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
    (heard,) = segment.heard
    assert {**heard, "id": "0-1"} == command() and not control.heard
    answer = {"type": "answer", "id": heard["id"], "ok": True, "result": {}}
    relay.answer(answer)
    relay.answer(answer)
    assert control.heard == [{**answer, "id": "0-1"}] and not relay.pending


def test_two_who_use_the_same_number_are_not_mixed_up() -> None:
    relay, control, publish, stream = Relay(), Worker("control"), Worker("publish:a"), Worker("stream:a")
    relay.forward(command(to="stream:a"), control, stream)
    relay.forward(command(to="stream:a"), publish, stream)
    first, second = stream.heard
    for heard, value in ((second, 2), (first, 1)):
        relay.answer({"type": "answer", "id": heard["id"], "ok": True, "result": {"value": value}})
    assert [each["result"]["value"] for each in (*control.heard, *publish.heard)] == [1, 2]
    assert {each["id"] for each in (*control.heard, *publish.heard)} == {"0-1"}


def test_nobody_there_to_answer() -> None:
    relay, control = Relay(), Worker("control")
    relay.forward(command(to="track"), control, None)
    relay.forward(command(to="segment"), control, None, belongs=True)
    for refused, name in zip(control.heard, ("track", "segment"), strict=True):
        assert (refused["ok"], refused["failure"]) == (False, "unavailable")
        assert f"no worker {name!r} runs" in refused["error"]


def test_a_run_without_segmentation_says_how_to_have_it() -> None:
    relay, control = Relay(), Worker("control")
    relay.forward(command(), control, None)
    (refused,) = control.heard
    assert refused["failure"] == "conflict" and "--segment" in refused["error"]


def test_a_run_without_heads_says_how_to_have_one() -> None:
    relay, control = Relay(), Worker("control")
    relay.forward(command(to="ptz"), control, None)
    (refused,) = control.heard
    assert refused["failure"] == "conflict" and "[camera.ptz]" in refused["error"]


def test_a_worker_that_dies_is_answered_for() -> None:
    relay, control, segment, other = Relay(), Worker("control"), Worker("segment"), Worker("other")
    relay.forward(command(1), control, segment)
    relay.forward(command(2, to="other"), control, other)
    relay.died("segment")
    (refused,) = control.heard
    assert refused["id"] == "0-1" and "died" in refused["error"]
    assert [each.asked_as for each in relay.pending.values()] == ["0-2"]


def test_what_the_dead_have_asked_is_forgotten() -> None:
    relay, control, segment = Relay(), Worker("control"), Worker("segment")
    relay.forward(command(), control, segment)
    relay.died("control")
    relay.answer({"type": "answer", "id": "0-1", "ok": True, "result": {}})
    assert not control.heard and not relay.pending
