"""Decoding on an NVIDIA GPU by PyNvVideoCodec. The only file that imports it.

FFmpeg opens and demuxes as for the software decoder; packets become the byte stream that the hardware's parser
reads, pictures come back as NV12 in host memory and are written into the slot; with `surfaces` they come back in
GPU memory, and stay there as well. Raises its own two errors where a stream cannot be taken; what happens then is
decided in `decoding`.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

from engine.sources.av_decoder import AVCOL_RANGE_JPEG, matrix_of
from engine.sources.decoder import DamagedPacket, DecodedPicture, DecoderUnusable, VideoDecoder
from engine.types import U8, Surface

if TYPE_CHECKING:
    from kernels.surface_copier import SurfaceCopier

_log = logging.getLogger(__name__)

CODECS = {"h264": "H264", "hevc": "HEVC", "av1": "AV1", "vp8": "VP8", "vp9": "VP9"}
"""FFmpeg's names of codecs, and the hardware's."""
PIXEL_FORMATS = ("yuv420p", "yuvj420p", "nv12")
"""8-bit 4:2:0; others come out of the hardware as another layout than NV12, or not at all."""
FAILURES_LIMIT = 25
"""Packets refused in a row, a second of a usual camera, after which the decoder is given up."""
NO_PTS = -(2**62)
"""What is given to the hardware's parser, and comes back from it, for a packet without a time."""


class NvdecMissing(Exception):
    """This machine cannot decode on a GPU: the package, the driver or the GPU is missing. One line."""


class NvdecCannot(Exception):
    """The GPU cannot decode this stream. One line."""


def load_package() -> Any:
    """The module `PyNvVideoCodec`, with a GPU to use it on. Raises `NvdecMissing`."""
    try:
        import PyNvVideoCodec
    except ModuleNotFoundError as error:
        raise NvdecMissing(
            f"{error.name} is not installed: install the extra nvdec (pip install 'camring[nvdec]')"
        ) from None
    except (ImportError, OSError, RuntimeError) as error:
        raise NvdecMissing(
            f"PyNvVideoCodec cannot be loaded ({_first_line(error)}); it needs NVIDIA's driver, and in a container "
            "NVIDIA_DRIVER_CAPABILITIES with video"
        ) from error
    # The package ends the process where CUDA fails; so CUDA is asked first.
    if problem := driver_problem():
        raise NvdecMissing(problem)
    return PyNvVideoCodec


def driver_problem(library: str = "libcuda.so.1") -> str:
    """Why CUDA cannot be used in this process; empty where it can."""
    try:
        driver = ctypes.CDLL(library)
        status = int(driver.cuInit(0))
        count = ctypes.c_int(0)
        if status == 0:
            status = int(driver.cuDeviceGetCount(ctypes.byref(count)))
    except (OSError, AttributeError) as error:
        return f"no NVIDIA driver ({_first_line(error)})"
    if status:
        return f"CUDA cannot be used (driver error {status})"
    return "" if count.value else "no NVIDIA GPU"


class AnnexB:
    """Packets as the byte stream that hardware parsers read, with what the container keeps apart put back in.

    MP4, Matroska and FLV write lengths instead of start codes, and parameter sets only once, in front of the stream;
    an RTSP camera may give them only in its session description. Packets are emptied on the way.
    """

    def __init__(self, stream: VideoStream) -> None:
        self.filters = filters_of(stream.codec_context.codec.canonical_name, stream.codec_context.extradata)
        self._filter = BitStreamFilterContext(self.filters, in_stream=stream) if self.filters else None

    def convert(self, packet: Packet[VideoStream] | None) -> list[Packet[VideoStream]]:
        """The packets to feed; with None, those that were held back. Raises `DamagedPacket`."""
        if self._filter is None:
            return [packet] if packet is not None else []
        try:
            return list(self._filter.filter(packet))
        except av.error.FFmpegError as error:
            raise DamagedPacket(error.strerror or type(error).__name__) from None


def filters_of(codec: str, extradata: bytes | None) -> str:
    """FFmpeg's bitstream filters for a codec whose parameter sets stand in `extradata`; empty for none."""
    if codec not in ("h264", "hevc") or not extradata:
        return ""
    # ISO/IEC 14496-15: the configuration records begin with version 1; a start code with 0.
    return f"{codec}_mp4toannexb" if extradata[0] == 1 else "dump_extra=freq=keyframe"


