"""`engine-ptz` against a simulated camera on a socket: what it prints, what it moves, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from engine.ptz_cli import main
from ptz.calibration import CalibrationPlan
from ptz.lease import Lease
from ptz.speed_table import SpeedTable
from ptz.types import Levels
from tests.ptz.simulator.served import PASSWORD, USER, ServedCamera, served_camera


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedCamera]:
    monkeypatch.setenv("CAM_PASSWORD", PASSWORD)
    with served_camera() as camera:
        yield camera


def flags(served: ServedCamera, driver: str = "hikvision") -> list[str]:
    return ["--url", served.url, "--driver", driver, "--user", USER, "--password-env", "CAM_PASSWORD"]


def pan_deg(served: ServedCamera) -> float:
    return served.device.true_pose(time.monotonic()).pan_deg


@pytest.mark.parametrize("driver", ["hikvision", "onvif"])
def test_status_tells_what_it_can_do_and_moves_nothing(
    served: ServedCamera, capsys: pytest.CaptureFixture[str], driver: str
) -> None:
    before = pan_deg(served)
    assert main(["status", *flags(served, driver), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (
        told["continuous"]
        and told["absolute"]
        and told["pose"] is not None
        and 94 in told["reserved_presets"]
    )
    assert pan_deg(served) == before


def test_probe_proves_motion_and_stop(served: ServedCamera, capsys: pytest.CaptureFixture[str]) -> None:
    # Answers that a busy machine gives late are told as such, truthfully: then it is asked once more.
    for _ in range(2):
        assert main(["probe", *flags(served), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        if told["state"] == "ok":
            break
    assert told["state"] == "ok" and told["counters"]["stops"] > 0, told
    assert any("moved pan" in choice for choice in told["choices"])
    assert PASSWORD not in json.dumps(told)


def test_an_encoder_that_only_says_ok_is_told_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", PASSWORD)
    with served_camera("encoder-mh6171") as served:
        assert main(["probe", *flags(served)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("engine-ptz: ") and said.count("\n") == 1


def test_it_turns_for_a_while_and_stands(served: ServedCamera, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["move", *flags(served), "--pan", "20", "--seconds", "0.5"]) == 0
    assert "done; at" in capsys.readouterr().out
    assert 5 < pan_deg(served) < 30 and served.speed_deg_s() == 0


def test_it_goes_to_a_place_and_a_stored_one(
    served: ServedCamera, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["move", *flags(served), "--to", "30", "-5", "2"]) == 0
    assert pan_deg(served) == pytest.approx(30, abs=0.6)
    assert main(["preset", *flags(served), "store", "5", "--name", "gate"]) == 0
    assert main(["preset", *flags(served), "list"]) == 0
    assert "5     gate" in capsys.readouterr().out
    assert main(["preset", *flags(served), "remove", "5"]) == 0


def test_a_reserved_preset_is_refused(served: ServedCamera, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("store", "remove"):
        assert main(["preset", *flags(served), action, "94"]) == 1
        assert "preset 94 is reserved" in capsys.readouterr().err


def test_a_head_that_somebody_has_is_taken_over_only_on_purpose(
    served: ServedCamera, capsys: pytest.CaptureFixture[str]
) -> None:
    lease = Lease.of_head(served.url, 1, owner="engine-run, camera yard")
    lease.take()
    try:
        assert main(["move", *flags(served), "--stop"]) == 1
        assert "engine-run, camera yard" in capsys.readouterr().err
        assert main(["move", *flags(served), "--stop", "--take"]) == 0
    finally:
        lease.release()


def test_a_wrong_password_is_one_line_without_it(
    served: ServedCamera, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "hunter2")
    assert main(["status", *flags(served)]) == 1
    said = capsys.readouterr().err
    assert "refused the user name or password" in said and "hunter2" not in said and said.count("\n") == 1


def test_a_person_lets_a_password_be_tried_again(
    served: ServedCamera, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "hunter2")
    for _ in range(3):
        assert main(["status", *flags(served)]) == 1
    assert served.camera.accounts.credentialed_since(0.0) == 2, "the third one was not sent"
    capsys.readouterr()
    assert main(["unlock", *flags(served)]) == 0
    said = capsys.readouterr().out
    assert "may be tried again now" in said and "hunter2" not in said
    assert main(["status", *flags(served)]) == 1
    assert served.camera.accounts.credentialed_since(0.0) == 3


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["status"], 2, "which camera? give --url and --driver"),
        (["status", "--url", "http://127.0.0.1:9"], 2, "which camera?"),
        (["status", "--url", "http://127.0.0.1:9", "--driver", "onvif"], 1, "connection refused"),
        (
            ["status", "--url", "http://h", "--driver", "onvif", "--user", "a", "--password-env", "NO_SUCH"],
            2, "the environment variable NO_SUCH is not set",
        ),
        (["status", "--url", "http://h", "--driver", "onvif", "--user", "a"], 2, "belong together"),
        (["move", "--url", "http://h", "--driver", "onvif", "--seconds", "0"], 2, "--seconds must be more than 0"),
        (["preset", "--url", "http://h", "--driver", "onvif", "goto"], 2, "which? give its number or token"),
        (["simulate", "--scene", "walk"], 2, "unknown scene 'walk'"),
        (["simulate", "--scene", "stand", "--width", "99"], 2, "even numbers from 64"),
        (["score", "--scene", "walk"], 2, "unknown name 'walk'"),
        (["score", "--law", "predictve"], 2, "(did you mean 'predictive'?)"),
        (["score", "--seeds", "0"], 2, "--seeds: must be from 1 to 100"),
        (["discover", "--address", "nowhere.invalid"], 1, "nowhere.invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert said in error and error.startswith("engine-ptz: ") and error.count("\n") == 1


def test_a_camera_of_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text('[[camera]]\nname = "roof"\nsource = "0"\n')
    assert main(["status", "--cameras", str(path)]) == 2
    assert "no camera has a head; add [camera.ptz]" in capsys.readouterr().err
    head = '[camera.ptz]\ndriver = "onvif"\nurl = "http://127.0.0.1:9"\nhfov_deg = 60\n'
    path.write_text(f'[[camera]]\nname = "yard"\nsource = "0"\n{head}')
    assert main(["status", "--cameras", str(path), "--camera", "roof"]) == 2
    assert "has heads of yard; name one of them" in capsys.readouterr().err
    assert main(["status", "--cameras", str(path)]) == 1
    assert "connection refused" in capsys.readouterr().err


def test_speeds_are_measured_kept_and_used(
    served: ServedCamera, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engine.ptz_cli_calibrate.QUICK",
        CalibrationPlan(levels=(30,), zooms=(1.0,), zoom_levels=(), run_s=2.0),
    )
    speeds = tmp_path / "speeds.json"
    assert main(["calibrate", *flags(served), "--quick", "--out", str(speeds)]) == 0
    said = capsys.readouterr().out
    assert "2/2  tilt level 30 at zoom 1" in said and f'speeds = "{speeds}"' in said
    measured = SpeedTable.from_json(json.loads(speeds.read_text())).velocity(Levels(pan=30), 1.0).pan_deg_s
    before = pan_deg(served)
    now_s = time.monotonic()
    served.device.turn(Levels(pan=30), now_s, now_s + 3)
    time.sleep(1.5)
    assert served.device.velocity(time.monotonic()).pan_deg_s == pytest.approx(measured, rel=0.15)
    assert abs(before) < 1 or before > 359, "it was put back"
    # Once more: nothing is left to be measured.
    assert main(["calibrate", *flags(served), "--quick", "--out", str(speeds)]) == 0
    assert "1/2" not in capsys.readouterr().out
    speeds.write_text("{}")
    assert main(["calibrate", *flags(served), "--quick", "--out", str(speeds)]) == 2
    assert "cannot be gone on with" in capsys.readouterr().err


def test_nobody_answers_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", "--timeout", "0.2", "--address", "127.0.0.1"]) == 0
    assert "0 ONVIF device(s) answered" in capsys.readouterr().out


def test_a_simulated_camera_is_a_whole_camera(tmp_path: Path) -> None:
    """It runs as a command, shows what its lens sees, obeys, and ends with a signal."""
    environ = {**os.environ, "CAM_PASSWORD": PASSWORD}
    flags = ["--scene", "stand", "--user", USER, "--password-env", "CAM_PASSWORD"]
    command = [sys.executable, "-m", "engine.ptz_cli", "simulate", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout is not None
            places = dict(part.split("=", 1) for part in process.stdout.readline().split()[2:])
            url = places["video"].removesuffix("102/httpPreview") + "101/picture"
            auth = httpx.DigestAuth(USER, PASSWORD)
            jpeg = httpx.get(url, auth=auth, timeout=10).raise_for_status().content
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None and picture.shape == (360, 640, 3) and picture.std() > 20
            assert httpx.get(url, timeout=10).status_code == 401
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def test_a_scene_is_scored_with_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main(["score", "--scene", "stand", "--seeds", "1", "--plots", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "in frame %" in said and "stand" in said and len(list(tmp_path.glob("*.png"))) == 1
