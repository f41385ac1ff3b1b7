"""Results into video: drawn and encoded once for the file and for whoever looks; what is skipped is counted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from engine.config import CameraConfig, OutputConfig, PoolConfig, RunConfig, StreamConfig
from engine.config.regions import Zone
from engine.errors import OutputError
from engine.outputs import encode
from engine.outputs.recording import existing_parts, existing_segments
from engine.outputs.video import VideoOutput
from engine.types import Packet, PacketFlag, Rendition
from engine.workers import stream
from engine.workers.packets import PacketReader
from engine.workers.results import Camera, open_camera
from engine.workers.stream import open_output, step, tell
from engine.workers.stream_live import LiveVideo
from tests.workers.house import House, Worker, publish_frame, publish_result
from tests.workers.makers import advance_all, end, full_disk, lost, one_object, publish_masked, track

OpenHouse = Callable[[RunConfig], House]
SIZE = (320, 240)
FRAME_S = 0.04


def config_of(folder: Path, *, offline: bool = False, overlay: bool = True, **stream: Any) -> RunConfig:
    return RunConfig(
        "m3-cpu",
        (CameraConfig("a", "test://"),),
        output=OutputConfig(directory=str(folder), overlay=overlay),
        pool=PoolConfig(history=8, result_history=24),
        stream=StreamConfig(**stream),
        offline=offline,
    )


@dataclass
class Stage:
    """A stream worker, somebody who reads its packets, and time that passes as frames come."""

    house: House
    worker: Worker
    camera: Camera
    reader: PacketReader
    packets: list[Packet] = field(default_factory=list)
    asked: int = 0

    @property
    def live(self) -> LiveVideo:
        assert isinstance(self.camera.output, LiveVideo)
        return self.camera.output

    def work(self) -> None:
        """Everything that is there to be done, and what has come of it."""
        while step(self.worker.context, self.camera):
            while (packet := self.reader.next()) is not None:
                self.packets.append(packet)
        while (packet := self.reader.next()) is not None:
            self.packets.append(packet)

    def show(self, count: int, size: tuple[int, int] = SIZE, wants: tuple[str, ...] = ()) -> None:
        """So many frames come, 25 a second, while somebody wants these renditions."""
        for _ in range(count):
            if wants:
                self.ask("stream-want", renditions=list(wants), ttl_s=5.0)
            track(self.house, 1, size=size)
            self.work()
            self.house.clock.advance(FRAME_S)

    def wait(self, seconds: float, wants: tuple[str, ...] = ()) -> None:
        """Nothing comes for so long."""
        for _ in range(round(seconds / 0.25)):
            if wants:
                self.ask("stream-want", renditions=list(wants), ttl_s=5.0)
            self.work()
            self.house.clock.advance(0.25)
        self.work()

    def ask(self, command: str, **fields: Any) -> dict[str, Any] | None:
        """The answer, if there is one at once."""
        self.asked += 1
        message = {"type": "command", "id": f"c{self.asked}", "to": "stream:a", "command": command, **fields}
        self.worker.send(message)
        self.worker.context.tend()
        self.work()
        return self.answer_to(self.asked)

    def answer_to(self, number: int) -> dict[str, Any] | None:
        for answer in self.worker.heard("answer"):
            if answer["id"] == f"c{number}":
                return answer
        return None

    def of(self, rendition: Rendition) -> list[Packet]:
        return [packet for packet in self.packets if packet.meta.rendition is rendition]

    def status(self) -> dict[str, Any]:
        tell(self.worker.context, self.camera)
        told: dict[str, Any] = json.loads(json.dumps(self.worker.context.status))
        return told

    def kill_and_restart(self) -> None:
        """Killed without warning, started again with what it has told."""
        told = self.status()
        if self.camera.output._file is not None and (writer := self.live._file.recording._writer):  # type: ignore[attr-defined, union-attr]  # closed by the kernel
            writer.abandon()
        self.house.kill("stream:a")
        self.worker, self.camera = start(self.house, told)


def start(house: House, before: dict[str, Any] | None = None) -> tuple[Worker, Camera]:
    worker = house.start("stream:a", before)
    worker.context.labels = ("person",)
    return worker, open_camera(worker.context, "a", open_output(worker.context))


@pytest.fixture
def stage_for(open_house: OpenHouse, tmp_path: Path) -> Callable[..., Stage]:
    """Sets up a live stream worker; settings of the section `stream` by name."""

    def make(overlay: bool = True, pool: tuple[int, int] | None = SIZE, **settings: Any) -> Stage:
        output = {key: settings.pop(key) for key in ("segment_s", "style") if key in settings}
        config = config_of(tmp_path, overlay=overlay, **settings)
        house = open_house(replace(config, output=replace(config.output, **output)))
        if pool is not None:
            house.create_frame_pool("a", *pool)
        return Stage(house, *start(house), PacketReader(house.start("control").context.feeds["packets:a"]))

    return make


@pytest.fixture
def stage(stage_for: Callable[..., Stage]) -> Stage:
    return stage_for()


def decoded(packets: list[Packet]) -> list[av.VideoFrame]:
    """Decoded from the first one on, as somebody does who joins there."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    found = [frame for packet in packets for frame in context.decode(av.Packet(packet.data))]
    return found + context.decode(None)


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def grey(frame: av.VideoFrame) -> np.ndarray[Any, Any]:
    return frame.to_ndarray(format="gray")


