"""Which decoder takes a stream, and why. A stream that the GPU cannot take is decoded in software, and says so."""

from __future__ import annotations

from av.video.stream import VideoStream

from engine.errors import SourceUnsupported
from engine.sources import nvdec
from engine.sources.av_decoder import SoftwareDecoder
from engine.sources.base import SourceOptions
from engine.sources.decoder import VideoDecoder


def open_decoder(stream: VideoStream, options: SourceOptions, *, live: bool) -> VideoDecoder:
    """The decoder that `options.backend` asks for, or the software's with the reason in its description.

    Raises `SourceUnsupported` where `nvdec` was asked for by name and this machine has none: with `auto` the
    software decodes then.
    """
    if options.backend == "software":
        return software_decoder(stream, options, live=live)
    try:
        return nvdec.NvDecoder(stream, options.device, live=live, surfaces=options.surfaces)
    except nvdec.NvdecMissing as error:
        if options.backend == "nvdec":
            raise SourceUnsupported(f'decode.backend = "nvdec": {error}; or set it to "auto"') from error
        return software_decoder(stream, options, live=live, why=str(error))
    except nvdec.NvdecCannot as error:
        return software_decoder(stream, options, live=live, why=str(error))


def software_decoder(
    stream: VideoStream, options: SourceOptions, *, live: bool, why: str = ""
) -> VideoDecoder:
    """FFmpeg's decoder; `why` it is not the one that was asked for."""
    decoder = SoftwareDecoder(stream, options.decoder_threads, by_frame=options.offline and not live)
    if why:
        decoder.description += f" (not by NVDEC: {why})"
    return decoder
