"""A clip for segmenters: figures that move over a rough ground, as frames of a camera."""

from __future__ import annotations

import numpy as np

from engine.types import F32, FrameMeta, FrameNv12, nv12_geometry

FRAME_NS = 40_000_000
_CELL = 16


def frame_at(index: int, size_wh: tuple[int, int], figures: int = 3, seed: int = 1) -> FrameNv12:
    """Frame number `index`, with so many figures; `figure_box` says where they are."""
    width, height = size_wh
    stride, offset_uv, slot_bytes = nv12_geometry(width, height)
    meta = FrameMeta(index, 0, 0, width, height, stride, stride, offset_uv, pts_ns=index * FRAME_NS)
    frame = FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))
    generator = np.random.default_rng(seed)
    frame.y[:] = _rough(generator, (height, width), (16, 235))
    chroma_height, chroma_width = frame.uv.shape[:2]
    for channel in (0, 1):
        frame.uv[..., channel] = _rough(generator, (chroma_height, chroma_width), (90, 160))
    for figure in range(figures):
        left, top, right, bottom = figure_box(figure, index, size_wh).astype(int)
        frame.y[top:bottom, left:right] = 220 - 60 * (figure % 4)
        frame.uv[top // 2 : bottom // 2, left // 2 : right // 2] = (
            60 + 40 * figure % 160,
            180 - 30 * figure % 120,
        )
    return frame


def figure_box(figure: int, index: int, size_wh: tuple[int, int]) -> F32:
    """float32 (4,): where a figure is in a frame, xyxy in pixels. Figures start at different places, none leaves."""
    width, height = size_wh
    side = min(width, height) // 5
    left = (width // 16 + figure * width // 5 + index * max(1, width // 80)) % (width - side)
    top = (height // 12 + figure * height // 4) % (height - side)
    return np.array([left, top, left + side, top + side], np.float32)


def _rough(generator: np.random.Generator, shape: tuple[int, int], levels: tuple[int, int]) -> np.ndarray:
    cells = [-(-length // _CELL) for length in shape]
    coarse = generator.integers(*levels, cells, np.uint8)
    return coarse.repeat(_CELL, 0).repeat(_CELL, 1)[: shape[0], : shape[1]]