# --- offline: the file alone ------------------------------------------------------------------------------------------


@pytest.fixture
def offline(open_house: OpenHouse, tmp_path: Path) -> House:
    house = open_house(config_of(tmp_path, offline=True))
    house.create_frame_pool("a", 64, 48)
    return house


def test_offline_a_video_is_drawn_from_the_very_frames(offline: House, tmp_path: Path) -> None:
    worker, camera = start(offline)
    track(offline, 4)
    end(offline)
    assert advance_all(worker.context, camera) == 5
    assert isinstance(camera.output, VideoOutput) and camera.output.frames_written == 4
    assert camera.written == 4 and lost(camera) == {}
    assert list(existing_parts(tmp_path / "a.mp4")) == [1]
    assert sum(offline.memory("frames:a").statistics().leased) == 0
    assert [message["camera"] for message in worker.heard("finished")] == ["a"]


def test_offline_a_killed_worker_goes_on_in_the_next_part(offline: House, tmp_path: Path) -> None:
    worker, camera = start(offline)
    track(offline, 3)
    advance_all(worker.context, camera)
    camera.output.close()
    offline.kill("stream:a")
    worker, camera = start(offline)
    track(offline, 2)
    assert advance_all(worker.context, camera) == 2
    camera.output.close()
    assert sorted(existing_parts(tmp_path / "a.mp4")) == [1, 2]


def test_offline_a_full_disk_is_the_end(offline: House) -> None:
    worker, camera = start(offline)
    track(offline, 8)
    advance_all(worker.context, camera)
    with full_disk(), pytest.raises(OutputError, match="disk full"):
        track(offline, 8)
        advance_all(worker.context, camera)
    camera.output._encoder = None  # type: ignore[attr-defined]  # what it still held is lost with the run


def test_offline_there_is_no_live_video(offline: House) -> None:
    worker, camera = start(offline)
    worker.send({"type": "command", "id": "1", "to": "stream:a", "command": "stream-want",
                 "renditions": ["clean"], "ttl_s": 5.0})  # fmt: skip
    worker.context.tend()
    step(worker.context, camera)
    (answer,) = worker.heard("answer")
    assert (answer["ok"], answer["failure"]) == (False, "conflict") and "no live video" in answer["error"]
    camera.output.close()


# --- live: the file ---------------------------------------------------------------------------------------------------


def test_an_object_is_tinted_in_the_video(stage_for: Callable[..., Stage], tmp_path: Path) -> None:
    stage = stage_for(pool=(64, 48))
    publish_masked(stage.house, 8, count=4)
    stage.work()
    stage.live.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        *_, picture = container.decode(video=0)
        rgb = picture.to_ndarray(format="rgb24").astype(int)
    assert np.ptp(rgb[24, 55]) < 12, "grey where nothing is"
    inside = rgb[20:27, 6:14].reshape(-1, 3)  # between label and status line
    assert (np.ptp(inside, axis=1) > 40).mean() > 0.9


def test_nobody_looks_and_only_the_file_is_written(stage: Stage, tmp_path: Path) -> None:
    stage.show(60)
    stage.live.close()
    assert stage.packets == [] and count_frames(tmp_path / "a.mp4") == 60
    told = stage.status()["video"]
    assert told["recording"]["frames"] == 60 and told["recording"]["state"] == "recording"
    assert told["renditions"]["overlay"]["running"] is False  # closed with its file
    assert told["renditions"]["overlay"]["keyframes"] == 2 and told["renditions"]["clean"]["frames"] == 0


