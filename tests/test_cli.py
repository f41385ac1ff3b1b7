"""`engine-run`: flags become a checked plan; what is wrong is one line and an exit status."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import __version__
from engine.cli import build_parser, load_config, main, make_plan, tell_models
from engine.config import LoadedConfig
from engine.errors import ConfigError, ModelError, OutputError
from engine.supervisor import RunPlan
from tests.models.embedded_models import write_embedded

PICTURE = ("--source", "test://")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("ENGINE_"):
            monkeypatch.delenv(variable)


def load(*arguments: str) -> LoadedConfig:
    return load_config(build_parser().parse_args(arguments))


def test_without_flags_there_is_the_built_in_scene() -> None:
    config = load().config
    assert [camera.name for camera in config.cameras] == ["overview", "ptz"]
    assert all(camera.source.startswith("scene://court?") for camera in config.cameras)
    assert (config.profile, config.offline, config.infer.model) == ("m3-cpu", False, "nano_det")
    assert load("--no-source").config.cameras == ()


def test_every_flag_reaches_its_setting() -> None:
    loaded = load(
        "--profile", "g5-trt", "--source", "gate=rtsp://camera/1", "--source", "test://", "--model", "motion",
        "--out", "elsewhere", "--offline", "--loop", "--no-overlay", "--duration", "1.5", "--rtsp-transport",
        "udp", "--host", "0.0.0.0", "--port", "0", "--log-level", "debug",
    )  # fmt: skip
    config = loaded.config
    assert [(camera.name, camera.source) for camera in config.cameras] == [
        ("gate", "rtsp://camera/1"),
        ("cam1", "test://"),
    ]
    assert all(camera.loop and camera.rtsp_transport == "udp" for camera in config.cameras)
    assert (config.profile, config.infer.model, config.output.directory) == ("g5-trt", "motion", "elsewhere")
    assert (config.offline, config.output.overlay, config.duration_s) == (True, False, 1.5)
    assert (config.control.host, config.control.port, config.log_level) == ("0.0.0.0", 0, "debug")
    flags = [key for key, origin in loaded.origins.items() if origin.startswith("flag")]
    assert len(flags) == 10, f"a flag without an origin, or a default with one: {flags}"


def test_flags_that_are_not_given_leave_the_settings_alone(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('offline = true\n[output]\noverlay = false\ndirectory = "there"\n')
    config = load("--profile", str(profile)).config
    assert (config.offline, config.output.overlay, config.output.directory) == (True, False, "there")


def test_a_cameras_file_takes_the_place_of_the_built_in_scene(tmp_path: Path) -> None:
    cameras = tmp_path / "cameras.json"
    cameras.write_text(json.dumps({"camera": [{"name": "gate", "source": "rtsp://camera/1"}]}))
    assert [camera.name for camera in load("--cameras", str(cameras)).config.cameras] == ["gate"]
    both = load("--cameras", str(cameras), "--source", "test://").config
    assert [camera.name for camera in both.cameras] == ["gate", "cam0"]


@pytest.mark.parametrize("arguments", [["--sorce", "x"], ["--duration", "soon"], ["--log-level", "loud"]])
def test_a_flag_that_is_none_is_exit_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, words in (("--version", f"camring {__version__}"), ("--help", "Exit status: 0 ended as asked")):
        with pytest.raises(SystemExit) as ended:
            main([flag])
        assert ended.value.code == 0
        assert words in " ".join(capsys.readouterr().out.split())


def test_help_can_be_printed_where_text_is_not_unicode() -> None:
    """A pipe into a file on a system that was set up long ago."""
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "--help"], capture_output=True, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_configuration_is_shown_and_nothing_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-config", "--out", "never", "--source", "rtsp://admin:secret@camera/1"]) == 0
    shown = capsys.readouterr().out
    assert "flag --out" in shown and "secret" not in shown
    assert not (tmp_path / "never").exists()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and the one line of an `engine-run` that does not start."""
    status = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("engine-run: ")
    return status, line


def test_what_is_wrong_is_one_line_and_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, line = refused(capsys, "--profile", "m3-gpu")
    assert status == 2 and "m3-gpu" in line and "m3-cpu" in line
    status, line = refused(capsys, "--model", str(tmp_path / "none.onnx"), "--port", "0")
    assert status == 1 and "none.onnx" in line
    (tmp_path / "file").write_text("")
    status, line = refused(capsys, "--model", "motion", "--out", str(tmp_path / "file" / "out"))
    assert status == 1 and "file/out" in line and "--out" in line


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def plan_of(*arguments: str) -> RunPlan:
    """A plan, whose lock and socket are given back at once."""
    plan = make_plan(load(*PICTURE, "--out", "out", *arguments))
    plan.close()
    return plan


def test_a_plan_has_a_folder_a_model_and_a_socket(tmp_path: Path) -> None:
    plan = plan_of("--model", "motion", "--port", "0")
    assert (tmp_path / "out").is_dir()
    assert (plan.model, plan.degraded) == ("motion", ())
    assert plan.listening is not None


