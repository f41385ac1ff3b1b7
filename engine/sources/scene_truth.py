"""The ground truth of a rendered run, written beside it: one line of JSON for each picture that was handed out.

`time` is that of the picture's record in the results (seconds since 1970, to the microsecond), so that both can be laid
side by side.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from engine.errors import SourceError
from engine.sources.base import Picture
from engine.sources.scene_head import Look
from engine.types import U8
from ptz.simulator.truth import Truth

SCHEMA = "camring.truth/1"


class TruthWriter:
    """Appends to `FOLDER/NAME.truth`, and masks to `FOLDER/NAME.masks`. Raises `SourceError` where that cannot be."""

    def __init__(self, folder: Path, name: str) -> None:
        self._masks = folder / f"{name}.masks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / f"{name}.truth").open("a", encoding="utf-8")
        except OSError as error:
            raise SourceError(
                f"truth of a scene cannot be written to {str(folder)!r}: {error.strerror}"
            ) from None

    def write(self, number: int, picture: Picture, look: Look, truth: Truth, masks: U8 | None) -> None:
        """One picture. `masks` (height, width) holds the ID of the person at each pixel."""
        record = {
            "schema": SCHEMA,
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
            if masks is not None:
                self._masks.mkdir(exist_ok=True)
                record["masks"] = f"{self._masks.name}/{number:08d}.png"
                cv2.imwrite(str(self._masks / f"{number:08d}.png"), masks, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            raise SourceError(
                f"truth of a scene cannot be written to {self._file.name!r}: {error.strerror}"
            ) from None

    def close(self) -> None:
        """Whole lines only are in the file."""
        self._file.close()


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
