"""Decoding on a GPU: what can be known without one, and, with one, that its pictures are the software's."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from engine.errors import SourceUnsupported
from engine.sources import nvdec
from engine.sources.av import AvSource
from engine.sources.av_decoder import AvPicture
from engine.sources.base import SourceOptions
from engine.sources.decoder import DamagedPacket, DecodedPicture, DecoderUnusable, VideoDecoder
from engine.sources.nvdec import (
    AnnexB,
    HostPicture,
    NvdecCannot,
    NvdecMissing,
    check_size,
    check_stream,
    driver_problem,
    filters_of,
    host_planes,
    load_package,
    surface_copier,
)
from kernels import device
from tests.sources.clips import shown, slot_planes, write_clip

START_CODE = b"\x00\x00\x01"


@pytest.fixture
def nvdec_here() -> ModuleType:
    """The package, with a GPU; skips with the reason where one of them is missing."""
    try:
        package: ModuleType = load_package()
    except NvdecMissing as error:
        pytest.skip(f"no NVDEC: {error}")
    return package


def byte_stream(path: Path) -> tuple[list[bytes], str]:
    """A clip's packets as the hardware's parser would get them, and the filters that made them so."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        bitstream = AnnexB(stream)
        parts = [
            part for packet in container.demux(stream) if packet.size for part in bitstream.convert(packet)
        ]
        parts += bitstream.convert(None)
        return [bytes(part) for part in parts], bitstream.filters


def decode_without_extradata(codec: str, parts: list[bytes]) -> list[VideoFrame]:
    """FFmpeg's decoder, given nothing but the byte stream, as the hardware's parser is."""
    context = CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext) and not context.extradata
    frames: list[VideoFrame] = []
    for part in parts:
        frames += context.decode(Packet(part))
    return frames + list(context.decode(None))


def frames_of(path: Path) -> list[VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("name", "encoder", "codec", "options", "filters"),
    [
        ("a.mp4", "libx264", "h264", {"bf": 2, "g": 8}, "h264_mp4toannexb"),
        ("a.mkv", "libx264", "h264", {"g": 8}, "h264_mp4toannexb"),
        ("a.flv", "libx264", "h264", {"g": 8}, "h264_mp4toannexb"),
        ("a.ts", "libx264", "h264", {"g": 8}, "dump_extra=freq=keyframe"),
        ("a.mp4", "libx265", "hevc", {"g": 8, "x265-params": "log-level=none"}, "hevc_mp4toannexb"),
        ("a.ts", "libx265", "hevc", {"g": 8, "x265-params": "log-level=none"}, "dump_extra=freq=keyframe"),
    ],
)  # fmt: skip
def test_the_byte_stream_is_enough_to_decode_every_frame(
    tmp_path: Path, name: str, encoder: str, codec: str, options: dict[str, Any], filters: str
) -> None:
    path = write_clip(tmp_path / name, codec=encoder, **options)
    parts, used = byte_stream(path)
    assert used == filters
    assert all(START_CODE in part[:5] for part in parts), "a packet does not begin with a start code"
    decoded, wanted = decode_without_extradata(codec, parts), frames_of(path)
    assert len(decoded) == len(wanted) == 20
    for one, other in zip(decoded, wanted, strict=True):
        assert np.array_equal(one.to_ndarray(format="nv12"), other.to_ndarray(format="nv12"))


@pytest.mark.data
@pytest.mark.parametrize("clip", ["et_01_dog.mp4", "pets09_s2l1_0001-0320.mp4"])
def test_a_real_clip_becomes_a_byte_stream(data_dir: Path, clip: str) -> None:
    path = data_dir / "clips" / clip
    parts, filters = byte_stream(path)
    assert filters == "h264_mp4toannexb"
    decoded, wanted = decode_without_extradata("h264", parts[:60]), frames_of(path)
    assert len(decoded) == 60
    for one, other in zip(decoded[:50], wanted, strict=False):
        assert np.array_equal(one.to_ndarray(format="nv12"), other.to_ndarray(format="nv12"))


