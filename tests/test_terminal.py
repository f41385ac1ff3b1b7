"""What the user is told: plain lines, a live table, and a summary at the end."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable

import pytest

from engine.clock import ManualClock
from engine.control.status import EngineStatus
from engine.terminal import Terminal, drops_of, line_of, masks_of, milliseconds, summary_of
from tests.control.statuses import make_status

Line = tuple[str, str, str]

ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """What can be read on it, without the sequences that move and colour."""
        return ESCAPE_SEQUENCE.sub("", self.getvalue())


def said(*lines: Line, level: str = "info", pause_s: float = 0.0) -> list[str]:
    """What remains of (level, source, text) lines, without their time."""
    stream, clock = io.StringIO(), ManualClock()
    terminal = Terminal(level, stream, clock)
    for line in lines:
        terminal.log(*line)
        clock.advance(pause_s)
    return [line.split(maxsplit=1)[1] for line in stream.getvalue().splitlines()]


def test_a_line_says_when_how_bad_who_and_what() -> None:
    stream, clock = io.StringIO(), ManualClock()
    Terminal("info", stream, clock).log("warning", "infer", "exit status 1")
    of_day = time.strftime("%H:%M:%S", time.localtime(clock.wall_ns() / 1e9))
    assert stream.getvalue() == f"{of_day} warning infer: exit status 1\n"


def test_a_line_that_repeats_is_said_once() -> None:
    assert said(*[("error", "results", "disk full")] * 3) == ["error   results: disk full"]


def test_a_line_that_still_holds_after_ten_seconds_is_said_again() -> None:
    assert len(said(*[("error", "results", "disk full")] * 5, pause_s=4.0)) == 2
    assert len(said(*[("error", "results", "disk full")] * 3, pause_s=10.0)) == 3


def test_the_same_words_of_two_sources_are_two_lines() -> None:
    assert len(said(("info", "decode:a", "streaming"), ("info", "decode:b", "streaming"))) == 2


def test_a_camera_that_streams_again_says_so_every_time() -> None:
    lost, back = ("warning", "decode:gate", "reconnecting: gone"), ("info", "decode:gate", "streaming")
    other = ("info", "decode:yard", "streaming")
    assert len(said(back, lost, other, back, lost, back, other)) == 6


def test_chattering_libraries_are_cut_short() -> None:
    one, two = ("debug", "decode:gate", "overread 8"), ("debug", "decode:gate", "concealing errors")
    assert len(said(one, two, one, two, level="debug")) == 2


@pytest.mark.parametrize(
    ("level", "kept"), [("debug", "abcd"), ("info", "bcd"), ("warning", "cd"), ("error", "d")]
)
def test_lines_below_the_level_are_left_out(level: str, kept: str) -> None:
    lines = [("debug", "x", "a"), ("info", "x", "b"), ("warning", "x", "c"), ("error", "x", "d")]
    assert "".join(line[-1] for line in said(*lines, level=level)) == kept


def test_nothing_that_a_camera_sends_moves_the_cursor_or_makes_a_second_line() -> None:
    (line,) = said(("error", "decode:gate", "Server: \x1b[2Jevil\r\n12:00:00 info engine: all is well\x07"))
    assert line == "error   decode:gate: Server:  [2Jevil  12:00:00 info engine: all is well "


def test_without_a_terminal_every_camera_has_a_status_line_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with Terminal("info", stream, clock) as terminal:
        for _ in range(50):
            terminal.show(make_status())
            clock.advance(0.5)
    lines = [line.split(maxsplit=1)[1] for line in stream.getvalue().splitlines()]
    cameras = make_status()["cameras"]
    masks = [f"info    segment: {line}" for line in masks_of(make_status())]
    assert lines == [*(f"info    {name}: {line_of(camera)}" for name, camera in cameras.items()), *masks] * 2


def test_the_status_line() -> None:
    assert line_of(make_status()["cameras"]["gate"]) == (
        "streaming, fps in 25.0 inferred 12.2 out 12.0, latency p50 80 p95 120 ms, "
        "dropped 405 superseded, 90 rate, 10 stale, 2 restart"
    )


def test_what_was_not_measured_is_a_dash() -> None:
    camera = make_status()["cameras"]["gate"]
    camera["latency_ms"] = {"p50": None, "p95": None}
    camera["dropped"] = {"superseded": 0}
    assert "latency p50 – p95 – ms, dropped 0" in line_of(camera)
    assert milliseconds(0.4) == "0" and drops_of(camera) == "0"


def shown(change: Callable[[EngineStatus], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """The live table of a status, as a terminal of 160 columns shows it."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("LINES", "40")
    monkeypatch.setenv("TERM", "xterm")
    screen, status = Screen(), make_status()
    change(status)
    with Terminal("info", screen) as terminal:
        terminal.show(status)
        terminal.log("info", "engine", "[rtsp @ 0x55] a line above the table :warning:")
    return screen.text


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(lambda status: None, monkeypatch)
    assert "camring · m3-cpu · ok · 1:01" in text
    batches = "batches of 7.5 frames, 94 % of what is possible, window 62 ms, 5 waiting, lanes 2"
    assert batches in " ".join(text.split())
    masks = "masks of gate: track, 3 objects, 12.0 frames/s, keyframes 4.5/s, age p50 120 p95 300 ms"
    assert masks in " ".join(text.split())
    assert "segmenter busy 75 %, 2.5 objects a keyframe" in " ".join(text.split())
    (row,) = {line for line in text.splitlines() if line.startswith("│ gate")}
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        "gate", "streaming", "25.0", "12.2", "12.0", "80", "120", "1000",
        "405 superseded, 90 rate, 10 stale, 2 restart",
    ]  # fmt: skip
    assert "[rtsp @ 0x55] a line above the table :warning:" in text


