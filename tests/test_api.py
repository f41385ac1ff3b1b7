"""The Python API with real runs: results and frames of its own, worker deaths, errors, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.api import Engine
from engine.api_run import key_of, load
from engine.errors import CommandError, ConfigError, EngineError, ModelNotFound
from engine.outputs.jsonl import frame_schema

pytestmark = pytest.mark.filterwarnings("error")
FRAMES = 30


def workers() -> list[int]:
    """Processes that this one has started and that are still there."""
    listed = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout
    command = {int(pid): Path(f"/proc/{pid}/cmdline") for pid in listed.split()}
    return [pid for pid, file in command.items() if file.exists() and b"engine.workers" in file.read_bytes()]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A light square that wanders over grey, in BT.709."""
    import av

    path = tmp_path_factory.mktemp("api") / "square.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "crf": "10"}
        for number in range(FRAMES):
            rgb = np.full((240, 320, 3), 90, np.uint8)
            rgb[60:140, 20 + 6 * number : 90 + 6 * number] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def offline(video: Path, **settings: object) -> Engine:
    return Engine.from_profile("m3-cpu", sources=[str(video)], infer_model="motion", offline=True, **settings)  # type: ignore[arg-type]  # settings are objects


def test_every_frame_of_a_file_once_with_its_picture(video: Path) -> None:
    numbers, means = [], []
    with offline(video) as run:
        assert run.cameras == ["cam0"]
        for result in run.results(timeout_s=60):
            frame = result.frame
            assert frame is not None and not frame.y.flags.writeable and not frame.uv.flags.writeable
            assert frame.meta.index == result.frame_number and frame.y.shape == (240, 320)
            with pytest.raises(ValueError, match="read-only"):
                frame.y[0, 0] = 1
            numbers.append(result.frame_number)
            means.append(float(frame.to_bgr().mean()))
            lengths = [len(each) for each in (result.boxes_xyxy, result.scores, result.labels, result.states)]
            assert lengths == [len(result.ids)] * 4
            assert result.skipped == result.lost == 0 and (result.width, result.height) == (320, 240)
            last = result
        assert run.lost() == {"cam0": {}}
    assert numbers == list(range(FRAMES))
    assert all(97 < mean < 102 for mean in means)
    # What was said of the last frame stays; its picture does not.
    assert last.record()["frame"] == FRAMES - 1 and set(last.record()) <= set(frame_schema()["properties"])
    assert last.frame is not None and last.frame.released
    with pytest.raises(ValueError, match="released"):
        _ = last.frame.y
    assert workers() == []


def test_objects_are_what_the_file_shows(video: Path) -> None:
    with offline(video, frames=False) as run:
        results = list(run.results(timeout_s=60))
    assert all(result.frame is None for result in results)
    assert all(result.boxes_xyxy.flags.owndata for result in results), (
        "no view of memory that is written over"
    )
    assert all(result.raw.events.kinds.flags.owndata for result in results)
    seen = [result for result in results if (result.ids > 0).any()]
    assert len(seen) > FRAMES // 3
    last = seen[-1]
    left = 20 + 6 * last.frame_number
    away = np.abs(last.boxes_xyxy - np.array((left, 60, left + 70, 140))).max(axis=1)
    assert away.min() < 40, (last.boxes_xyxy, left)
    assert set(last.labels) == {"motion"} and "confirmed" in last.states


