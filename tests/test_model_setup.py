"""Which models a run takes: what was asked for, what stands in for it, and what is said of that."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import CameraConfig, InferConfig, RunConfig, SegmentConfig
from engine.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnsupported
from engine.model_setup import ChosenModels, choose_models
from engine.models.fetch import AT_START
from tests.models.embedded_models import write_embedded, write_segmenter

CONFIG = RunConfig(profile="m3-cpu", cameras=(CameraConfig("gate", "test://"),))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No models but the embedded ones, and a network that says no at once."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ENGINE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")


@pytest.fixture
def choose(tmp_path: Path, offline: None) -> Callable[..., ChosenModels]:
    embedded = write_embedded(tmp_path / "embedded")

    def chosen(infer: InferConfig | None = None, **changes: object) -> ChosenModels:
        config = replace(CONFIG, infer=infer or InferConfig(), **changes)  # type: ignore[arg-type]  # sections
        return choose_models(config, lambda name: lambda done, total: None, embedded)

    return chosen


def degraded(chosen: ChosenModels) -> list[str]:
    return [told["degraded"] for told in chosen.told.values() if told["degraded"]]


def test_without_network_the_embedded_detector_stands_in_and_says_what_it_cannot(
    choose: Callable[..., ChosenModels], tmp_path: Path
) -> None:
    chosen = choose()
    assert chosen.detector == str(tmp_path / "embedded" / "nano_det.onnx")
    (line,) = degraded(chosen)
    assert line == (
        "embedded model nano_det in use because yolox_nano cannot be fetched (github.com: Connection refused); "
        "it finds persons only; engine-models fetch yolox_nano tries again"
    )
    told = chosen.told["detector"]
    assert (told["asked"], told["used"], told["reason"]) == (
        "yolox_nano",
        "nano_det",
        "stands in for yolox_nano",
    )


def test_what_was_asked_for_is_taken_before_anything_stands_in(
    choose: Callable[..., ChosenModels], tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yolox_nano.onnx").write_bytes(b"somebody's")
    chosen = choose()
    assert chosen.detector == str(tmp_path / "models" / "yolox_nano.onnx")
    assert chosen.config.infer.labels[0] == "person" and len(chosen.config.infer.labels) == 80
    assert (
        degraded(chosen) == [] and "it is not the file of the registry" in chosen.told["detector"]["reason"]
    )


def test_an_embedded_model_that_is_asked_for_is_no_stand_in(choose: Callable[..., ChosenModels]) -> None:
    segment = SegmentConfig(mode="track", model="nano_sam")
    chosen = choose(InferConfig(model="nano_det", require_model=True), segment=segment)
    assert degraded(chosen) == []
    assert [told["reason"] for told in chosen.told.values()] == ["comes with the package"] * 2


@pytest.mark.parametrize("infer", [InferConfig(require_model=True), InferConfig(fallback="")])
def test_a_model_that_is_required_is_an_error_with_what_to_put_where(
    choose: Callable[..., ChosenModels], infer: InferConfig
) -> None:
    with pytest.raises(ModelNotFound, match=r"yolox_nano could not be fetched .* put yolox_nano\.onnx"):
        choose(infer)


def test_motion_stands_in_where_that_is_wanted(choose: Callable[..., ChosenModels]) -> None:
    chosen = choose(InferConfig(fallback="motion"))
    (line,) = degraded(chosen)
    assert chosen.detector == "motion" and line.startswith(
        "motion (background subtraction, no classes) in use"
    )


@pytest.mark.parametrize("model", ["gone.onnx", "./gone", "yolox_nan", "nano_sam"])
def test_nothing_stands_in_for_a_path_or_a_slip(choose: Callable[..., ChosenModels], model: str) -> None:
    with pytest.raises((ModelNotFound, ModelUnsupported), match=model):
        choose(InferConfig(model=model))


def test_settings_that_speak_of_classes_fit_the_stand_in(choose: Callable[..., ChosenModels]) -> None:
    asked = InferConfig(classes=("person", "car"), thresholds={"car": 0.5, "person": 0.3}, labels=("a", "b"))
    infer = choose(asked).config.infer
    assert (infer.classes, infer.thresholds, infer.labels) == (("person",), {"person": 0.3}, ())
    with pytest.raises(
        ModelNotFound, match=r"finds persons only, but infer\.classes wants car, dog: engine-models"
    ):
        choose(InferConfig(classes=("car", "dog")))


def test_a_segmenter_that_is_nowhere_is_stood_in_for(
    choose: Callable[..., ChosenModels], tmp_path: Path
) -> None:
    infer = InferConfig(model="nano_det")
    chosen = choose(infer, segment=SegmentConfig(mode="track", model="edgetam_512"))
    (line,) = degraded(chosen)
    assert line.startswith("embedded model nano_sam in use because edgetam_512 is in no folder of models; ")
    assert chosen.told["segmenter"]["used"] == "nano_sam"
    write_segmenter(tmp_path / "models" / "edgetam_512")
    assert degraded(choose(infer, segment=SegmentConfig(mode="track", model="edgetam_512"))) == []
    (tmp_path / "models" / "edgetam_512" / "mask_decoder.onnx").unlink()
    (line,) = degraded(choose(infer, segment=SegmentConfig(mode="boxes", model="edgetam_512")))
    assert "edgetam_512 cannot be used (" in line and "mask_decoder.onnx: missing" in line


def test_a_segmenter_is_looked_for_where_a_camera_wants_masks(choose: Callable[..., ChosenModels]) -> None:
    infer = InferConfig(model="nano_det")
    assert list(choose(infer, segment=SegmentConfig(model="edgetam_512", standby=True)).told) == ["detector"]
    cameras = (CameraConfig("gate", "test://", segment="boxes"),)
    assert "segmenter" in choose(infer, segment=SegmentConfig(model="edgetam_512"), cameras=cameras).told


@pytest.mark.parametrize("model", ["./gone", "my_segmenter", "nano_det"])
def test_nothing_stands_in_for_a_segmenter_of_ones_own(
    choose: Callable[..., ChosenModels], model: str
) -> None:
    with pytest.raises((ModelNotFound, ModelUnsupported), match=f"segmenter '?{model}"):
        choose(InferConfig(model="nano_det"), segment=SegmentConfig(mode="track", model=model))


def test_a_required_segmenter_is_an_error(choose: Callable[..., ChosenModels]) -> None:
    with pytest.raises(ModelNotFound, match="'edgetam_512' is neither a folder nor in"):
        choose(
            InferConfig(model="nano_det", require_model=True),
            segment=SegmentConfig(mode="track", model="edgetam_512"),
        )


def test_a_broken_installation_says_both(tmp_path: Path, choose: Callable[..., ChosenModels]) -> None:
    (tmp_path / "embedded" / "nano_det.onnx").write_bytes(b"cut off")
    with pytest.raises(ModelCorrupt) as caught:
        choose()
    line = str(caught.value)
    assert line.startswith("yolox_nano cannot be fetched (") and line.endswith("install camring again")
    assert "\n" not in line
    (tmp_path / "embedded" / "nano_sam" / "mask_decoder.onnx").unlink()
    with pytest.raises(
        ModelError, match="edgetam_512 is in no folder of models, and embedded model nano_sam"
    ):
        choose(InferConfig(model="motion"), segment=SegmentConfig(mode="track", model="edgetam_512"))


@pytest.fixture
def silent_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


def test_a_network_that_does_not_answer_is_given_up_as_at_a_start(
    choose: Callable[..., ChosenModels], silent_proxy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert AT_START.answer_s is not None and AT_START.answer_s <= 5
    monkeypatch.setattr("engine.models.fetch.AT_START", replace(AT_START, answer_s=0.2))
    (line,) = degraded(choose())
    assert "(github.com: no answer in 0.2 s)" in line


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(
    choose: Callable[..., ChosenModels], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    (line,) = degraded(choose())
    assert "yolox_nano cannot be fetched (" in line and "cannot be written: " in line