def test_nothing_wanted_costs_nothing(stage_for: Callable[..., Stage], tmp_path: Path) -> None:
    stage = stage_for(overlay=False)
    stage.show(5)
    assert stage.camera.written == 5 and stage.status()["video"]["draw"]["counts"] == {}
    assert [path for path in tmp_path.iterdir() if path.suffix == ".mp4"] == []


def test_a_result_whose_frame_is_gone_is_counted_and_not_as_written(stage: Stage) -> None:
    frames, tracks = stage.house.producer("frames:a"), stage.house.producer("tracks:a")
    for index in range(stage.house.memory("frames:a").layout.slots + 2):
        publish_frame(frames, index, size=SIZE)
    for seq in (1, 2, frames.newest_seq()):
        publish_result(tracks, seq, one_object(seq), size=SIZE)
    stage.work()
    assert lost(stage.camera) == {"frame_gone": 2} and stage.camera.written == 1
    stage.live.close()


def test_a_result_waits_for_the_pool_of_its_frame(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(pool=None)
    publish_result(stage.house.producer("tracks:a"), 1, one_object(1), size=SIZE)
    stage.work()
    assert stage.camera.written == 0
    stage.house.create_frame_pool("a", *SIZE)
    publish_frame(stage.house.producer("frames:a"), 0, size=SIZE)
    stage.worker.context.tend()
    stage.work()
    assert stage.camera.written == 1 and lost(stage.camera) == {}
    stage.live.close()


def test_segments_are_cut_at_key_frames_of_the_one_encoder(
    stage_for: Callable[..., Stage], tmp_path: Path
) -> None:
    stage = stage_for(segment_s=1.0)
    stage.show(60, wants=("overlay",))
    stage.live.close()
    segments = existing_segments(tmp_path / "a.mp4")
    assert [count_frames(path) for path in segments] == [25, 25, 10]
    assert [n for n, packet in enumerate(stage.of(Rendition.OVERLAY)) if packet.meta.keyframe] == [0, 25, 50]


def test_a_full_disk_costs_the_file_and_no_viewer(stage: Stage, tmp_path: Path) -> None:
    stage.show(60, wants=("overlay",))
    with full_disk(5000):
        stage.show(110, wants=("overlay",))
        told = stage.status()
        assert told["video"]["recording"]["state"] == "disk full"
        assert "disk full" in told["degraded"][0] and told["degraded"][0].startswith("a: ")
    stage.show(130, wants=("overlay",))
    told = stage.status()
    assert told["video"]["recording"]["state"] == "recording" and told["degraded"] == []
    assert len(stage.of(Rendition.OVERLAY)) == 300, "viewers have lost pictures"
    stage.live.close()
    recording = stage.status()["video"]["recording"]
    parts = existing_parts(tmp_path / "a.mp4")
    assert len(parts) == 2 and sum(count_frames(part) for part in parts.values()) == recording["frames"]
    assert recording["frames"] + recording["dropped"]["output_failed"] == 300
    assert recording["dropped"]["output_failed"] >= 100
    errors = [each["text"] for each in stage.worker.heard("log") if each["level"] == "error"]
    assert errors == [], "said by the module's logger, once"


# --- live: those who look ---------------------------------------------------------------------------------------------


def test_packets_come_while_somebody_wants_them(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False)
    answer = stage.ask("stream-want", renditions=["clean", "overlay"], ttl_s=1.0)
    assert answer is not None and answer["ok"]
    assert answer["result"]["renditions"]["clean"]["encoder"] == "libx264"
    stage.show(40)
    clean, overlay = stage.of(Rendition.CLEAN), stage.of(Rendition.OVERLAY)
    assert len(clean) == len(overlay) == 25, "one second at 25 frames/s"
    for packets in (clean, overlay):
        assert [packet.meta.number for packet in packets] == list(range(1, 26))
        assert [packet.meta.frame_index for packet in packets] == list(range(25))
        assert packets[0].meta.flags == PacketFlag.KEYFRAME | PacketFlag.DISCONTINUITY
        assert not any(packet.meta.flags for packet in packets[1:])
        assert (packets[0].meta.width, packets[0].meta.height) == SIZE
        steps = np.diff([packet.meta.captured_ns for packet in packets])
        assert (steps == 40_000_000).all()
        assert packets[3].meta.wall_ns - packets[3].meta.captured_ns == 10**18
        assert len(decoded(packets)) == 25
    marked = np.abs(grey(decoded(overlay)[5]).astype(int) - grey(decoded(clean)[5]))
    assert (marked > 30).sum() > 100, "nothing is drawn"
    assert not any(lane.running for lane in stage.live.video.values()), "encoders of nobody"


def test_ffprobe_reads_the_packets_as_a_file(stage: Stage, tmp_path: Path, ffprobe: str) -> None:
    stage.show(55, wants=("clean",))
    path = tmp_path / "packets.h264"
    path.write_bytes(b"".join(packet.data for packet in stage.of(Rendition.CLEAN)))
    told = subprocess.run(
        [ffprobe, "-v", "error", "-count_frames", "-show_entries",
         "stream=profile,width,height,nb_read_frames,has_b_frames", "-of", "json", path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stderr == ""
    assert json.loads(told.stdout)["streams"] == [
        {
            "profile": "Constrained Baseline",
            "width": 320,
            "height": 240,
            "has_b_frames": 0,
            "nb_read_frames": "55",
        }
    ]
    stage.live.close()


def test_viewers_and_file_get_the_same_packets(stage: Stage, tmp_path: Path) -> None:
    stage.show(30, wants=("overlay",))
    stage.live.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        recorded = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    live = [packet.data for packet in stage.of(Rendition.OVERLAY)]
    assert [data[-6:] for data in recorded] == [data[-6:] for data in live]
    assert stage.status()["video"]["renditions"]["overlay"]["frames"] == 30, "encoded more than once"


def test_who_comes_later_begins_at_a_key_frame_of_the_running_encoder(stage: Stage) -> None:
    stage.show(10)
    stage.show(5, wants=("overlay",))
    packets = stage.of(Rendition.OVERLAY)
    assert packets[0].meta.flags == PacketFlag.KEYFRAME | PacketFlag.DISCONTINUITY
    assert [packet.meta.frame_index for packet in packets] == [10, 11, 12, 13, 14]
    assert len(decoded(packets)) == 5
    stage.wait(6.0)
    stage.show(3, wants=("overlay",))
    begun = [packet for packet in stage.of(Rendition.OVERLAY) if packet.meta.flags & PacketFlag.DISCONTINUITY]
    assert len(begun) == 2 and begun[1].meta.keyframe and begun[1].meta.flags & PacketFlag.NO_SIGNAL
    back = stage.of(Rendition.OVERLAY)[-3]
    assert back.meta.flags == PacketFlag.KEYFRAME and back.meta.frame_index == 15
    stage.live.close()


def test_key_frames_come_when_asked_for_and_at_most_twice_a_second(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False)
    for n in range(40):
        if n in (5, 20, 21, 22):
            answer = stage.ask("stream-keyframe", rendition="clean")
            assert answer is not None and answer["ok"]
        stage.show(1, wants=("clean",))
    keyframes = [packet.meta.frame_index for packet in stage.of(Rendition.CLEAN) if packet.meta.keyframe]
    assert keyframes == [0, 13, 26], "asked for at 5 and 20 and put off to half a second after the one before"


def test_a_killed_worker_goes_on_numbering_and_says_that_it_is_another_encoder(
    stage: Stage, tmp_path: Path
) -> None:
    stage.show(10, wants=("overlay", "clean"))
    stage.kill_and_restart()
    stage.show(10, wants=("overlay", "clean"))
    for rendition in (Rendition.OVERLAY, Rendition.CLEAN):
        packets = stage.of(rendition)
        assert [packet.meta.number for packet in packets] == list(range(1, 21))
        assert packets[10].meta.flags == PacketFlag.KEYFRAME | PacketFlag.DISCONTINUITY
        assert (np.diff([packet.meta.captured_ns for packet in packets]) > 0).all()
    assert stage.reader.lost == dict.fromkeys(Rendition, 0)
    told = stage.status()["video"]["renditions"]["clean"]
    assert told["frames"] == 20 and told["keyframes"] == 2
    stage.live.close()
    assert stage.camera.written == 20


def test_a_destination_in_the_configuration_is_always_encoded_for(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False, publish=("rtmp://127.0.0.1/live/{camera}",), view="clean")
    stage.show(3)
    assert len(stage.of(Rendition.CLEAN)) == len(stage.packets) == 3


def test_another_size_is_another_encoder(stage: Stage, tmp_path: Path) -> None:
    stage.show(5, wants=("overlay",))
    stage.house.create_frame_pool("a", 160, 120)
    stage.show(5, (160, 120), wants=("overlay",))
    packets = stage.of(Rendition.OVERLAY)
    assert [packet.meta.width for packet in packets] == [320] * 5 + [160] * 5
    assert packets[5].meta.flags == PacketFlag.KEYFRAME | PacketFlag.DISCONTINUITY
    assert [packet.meta.number for packet in packets] == list(range(1, 11))
    stage.live.close()
    assert {n: count_frames(path) for n, path in existing_parts(tmp_path / "a.mp4").items()} == {1: 5, 2: 5}


def test_viewers_get_the_newest_where_the_worker_falls_behind_and_the_file_gets_all(
    stage: Stage, tmp_path: Path
) -> None:
    stage.show(5, wants=("overlay", "clean"))
    track(stage.house, 8, size=SIZE)
    stage.work()
    stage.show(5, wants=("overlay", "clean"))
    renditions = stage.status()["video"]["renditions"]
    behind = renditions["clean"]["dropped"]["encoder_behind"]
    assert 5 <= behind <= 7 and "encoder_behind" not in renditions["overlay"]["dropped"]
    clean = [packet.meta.frame_index for packet in stage.of(Rendition.CLEAN)]
    assert len(clean) == 18 - behind and clean[-6:] == [12, 13, 14, 15, 16, 17], "not with the newest"
    assert len(decoded(stage.of(Rendition.CLEAN))) == len(clean)
    stage.live.close()
    assert count_frames(tmp_path / "a.mp4") == 18


def test_an_encoder_that_fails_is_counted_said_and_tried_again(
    stage_for: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_for(overlay=False)
    stage.show(3, wants=("clean", "overlay"))

    def breaks(self: encode.Encoder, *arguments: Any) -> list[encode.EncodedPicture]:
        raise OutputError("encoder libx264 failed after 3 pictures: Cannot allocate memory")

    with monkeypatch.context() as place:
        place.setattr(stage.live.video[Rendition.CLEAN]._encoder, "encode", breaks.__get__(None, object))
        stage.show(1, wants=("clean", "overlay"))
    assert "Cannot allocate memory" in stage.status()["degraded"][0]
    stage.show(60, wants=("clean", "overlay"))
    told = stage.status()
    assert told["degraded"] == [] and len(stage.of(Rendition.OVERLAY)) == 64
    failed = told["video"]["renditions"]["clean"]["dropped"]["encoder_failed"]
    assert failed == 50, "one that broke it, and two seconds"
    packets = stage.of(Rendition.CLEAN)
    assert len(packets) == 64 - failed
    assert packets[3].meta.flags == PacketFlag.KEYFRAME | PacketFlag.DISCONTINUITY


def test_where_the_encoder_in_hardware_fails_the_cpu_takes_over(stage_for: Callable[..., Stage]) -> None:
    """Consumer cards encode a few streams and no more, whatever a probe has said."""
    stage = stage_for(overlay=False)
    for video in stage.live.video.values():
        if "libx264" not in encode.available_encoders() or "h264_v4l2m2m" not in encode.available_encoders():
            pytest.skip("this build of FFmpeg has not both encoders")
        video.configure(replace(video.settings, name="h264_v4l2m2m"), "encodes in hardware", "auto")
    stage.show(60, wants=("clean",))
    told = stage.status()
    clean = told["video"]["renditions"]["clean"]
    assert clean["encoder"] == "libx264" and "h264_v4l2m2m does not start here" in clean["reason"]
    assert clean["dropped"] == {"encoder_failed": 50} and len(stage.of(Rendition.CLEAN)) == 10
    assert told["degraded"] == []


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture_in(packet: Packet) -> np.ndarray[Any, Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(packet.data, np.uint8), cv2.IMREAD_COLOR))


def test_jpegs_come_no_faster_than_asked_for(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False, jpeg_fps=5.0)
    stage.show(50, wants=("overlay_jpeg",))
    packets = stage.of(Rendition.OVERLAY_JPEG)
    assert 9 <= len(packets) <= 11
    assert all(packet.meta.keyframe for packet in packets)
    assert picture_in(packets[0]).shape == (240, 320, 3)


def test_one_drawn_picture_serves_video_and_jpeg(stage: Stage) -> None:
    stage.show(10, wants=("overlay", "overlay_jpeg"))
    told = stage.status()["video"]
    assert sum(told["draw"]["counts"].values()) == 10
    jpeg = picture_in(stage.of(Rendition.OVERLAY_JPEG)[0]).mean(axis=2)
    video = decoded(stage.of(Rendition.OVERLAY))[0].to_ndarray(format="bgr24").mean(axis=2)
    assert np.abs(jpeg - video).mean() < 4
    stage.live.close()


def test_a_snapshot_is_made_from_the_next_result(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False)
    stage.show(3)
    assert stage.ask("stream-snapshot", rendition="clean_jpeg", quality=95) is None, (
        "before there was a picture"
    )
    asked = stage.asked
    stage.show(1)
    answer = stage.answer_to(asked)
    assert answer is not None and answer["result"] == {"number": 1}
    (packet,) = stage.packets
    assert (packet.meta.rendition, packet.meta.number) == (Rendition.CLEAN_JPEG, 1)
    assert packet.meta.frame_index == 3 and not packet.meta.flags & PacketFlag.NO_SIGNAL
    assert abs(picture_in(packet).mean() - (100 - 16) * 255 / 219) < 3
    stage.show(2)
    assert len(stage.packets) == 1


def test_a_snapshot_without_any_picture_says_so(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False, pool=None)
    stage.ask("stream-snapshot", rendition="overlay_jpeg", quality=0)
    asked = stage.asked
    stage.wait(2.0)
    answer = stage.answer_to(asked)
    assert answer is not None and answer["ok"]
    (packet,) = stage.packets
    assert packet.meta.flags & PacketFlag.NO_SIGNAL and picture_in(packet).shape == (360, 640, 3)


# --- no signal --------------------------------------------------------------------------------------------------------


def test_viewers_see_no_signal_and_the_file_does_not(stage: Stage, tmp_path: Path) -> None:
    wants = ("overlay", "clean", "clean_jpeg")
    stage.show(20, wants=wants)
    stage.wait(2.75, wants=wants)
    assert len(stage.of(Rendition.CLEAN)) == 20, "too early"
    stage.wait(5.0, wants=wants)
    for rendition in (Rendition.OVERLAY, Rendition.CLEAN):
        silent = stage.of(rendition)[20:]
        assert 8 <= len(silent) <= 11, "two a second"
        assert all(packet.meta.flags & PacketFlag.NO_SIGNAL for packet in silent)
        assert all(packet.meta.frame_index == -1 for packet in silent)
        assert silent[0].meta.keyframe
        assert (np.diff([packet.meta.captured_ns for packet in stage.of(rendition)]) > 0).all()
    assert stage.status()["video"]["no_signal"] is True
    before = len(stage.of(Rendition.CLEAN))
    stage.show(10, wants=wants)
    back = stage.of(Rendition.CLEAN)[before:]
    assert len(back) == 10 and back[0].meta.keyframe and not back[0].meta.flags & PacketFlag.NO_SIGNAL
    assert stage.status()["video"]["no_signal"] is False
    jpegs = stage.of(Rendition.CLEAN_JPEG)
    assert (np.diff([packet.meta.captured_ns for packet in jpegs]) > 0).all()
    assert sum(bool(packet.meta.flags & PacketFlag.NO_SIGNAL) for packet in jpegs) >= 8
    frames = decoded(stage.of(Rendition.OVERLAY))
    bright, dark = grey(frames[19]).mean(), grey(frames[25]).mean()
    assert dark < 0.6 * bright and grey(frames[25]).max() > 180, "neither darkened nor written on"
    assert abs(grey(frames[-1]).mean() - bright) < 4
    stage.live.close()
    assert count_frames(tmp_path / "a.mp4") == 30
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert min(grey(frame).mean() for frame in container.decode(video=0)) > 0.8 * bright


def test_before_the_first_picture_there_is_a_slate_and_then_another_encoder(
    stage_for: Callable[..., Stage],
) -> None:
    stage = stage_for(pool=None)
    stage.wait(4.0, wants=("clean",))
    slates = stage.of(Rendition.CLEAN)
    assert slates and (slates[0].meta.width, slates[0].meta.height) == (640, 360)
    stage.house.create_frame_pool("a", *SIZE)
    stage.worker.context.tend()
    stage.show(2, wants=("clean",))
    first = stage.of(Rendition.CLEAN)[len(slates)]
    assert first.meta.flags == PacketFlag.KEYFRAME | PacketFlag.DISCONTINUITY
    assert (first.meta.width, first.meta.height) == SIZE
    stage.live.close()


def test_persons_that_are_hidden_are_not_shown_by_the_last_picture(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False, style="privacy")
    stage.show(3, wants=("overlay",))
    stage.wait(4.0, wants=("overlay",))
    last = grey(decoded(stage.of(Rendition.OVERLAY))[-1])
    assert np.percentile(last, 50) < 30, "the last picture shows through"


def test_a_camera_that_is_looked_at_rarely_is_not_silent_in_between(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False)
    rare = tuple(replace(camera, infer_fps=0.2) for camera in stage.house.config.cameras)
    stage.worker.context.config = replace(stage.worker.context.config, cameras=rare)
    stage.show(1, wants=("clean",))
    stage.wait(12.0, wants=("clean",))
    assert len(stage.packets) == 1
    stage.wait(1.0, wants=("clean",))
    assert len(stage.packets) > 1


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "fields", "words"),
    [
        ("stream-want", {"renditions": ["fancy"], "ttl_s": 5.0}, "overlay, clean, overlay_jpeg, clean_jpeg"),
        ("stream-want", {"renditions": [], "ttl_s": 5.0}, "renditions"),
        ("stream-want", {"renditions": ["clean"], "ttl_s": 3600.0}, "at most 60"),
        ("stream-keyframe", {"rendition": "clean_jpeg"}, "overlay or clean"),
        ("stream-snapshot", {"rendition": "clean", "quality": 5}, "overlay_jpeg or clean_jpeg"),
        ("stream-snapshot", {"rendition": "clean_jpeg", "quality": 101}, "1 to 100"),
        ("stream-dance", {}, "unknown command"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    stage: Stage, command: str, fields: dict[str, Any], words: str
) -> None:
    answer = stage.ask(command, **fields)
    assert answer is not None and not answer["ok"] and words in answer["error"]
    assert answer["failure"] == "invalid" and "\n" not in answer["error"]


def test_other_zones_are_drawn_and_their_counts_begin_anew(stage_for: Callable[..., Stage]) -> None:
    stage = stage_for(overlay=False)
    stage.worker.context.on_config = stage.live.configured
    stage.show(2, wants=("overlay",))
    memory = stage.live._memory
    before = stage.worker.context.config
    faster = replace(before, cameras=(replace(before.cameras[0], infer_fps=5.0),))
    stage.live.configured(before, faster)
    assert stage.live._memory is memory
    zone = Zone("yard", ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)))
    stage.live.configured(before, replace(before, cameras=(replace(before.cameras[0], zones=(zone,)),)))
    assert stage.live._memory is not memory and not stage.live._memory.tally.known


def test_wants_are_answered_while_the_class_names_are_awaited(stage_for: Callable[..., Stage]) -> None:
    """A detector may load for a minute; viewers are connected meanwhile."""
    stage = stage_for(overlay=False)
    stage.worker.context.labels = None
    track(stage.house, 1, size=SIZE)
    answer = stage.ask("stream-want", renditions=["clean"], ttl_s=5.0)
    assert answer is not None and answer["ok"] and stage.camera.written == 0
    stage.worker.context.labels = ("person",)
    stage.work()
    assert stage.camera.written == 1 and len(stage.packets) == 1


def test_the_loop_writes_what_is_in_flight_when_told_to_stop(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nice: list[int] = []
    before = os.getpriority(os.PRIO_PROCESS, 0)
    monkeypatch.setattr(os, "setpriority", lambda which, who, priority: nice.append(priority))
    track(stage.house, 3, size=SIZE)
    stage.camera.output.close()
    stage.house.kill("stream:a")
    worker = stage.house.start("stream:a")
    worker.send({"type": "labels", "labels": ["person"]})
    worker.send({"type": "stop"})
    stream.run(worker.context)
    assert nice == [before + stream.GIVES_WAY]
    assert worker.context.stop_grace_s is None, "would be cut off while it finishes its file"
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