def test_a_program_is_told_which_model_stands_in(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("XDG_CACHE_HOME", str(tmp_path)),
        ("ENGINE_MODELS", str(tmp_path)),
        ("no_proxy", ""),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # which nobody serves: a network that says no
    run = Engine.from_profile("m3-cpu", sources=[str(video)], infer_model="yolox_nano", offline=True)
    with run:
        told = {result.degraded for result in run.results(timeout_s=60)}
    ((line,),) = told
    assert line.startswith(
        "embedded model nano_det in use because yolox_nano cannot be fetched (github.com: "
    )
    required = Engine.from_profile(
        "m3-cpu", sources=[str(video)], infer_model="yolox_nano", infer_require_model=True, offline=True
    )
    with pytest.raises(ModelNotFound, match="could not be fetched"), required:
        pass


@pytest.mark.data
def test_masks_come_without_any_file_being_written(data_dir: Path) -> None:
    clip, weights = data_dir / "clips/pets09_s2l1_0001-0320.mp4", "yolov8n-seg_320_f32_dynbatch"
    model = data_dir / "weights" / f"{weights}.onnx"
    with Engine.from_profile("m3-cpu", sources=str(clip), infer_model=str(model), offline=True) as run:
        result = next(each for each in run.results(timeout_s=60) if len(each.ids) > 3)
    assert result.masks is not None
    mask, (left, top, right, bottom) = result.mask(0), result.boxes_xyxy[0]
    assert mask is not None and mask.shape == (result.height, result.width)
    rows, columns = np.nonzero(mask)
    assert left - 2 <= columns.min() and columns.max() <= right + 2 and mask.sum() > 200
    assert top - 2 <= rows.min() and rows.max() <= bottom + 2


def test_a_killed_worker_does_not_break_the_iteration(video: Path) -> None:
    numbers = []
    with offline(video) as run:
        for result in run.results(timeout_s=60):
            numbers.append(result.frame_number)
            if len(numbers) == 8:
                pid = run.health()["processes"]["track"]["pid"]
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
        assert run.health()["processes"]["track"]["restarts"] == 1
    assert numbers == list(range(FRAMES))


def test_leaving_early_leaves_no_process_and_frames_let_go_of(caplog: pytest.LogCaptureFixture) -> None:
    with Engine.from_profile("m3-cpu", sources=["test://", "b=test://"], infer_model="motion") as run:
        assert run.cameras == ["cam0", "b"]
        results = run.results(["b"], timeout_s=60)
        # The first frames are gone by the time the detector is up.
        first = next(result for result in results if result.frame is not None)
        second = next(results)
        assert first.camera == second.camera == "b" and second.frame_number > first.frame_number
        assert first.frame is not None and first.frame.released and second.frame is not None
        kept = second.frame.copy()
        running = [run.running]
        assert workers()
        with pytest.raises(CommandError, match="no segmentation"):
            run.prompt("b", points=[(10, 10)])
        with pytest.raises(CommandError, match="boxess"):
            run.set_mode("b", "boxess")
    running.append(run.running)
    assert workers() == [] and running == [True, False]
    assert "api: did not stop" not in caplog.text, "an iteration that was left half way holds nothing up"
    assert kept.y.shape == (720, 1280) and second.frame.released
    run.stop()


def test_a_slow_program_may_ask_for_the_newest() -> None:
    with Engine.from_profile("m3-cpu", sources=["test://"], infer_model="motion") as run:
        ages, results = [], run.results(newest=True, timeout_s=60)
        next(results)
        for _ in range(4):
            time.sleep(0.3)
            result = next(results)
            total_ms = result.latency_ms["total"]
            assert total_ms is not None
            ages.append(total_ms)
        assert run.lost()["cam0"]["passed_over"] >= 8
    assert min(ages) < 150


def test_waiting_for_nothing_ends_with_an_error() -> None:
    nobody = Engine.from_profile("m3-cpu", sources=["rtsp://127.0.0.1:9/none"], infer_model="motion")
    with nobody as run, pytest.raises(TimeoutError, match=r"no result for 0\.6 s"):
        next(run.results(timeout_s=0.6))
    assert workers() == []


def test_errors_are_those_of_the_engine(video: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"infer_modle.*infer_model"):
        Engine.from_profile("m3-cpu", sources=["test://"], infer_modle="motion")
    with pytest.raises(ConfigError, match="sources"):
        Engine.from_profile("m3-cpu")
    with pytest.raises(ModelNotFound):
        Engine.from_profile("m3-cpu", sources=["test://"], infer_model="/none.onnx").start()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    with offline(broken) as run, pytest.raises(EngineError, match=r"decode:cam0: .*broken\.mp4") as caught:
        list(run.results(timeout_s=60))
    assert type(caught.value).__name__ == "SourceUnsupported"
    with pytest.raises(EngineError, match=r"broken\.mp4"), offline(broken) as run:
        while run.running:  # nobody reads
            time.sleep(0.05)
    with pytest.raises(CommandError, match="not started"):
        next(offline(video).results())
    assert workers() == []


def test_settings_are_keywords_or_dotted_names(tmp_path: Path) -> None:
    assert key_of("infer_model") == key_of("infer.model") == "infer.model"
    assert key_of("offline") == "offline" and key_of("output_directory") == "output.directory"
    config = load(
        "m3-cpu", "a=test://", None, {"output.jsonl": True, "output_directory": str(tmp_path)}
    ).config
    assert config.output.jsonl and not config.output.overlay and not config.control.enabled and config.api
    assert config.output.directory == str(tmp_path) and config.cameras[0].name == "a"
    served = load("m3-cpu", ["test://"], None, {"control.port": 0}).config
    assert served.control.enabled and not served.output.jsonl
    with pytest.raises(ConfigError, match=r"pool\.history"):
        load("m3-cpu", ["test://"], None, {"pool.history": 55, "infer.lanes": 1})


def test_ctrl_c_leaves_no_process_behind() -> None:
    """In a program of its own, which a terminal would interrupt."""
    code = (
        "import os\n"
        "from engine import Engine\n"
        "with Engine.from_profile('m3-cpu', sources=['test://'], infer_model='motion') as run:\n"
        "    for number, result in enumerate(run.results()):\n"
        "        if number == 3:\n"
        "            pids = [p['pid'] for p in run.health()['processes'].values()]\n"
        "            print(*pids, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, start_new_session=True, preexec_fn=_hear_interrupts) as program:  # fmt: skip
        assert program.stdout is not None and program.stderr is not None
        pids = [int(pid) for pid in program.stdout.readline().split() if int(pid) != program.pid]
        assert pids
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=30)
    assert "KeyboardInterrupt" in said and program.returncode in (-signal.SIGINT, 130)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def _hear_interrupts() -> None:
    """Also where the tests run in the background, and interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_importing_the_engine_stays_light() -> None:
    code = (
        "import sys, engine; print(sorted({'numpy', 'cv2', 'engine.api'} & set(sys.modules)), engine.Engine)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] <class 'engine.api.Engine'>")
    assert engine.Engine is Engine
    with pytest.raises(AttributeError):
        _ = engine.Motor