def test_without_the_http_side_there_is_no_socket(monkeypatch: pytest.MonkeyPatch, taken_port: int) -> None:
    monkeypatch.setenv("ENGINE_CONTROL_ENABLED", "false")
    assert plan_of("--model", "motion", "--port", str(taken_port)).listening is None


def test_a_port_that_is_taken_is_known_before_anything_starts(taken_port: int) -> None:
    with pytest.raises(ConfigError, match="in use"):
        make_plan(load(*PICTURE, "--model", "motion", "--port", str(taken_port)))


def profile_with(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_video_of_all_cameras_that_cannot_be_is_known_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = (*PICTURE, "--model", "motion", "--port", "0")
    for path, problem in (("demo.avi", "must end in .mp4"), ("none/demo.mp4", "no folder")):
        status, line = refused(capsys, *wanted, "--record", path)
        assert status == 2 and "flag --record" in line and problem in line
    assert (
        plan_of("--model", "motion", "--port", "0", "--record", "demo.mp4").config.output.record == "demo.mp4"
    )
    assert not (tmp_path / "demo.mp4").exists()


def test_a_path_that_leads_nowhere_is_the_end_whoever_has_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = profile_with(tmp_path, '[infer]\nmodel = "gone.onnx"\n')
    with pytest.raises(ModelError, match="there is no such file"):
        plan_of("--profile", profile, "--port", "0")
    with pytest.raises(ModelError):
        plan_of("--port", "0", "--model", "gone.onnx")
    monkeypatch.setenv("ENGINE_INFER_MODEL", "gone.onnx")
    with pytest.raises(ModelError):
        plan_of("--port", "0")


def test_the_embedded_model_stands_in_unless_the_model_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ENGINE_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    embedded = write_embedded(tmp_path / "embedded")
    plan = make_plan(
        load(*PICTURE, "--out", "out", "--port", "0", "--model", "yolox_s", "--segment", "track"), embedded
    )
    plan.close()
    assert plan.model == str(embedded / "nano_det.onnx")
    detector, segmenter = plan.degraded
    assert detector.startswith(
        "embedded model nano_det in use because yolox_s cannot be fetched (github.com: "
    )
    assert segmenter.startswith(
        "embedded model nano_sam in use because edgetam_512 is in no folder of models"
    )
    told: list[tuple[str, str, str]] = []
    tell_models(plan, lambda *line: told.append(line))
    assert told[0] == ("info", "engine", "detector nano_det: stands in for yolox_s")
    assert told[2] == ("warning", "engine", f"degraded: {detector}")
    status, line = refused(capsys, *PICTURE, "--port", "0", "--model", "yolox_s", "--require-model")
    assert status == 1 and "yolox_s could not be fetched" in line
    wanted = (*PICTURE, "--port", "0", "--model", "motion", "--segment", "track", "--require-model")
    status, line = refused(capsys, *wanted)
    assert status == 1 and "edgetam_512" in line


def test_a_reidentification_model_is_found_or_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan_of("--model", "motion", "--port", "0").reid == ""
    (tmp_path / "mine.onnx").write_bytes(b"looked at by the worker")
    assert plan_of("--model", "motion", "--port", "0", "--reid", "mine.onnx").reid == "mine.onnx"
    for wrong, said in (
        ("none.onnx", "no such file"),
        ("osnet_x9", "known"),
        ("motion", "known"),
        ("yolox_s", "infer.model"),
    ):
        status, line = refused(capsys, *PICTURE, "--model", "motion", "--port", "0", "--reid", wrong)
        assert status == 1 and wrong in line and said in line
    plan_of("--model", "motion", "--port", "0")  # the folder is free again


def test_one_run_per_folder(tmp_path: Path) -> None:
    plan = make_plan(load(*PICTURE, "--out", "out", "--model", "motion", "--port", "0"))
    with pytest.raises(OutputError, match="another run"):
        make_plan(load(*PICTURE, "--out", "out", "--model", "motion", "--port", "0"))
    plan.close()
    plan_of("--model", "motion", "--port", "0")


def test_a_whole_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = main(
        ["--source", "test://?width=320&height=240&frames=12", "--offline", "--no-overlay", "--model", "motion",
         "--port", "0", "--out", "out"]
    )  # fmt: skip
    captured = capfd.readouterr()
    assert status == 0, captured.err
    assert len((tmp_path / "out" / "cam0.jsonl").read_text().splitlines()) == 12
    summary = captured.out.splitlines()
    assert summary[0].startswith("summary after ") and summary[0].endswith(": ok")
    assert "cam0: 12 frames in, 12 processed, 0 dropped, 12 results written" in summary[1]
    assert summary[-1] == "  workers restarted: 0; files in out"
    assert "health and metrics at http://127.0.0.1:" in captured.err
    assert "stopping: every source has ended" in captured.err