class NvDecoder(VideoDecoder):
    """The GPU's decoder for one stream.

    Pictures come without delay from live streams without B-frames, else some frames late, in the order of showing.
    """

    def __init__(self, stream: VideoStream, device: int, *, live: bool, surfaces: bool = False) -> None:
        """`surfaces` leaves pictures in GPU memory as well. Raises `NvdecMissing` or `NvdecCannot`."""
        self._stream, self._device = stream, device
        context = stream.codec_context
        codec = context.codec.canonical_name
        check_stream(codec, context.pix_fmt)
        self._nvc = load_package()
        self._codec = getattr(self._nvc.cudaVideoCodec, CODECS[codec])
        self._check_capabilities(codec, context.width, context.height)
        self._bitstream = AnnexB(stream)
        self._at_once = live and not context.has_b_frames
        self._copier, where = surface_copier(device) if surfaces else (None, "")
        self._decoder: Any = self._create()
        self._last_pts = NO_PTS
        self._failures = 0
        self.description = f"decoded by NVDEC of GPU {device}{where}"

    def decode(self, packet: Packet[VideoStream] | None) -> Sequence[DecodedPicture]:
        pictures: list[DecodedPicture] = []
        for part in self._bitstream.convert(packet):
            if part.buffer_size:
                pictures += self._feed(part)
        if packet is None:
            end = self._nvc.PacketData()
            end.decode_flag = self._nvc.VideoPacketFlag.ENDOFSTREAM
            pictures += self._decode(end)
        self._check_order(pictures)
        return pictures

    def close(self) -> None:
        self._decoder = None

    def _create(self) -> Any:
        latency = self._nvc.DisplayDecodeLatencyType
        try:
            return self._nvc.CreateDecoder(
                gpuid=self._device,
                codec=self._codec,
                cudacontext=self._copier.context_address if self._copier else 0,
                cudastream=self._copier.stream.address if self._copier else 0,
                usedevicememory=self._copier is not None,
                latency=latency.LOW if self._at_once else latency.NATIVE,
            )
        except self._errors() as error:
            raise NvdecCannot(_first_line(error)) from error

    def _check_capabilities(self, codec: str, width: int, height: int) -> None:
        chroma = self._nvc.cudaVideoChromaFormat.__members__["420"]
        try:
            limits = self._nvc.GetDecoderCaps(
                gpuid=self._device, codec=self._codec, chromaformat=chroma, bitdepth=8
            )
        except self._errors() as error:
            raise NvdecCannot(_first_line(error)) from error
        check_size(codec, width, height, limits)

    def _feed(self, packet: Packet[VideoStream]) -> list[DecodedPicture]:
        data = self._nvc.PacketData()
        # An address: the packet must live until the call returns, which it does here.
        data.bsl_data, data.bsl = packet.buffer_ptr, packet.buffer_size
        data.pts = NO_PTS if packet.pts is None else packet.pts
        data.key = packet.is_keyframe
        if self._at_once:
            data.decode_flag = self._nvc.VideoPacketFlag.ENDOFPICTURE
        return self._decode(data)

    def _decode(self, data: Any) -> list[DecodedPicture]:
        if self._decoder is None:
            raise DecoderUnusable("closed")
        try:
            frames = list(self._decoder.Decode(data))
        except self._errors() as error:
            self._failures += 1
            unsupported = isinstance(error, self._nvc.PyNvVCExceptionUnsupported) or "Reconfigure" in str(
                error
            )
            if unsupported or self._failures >= FAILURES_LIMIT:
                raise DecoderUnusable(_first_line(error)) from error
            raise DamagedPacket(_first_line(error)) from error
        self._failures = 0
        return [self._picture(frame) for frame in frames]

    def _picture(self, frame: Any) -> DecodedPicture:
        if frame.format != self._nvc.Pixel_Format.NV12:
            raise DecoderUnusable(f"pictures of {frame.format}, not NV12")
        context = self._stream.codec_context
        pitch, height = int(self._decoder.GetWidth()), int(self._decoder.GetHeight())
        # The hardware rounds an odd width up.
        width = context.width if context.width == pitch - 1 else pitch
        pts = int(frame.getPTS())
        address, nbytes = int(frame.GetPtrToPlane(0)), int(frame.framesize())
        try:
            check_picture(address, nbytes, pitch, height)
        except ValueError as error:
            raise DecoderUnusable(str(error)) from error
        picture: DecodedPicture
        if self._copier is not None:
            picture = DevicePicture(frame, address, pitch, (width, height), self._copier)
        else:
            picture = HostPicture(frame, host_planes(address, nbytes, pitch, height), width)
        picture.pts = None if pts == NO_PTS else pts
        picture.matrix = matrix_of(context.colorspace)
        picture.full_range = context.pix_fmt == "yuvj420p" or context.color_range == AVCOL_RANGE_JPEG
        return picture

    def _check_order(self, pictures: Sequence[DecodedPicture]) -> None:
        """Times that go back show that a stream has B-frames after all, which decoding at once does not sort."""
        for pts in times_of(pictures):
            if self._at_once and pts < self._last_pts:
                self._at_once = False
                self._last_pts = NO_PTS
                try:
                    self._decoder = self._create()
                except NvdecCannot as error:
                    raise DecoderUnusable(str(error)) from error
                return
            self._last_pts = pts

    def _errors(self) -> tuple[type[Exception], ...]:
        return (self._nvc.PyNvVCException, self._nvc.PyNvVCExceptionUnsupported, RuntimeError, ValueError)


