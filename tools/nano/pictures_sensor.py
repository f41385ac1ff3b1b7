"""What light, lens, sensor and codec do to a picture: tone, tint, blur, noise, small size, compression, time stamp."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engine.types import U8

_NOISE_PX = 1024


@dataclass(frozen=True, slots=True)
class Sensor:
    """What stays the same over a clip; 0 = none of it.

    tone        uint8 (1, 256, 3): levels in to levels out
    smaller     share of the size that the picture was taken in
    quality     of JPEG, 0 = no compression
    """

    tone: U8
    haze: float
    haze_bgr: tuple[float, float, float]
    vignette: float
    defocus_px: float
    smear_px: tuple[int, int]
    smaller: float
    noise: float
    chroma_noise: float
    quality: int
    grey: bool
    sharpen: float
    stamp: str
    stamp_at: tuple[float, float, float]


def draw_sensor(rng: np.random.Generator, height: int, *, gentle: bool) -> Sensor:
    """A camera; a gentle one does not disturb much."""
    much = 0.4 if gentle else 1.0

    def chance(share: float) -> bool:
        return bool(rng.random() < share * much)

    smear = (1, 1)
    if chance(0.12):
        length = int(rng.integers(2, max(3, height // 40)))
        smear = (length, 1) if rng.random() < 0.7 else (1, length)
    digits = "".join(str(digit) for digit in rng.integers(0, 10, 12))
    stamp = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}" if chance(0.12) else ""
    return Sensor(
        tone=_tone(rng, much),
        haze=float(rng.uniform(0.05, 0.4)) if chance(0.15) else 0.0,
        haze_bgr=tuple(rng.uniform(120, 235, 3).tolist()),
        vignette=float(rng.uniform(0.15, 0.7)) if chance(0.2) else 0.0,
        defocus_px=float(np.exp(rng.uniform(np.log(0.4), np.log(2.2)))) * height / 360
        if chance(0.45)
        else 0.0,
        smear_px=smear,
        smaller=float(rng.uniform(0.4, 0.95)) if chance(0.35) else 1.0,
        noise=float(np.exp(rng.uniform(np.log(0.6), np.log(11)))) * (0.5 + 0.5 * much)
        if chance(0.8)
        else 0.0,
        chroma_noise=float(rng.uniform(0, 1)),
        quality=int(rng.integers(18, 92)) if chance(0.6) else 0,
        grey=chance(0.06),
        sharpen=float(rng.uniform(0.2, 1.2)) if chance(0.3) else 0.0,
        stamp=stamp,
        stamp_at=(
            float(rng.uniform(0.02, 0.5)),
            float(rng.choice((0.07, 0.96))),
            float(rng.uniform(0.3, 0.7)),
        ),
    )


def _tone(rng: np.random.Generator, much: float) -> U8:
    """Exposure, contrast, gamma and tint as one curve for each channel."""
    levels = np.linspace(0, 1, 256)
    gamma = float(np.exp(rng.normal(0, 0.2 * much)))
    contrast = float(np.exp(rng.normal(0, 0.15 * much)))
    bright = float(rng.normal(0, 0.05 * much))
    tint = np.exp(rng.normal(0, 0.04 * much, 3))
    kind = rng.random()
    if kind < 0.05 * much:
        bright, contrast, tint = bright - 0.1, contrast * 0.65, tint * (0.8, 0.95, 1.15)
    elif kind < 0.12 * much:
        bright, tint = bright + 0.12, tint * rng.uniform(0.9, 1.1, 3)
    elif kind < 0.2 * much:
        tint = tint * ((1.12, 1.0, 0.9) if rng.random() < 0.5 else (0.84, 0.97, 1.1))
    low = float(rng.uniform(0, 0.12)) if rng.random() < 0.25 * much else 0.0
    curve = np.clip(0.5 + (levels**gamma - 0.5) * contrast + bright, 0, 1)
    curve = low + (1 - low) * curve
    return np.clip(255 * curve[:, None] * tint, 0, 255).astype(np.uint8)[None]


def expose(sensor: Sensor, picture: U8, rng: np.random.Generator) -> U8:
    """One frame (H, W, 3) as the camera hands it out; the noise is this frame's own."""
    height, width = picture.shape[:2]
    frame = _through_lens(sensor, np.asarray(cv2.LUT(picture, sensor.tone), np.uint8))
    if sensor.smaller < 1:
        size = max(8, round(width * sensor.smaller)), max(8, round(height * sensor.smaller))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    if sensor.noise >= 0.5:
        frame = _noisy(sensor, frame, rng)
    if sensor.sharpen:
        soft = cv2.blur(frame, (3, 3))
        frame = np.asarray(cv2.addWeighted(frame, 1 + sensor.sharpen, soft, -sensor.sharpen, 0), np.uint8)
    if sensor.grey:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        frame = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if sensor.stamp:
        _stamp(sensor, frame)
    if sensor.quality:
        _, packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, sensor.quality])
        frame = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    if sensor.smaller < 1:
        frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return frame


