"""Cameras added, changed, removed, stopped and started while the engine runs: the others notice nothing."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests.e2e.engine import EngineRun, clip, model, until
from tests.e2e.live import (
    Held,
    accounts_hold,
    ask,
    cameras,
    done,
    longest_gap_s,
    open_files,
    pids,
    shared_memory_mib,
)

pytestmark = pytest.mark.slow

Start = Callable[..., EngineRun]

PLAIN = {"ENGINE_STREAM_ENABLED": "false"}
"""Without encoders: a camera is then a decoder alone, and comes and goes quickly."""
MOVING = ("--model", "motion", "--no-overlay")
ZONE = {"name": "way in", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}


def has_results(run: EngineRun, camera: str, more: int = 5, timeout_s: float = 20) -> None:
    """Wait for so many new lines of a camera."""
    count = len(run.lines(camera))
    until(lambda: len(run.lines(camera)) >= count + more, timeout_s, f"results of {camera}\n{run.text()}")


@pytest.mark.data
def test_cameras_come_and_go_and_the_others_do_not_blink(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    film = clip(data_dir, "et_12_hideandseek")
    sources = [part for name in ("a", "b", "c") for part in ("--source", f"{name}={film}")]
    run = engine_run(*sources, "--loop", "--no-overlay", "--model", model(data_dir), environ=PLAIN)
    for name in ("a", "b", "c"):
        has_results(run, name)
    time.sleep(3)
    began_s, before = time.time(), pids(run)
    usual_s = longest_gap_s(run.lines("a"), began_s - 2, began_s)

    with Held() as held:
        added = done(run, "POST", "/cameras", {"name": "d", "source": film, "loop": True})
        assert added["camera"]["state"] == "running"
        has_results(run, "d")
        done(run, "PATCH", "/cameras/b", {"infer_fps": 3, "zone": [ZONE]})
        until(
            lambda: cameras(run)["b"]["events"]["zones"].get("way in", {}).get("entries", 0) > 0,
            15,
            "entries",
        )
        assert cameras(run)["b"]["dropped"]["rate"] > 0
        done(run, "POST", "/stop", {"cameras": ["c"]})
        assert cameras(run)["c"]["state"] == "stopped"
        frames, count = cameras(run)["c"]["frames_in"], len(run.lines("c"))
        junk = tmp_path / "junk.mp4"
        junk.write_bytes(os.urandom(3000))
        for name, source in (("e", str(junk)), ("d", film), ("e", "no such file.mp4")):
            status, problem = ask(run, "POST", "/cameras", {"name": name, "source": source})
            assert status in (409, 422, 503) and problem["detail"] and "\n" not in problem["detail"]
        status, _ = ask(run, "PATCH", "/cameras/b", {"line": [{"name": "x", "points": [[0, 0], [0, 0]]}]})
        assert status == 422 and [each["name"] for each in done(run, "GET", "/cameras")["cameras"]] == [
            *"abcd"
        ]
        done(run, "DELETE", "/cameras/d")
        last = run.lines("d")[-1]["frame"]
        assert set(cameras(run)) == {"a", "b", "c"} and accounts_hold(run)
        assert cameras(run)["c"]["frames_in"] == frames
        done(run, "POST", "/start", {"cameras": ["c"]})
        has_results(run, "c")
        done(run, "POST", "/cameras", {"name": "d", "source": film, "loop": True})
        has_results(run, "d")

    ended_s, after = time.time(), pids(run)
    for name in ("control", "results", "track", "infer", "decode:a", "decode:b"):
        assert after[name] == before[name], f"{name} was started again"
    # A decoder, inference and the tracker want the processor one after the other.
    bound_s = 1.0 + 3 * usual_s + 5 * held.longest_s
    gap_s = longest_gap_s(run.lines("a"), began_s, ended_s - 1)
    assert gap_s < bound_s, f"a was without results for {gap_s:.2f} s, {usual_s:.2f} s as usual"
    assert accounts_hold(run) and cameras(run)["a"]["state"] == "streaming"
    assert run.stop() == 0, run.text()
    for name in ("a", "b", "c", "d"):
        numbers = [line["frame"] for line in run.lines(name)]
        assert numbers == sorted(set(numbers)), f"frames of {name} came twice or out of order"
    assert run.lines("c")[count]["frame"] >= run.lines("c")[count - 1]["frame"]
    assert last in [line["frame"] for line in run.lines("d")] and run.lines("d")[-1]["frame"] > last
    assert "Traceback" not in run.text() and "restarted: 0" in run.text()


def test_a_change_while_inference_is_killed(engine_run: Start) -> None:
    run = engine_run("--source", "a=test://", *MOVING, environ=PLAIN)
    has_results(run, "a")
    for name in ("b", "c"):
        answers: list[int] = []

        def add(name: str = name, answers: list[int] = answers) -> None:
            answers.append(ask(run, "POST", "/cameras", {"name": name, "source": "test://"})[0])

        adding = threading.Thread(target=add)
        adding.start()
        time.sleep(0.1 if name == "b" else 0.5)
        os.kill(int(pids(run)["infer"] or 0), signal.SIGKILL)
        adding.join(40)
        assert answers == [201], run.text()
        has_results(run, name)
    has_results(run, "a")
    until(lambda: accounts_hold(run), 5, "conservation")
    assert run.stop() == 0, run.text()


def test_a_run_begins_with_nothing_and_goes_on_with_nothing(engine_run: Start) -> None:
    run = engine_run("--no-source", *MOVING, environ=PLAIN)
    assert until(run.health, 20, f"health\n{run.text()}")["cameras"] == {}
    for name in ("a", "b"):
        done(run, "POST", "/cameras", {"name": name, "source": "test://"})
    has_results(run, "a")
    assert {each["state"] for each in done(run, "POST", "/stop", {})["cameras"]} == {"stopped"}
    time.sleep(0.5)
    assert until(run.health, 5, "health")["status"] == "ok" and run.process.poll() is None
    for name in ("a", "b"):
        done(run, "DELETE", f"/cameras/{name}")
    time.sleep(0.5)
    health = until(run.health, 5, "health")
    assert (health["status"], health["cameras"]) == ("ok", {}) and run.process.poll() is None
    assert sorted(run.workers().values()) == ["control", "infer", "output", "track"]
    done(run, "POST", "/cameras", {"name": "a", "source": "test://"})
    has_results(run, "a")
    assert run.stop() == 0, run.text()


def test_files_of_a_camera_that_goes_are_finished_and_gone_on_with(engine_run: Start, tmp_path: Path) -> None:
    picture = "test://?width=320&height=240"
    run = engine_run("--source", f"a={picture}", "--model", "motion")
    has_results(run, "a")
    for part in (1, 2):
        done(run, "POST", "/cameras", {"name": "guest", "source": picture})
        has_results(run, "guest")
        done(run, "DELETE", "/cameras/guest")
        assert "stream:guest" not in pids(run)
        pictures = [len(frames_of(path)) for path in sorted(run.out.glob("guest*.mp4"))]
        assert len(pictures) == part and min(pictures) >= 5, "every part plays to its end"
    numbers = [line["frame"] for line in run.lines("guest")]
    assert numbers == sorted(set(numbers)) and len(numbers) >= sum(pictures)
    assert run.stop() == 0, run.text()


def frames_of(path: Path) -> list[av.VideoFrame]:
    """The pictures of a file that can be read to its end."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_thirty_changes_in_a_row_leave_nothing_behind(engine_run: Start) -> None:
    run = engine_run("--source", "a=test://", "--source", "b=test://", *MOVING, environ=PLAIN)
    has_results(run, "a")
    choose = random.Random(7)
    begun = steady(run)
    numbers: dict[str, int] = {}
    for step in range(30):
        there = set(cameras(run)) - {"a", "b"}
        name = f"x{step % 3}"
        if name in there and choose.random() < 0.6:
            done(run, "DELETE", f"/cameras/{name}")
        elif name in there:
            done(run, "PATCH", f"/cameras/{name}", {"infer_fps": choose.randint(1, 20), "zone": [ZONE]})
        elif choose.random() < 0.5:
            done(run, "POST", "/cameras", {"name": name, "source": "test://?width=640&height=360"})
        else:
            status, _ = ask(run, "PATCH", f"/cameras/{name}", {"infer_fps": 1})
            assert status == 404
        numbers[name] = numbers.get(name, 0) + 1
    for name in set(cameras(run)) - {"a", "b"}:
        done(run, "DELETE", f"/cameras/{name}")
    ended = steady(run)
    assert ended == begun, "processes, descriptors or memory were left behind"
    assert accounts_hold(run) and run.stop() == 0, run.text()
    for name in numbers:
        frames = [line["frame"] for line in run.lines(name)]
        assert frames == sorted(set(frames)), f"frames of {name} came twice or out of order"


def steady(run: EngineRun) -> dict[str, tuple[int, int]]:
    """Descriptors, and mapped MiB of pools, of every process of a run, once they do not change any more."""

    def look() -> dict[str, tuple[int, int]]:
        found = {kind.split()[0]: pid for pid, kind in run.workers().items()} | {"engine": run.process.pid}
        return {kind: (open_files(pid), round(shared_memory_mib(pid))) for kind, pid in found.items()}

    seen: list[dict[str, tuple[int, int]]] = []

    def the_same_three_times() -> bool:
        time.sleep(0.3)
        seen.append(look())
        return len(seen) >= 3 and seen[-1] == seen[-2] == seen[-3]

    until(the_same_three_times, 10, f"rest: {seen[-3:]}")
    return seen[-1]
