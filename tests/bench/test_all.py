"""The list of benchmarks, and the table of what was asked for."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from bench import reach
from bench.all import REPORT, RESULTS, ROOT, benchmarks, chosen, portable, report
from bench.machine import command_line

DATA = Path("/where/data/is")


def test_every_benchmark_is_there() -> None:
    for benchmark in benchmarks(DATA):
        assert importlib.util.find_spec(benchmark.command[0]), benchmark.name


def test_every_program_in_bench_is_run() -> None:
    """A file that can be started and is not a part of another benchmark is in the list."""
    started = {benchmark.command[0] for benchmark in benchmarks(DATA)}
    programs = {
        f"bench.{file.stem}"
        for file in (ROOT / "bench").glob("*.py")
        if 'if __name__ == "__main__":' in file.read_text()
    }
    parts = {"bench.peer_runs", "bench.gpu_cameras"}
    by_hand = {"bench.edgetam_peer"}  # wants an environment of its own
    assert programs - started == {"bench.all", *parts, *by_hand}


def test_names_are_unique_and_unknown_ones_are_refused() -> None:
    names = [benchmark.name for benchmark in benchmarks(DATA)]
    assert len(names) == len(set(names))
    assert [benchmark.name for benchmark in chosen(DATA, ["peers", "startup"])] == ["startup", "peers"]
    with pytest.raises(SystemExit, match="no benchmark named pears"):
        chosen(DATA, ["pears"])


def test_goals_are_judged_by_benchmarks_that_there_are() -> None:
    assert {benchmark.name for benchmark in benchmarks(DATA)} >= reach.JUDGED


def test_a_goal_without_figures_is_not_measured(tmp_path: Path) -> None:
    assert reach.section(tmp_path).count("not measured") == len(reach.GOALS)


def test_figures_of_the_table_come_from_the_file(tmp_path: Path) -> None:
    verdicts: list[dict[str, object]] = [
        {"cameras": cameras, "closest": "plain OpenCV loop", "times": 1.4567 * cameras, "not_run": []}
        for cameras in (1, 4)
    ]
    (tmp_path / "peers.json").write_text(
        json.dumps({"command": "python -m bench.peers", "verdicts": verdicts})
    )
    section = reach.section(tmp_path)
    assert "1.46 × the fastest of them (plain OpenCV loop)" in section
    assert "`python -m bench.peers`" in section
    assert "5.83 × the fastest of them (plain OpenCV loop)" in section


def test_kept_text_names_no_place_of_this_machine() -> None:
    text = f"python -m bench.x --clip {DATA}/clips/a.mp4 --config {ROOT}/configs/a.toml"
    assert portable(text, DATA) == "python -m bench.x --clip $DATA/clips/a.mp4 --config configs/a.toml"


def test_the_command_is_shown_without_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bench/peers.py", "--json", "x.json", "--frames", "3"])
    assert command_line() == "python -m bench.peers --frames 3"


def test_the_page_is_what_the_kept_figures_give() -> None:
    assert REPORT.read_text() == report(DATA), "write it anew: python -m bench.all --report"


def test_every_kept_section_is_on_the_page() -> None:
    """Nothing lies there that no benchmark of the list has left."""
    names = {benchmark.name for benchmark in benchmarks(DATA)}
    assert {file.stem for file in RESULTS.iterdir()} <= names
