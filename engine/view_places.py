"""Where a picture lies in a window, and where in the picture a place of the window is."""

from __future__ import annotations

Rect = tuple[int, int, int, int]


def fitted(window_wh: tuple[int, int], picture_wh: tuple[int, int]) -> Rect:
    """Where a picture lies in a window (x, y, width, height): as large as it goes, in the middle, not distorted."""
    scale = min(window_wh[0] / picture_wh[0], window_wh[1] / picture_wh[1])
    width, height = max(1, round(picture_wh[0] * scale)), max(1, round(picture_wh[1] * scale))
    return (window_wh[0] - width) // 2, (window_wh[1] - height) // 2, width, height


def in_picture(
    point_xy: tuple[int, int], rect: Rect, picture_wh: tuple[int, int]
) -> tuple[float, float] | None:
    """The place in the picture, in its pixels, that lies at the middle of this window pixel; None beside it."""
    x = (point_xy[0] + 0.5 - rect[0]) * picture_wh[0] / rect[2]
    y = (point_xy[1] + 0.5 - rect[1]) * picture_wh[1] / rect[3]
    inside = 0 <= x < picture_wh[0] and 0 <= y < picture_wh[1]
    return (x, y) if inside else None
