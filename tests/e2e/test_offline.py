"""`--offline` on real clips: every frame exactly once, IDs that last, a video that plays."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.engine import EngineRun, clip, model

pytestmark = [pytest.mark.data, pytest.mark.slow]


def test_pets_every_frame_once_with_ids_that_last(
    engine_run: Callable[..., EngineRun], data_dir: Path, ffprobe: str
) -> None:
    run = engine_run(
        "--source", clip(data_dir, "pets09_s2l1_0001-0320"), "--offline",
        "--model", model(data_dir, "yolox_nano_416_f32"),
    )  # fmt: skip
    assert run.wait(120) == 0, run.text()
    lines = run.lines()
    assert [line["frame"] for line in lines] == list(range(320))
    lives = Counter(o["id"] for line in lines for o in line["objects"] if o["id"] is not None)
    assert max(lives.values()) >= 60
    count = subprocess.run(
        [ffprobe, "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames",
         "-of", "csv=p=0", str(run.out / "cam0.mp4")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(count.stdout) == 320
    assert "320 frames in, 320 processed" in run.text()


def test_four_clips_as_four_cameras_are_all_complete(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    frames = {"et_01_dog": 289, "et_08_driving": 124, "et_12_hideandseek": 200, "sam2_bedroom": 200}
    sources = [argument for name in frames for argument in ("--source", clip(data_dir, name))]
    run = engine_run(*sources, "--offline", "--no-overlay", "--model", model(data_dir))
    assert run.wait(120) == 0, run.text()
    for camera, expected in enumerate(frames.values()):
        assert [line["frame"] for line in run.lines(f"cam{camera}")] == list(range(expected))


def test_same_input_gives_the_same_objects(engine_run: Callable[..., EngineRun], data_dir: Path) -> None:
    """Deterministic replay: only times may differ between two runs."""
    arguments = (
        "--source",
        clip(data_dir, "et_08_driving"),
        "--offline",
        "--no-overlay",
        "--model",
        model(data_dir),
    )
    texts = []
    for _ in range(2):
        run = engine_run(*arguments)
        assert run.wait(60) == 0, run.text()
        texts.append(json.dumps([(line["frame"], line["objects"]) for line in run.lines()]))
    assert texts[0] == texts[1]
