"""A run without a word about cameras: what it takes, and what wins over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import LoadedConfig, RunConfig
from engine.default_run import LONGEST_S, OFFLINE_FRAMES, ORIGIN, discard_truth, load_default, shown
from engine.scene_scores import score_lines
from engine.sources.scene_settings import SceneSettings, settings_of
from ptz.simulator.scenes import SCENES


def loaded(
    flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, profile: str = "m3-cpu"
) -> LoadedConfig:
    return load_default(profile, flags or {}, environ or {})


def scenes(config: RunConfig) -> list[SceneSettings]:
    return [settings_of(camera.source) for camera in config.cameras]


def test_it_is_the_court_by_a_fixed_and_a_following_camera(tmp_path: Path) -> None:
    config = loaded({"output.directory": str(tmp_path / "there")}).config
    overview, ptz = config.cameras
    assert (overview.name, overview.ptz, ptz.name) == ("overview", None, "ptz")
    assert ptz.ptz is not None and ptz.ptz.policy == SCENES["court"].policy == "runner"
    for settings in scenes(config):
        assert (settings.scene.name, settings.width, settings.height, settings.fps) == ("court", 640, 360, 20)
        assert (settings.truth, settings.frames) == (str(tmp_path / "there" / "truth"), 0)
        assert settings.truth_s > 0 and settings.truth_every > 1 and settings.masks


def test_models_and_masks_are_those_that_come_with_the_engine() -> None:
    run = loaded()
    assert (run.config.infer.model, run.config.segment.model, run.config.segment.mode) == (
        "nano_det", "nano_sam", "boxes",
    )  # fmt: skip
    assert run.config.duration_s == LONGEST_S
    track = run.config.track
    assert track.appearance == "colour" and track.recall_s > 0
    assert 0 < track.high_confidence <= track.start_confidence < 0.6
    assert run.origins["infer.model"] == run.origins["camera.ptz"] == ORIGIN


def test_what_the_user_says_wins(tmp_path: Path) -> None:
    flags = {"infer.model": "yolox_s", "segment.mode": "off", "duration_s": 7.0}
    assert loaded(flags).config.infer.model == "yolox_s"
    assert (loaded(flags).config.segment.mode, loaded(flags).config.duration_s) == ("off", 7.0)
    assert loaded({}, {"ENGINE_SEGMENT_MODEL": "edgetam_512"}).config.segment.model == "edgetam_512"
    own = tmp_path / "own.toml"
    own.write_text('[infer]\nmodel = "mine.onnx"\n')
    mine = loaded(profile=str(own)).config
    assert (mine.infer.model, mine.segment.model) == ("mine.onnx", "nano_sam")


def test_offline_it_has_an_end_and_heads_stand_still() -> None:
    config = loaded({"offline": True}).config
    assert config.cameras[1].ptz is None
    assert [settings.frames for settings in scenes(config)] == [OFFLINE_FRAMES] * 2
    assert pytest.approx(20 * SCENES["court"].duration_s, abs=1) == OFFLINE_FRAMES
    assert "stands still" in shown(config)


def test_one_line_tells_what_is_to_be_seen() -> None:
    line = shown(loaded().config)
    assert "\n" not in line
    for word in ("overview", "ptz", "nano_det", "nano_sam", "--source", "3600 s"):
        assert word in line
    assert "no masks" in shown(loaded({"segment.mode": "off", "duration_s": 5.0}).config)


def test_the_truth_of_the_run_before_goes_and_nothing_else(tmp_path: Path) -> None:
    config = loaded({"output.directory": str(tmp_path)}).config
    discard_truth(config)  # there is none yet
    folder = tmp_path / "truth"
    (folder / "ptz.masks").mkdir(parents=True)
    for name in (
        "ptz.truth",
        "ptz.before.truth",
        "ptz.masks/00000001.png",
        "gate.truth",
        "ptz.masks/notes.txt",
    ):
        (folder / name).write_text("x")
    discard_truth(config)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert left == ["gate.truth", "ptz.masks/notes.txt"]


def test_runs_without_truth_have_no_score_and_short_ones_say_so(tmp_path: Path) -> None:
    assert score_lines(RunConfig("m3-cpu", ())) == []
    lines = score_lines(loaded({"output.directory": str(tmp_path)}).config)
    assert len(lines) == 2 and all("no score without" in line for line in lines)
