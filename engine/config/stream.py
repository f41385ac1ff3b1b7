"""Settings of live video: what of a camera is encoded, how, and where it is published."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.values import setting

VIEWS = ("overlay", "clean")


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One encoder for each processed stream; browsers, servers and files share its packets. Never in offline runs."""

    enabled: bool = setting(
        True, "live video of every camera: for browsers, as soon as somebody looks, and for `stream.publish`"
    )
    publish: tuple[str, ...] = setting(
        (),
        "where the processed video goes: `rtmp://`, `rtmps://`, `rtsp://`, `rtsps://`, `whip://`, `whips://` (WHIP "
        "over HTTP and HTTPS) or `hls:FOLDER`; `{camera}` stands for the camera's name, `${VARIABLE}` for a secret",
        flag="--publish",
    )
    view: str = setting(
        "overlay",
        "what is published: `overlay` = with everything drawn in; `clean` = the picture as it came",
        choices=VIEWS,
    )
    no_signal_s: float = setting(
        3.0,
        "silence after which viewers are shown `no signal`, so that they stay connected",
        unit="s",
        bounds=(0.5, 3600.0),
    )
    max_kbps: int = setting(
        0,
        "cap on the bit rate of one camera's live video, which also bounds a single packet; 0 = by the size of the "
        "picture, 4000 at 1280×720",
        unit="kbit/s",
        bounds=(0, 200_000),
    )
    jpeg_fps: float = setting(
        10.0,
        "most pictures a second for viewers that take JPEGs only; each is compressed by itself",
        unit="frames/s",
        bounds=(0.1, 60.0),
    )
    jpeg_quality: int = setting(80, "quality of those JPEGs", bounds=(1, 100))
    packet_slot_kib: int = setting(
        128,
        "room for one packet in shared memory; a larger packet takes several",
        unit="KiB",
        bounds=(16, 4096),
    )