def _through_lens(sensor: Sensor, frame: U8) -> U8:
    height, width = frame.shape[:2]
    if sensor.haze:
        veil = np.empty_like(frame)
        veil[:] = sensor.haze_bgr
        frame = np.asarray(cv2.addWeighted(frame, 1 - sensor.haze, veil, sensor.haze, 0), np.uint8)
    if sensor.vignette:
        corners = _vignette(width, height, round(sensor.vignette, 1))
        frame = np.asarray(cv2.multiply(frame, corners, dtype=cv2.CV_8U), np.uint8)
    if sensor.smear_px != (1, 1):
        frame = np.asarray(cv2.blur(frame, sensor.smear_px), np.uint8)
    if sensor.defocus_px:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), sensor.defocus_px), np.uint8)
    return frame


def _stamp(sensor: Sensor, frame: U8) -> None:
    """Date and time over the picture, white with a dark rim."""
    across, down, large = sensor.stamp_at
    height, width = frame.shape[:2]
    where, scale = (round(across * width), round(down * height)), large * height / 360 + 0.15
    for level, thick in ((0, 3), (255, 1)):
        colour = (level, level, level)
        cv2.putText(frame, sensor.stamp, where, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)


@lru_cache(maxsize=16)
def _vignette(width: int, height: int, amount: float) -> np.ndarray:
    down, across = np.indices((height, width), dtype=np.float32)
    away = ((across / width - 0.5) ** 2 + (down / height - 0.5) ** 2) * 2
    return np.ascontiguousarray(np.repeat((1 - amount * away)[..., None], 3, axis=2), np.float32)


@lru_cache(maxsize=1)
def _noise() -> tuple[U8, U8]:
    """uint8 noise of luma (n, n, 3) with equal channels, and of colour, around 128; standard deviation 32."""
    rng = np.random.default_rng(93)
    luma: U8 = np.clip(rng.normal(128, 32, (_NOISE_PX, _NOISE_PX, 1)), 0, 255).astype(np.uint8)
    blots: np.ndarray = np.asarray(
        cv2.blur(rng.normal(0, 64, (_NOISE_PX, _NOISE_PX, 3)).astype(np.float32), (2, 2))
    )
    colour: U8 = np.clip(128 + blots, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(luma, 3, axis=2)), colour


def _noisy(sensor: Sensor, frame: U8, rng: np.random.Generator) -> U8:
    height, width = frame.shape[:2]
    luma, colour = _noise()
    if height >= _NOISE_PX or width >= _NOISE_PX:
        own = rng.normal(0, sensor.noise, frame.shape).astype(np.float32)
        return np.asarray(cv2.add(frame, own, dtype=cv2.CV_8U), np.uint8)
    out: U8 = frame
    for tile, share in ((luma, 1.0), (colour, sensor.chroma_noise)):
        if share * sensor.noise < 0.5:
            continue
        down, right = int(rng.integers(_NOISE_PX - height)), int(rng.integers(_NOISE_PX - width))
        grain = tile[down : down + height, right : right + width]
        weight = share * sensor.noise / 32
        out = np.asarray(cv2.addWeighted(out, 1.0, grain, weight, -128 * weight), np.uint8)
    return out