class HostPicture(DecodedPicture):
    """A picture in the decoder's host memory. `frame` is kept because it owns that memory."""

    def __init__(self, frame: object, planes: tuple[U8, U8], width: int) -> None:
        """`planes` are Y (height, pitch) and interleaved chroma (⌈height/2⌉, pitch)."""
        self._frame, self._planes = frame, planes
        self.width, self.height = width, planes[0].shape[0]

    def read_into(self, y: U8, uv: U8) -> None:
        luma, chroma = self._planes
        np.copyto(y, luma[:, : self.width])
        np.copyto(uv, chroma[:, : 2 * uv.shape[1]].reshape(uv.shape))


class DevicePicture(DecodedPicture):
    """A picture in the decoder's GPU memory. `frame` is kept because it owns that memory."""

    def __init__(
        self, frame: object, address: int, pitch: int, size: tuple[int, int], copier: SurfaceCopier
    ) -> None:
        """At `address` Y (height, pitch), then interleaved chroma (⌈height/2⌉, pitch); `size` is (width, height)."""
        self._frame, self._address, self._pitch, self._copier = frame, address, pitch, copier
        self.width, self.height = size

    def read_into(self, y: U8, uv: U8) -> Surface | None:
        planes = self._copier.copy(self._address, self._pitch, self._frame, y, uv)
        return None if planes is None else Surface(*planes)


def surface_copier(device: int) -> tuple[SurfaceCopier | None, str]:
    """What leaves pictures in GPU memory, and how the log says so; None, and why, where it cannot be had."""
    # CuPy takes long to import, and a decoder in a process of its own does not need it.
    from kernels.device import GpuError
    from kernels.surface_copier import SurfaceCopier

    try:
        return SurfaceCopier(device, _log.warning), ", pictures stay in its memory"
    except GpuError as error:
        return None, f" (pictures are uploaded again: {_first_line(error)})"


def check_stream(codec: str, pixel_format: str | None) -> None:
    """Raise `NvdecCannot` for what no GPU decodes into NV12. An unknown pixel format passes."""
    if codec not in CODECS:
        raise NvdecCannot(f"it has no decoder for {codec} (only {', '.join(CODECS)})")
    if pixel_format is not None and pixel_format not in PIXEL_FORMATS:
        raise NvdecCannot(f"{pixel_format} does not come out as NV12")


def check_size(codec: str, width: int, height: int, limits: dict[str, int]) -> None:
    """Raise `NvdecCannot` for a picture beyond what `GetDecoderCaps` says. Size 0 is not known yet and passes."""
    if not limits.get("width_max"):
        raise NvdecCannot(f"this GPU cannot decode {codec}")
    fits = limits.get("width_min", 0) <= width <= limits["width_max"] and limits.get(
        "height_min", 0
    ) <= height <= limits.get("height_max", 0)
    if width and not fits:
        raise NvdecCannot(
            f"{width}x{height} is not between {limits.get('width_min', 0)}x{limits.get('height_min', 0)} and "
            f"{limits['width_max']}x{limits.get('height_max', 0)}, which this GPU decodes of {codec}"
        )


def host_planes(address: int, nbytes: int, pitch: int, height: int) -> tuple[U8, U8]:
    """Y (height, pitch) and chroma (⌈height/2⌉, pitch) of an NV12 picture that lies in one piece in host memory.

    Raises `ValueError` where the picture is not as large as that, instead of reading beyond it.
    """
    rows = check_picture(address, nbytes, pitch, height)
    memory = (ctypes.c_uint8 * (pitch * rows)).from_address(address)
    picture = np.ctypeslib.as_array(memory).reshape(rows, pitch)
    return picture[:height], picture[height:]


def check_picture(address: int, nbytes: int, pitch: int, height: int) -> int:
    """How many rows both planes have together. Raises `ValueError` where the picture is smaller than that."""
    rows = height + (height + 1) // 2
    if not address or min(pitch, height) < 1 or nbytes < pitch * rows:
        raise ValueError(f"a picture of {nbytes} bytes is not NV12 of {pitch}x{height}")
    return rows


def times_of(pictures: Sequence[DecodedPicture]) -> Iterator[int]:
    """Presentation times of those pictures that have one."""
    return (picture.pts for picture in pictures if picture.pts is not None)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
