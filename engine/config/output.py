"""Settings of files: which are written, how video is encoded, and how long recordings stay."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.identity import OFF
from engine.config.overlay import DEFAULT_OVERLAY_STYLE, OVERLAY_STYLES
from engine.config.values import setting


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """What is written."""

    directory: str = setting("out", "folder for all output files; made if absent", flag="--out")
    jsonl: bool = setting(True, "write `<camera>.jsonl`, one line per frame")
    masks: str = setting(
        "polygon",
        "how a segmentation model's masks stand in the JSON lines: outlines, COCO run lengths, or not at all",
        choices=("polygon", "rle", "none"),
    )
    save_masks: str = setting(
        "off",
        "write the masks of every frame into `masks/<camera>/`, a file each: `png` = a picture of numbers, `rle` and "
        "`polygon` = JSON",
        choices=("off", "png", "rle", "polygon"),
        flag="--save-masks",
    )
    coasting: bool = setting(
        False, "also write and draw objects that are not seen at the moment, where they are expected"
    )
    record: str = setting(
        "off",
        "one mp4 of all cameras side by side, with everything drawn in; replaces the file that is there; `off` = none",
        flag="--record",
    )
    overlay: bool = setting(True, "write `<camera>.mp4` with boxes drawn in", flag="--no-overlay")
    style: str = setting(
        DEFAULT_OVERLAY_STYLE,
        "what is drawn, into files and into live video: "
        + "; ".join(f"`{name}` = {what}" for name, what in OVERLAY_STYLES.items()),
        choices=tuple(OVERLAY_STYLES),
        flag="--style",
    )
    encoder: str = setting(
        "auto",
        "FFmpeg name of the video encoder; `auto` = the first that opens: the one in the GPU (NVENC, VideoToolbox), "
        "libx264, libopenh264",
    )
    preset: str = setting(
        "veryfast", "preset of the encoder; a slower one saves disk and costs cores that inference wants"
    )
    crf: int = setting(
        23, "constant rate factor, lower = better and larger; 23 is what x264 itself takes", bounds=(0, 51)
    )
    segment_s: float = setting(
        0.0,
        "length of the video files: then they are called after the time (UTC) of their first picture, and files of "
        "runs before stay; 0 = one file for the whole run, which replaces the one of the run before",
        unit="s",
        bounds=(0.0, 86400.0),
    )
    keep_h: float = setting(
        0.0,
        "age at which a camera's video files go (with `segment_s`), never the newest; 0 = they stay",
        unit="h",
        bounds=(0.0, 87600.0),
    )
    keep_gib: float = setting(
        0.0,
        "what the video files of one camera take together at most (with `segment_s`): the oldest go, never the newest; "
        "0 = as much as there is",
        unit="GiB",
        bounds=(0.0, 1048576.0),
    )
    attach: str = setting(
        OFF,
        "path of a Unix socket at which one program of the same user may read results and frames while the run goes on "
        "(docs/python_api.md); `off` = none",
    )
