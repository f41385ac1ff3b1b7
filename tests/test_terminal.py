"""What is said on a stream that is no terminal."""

from __future__ import annotations

import io

from engine.terminal import Terminal


def said(*lines: tuple[str, str, str], level: str = "info") -> list[str]:
    """What remains of (level, source, text) lines, without their time."""
    stream = io.StringIO()
    terminal = Terminal(level, stream)
    for line in lines:
        terminal.log(*line)
    return [line.split(maxsplit=1)[1] for line in stream.getvalue().splitlines()]


def test_a_line_that_repeats_is_said_once() -> None:
    assert said(*[("error", "results", "disk full")] * 3) == ["error   results: disk full"]


def test_the_same_words_of_two_sources_are_two_lines() -> None:
    assert len(said(("info", "decode:a", "streaming"), ("info", "decode:b", "streaming"))) == 2


def test_a_camera_that_streams_again_says_so_every_time() -> None:
    lost, back = ("warning", "decode:gate", "reconnecting: gone"), ("info", "decode:gate", "streaming")
    other = ("info", "decode:yard", "streaming")
    assert len(said(back, lost, other, back, lost, back, other)) == 6


def test_chattering_libraries_are_cut_short() -> None:
    one, two = ("debug", "decode:gate", "overread 8"), ("debug", "decode:gate", "concealing errors")
    assert len(said(one, two, one, two, level="debug")) == 2


def test_lines_below_the_level_are_left_out() -> None:
    assert said(("debug", "x", "a"), ("info", "x", "b"), ("warning", "x", "c"), level="warning") == [
        "warning x: c"
    ]
