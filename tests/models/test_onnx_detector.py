"""What the detector does around the head, and when a backend fails; models are made here."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import BackendMissing, ConfigError, DeviceOutOfMemory, ModelCorrupt, ModelNotFound
from engine.models.base import BatchItem, DetectorOptions
from engine.models.layout import Bounds, Layout, Measured
from engine.models.layout_cache import LayoutCache, layout_key
from engine.models.onnx_detector import OnnxDetector
from engine.models.ort import OrtCpu

from .backends import Absent, Failing, FailingToo, Gated, GatedFailing
from .samples import grey_frame, toy_model

NAMES = {"names": "{0: 'cat', 1: 'dog'}", "end2end": "True", "author": "Ultralytics"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured here must neither come from the machine's own cache nor go there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def arrange_failures(*runs: int) -> None:
    """The runs at which the next failing backends run out of memory."""
    Failing.loaded.clear()
    Failing.fails_at.clear()
    Failing.fails_at.extend(runs)


def finished_boxes(*rows: tuple[float, ...], count: int = 10) -> dict[str, NDArray[np.float32]]:
    """Output of an end-to-end graph: the rows, then unused ones."""
    table = np.zeros((1, count, 6), np.float32)
    table[0, : len(rows)] = np.array(rows, np.float32).reshape(-1, 6)
    return {"output0": table}


def test_boxes_come_back_in_source_pixels(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx",
        finished_boxes((8, 20, 24, 40, 0.5, 1), (0, 16, 64, 48, 0.9, 0)),
        metadata=NAMES,
    )
    detector = OnnxDetector(path, DetectorOptions(lanes=1))
    [found] = detector.infer([BatchItem(grey_frame(128, 64))])
    assert found.boxes_xyxy.tolist() == [[0, 0, 128, 64], [16, 8, 48, 48]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert [detector.labels[index] for index in found.class_ids] == ["cat", "dog"]


def test_boxes_in_the_padding_are_dropped(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 0, 24, 15, 0.9, 1), (8, 0, 24, 20, 0.8, 1)), metadata=NAMES
    )
    [found] = OnnxDetector(path, DetectorOptions()).infer([BatchItem(grey_frame(128, 64))])
    assert found.boxes_xyxy.tolist() == [[16, 0, 48, 8]]


def test_confidence_and_most_objects(tmp_path: Path) -> None:
    rows = [(0, 16, 10 + index, 48, 0.05 + index / 10, 0) for index in range(8)]
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(*rows), metadata=NAMES)
    [found] = OnnxDetector(path, DetectorOptions(confidence=0.2, max_objects=4)).infer(
        [BatchItem(grey_frame(128, 64))]
    )
    assert found.scores.tolist() == pytest.approx([0.75, 0.65, 0.55, 0.45])
    [found] = OnnxDetector(path, DetectorOptions(confidence=0.6)).infer([BatchItem(grey_frame(128, 64))])
    assert len(found) == 2


def test_senseless_numbers_are_dropped_and_counted(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    good = (8, 20, 24, 40, 0.5, 1)
    bad = [
        (nan, 20, 24, 40, 0.9, 1), (8, 20, inf, 40, 0.9, 1), (8, 20, 24, 40, nan, 1), (8, 20, 24, 40, inf, 1),
        (8, 20, 24, 40, 0.9, nan), (8, 20, 24, 40, 0.9, 7), (8, 20, 24, 40, 0.9, -1),
    ]  # fmt: skip
    detector = OnnxDetector(
        toy_model(tmp_path / "toy.onnx", finished_boxes(*bad, good), metadata=NAMES), DetectorOptions(lanes=2)
    )
    for lane in (0, 1):
        [found] = detector.infer([BatchItem(grey_frame(64, 64))], lane)
        assert found.boxes_xyxy.tolist() == [[8, 20, 24, 40]]
    assert detector.discarded == 2 * len(bad)


@pytest.mark.parametrize("size", ["batch", 1, 2])
def test_any_batch_size_of_the_file_serves_any_number_of_frames(tmp_path: Path, size: int | str) -> None:
    boxes = finished_boxes((8, 20, 24, 40, 0.5, 1))
    if isinstance(size, int):
        boxes = {"output0": boxes["output0"].repeat(size, axis=0)}
    path = toy_model(tmp_path / "toy.onnx", boxes, (size, 3, 64, 64), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions(batch=3))
    for count in (0, 1, 3, 5):
        found = detector.infer([BatchItem(grey_frame(64, 64))] * count)
        assert [len(one) for one in found] == [1] * count


def test_half_precision_files(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES, half=True
    )
    detector = OnnxDetector(path, DetectorOptions(lanes=1))
    [found] = detector.infer([BatchItem(grey_frame(64, 64))])
    assert found.boxes_xyxy.tolist() == [[8, 20, 24, 40]] and found.boxes_xyxy.dtype == np.float32
    assert "float16" in detector.description


def test_files_of_any_size_use_the_size_in_their_metadata(tmp_path: Path) -> None:
    shape = ("batch", 3, "height", "width")
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), shape, {**NAMES, "imgsz": "[64, 128]"}
    )
    [found] = OnnxDetector(path, DetectorOptions(lanes=1)).infer([BatchItem(grey_frame(256, 128))])
    assert found.boxes_xyxy.tolist() == [[16, 40, 48, 80]]
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), shape, NAMES)
    assert "640 × 640" in OnnxDetector(path, DetectorOptions(lanes=1)).description


def test_labels_may_be_given(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata={"end2end": "True"}
    )
    assert OnnxDetector(path, DetectorOptions()).labels[0] == "person"
    assert OnnxDetector(path, DetectorOptions(labels=("a", "b"))).labels == ("a", "b")


def test_labels_and_classes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    with pytest.raises(ConfigError, match="labels names 1 classes, but the model has 2"):
        OnnxDetector(path, DetectorOptions(labels=("a",)))
    with pytest.raises(ConfigError, match=r"'dogg'.*did you mean 'dog'"):
        OnnxDetector(path, DetectorOptions(classes=("dogg",)))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        OnnxDetector(tmp_path / "nowhere.onnx", DetectorOptions())
    with pytest.raises(ModelNotFound):
        OnnxDetector(tmp_path, DetectorOptions())


@pytest.mark.parametrize("kind", ["empty", "text", "half", "noise", "names"])
def test_damaged_files_are_corrupt(tmp_path: Path, kind: str) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    whole = path.read_bytes()
    broken = {
        "empty": b"",
        "text": b"<html>404 not found</html>",
        "half": whole[: len(whole) // 2],
        "noise": np.random.default_rng(1).bytes(4000),
        "names": whole.replace(b"ReduceMean", b"\xff\xfe\xfd\xfc\xfbeMean"),
    }[kind]
    path.write_bytes(broken)
    with pytest.raises(
        ModelCorrupt, match=rf"sha256 [0-9a-f]{{64}}, {len(broken)} bytes.*engine-models fetch"
    ):
        OnnxDetector(path, DetectorOptions())


def test_a_model_with_a_fixed_batch_in_a_batched_profile_says_so(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions(lanes=1, threads=1, batch=8))
    assert detector.batch == 1
    [choice] = [choice for choice in detector.choices if choice.what == "batch"]
    assert choice.chosen == "1" and "batches of 1; where 8 frames are due, they run one" in choice.reason
    found = detector.infer([BatchItem(grey_frame(64, 64))] * 8)
    assert [len(one) for one in found] == [1] * 8


def test_the_layout_is_measured_within_the_bounds(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), ("batch", 3, 64, 64), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions(most_lanes=2, most_batch=3))
    choices = {choice.what: choice for choice in detector.choices}
    assert re.search(r"measured in .*2×1 batch 3 .*/s", choices["layout"].reason)
    assert detector.lanes in (1, 2) and detector.batch in (1, 3)
    assert detector.calls == detector.lanes, "every core computes"
    assert choices["calls in flight"].chosen == str(detector.calls)


def test_extra_calls_only_where_they_help(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    a_lane_a_core = OnnxDetector(path, DetectorOptions(lanes=2, threads=1, most_lanes=2))
    assert (a_lane_a_core.lanes, a_lane_a_core.calls) == (2, 2)
    all_threads = OnnxDetector(path, DetectorOptions(lanes=1, threads=2, most_lanes=2))
    assert (all_threads.lanes, all_threads.calls) == (1, 1)
    one_lane = OnnxDetector(path, DetectorOptions(lanes=1, threads=1, most_lanes=2))
    assert (one_lane.lanes, one_lane.calls) == (1, 2)
    assert "prepares its pictures" in str(one_lane.choices)


def test_pictures_are_prepared_while_the_lane_is_taken(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES)
    Gated.gate.set()
    Gated.made.clear()
    detector = OnnxDetector(path, DetectorOptions(lanes=1, threads=1, most_lanes=2, backends=("test-gated",)))
    assert detector.calls == len(Gated.made) == 2
    while Gated.running.acquire(blocking=False):
        """Runs of the warm-up."""
    Gated.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(detector.infer, [BatchItem(grey_frame(64, 64))], 0)
        assert Gated.running.acquire(timeout=30)
        second = pool.submit(detector.infer, [BatchItem(grey_frame(64, 64))], 1)
        deadline = time.monotonic() + 30
        while not Gated.made[1].input_nchw.any() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert Gated.made[1].input_nchw.any() and not first.done()
        assert not Gated.running.acquire(timeout=0.05)  # one lane: the second waits for it
        Gated.gate.set()
        assert [len(future.result(30)[0]) for future in (first, second)] == [1, 1]


def test_what_calls_take_is_known_after_a_few(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), ("batch", 3, 64, 64), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions(batch=4))
    assert detector.expected_s(4) == (0.0, 0.0)
    detector.infer([BatchItem(grey_frame(64, 64))] * 4)
    prepare_s, compute_s = detector.expected_s(4)
    assert 0 < prepare_s < 1 and 0 < compute_s < 1


def test_backends_that_are_missing_are_passed_over_and_named(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions(backends=("test-absent", "ort-cpu")))
    assert detector.choices[0].what == "backend" and detector.choices[0].chosen == "ort-cpu"
    assert detector.choices[0].reason == f"wanted: test-absent, ort-cpu; {Absent.REASON}"
    assert detector.degraded == (f"ort-cpu runs toy.onnx instead of test-absent: {Absent.REASON}",)
    assert len(detector.infer([BatchItem(grey_frame(64, 64))])[0]) == 1
    with pytest.raises(BackendMissing, match="test-absent"):
        OnnxDetector(path, DetectorOptions(backends=("test-absent",)))


def test_a_device_that_fails_hands_the_very_batch_to_the_next(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), ("batch", 3, 64, 64), metadata=NAMES
    )
    arrange_failures(3)  # warm-up, the first batch, and then
    options = DetectorOptions(lanes=1, threads=1, batch=2, backends=("test-failing", "ort-cpu"))
    detector = OnnxDetector(path, options)
    assert not detector.degraded and detector.choices[0].chosen == "test-failing"
    for _ in range(3):
        found = detector.infer([BatchItem(grey_frame(64, 64))] * 2)
        assert [one.boxes_xyxy.tolist() for one in found] == [[[8, 20, 24, 40]]] * 2
    [failing] = Failing.loaded
    assert (failing.runs, failing.runs_after_failure, failing.closed) == (3, 0, 1)
    assert detector.choices[0].chosen == "ort-cpu"
    assert "instead of test-failing: test-failing: out of memory, as arranged" in detector.degraded[0]
    assert "CPUExecutionProvider" in detector.description


def test_failing_under_many_calls_loses_no_frame(tmp_path: Path) -> None:
    """Two devices fail one after the other while four threads work: every answer is there, and right."""
    path = toy_model(tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES)
    arrange_failures(21, 33)
    options = DetectorOptions(
        lanes=3, threads=1, most_lanes=4, backends=("test-failing", "test-failing-too", "ort-cpu")
    )
    detector = OnnxDetector(path, options)
    assert detector.calls == 4

    def work(call: int) -> int:
        return sum(len(detector.infer([BatchItem(grey_frame(64, 64))], call)[0]) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [50] * 4
    assert [type(backend) for backend in Failing.loaded] == [Failing, FailingToo]
    assert [backend.closed for backend in Failing.loaded] == [1, 1]
    assert detector.choices[0].chosen == "ort-cpu" and len(detector.degraded) == 1


def test_a_call_that_waits_for_a_lane_does_not_run_on_a_failed_device(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES)
    arrange_failures(2)
    GatedFailing.gate.set()
    detector = OnnxDetector(path, DetectorOptions(lanes=1, backends=("test-gated-failing", "ort-cpu")))
    assert detector.calls == 2
    while GatedFailing.entered.acquire(blocking=False):
        """Runs of the warm-up."""
    GatedFailing.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(detector.infer, [BatchItem(grey_frame(64, 64))], 0)
        assert GatedFailing.entered.acquire(timeout=30)
        prepared_s = detector.expected_s(1)[0]
        second = pool.submit(detector.infer, [BatchItem(grey_frame(64, 64))], 1)
        deadline = time.monotonic() + 30
        while detector.expected_s(1)[0] == prepared_s and time.monotonic() < deadline:
            time.sleep(0.001)
        GatedFailing.gate.set()
        assert [len(future.result(30)[0]) for future in (first, second)] == [1, 1]
    [failing] = Failing.loaded
    assert (failing.runs, failing.runs_after_failure) == (2, 0)


def test_memory_that_is_short_at_the_start_already(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES)
    arrange_failures(1)
    detector = OnnxDetector(path, DetectorOptions(backends=("test-failing", "ort-cpu")))
    assert detector.choices[0].chosen == "ort-cpu" and "out of memory" in detector.degraded[0]
    assert [backend.closed for backend in Failing.loaded] == [1]


def test_the_last_failure_is_raised(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    arrange_failures(3)
    detector = OnnxDetector(path, DetectorOptions(lanes=1, threads=1, backends=("test-failing",)))
    detector.infer([BatchItem(grey_frame(64, 64))])
    for _ in range(2):
        with pytest.raises(DeviceOutOfMemory, match="as arranged"):
            detector.infer([BatchItem(grey_frame(64, 64))])


def test_numbers_meant_for_the_first_device_do_not_bind_the_cpu(tmp_path: Path) -> None:
    """One lane of one thread suits a GPU; a CPU that stands in for it takes all its cores, in as many calls."""
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), ("batch", 3, 64, 64), metadata=NAMES)
    options = DetectorOptions(
        lanes=1, threads=1, batch=8, most_lanes=2, most_batch=4, backends=("test-absent", "ort-cpu")
    )
    detector = OnnxDetector(path, options)
    assert "measured in" in {choice.what: choice.reason for choice in detector.choices}["layout"]


def test_a_stand_in_takes_no_more_calls_than_memory_was_laid_out_for(tmp_path: Path) -> None:
    """Frames are kept for the configured lane and one more, and the stand-in would like two lanes and one more."""
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    key = layout_key(path, OrtCpu.name, OrtCpu.runtime(), Bounds(cores=3, calls=2))
    best = Measured(Layout(2, 1), 100.0, 0.02)
    LayoutCache(tmp_path / "cache" / "camring" / "layouts.json").store(key, [best])
    options = DetectorOptions(lanes=1, threads=1, batch=1, most_lanes=3, backends=("test-absent", "ort-cpu"))
    detector = OnnxDetector(path, options)
    assert (detector.lanes, detector.calls) == (2, 2)


def test_discarded_boxes_are_counted_over_a_failure(tmp_path: Path) -> None:
    bad = (float("nan"), 20, 24, 40, 0.9, 1)
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(bad), metadata=NAMES)
    arrange_failures(4)
    detector = OnnxDetector(path, DetectorOptions(lanes=1, threads=1, backends=("test-failing", "ort-cpu")))
    for _ in range(5):
        detector.infer([BatchItem(grey_frame(64, 64))])
    assert detector.discarded == 5


def test_closing_twice(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions())
    detector.close()
    detector.close()


def test_a_backend_that_nobody_knows_is_a_mistake(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    with pytest.raises(ConfigError, match="did you mean 'ort-cpu'"):
        OnnxDetector(path, DetectorOptions(backends=("ort_cpu",)))