def test_without_the_filter_the_packets_of_an_mp4_do_not_decode(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        parts = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    context = CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    with pytest.raises(av.error.InvalidDataError):
        for part in parts:
            context.decode(Packet(part))


def test_a_packet_that_is_no_picture_is_damage(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        bitstream = AnnexB(container.streams.video[0])
    broken: Packet[Any] = Packet(b"\x7f\xff\xff\xff\x01")
    with pytest.raises(DamagedPacket):
        bitstream.convert(broken)


@pytest.mark.parametrize(
    ("codec", "extradata", "filters"),
    [
        ("h264", b"\x01d\x00\x1f", "h264_mp4toannexb"),
        ("hevc", b"\x01\x01\x60", "hevc_mp4toannexb"),
        ("h264", b"\x00\x00\x00\x01\x67", "dump_extra=freq=keyframe"),
        ("hevc", b"\x00\x00\x01\x40", "dump_extra=freq=keyframe"),
        ("h264", None, ""),
        ("h264", b"", ""),
        ("av1", b"\x81\x00\x0c\x00", ""),
        ("vp9", b"\x01", ""),
    ],
)
def test_filters_by_codec_and_parameter_sets(codec: str, extradata: bytes | None, filters: str) -> None:
    assert filters_of(codec, extradata) == filters


@pytest.mark.parametrize(
    ("codec", "pixel_format", "reason"),
    [
        ("mjpeg", "yuvj420p", "no decoder for mjpeg"),
        ("rawvideo", "nv12", "no decoder for rawvideo"),
        ("hevc", "yuv420p10le", "yuv420p10le does not come out as NV12"),
        ("h264", "yuv422p", "yuv422p"),
    ],
)
def test_streams_that_no_gpu_turns_into_nv12(codec: str, pixel_format: str, reason: str) -> None:
    with pytest.raises(NvdecCannot, match=reason):
        check_stream(codec, pixel_format)


def test_streams_that_pass() -> None:
    for codec, pixel_format in (
        ("h264", "yuv420p"),
        ("av1", "yuv420p"),
        ("hevc", None),
        ("h264", "yuvj420p"),
    ):
        check_stream(codec, pixel_format)


LIMITS = {"width_min": 48, "width_max": 4096, "height_min": 16, "height_max": 4096, "num_decoder_engines": 1}


@pytest.mark.parametrize("size", [(0, 0), (1920, 1080), (48, 16), (4096, 4096)])
def test_sizes_within_the_limits(size: tuple[int, int]) -> None:
    check_size("h264", *size, LIMITS)


@pytest.mark.parametrize("size", [(7680, 4320), (32, 32), (1920, 8), (4097, 16)])
def test_sizes_beyond_the_limits_are_named(size: tuple[int, int]) -> None:
    with pytest.raises(NvdecCannot, match=f"{size[0]}x{size[1]} is not between 48x16 and 4096x4096"):
        check_size("h264", *size, LIMITS)


def test_a_codec_without_hardware_has_no_limits() -> None:
    with pytest.raises(NvdecCannot, match="this GPU cannot decode av1"):
        check_size("av1", 1920, 1080, {"width_max": 0, "height_max": 0})


@pytest.mark.parametrize(("width", "height"), [(64, 48), (63, 48), (64, 35), (33, 35)])
def test_host_pictures_are_written_as_they_lie(width: int, height: int) -> None:
    pitch, rows = width + width % 2, height + (height + 1) // 2
    memory = np.random.default_rng(3).integers(0, 256, (rows, pitch), np.uint8)
    planes = host_planes(memory.ctypes.data, memory.nbytes, pitch, height)
    slot, y, uv = slot_planes(width, height)
    HostPicture(memory, planes, width).read_into(y, uv)
    assert np.array_equal(y, memory[:height, :width])
    assert np.array_equal(uv.reshape(uv.shape[0], -1), memory[height:, : 2 * uv.shape[1]])
    outside = slot.copy()
    y[:], uv[:] = 77, 77
    assert (slot == 77).all() and not (outside == 77).all(), "something beside the planes was written"


@pytest.mark.parametrize(
    ("nbytes", "pitch", "height"), [(64 * 72 - 1, 64, 48), (64 * 72, 0, 48), (64 * 72, 64, 0), (0, 64, 48)]
)
def test_a_picture_that_is_smaller_than_it_should_be_is_not_read(
    nbytes: int, pitch: int, height: int
) -> None:
    memory = np.zeros((72, 64), np.uint8)
    with pytest.raises(ValueError, match="is not NV12"):
        host_planes(memory.ctypes.data, nbytes, pitch, height)
    with pytest.raises(ValueError):
        host_planes(0, 64 * 72, 64, 48)


def test_a_missing_driver_is_one_line() -> None:
    reason = driver_problem("libcuda-that-is-not-there.so.1")
    assert reason.startswith("no NVIDIA driver (") and "\n" not in reason


def test_a_library_that_is_not_cuda_is_no_driver() -> None:
    assert driver_problem("libc.so.6").startswith("no NVIDIA driver")


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where PyNvVideoCodec is not installed: Python's own way to block an import."""
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)


@pytest.mark.usefixtures("without_package")
def test_the_missing_package_names_the_extra() -> None:
    with pytest.raises(NvdecMissing, match=r"PyNvVideoCodec is not installed: .*camring\[nvdec\]"):
        load_package()


@pytest.mark.usefixtures("without_package")
def test_auto_decodes_in_software_and_says_why(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    source = AvSource(SourceOptions(str(path), backend="auto"))
    source.open()
    assert (
        "decoded in software, 1 thread (not by NVDEC: PyNvVideoCodec is not installed" in source.description
    )
    assert "\n" not in source.description
    assert len(list(shown(source))) == 20
    source.close()


@pytest.mark.usefixtures("without_package")
def test_asked_for_by_name_the_missing_package_is_an_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    source = AvSource(SourceOptions(str(path), backend="nvdec"))
    with pytest.raises(SourceUnsupported, match=r'decode\.backend = "nvdec": PyNvVideoCodec .* "auto"'):
        source.open()
    source.close()


@pytest.mark.usefixtures("without_package")
@pytest.mark.parametrize("backend", ["nvdec", "auto"])
def test_a_codec_that_no_gpu_decodes_goes_to_the_software(tmp_path: Path, backend: str) -> None:
    path = write_clip(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p")
    source = AvSource(SourceOptions(str(path), backend=backend))
    source.open()
    assert "not by NVDEC: it has no decoder for mjpeg" in source.description
    assert len(list(shown(source))) == 20
    source.close()


class GivesUp(VideoDecoder):
    """Decodes some packets by way of the byte stream and then no more, as a GPU that was taken away."""

    description = "decoded for a while"
    closed = 0

    def __init__(self, stream: VideoStream) -> None:
        self._bitstream = AnnexB(stream)
        context = CodecContext.create("h264", "r")
        assert isinstance(context, VideoCodecContext)
        self._context, self._left, self._reformatter = context, 13, VideoReformatter()

    def decode(self, packet: Packet[VideoStream] | None) -> Sequence[DecodedPicture]:
        self._left -= 1
        parts = self._bitstream.convert(packet)
        if self._left < 0:
            raise DecoderUnusable("the GPU is gone")
        frames = [frame for part in parts for frame in self._context.decode(part)]
        return [AvPicture(frame, self._reformatter) for frame in frames]

    def close(self) -> None:
        type(self).closed += 1


def test_the_software_takes_over_in_the_middle_of_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=40, g=10, bf=0, sc_threshold=0)

    def broken(stream: VideoStream, options: SourceOptions, *, live: bool) -> VideoDecoder:
        return GivesUp(stream)

    monkeypatch.setattr("engine.sources.av.open_decoder", broken)
    source = AvSource(SourceOptions(str(path)))
    source.open()
    seen = list(shown(source))
    wanted = frames_of(path)
    assert "decoded in software, 1 thread (not by NVDEC: the GPU is gone)" in source.description
    assert source.corrupt_packets == 1 and GivesUp.closed == 1
    # The packet that was lost spoils what leans on it; from the next key frame on all is as it was.
    assert 20 + 13 <= len(seen) <= 40
    for mine, reference in zip(seen[-20:], wanted[-20:], strict=True):
        planes = reference.to_ndarray(format="nv12")
        assert np.array_equal(mine.y, planes[: reference.height])
    assert sum(one.picture.discontinuity for one in seen) == 1
    source.close()


@pytest.mark.parametrize(
    ("init", "count", "reason"),
    [
        (0, 1, ""),
        (0, 0, "no NVIDIA GPU"),
        (100, 0, "CUDA cannot be used (driver error 100)"),
    ],
)
def test_what_a_driver_says(tmp_path: Path, init: int, count: int, reason: str) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a library that answers like a driver")
    code = tmp_path / "driver.c"
    code.write_text(
        f"int cuInit(unsigned f) {{ return {init}; }}\nint cuDeviceGetCount(int *n) {{ *n = {count}; return 0; }}\n"
    )
    library = tmp_path / "driver.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(code)], check=True)
    assert driver_problem(str(library)) == reason


def test_software_is_the_default_and_gives_no_reason(tmp_path: Path) -> None:
    source = AvSource(SourceOptions(str(write_clip(tmp_path / "a.mp4"))))
    source.open()
    assert source.description.endswith("decoded in software, 1 thread")
    source.close()


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{"bf": 0}, {"bf": 3, "b_strategy": 0}])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv"])
def test_the_gpu_gives_the_softwares_pictures(
    nvdec_here: ModuleType, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = write_clip(tmp_path / name, size=(322, 242), frames=40, g=10, **options)
    assert_same_pictures(path)


@pytest.mark.gpu
@pytest.mark.data
@pytest.mark.parametrize("clip", ["et_01_dog.mp4", "pets09_s2l1_0001-0320.mp4", "sam2_bedroom.mp4"])
def test_the_gpu_gives_the_softwares_pictures_of_real_clips(
    nvdec_here: ModuleType, data_dir: Path, clip: str
) -> None:
    assert_same_pictures(data_dir / "clips" / clip)


@pytest.mark.gpu
def test_a_file_that_loops_is_decoded_again(nvdec_here: ModuleType, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(320, 240))
    source = AvSource(SourceOptions(str(path), backend="nvdec", loop=True))
    source.open()
    seen = list(shown(source, limit=45))
    assert [index for index, one in enumerate(seen) if one.picture.discontinuity] == [20, 40]
    source.close()


@pytest.mark.gpu
def test_damage_on_the_way_is_survived(nvdec_here: ModuleType, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", size=(320, 240), frames=60, g=10)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 2000] = b"\x55" * 2000
    path.write_bytes(data)
    source = AvSource(SourceOptions(str(path), backend="nvdec"))
    source.open()
    assert len(list(shown(source))) >= 30
    source.close()


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{"bf": 0}, {"bf": 3, "b_strategy": 0}])
def test_pictures_that_stay_on_the_gpu_are_the_softwares_too(
    nvdec_here: ModuleType, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(322, 242), frames=40, g=10, **options)
    source = AvSource(SourceOptions(str(path), backend="nvdec", surfaces=True))
    source.open()
    assert source.description.endswith("decoded by NVDEC of GPU 0, pictures stay in its memory")
    surfaces = []
    for reference in frames_of(path):
        picture = source.grab()
        assert picture is not None and (picture.width, picture.height) == (322, 242)
        _, y, uv = slot_planes(322, 242)
        surface = source.read_into(y, uv)
        assert surface is not None
        planes = reference.to_ndarray(format="nv12")
        assert np.array_equal(y, planes[:242]) and np.array_equal(uv.reshape(121, 322), planes[242:])
        surfaces.append((surface, y, uv))
    assert source.grab() is None
    for surface, y, uv in surfaces:
        assert np.array_equal(device.to_host(surface.y), y), (
            "overwritten, or not complete when it was handed over"
        )
        assert np.array_equal(device.to_host(surface.uv), uv)
    source.close()


def test_pictures_are_uploaded_again_where_they_cannot_stay() -> None:
    try:
        device.require()
    except device.GpuUnavailable:
        copier, why = surface_copier(0)
        assert copier is None and why.startswith(" (pictures are uploaded again: ") and "\n" not in why
    else:
        pytest.skip("there is a GPU")


def assert_same_pictures(path: Path) -> None:
    """Every picture of a clip, its time and its place, by the GPU and by the software: H.264 is exact."""
    sources = [AvSource(SourceOptions(str(path), backend=backend)) for backend in ("nvdec", "software")]
    for source in sources:
        source.open()
    assert "decoded by NVDEC" in sources[0].description
    for mine, reference in itertools.zip_longest(*map(shown, sources)):
        assert mine is not None and reference is not None, "one of the two ended early"
        assert mine.picture.pts_ns == reference.picture.pts_ns
        assert (mine.picture.matrix, mine.picture.full_range) == (
            reference.picture.matrix,
            reference.picture.full_range,
        )
        assert np.array_equal(mine.y, reference.y) and np.array_equal(mine.uv, reference.uv)
    for source in sources:
        source.close()


def test_the_package_is_imported_only_when_it_is_asked_for() -> None:
    assert "PyNvVideoCodec" not in vars(nvdec)
