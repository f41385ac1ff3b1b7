"""Bad input: one line that says what, where and what to do, a status other than 0, and nothing left running."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.engine import EngineRun, clip, model

pytestmark = pytest.mark.data

Start = Callable[..., EngineRun]


def refused(run: EngineRun, *words: str, status: int) -> None:
    """The run ends with `status`; one line holds all `words`; no worker is left."""
    assert run.wait(30) == status, run.text()
    assert any(all(word in line for word in words) for line in run.text().splitlines()), run.text()
    assert not run.workers()


def test_missing_file(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    refused(engine_run("--source", str(tmp_path / "none.mp4"), "--model", "motion"), "none.mp4", status=2)


@pytest.mark.parametrize("content", [b"", os.urandom(3000)], ids=["empty", "junk"])
def test_not_a_video(engine_run: Start, data_dir: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    refused(engine_run("--source", str(tmp_path / "bad.mp4"), "--model", "motion"), "bad.mp4", status=1)


def test_truncated_file_without_index(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    whole = Path(clip(data_dir, "et_01_dog")).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:200_000])
    refused(
        engine_run("--source", str(tmp_path / "cut.mp4"), "--offline", "--model", "motion"),
        "cut.mp4",
        status=1,
    )


def test_corrupt_model(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(os.urandom(5000))
    run = engine_run("--source", clip(data_dir, "et_01_dog"), "--model", str(tmp_path / "junk.onnx"))
    refused(run, "junk.onnx", status=1)


def test_model_that_is_no_detector(engine_run: Start, data_dir: Path) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_01_dog"), "--model", model(data_dir, "osnet_x0_25_msmt17_dynbatch")
    )
    refused(run, "osnet", "512", status=1)


def test_unknown_model_name(engine_run: Start, data_dir: Path) -> None:
    run = engine_run("--source", clip(data_dir, "et_01_dog"), "--model", "yolox_nanno")
    refused(run, "yolox_nanno", "yolox_nano", status=1)


def test_unknown_profile(engine_run: Start, data_dir: Path) -> None:
    refused(engine_run("--source", "test://", "--profile", "m3-gpu"), "m3-gpu", "m3-cpu", status=2)


def test_unknown_key_in_profile(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("[infer]\nconfidenc = 0.3\n")
    run = engine_run("--source", "test://", "--profile", str(tmp_path / "p.toml"))
    refused(run, "p.toml", "confidenc", "confidence", status=2)


def test_unknown_scheme(engine_run: Start, data_dir: Path) -> None:
    refused(engine_run("--source", "ftp://x/y", "--model", "motion"), "ftp", status=1)


def test_port_taken(engine_run: Start, data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = engine_run("--source", "test://", "--model", "motion", "--port", str(port))
        refused(run, str(port), "in use", "--port", status=2)


def test_output_folder_that_cannot_be_written(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = engine_run("--source", "test://", "--model", "motion", "--out", str(tmp_path / "file" / "x"))
    refused(run, "file", "--out", status=1)


def test_too_little_memory_for_the_pools(engine_run: Start, data_dir: Path) -> None:
    """A limit on the size of files holds for anonymous shared memory too, which makes it scarce on purpose."""
    limited = ("prlimit", f"--fsize={100 * 2**20}")
    run = engine_run("--source", "test://?width=7680&height=4320", "--model", "motion", prefix=limited)
    refused(run, "shared memory", "MiB needed", status=1)


def test_one_bad_camera_does_not_disturb_the_other(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(os.urandom(3000))
    run = engine_run(
        "--source", f"bad={tmp_path / 'bad.mp4'}", "--source", f"good={clip(data_dir, 'et_08_driving')}",
        "--offline", "--no-overlay", "--model", model(data_dir),
    )  # fmt: skip
    assert run.wait(60) == 1
    assert len(run.lines("good")) == 124
    assert "bad: 0 frames in" in run.text()


def test_password_is_never_shown(engine_run: Start, data_dir: Path) -> None:
    run = engine_run(
        "--source", "rtsp://admin:${SECRET_FOR_TEST}@127.0.0.1:9/live", "--model", "motion", "--duration", "4",
        environ={"SECRET_FOR_TEST": "hunter2"},
    )  # fmt: skip
    run.wait(30)
    assert "hunter2" not in run.text()
    assert "reconnecting" in run.text()
