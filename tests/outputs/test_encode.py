"""The encoder by itself: which there are, and that a frame comes back as it went in."""

from __future__ import annotations

import re
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from engine.errors import OutputError
from engine.outputs import encode
from engine.outputs.encode import (
    EncodedPicture,
    Encoder,
    EncoderPicture,
    EncoderSettings,
    PictureFormat,
    available_encoders,
    check_encoder,
    choose_encoder,
    most_kbps,
    picture_of,
)
from engine.types import ColourMatrix
from tests.outputs.results import make_frame

MS = 1_000_000


def test_the_default_encoder_opens() -> None:
    assert "libx264" in available_encoders()
    check_encoder(EncoderSettings())


def test_an_unknown_encoder_is_named_with_the_nearest_and_all_others() -> None:
    with pytest.raises(OutputError, match=r"'libx246' is not.*did you mean 'libx264'.*available: .*libx264"):
        check_encoder(EncoderSettings("libx246"))
    with pytest.raises(OutputError, match="available:"):
        check_encoder(EncoderSettings("mpeg4"))  # there, but no H.264
    with pytest.raises(OutputError, match="available:"):
        check_encoder(EncoderSettings("h264"))  # the name of a codec, not of an encoder


@pytest.mark.parametrize("settings", [EncoderSettings(preset="quickish"), EncoderSettings("h264_qsv")])
def test_an_encoder_that_does_not_open_says_so(settings: EncoderSettings) -> None:
    try:
        check_encoder(settings)
    except OutputError as error:
        assert f"encoder {settings.name} does not start here" in str(error)
        assert "choose libx264" in str(error)
    else:
        pytest.skip(f"{settings.name} works on this machine")


def encoded_by(encoder: Encoder, pictures: list[EncoderPicture], step_ms: int = 40) -> list[EncodedPicture]:
    found = [each for n, picture in enumerate(pictures) for each in encoder.encode(picture, n * step_ms * MS)]
    return [*found, *encoder.flush()]


def decoded(packets: list[EncodedPicture]) -> list[av.VideoFrame]:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    return [
        frame for data in (*(packet.data for packet in packets), None)
        for frame in context.decode(av.Packet(data) if data else None)
    ]  # fmt: skip


def nal_types(data: bytes) -> list[int]:
    """Types of the units of an access unit, in order (H.264 table 7-1)."""
    return [data[at.end()] & 31 for at in re.finditer(rb"\x00\x00\x01", data)]


@pytest.mark.parametrize("size", [(64, 48), (65, 48), (64, 49), (321, 241), (1, 1)])
def test_the_copy_is_exact_and_padded_with_its_edge(size: tuple[int, int]) -> None:
    frame = make_frame(*size)
    rng = np.random.default_rng(3)
    frame.y[:] = rng.integers(16, 235, frame.y.shape)
    frame.uv[:] = rng.integers(16, 240, frame.uv.shape)
    picture = picture_of(frame)
    np.testing.assert_array_equal(picture.y, frame.y)
    np.testing.assert_array_equal(picture.uv, frame.uv)
    even = (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert (picture.frame.height, picture.frame.width) == even
    encoder = Encoder(PictureFormat.of(frame), EncoderSettings())
    (back,) = decoded(encoded_by(encoder, [picture]))
    assert (back.height, back.width) == even


def test_padding_repeats_the_last_row_and_column() -> None:
    frame = make_frame(65, 49)
    frame.y[:, -1] = np.arange(49) + 20
    frame.y[-1, :] = np.arange(65) + 100
    plane = picture_of(frame).frame.planes[0]
    y = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    np.testing.assert_array_equal(y[:49, 65], frame.y[:, -1])
    np.testing.assert_array_equal(y[49, :65], frame.y[-1, :])


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", list(ColourMatrix))
@pytest.mark.parametrize("live", [False, True])
def test_colours_come_back_and_the_stream_says_how_to_read_them(
    matrix: ColourMatrix, full_range: bool, live: bool
) -> None:
    frame = make_frame(160, 96, matrix=matrix, full_range=full_range)
    frame.y[:, 40:80] = 81
    frame.uv[:, 20:40] = (90, 240)
    encoder = Encoder(PictureFormat.of(frame), EncoderSettings(crf=10, live=live))
    (back,) = decoded(encoded_by(encoder, [picture_of(frame)]))
    assert back.colorspace == {ColourMatrix.BT601: 6, ColourMatrix.BT709: 1}[matrix]
    assert back.color_range == (2 if full_range else 1)
    planes = back.reformat(format="yuv444p", dst_color_range=back.color_range).to_ndarray()
    for plane, inside, outside in zip(planes, (81, 90, 240), (110, 128, 128), strict=True):
        assert abs(float(plane[20:70, 50:70].mean()) - inside) < 3
        assert abs(float(plane[20:70, 100:150].mean()) - outside) < 3


def test_key_frames_come_by_time_and_when_asked_for() -> None:
    frame = make_frame(64, 48)
    encoder = Encoder(PictureFormat.of(frame), EncoderSettings(keyframe_s=1.0), 25.0)
    times_ms = [0, 0, 40, 500, 990, 1000, 1010, 3000, 3100, 4050]
    found = [
        packet for time_ms in times_ms
        for packet in encoder.encode(picture_of(frame), time_ms * MS, keyframe=time_ms == 500)
    ]  # fmt: skip
    found += encoder.flush()
    assert [packet.time_ns // MS for packet in found] == times_ms
    assert [packet.keyframe for packet in found] == [i in (0, 3, 7, 9) for i in range(10)]


def noisy(count: int, size: tuple[int, int] = (640, 360), scene: int = 0) -> list[EncoderPicture]:
    """Pictures that are hard to encode: a texture that moves on a little."""
    rng = np.random.default_rng(scene)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (size[1], size[0]), dtype=np.uint8), (0, 0), 0.7)
    pictures = []
    for n in range(count):
        frame = make_frame(*size, n)
        frame.y[:] = np.roll(texture, 3 * n, axis=1)
        pictures.append(picture_of(frame))
    return pictures


