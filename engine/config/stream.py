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
    packet_slot_kib: int = setting(
        128,
        "room for one packet in shared memory; a larger packet takes several",
        unit="KiB",
        bounds=(16, 4096),
    )
