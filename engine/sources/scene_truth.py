"""The ground truth of a rendered run, written beside it: one line of JSON for each picture that was handed out.

`time` is that of the picture's record in the results (seconds since 1970, to the microsecond), so that both can be laid
side by side.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2

from engine.errors import SourceError
from engine.sources.base import Picture
from engine.sources.scene_head import Look
from engine.types import U8
from ptz.simulator.truth import Truth

SCHEMA = "camring.truth/1"


@dataclass(frozen=True, slots=True)
class TruthSettings:
    """What is written where.

    name     of the camera
    scene, targets, head  what the scene is called, who is to be followed in it, and whether this camera turns
    keep_s   the newest so many seconds stay, and at most as many before them; 0 = all
    """

    folder: Path
    name: str
    scene: str
    targets: tuple[int, ...]
    head: bool
    keep_s: float = 0.0


class TruthWriter:
    """Appends to `FOLDER/NAME.truth`, and masks to `FOLDER/NAME.masks`. Raises `SourceError` where that cannot be.

    With `keep_s` a file that is full becomes `FOLDER/NAME.before.truth`, in place of the one before; masks that no line
    speaks of any more go.
    """

    def __init__(self, settings: TruthSettings) -> None:
        self._settings = settings
        self._masks = settings.folder / f"{settings.name}.masks"
        self._path = settings.folder / f"{settings.name}.truth"
        self._began_ns: int | None = None
        try:
            settings.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise _refused(settings.folder, error) from None

    def write(self, number: int, picture: Picture, look: Look, truth: Truth, masks: U8 | None) -> None:
        """One picture. `masks` (height, width) holds the ID of the person at each pixel."""
        settings = self._settings
        record = {
            "schema": SCHEMA,
            "camera": settings.name,
            "scene": settings.scene,
            "head": settings.head,
            "targets": settings.targets,
            "number": number,
            "time": round(picture.wall_ns / 1e9, 6),
            "captured_ns": picture.captured_ns,
            "pts_ns": picture.pts_ns,
            "scene_s": round(truth.time_s, 4),
            "width": picture.width,
            "height": picture.height,
            "pan_deg": round(look.pose.pan_deg, 4),
            "tilt_deg": round(look.pose.tilt_deg, 4),
            "zoom": round(look.pose.zoom, 4),
            "hfov_deg": round(look.hfov_deg, 4),
            "people": _people(truth),
        }
        try:
            self._turn_over(picture.captured_ns)
            if masks is not None:
                self._masks.mkdir(exist_ok=True)
                record["masks"] = f"{self._masks.name}/{number:08d}.png"
                cv2.imwrite(str(self._masks / f"{number:08d}.png"), masks, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            raise _refused(self._path, error) from None

    def close(self) -> None:
        """Whole lines only are in the file."""
        self._file.close()

    def _turn_over(self, now_ns: int) -> None:
        """Begin the next file when this one is full."""
        if self._began_ns is None:
            self._began_ns = now_ns
        keep_ns = self._settings.keep_s * 1e9
        if not keep_ns or now_ns - self._began_ns < keep_ns:
            return
        before = self._path.with_name(f"{self._settings.name}.before.truth")
        gone = _masks_of(before)
        self._file.close()
        self._path.replace(before)
        for mask in gone:
            (self._settings.folder / mask).unlink(missing_ok=True)
        self._file = self._path.open("a", encoding="utf-8")
        self._began_ns = now_ns


def _masks_of(path: Path) -> list[str]:
    """The files of masks that the lines of a file speak of."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return [masks for line in lines if (masks := json.loads(line).get("masks"))]


def _refused(place: Path, error: OSError) -> SourceError:
    return SourceError(f"truth of a scene cannot be written to {str(place)!r}: {error.strerror}")


def _people(truth: Truth) -> list[dict[str, object]]:
    return [
        {
            "id": int(truth.ids[person]),
            "box": [round(float(side), 1) for side in truth.full_boxes_xyxy[person]],
            "visible_box": [round(float(side), 1) for side in truth.visible_boxes_xyxy[person]],
            "visibility": round(float(truth.visibility[person]), 3),
            "in_frame": bool(truth.fully_in_frame[person]),
            "pan_deg": round(float(truth.pan_deg[person]), 3),
            "tilt_deg": round(float(truth.tilt_deg[person]), 3),
            "distance_m": round(float(truth.distance_m[person]), 2),
        }
        for person in range(len(truth))
    ]