LIVE = EncoderSettings(live=True, keyframe_s=2.0)


def keeps_the_promises_of_live_video(settings: EncoderSettings) -> None:
    """A packet for each picture, at once, of one slice; key frames with their parameters, when asked for."""
    pictures = noisy(20)
    encoder = Encoder(PictureFormat(640, 360, ColourMatrix.BT601, False), settings, 25.0)
    for n, picture in enumerate(pictures):
        (packet,) = encoder.encode(picture, n * 40 * MS, keyframe=n == 7)
        assert packet.time_ns == n * 40 * MS and packet.keyframe == (n in (0, 7))
        slices = [kind for kind in nal_types(packet.data) if kind in (1, 5)]
        assert slices == ([5] if packet.keyframe else [1])
        if packet.keyframe:
            sps = packet.data.index(b"\x00\x00\x01\x67") + 4
            assert [kind for kind in nal_types(packet.data) if kind in (7, 8)] == [7, 8]
            assert packet.data[sps] == 66 and packet.data[sps + 1] & 0x40, "constrained baseline: 42c0.."
    assert encoder.flush() == []


def test_live_every_picture_is_one_packet_of_one_slice_at_once() -> None:
    keeps_the_promises_of_live_video(LIVE)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["h264_nvenc", "h264_videotoolbox"])
def test_an_encoder_in_hardware_does_it_likewise(name: str) -> None:
    settings = replace(LIVE, name=name)
    try:
        check_encoder(settings)
    except OutputError as error:
        pytest.skip(str(error))
    keeps_the_promises_of_live_video(settings)


@pytest.mark.parametrize("preset", ["p1", "p4", "p7", "veryfast"])
def test_presets_of_either_vendor_are_understood(preset: str) -> None:
    check_encoder(EncoderSettings("libx264", preset, live=True))
    assert encode._options(
        EncoderSettings("h264_nvenc", preset), PictureFormat(64, 48, ColourMatrix.BT601, False)
    )["preset"].startswith("p")


def test_live_a_new_scene_makes_no_huge_packet() -> None:
    """Whatever comes, a packet fits into a third of a second of the largest bit rate."""
    picture_format = PictureFormat(640, 360, ColourMatrix.BT601, False)
    scenes = [picture for scene in range(4) for picture in noisy(8, scene=scene)]
    most_bytes = most_kbps(LIVE, picture_format) * 1000 / 8 / 3
    capped = encoded_by(Encoder(picture_format, LIVE, 25.0), scenes)
    assert max(len(packet.data) for packet in capped) <= most_bytes * 1.2
    free = encoded_by(Encoder(picture_format, EncoderSettings(keyframe_s=2.0), 25.0), scenes)
    assert max(len(packet.data) for packet in free) > most_bytes * 1.5, (
        "the scenes are too easy to show anything"
    )


def test_auto_takes_what_opens_and_says_why() -> None:
    settings, reason = choose_encoder(EncoderSettings("auto", live=True))
    assert settings.name in available_encoders() and settings.live
    if settings.name == "libx264":
        assert reason == "h264_nvenc does not open here; libx264 encodes on the CPU"
    assert choose_encoder(EncoderSettings("libx264")) == (EncoderSettings("libx264"), "configured")
    with pytest.raises(OutputError, match=r"no H\.264 encoder starts here with preset 'quickish'"):
        choose_encoder(EncoderSettings("auto", preset="quickish"))


def test_an_encoder_that_takes_no_interleaved_chroma_gets_its_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_frame(160, 96)
    frame.uv[:, :40] = (90, 240)
    monkeypatch.setattr(encode, "_pixel_format", lambda name: "yuv420p")
    encoder = Encoder(PictureFormat.of(frame), EncoderSettings(crf=10))
    (back,) = decoded(encoded_by(encoder, [picture_of(frame)]))
    y, cb, cr = (plane.astype(float) for plane in back.to_ndarray(channel_last=False, format="yuv444p"))
    assert abs(cb[20:70, 10:70].mean() - 90) < 3 and abs(cr[20:70, 10:70].mean() - 240) < 3
    assert abs(y[20:70, 100:150].mean() - 110) < 3
