"""The encoder by itself: which there are, and that a frame comes back as it went in."""

from __future__ import annotations

import resource
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import OutputError
from engine.outputs import encode
from engine.outputs.encode import (
    EncoderSettings,
    Mp4Encoder,
    PictureFormat,
    available_encoders,
    check_encoder,
)
from engine.types import ColourMatrix
from tests.outputs.results import make_frame


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


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "cam0.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="File exists"):
        Mp4Encoder(path, PictureFormat.of(make_frame(64, 48)), EncoderSettings())
    assert path.read_bytes() == b"precious"


def test_nothing_is_left_of_a_file_whose_encoder_did_not_start(tmp_path: Path) -> None:
    path = tmp_path / "cam0.mp4"
    with pytest.raises(OutputError, match="does not start"):
        Mp4Encoder(path, PictureFormat.of(make_frame(64, 48)), EncoderSettings(preset="quickish"))
    assert not path.exists()


@pytest.mark.parametrize("size", [(64, 48), (65, 48), (64, 49), (321, 241), (1, 1)])
def test_the_copy_is_exact_and_padded_with_its_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    frame = make_frame(*size)
    rng = np.random.default_rng(3)
    frame.y[:] = rng.integers(16, 235, frame.y.shape)
    frame.uv[:] = rng.integers(16, 240, frame.uv.shape)
    encoder = Mp4Encoder(tmp_path / "cam0.mp4", PictureFormat.of(frame), EncoderSettings())
    picture = encoder.picture_of(frame)
    np.testing.assert_array_equal(picture.y, frame.y)
    np.testing.assert_array_equal(picture.uv, frame.uv)
    even = (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert (picture.frame.height, picture.frame.width) == even
    encoder.encode(picture, 0)
    encoder.close()
    with av.open(str(tmp_path / "cam0.mp4")) as container:
        (decoded,) = container.decode(video=0)
    assert (decoded.height, decoded.width) == even


def test_padding_repeats_the_last_row_and_column(tmp_path: Path) -> None:
    frame = make_frame(65, 49)
    frame.y[:, -1] = np.arange(49) + 20
    frame.y[-1, :] = np.arange(65) + 100
    encoder = Mp4Encoder(tmp_path / "cam0.mp4", PictureFormat.of(frame), EncoderSettings())
    plane = encoder.picture_of(frame).frame.planes[0]
    y = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    np.testing.assert_array_equal(y[:49, 65], frame.y[:, -1])
    np.testing.assert_array_equal(y[49, :65], frame.y[-1, :])
    encoder.close()


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", list(ColourMatrix))
def test_colours_come_back_and_the_file_says_how_to_read_them(
    tmp_path: Path, matrix: ColourMatrix, full_range: bool
) -> None:
    frame = make_frame(160, 96, matrix=matrix, full_range=full_range)
    frame.y[:, 40:80] = 81
    frame.uv[:, 20:40] = (90, 240)
    encoder = Mp4Encoder(tmp_path / "cam0.mp4", PictureFormat.of(frame), EncoderSettings(crf=10))
    encoder.encode(encoder.picture_of(frame), 0)
    encoder.close()
    with av.open(str(tmp_path / "cam0.mp4")) as container:
        (decoded,) = container.decode(video=0)
    assert decoded.colorspace == {ColourMatrix.BT601: 6, ColourMatrix.BT709: 1}[matrix]
    assert decoded.color_range == (2 if full_range else 1)
    planes = decoded.reformat(format="yuv444p", dst_color_range=decoded.color_range).to_ndarray()
    for plane, inside, outside in zip(planes, (81, 90, 240), (110, 128, 128), strict=True):
        assert abs(float(plane[20:70, 50:70].mean()) - inside) < 3
        assert abs(float(plane[20:70, 100:150].mean()) - outside) < 3


def test_a_write_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = encode._WholeWrites(tmp_path / "file", "xb")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert file.write(b"x" * 700) == 700
        with pytest.raises(OSError, match="File too large"):
            file.write(b"y" * 700)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        file.close()


def test_times_never_stand_still_and_key_frames_come_by_time(tmp_path: Path) -> None:
    path = tmp_path / "cam0.mp4"
    frame = make_frame(64, 48)
    encoder = Mp4Encoder(path, PictureFormat.of(frame), EncoderSettings(keyframe_s=1.0), 25.0)
    times_ms = [0, 0, 40, 500, 990, 1000, 1010, 3000, 3100, 4050]
    for time_ms in times_ms:
        encoder.encode(encoder.picture_of(frame), time_ms * 1_000_000)
    encoder.close()
    encoder.close()
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    shown = [round(float(f.time) * 90_000) for f in frames]
    assert shown == [0, 1, *(time_ms * 90 for time_ms in times_ms[2:])]
    assert [f.key_frame for f in frames] == [i in (0, 5, 7, 9) for i in range(10)]