def test_the_table_shows_words_of_libraries_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(status: EngineStatus) -> None:
        status["status"] = "degraded"
        status["reasons"] = ["camera gate: [tcp @ 0x1] refused [/nonsense]\x1b[2J"]
        gate = status["cameras"].pop("gate")
        gate["state"], gate["reason"] = "reconnecting", "[red]no[/] :x:"
        status["cameras"]["[bold]"] = gate

    text = shown(trouble, monkeypatch)
    assert "[tcp @ 0x1] refused [/nonsense] [2J" in text
    assert "reconnecting [red]no[/] :x:" in text
    assert "│ [bold]" in text


def test_the_table_is_gone_when_the_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    with Terminal("info", screen) as terminal:
        terminal.show(make_status())
    terminal.log("info", "engine", "afterwards")
    assert screen.getvalue().endswith("engine: afterwards\n")
    assert "\x1b[?25h" in screen.getvalue(), "the cursor stays hidden"


def test_the_summary() -> None:
    status = make_status()
    status["status"], status["reasons"] = "degraded", ["camera gate: failed: \nnot a video"]
    assert summary_of(status, "out/today").splitlines() == [
        "summary after 61.5 s: degraded",
        "  camera gate: failed:  not a video",
        *(
            f"  {name}: 1000 frames in, 490 processed, 405 superseded, 90 rate, 10 stale, 2 restart dropped, "
            "489 results written, lost 1 jsonl output_failed, 4 video frame_gone, latency p50 80 p95 120 ms"
            for name in ("gate", 'odd "name"\\')
        ),
        "  inference: 400 batches, 7.50 frames each",
        "  re-identification: 900 boxes, 90 embedded (30 new, 20 ambiguous, 40 refresh), 4 left out (3 budget, "
        "1 unusable), 10 ms a crop",
        "  segmentation: 120 keyframes, 2.50 objects each",
        "  head of gate: ok, 40 commands, 3 stops, moved for 62 s",
        "  workers restarted: 4; files in out/today",
    ]
