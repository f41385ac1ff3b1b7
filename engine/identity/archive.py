"""A gallery as bytes, and back: identities, their looks, and which network saw them. Knows no files.

    "CAMRINGI"   8 bytes
    version      uint32, little endian, as all that follows
    header size  uint32
    header       JSON: network, cameras, times, numbers given, and the arrays behind it by name, type and shape
    arrays       one behind the other
    SHA-256      32 bytes, of everything before

Looks are float16. Nothing in it is ever run: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.identity.gallery import Gallery

MAGIC = b"CAMRINGI"
VERSION = 1
_HEAD = len(MAGIC) + 8
_DIGEST_BYTES = 32
_MOST_HEADER_BYTES = 16 * 2**20
_MOST_DIMS = 65536
_UNIT_TOLERANCE = 0.05

Arrays = dict[str, NDArray[Any]]


class ArchiveError(EngineError):
    """Saved identities that cannot be used; `state` says why in a word: corrupt, foreign, newer, network."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(text)
        self.state = state


@dataclass(frozen=True, slots=True)
class Archive:
    """What is saved.

    network    which network the looks are from: a checksum of its file, or its name
    dims       length of a look, 0 where there is none
    cameras    names, in the order of `known_ids`' columns and of `places`
    saved_s    the gallery's time at that moment;  saved_wall_ns  the clock's
    numbers    how many gids each camera has given
    next_ids   where each camera's track IDs go on
    scale      pairs of different people and the sum of their cosines (`calibration.Scale`)
    arrays     columns of `IdentityTable` of all identities; `looks` float16 (k, d), `owners` int32 (k,) their rows
    """

    network: str
    dims: int
    cameras: tuple[str, ...]
    saved_s: float
    saved_wall_ns: int
    numbers: tuple[int, ...]
    next_ids: tuple[int, ...]
    scale: tuple[float, float]
    arrays: Arrays


_COLUMNS: dict[str, tuple[type[np.generic], int]] = {
    "gids": (np.int64, 1), "class_ids": (np.int32, 1), "first_s": (np.float64, 1), "last_s": (np.float64, 1),
    "places": (np.int32, 1), "visits": (np.int32, 1), "known_ids": (np.int64, 2),
    "looks": (np.float16, 2), "owners": (np.int32, 1),
}  # fmt: skip


def archive_of(gallery: Gallery, network: str, wall_ns: int, next_ids: Sequence[int]) -> Archive:
    """A copy of what a gallery knows at this moment."""
    table = gallery.table
    rows = table.rows()
    arrays: Arrays = {
        name: getattr(table, name)[rows]
        for name in ("gids", "class_ids", "first_s", "last_s", "places", "visits", "known_ids")
    }
    looks = table.looks[rows]
    owners, _ = np.nonzero(looks >= 0)
    arrays["owners"] = owners.astype(np.int32)
    dims = gallery.dims
    arrays["looks"] = np.zeros((len(owners), dims), np.float16)
    if gallery.looks is not None:
        gallery.looks.store.copy_into(arrays["looks"], looks[looks >= 0].astype(np.intp))
    return Archive(
        network, dims, gallery.cameras, gallery.now_s, wall_ns, tuple(gallery.numbers()), tuple(next_ids),
        (gallery.scale.pairs, gallery.scale.total), arrays,
    )  # fmt: skip


def restore(gallery: Gallery, archive: Archive, now_s: float, wall_ns: int) -> int:
    """Give an empty gallery what was saved; returns how many identities are still remembered.

    now_s  the gallery's time now. What was `t` seconds ago when it was saved is that, and the time since, ago now.
    """
    away_s = max(0, wall_ns - archive.saved_wall_ns) / 1e9
    finite_s = archive.saved_s if math.isfinite(archive.saved_s) else 0.0
    gallery.restore(archive.cameras, archive.arrays, now_s - (finite_s + away_s))
    if archive.dims and not gallery.config.similarity:
        gallery.scale.pairs, gallery.scale.total = archive.scale
    place = {name: index for index, name in enumerate(archive.cameras)}
    same = archive.cameras == gallery.cameras
    gids = archive.arrays["gids"]
    above = int(gids.max(initial=0))
    if not same:
        count = max(1, len(archive.cameras))
        above = max([above, *(n * count + at for at, n in enumerate(archive.numbers))])
    gallery.skip_numbers(archive.numbers if same else [0] * len(gallery.cameras), 0 if same else above)
    for camera in gallery.cameras:
        if camera in place:
            gallery.skip_track_ids(camera, archive.next_ids[place[camera]] - 1)
    gallery.advance_all(now_s)
    return len(gallery)


def encode(archive: Archive) -> list[bytes | memoryview]:
    """The bytes of an archive, in parts to be written one behind the other."""
    layout = [[name, archive.arrays[name].dtype.str, list(archive.arrays[name].shape)] for name in _COLUMNS]
    header = {
        "network": archive.network, "dims": archive.dims, "cameras": list(archive.cameras),
        "saved_s": archive.saved_s if math.isfinite(archive.saved_s) else None,
        "saved_wall_ns": archive.saved_wall_ns, "numbers": list(archive.numbers),
        "next_ids": list(archive.next_ids), "scale": list(archive.scale), "arrays": layout,
    }  # fmt: skip
    text = json.dumps(header).encode()
    parts: list[bytes | memoryview] = [
        MAGIC + VERSION.to_bytes(4, "little") + len(text).to_bytes(4, "little") + text
    ]
    parts += [np.ascontiguousarray(archive.arrays[name]).reshape(-1).view(np.uint8).data for name in _COLUMNS]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return [*parts, digest.digest()]


def decode(content: bytes) -> Archive:
    """The archive in these bytes. Raises `ArchiveError`."""
    if content[: len(MAGIC)] != MAGIC[: len(content)] or not content:
        raise ArchiveError("foreign", "it is no file of identities")
    if len(content) < _HEAD + _DIGEST_BYTES:
        raise ArchiveError("corrupt", "it ends too soon")
    version = int.from_bytes(content[8:12], "little")
    if version > VERSION:
        raise ArchiveError(
            "newer", f"it was written by a newer version (format {version}, known is {VERSION})"
        )
    body = memoryview(content)[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != content[-_DIGEST_BYTES:]:
        raise ArchiveError("corrupt", "its checksum is wrong: it was cut off or changed")
    try:
        return _checked(body)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArchiveError("corrupt", f"its content makes no sense: {error}") from error


def _checked(body: memoryview) -> Archive:
    size = int.from_bytes(body[12:16], "little")
    if size > min(_MOST_HEADER_BYTES, len(body) - _HEAD):
        raise ValueError("header too long")
    header = json.loads(bytes(body[_HEAD : _HEAD + size]))
    arrays = _arrays(header["arrays"], body[_HEAD + size :])
    saved_s = header["saved_s"]
    archive = Archive(
        network=str(header["network"]),
        dims=int(header["dims"]),
        cameras=tuple(str(name) for name in header["cameras"]),
        saved_s=-math.inf if saved_s is None else float(saved_s),
        saved_wall_ns=int(header["saved_wall_ns"]),
        numbers=tuple(int(number) for number in header["numbers"]),
        next_ids=tuple(int(number) for number in header["next_ids"]),
        scale=(float(header["scale"][0]), float(header["scale"][1])),
        arrays=arrays,
    )
    _check_sense(archive)
    return archive


def _arrays(layout: Any, body: memoryview) -> Arrays:
    arrays: Arrays = {}
    offset = 0
    for name, dtype, shape in layout:
        expected, axes = _COLUMNS[name]
        if np.dtype(dtype) != np.dtype(expected) or len(shape) != axes or min(shape, default=0) < 0:
            raise ValueError(f"{name} is {dtype} {shape}")
        nbytes = math.prod(shape) * np.dtype(expected).itemsize
        if offset + nbytes > len(body):
            raise ValueError(f"{name} does not fit")
        arrays[name] = np.frombuffer(body[offset : offset + nbytes], expected).reshape(shape).copy()
        offset += nbytes
    if set(arrays) != set(_COLUMNS) or offset != len(body):
        raise ValueError("arrays are missing or too many")
    return arrays


def _check_sense(archive: Archive) -> None:
    arrays, count, cameras = archive.arrays, len(archive.arrays["gids"]), len(archive.cameras)
    shapes_fit = (
        all(len(arrays[name]) == count for name in ("class_ids", "first_s", "last_s", "places", "visits"))
        and arrays["known_ids"].shape == (count, cameras)
        and arrays["looks"].shape == (len(arrays["owners"]), archive.dims)
        and len(archive.numbers) == len(archive.next_ids) == cameras
        and 0 <= archive.dims <= _MOST_DIMS
    )
    if not shapes_fit:
        raise ValueError("arrays do not belong together")
    owners, places, gids = arrays["owners"], arrays["places"], arrays["gids"]
    if len(np.unique(gids)) != count or not (gids > 0).all():
        raise ValueError("identities are not unique")
    if not ((owners >= 0) & (owners < count)).all() or not ((places >= -1) & (places < cameras)).all():
        raise ValueError("looks or cameras point nowhere")
    times_s = np.concatenate((arrays["first_s"], arrays["last_s"]))
    lengths = np.linalg.norm(arrays["looks"].astype(np.float32), axis=1)
    if not np.isfinite(times_s).all() or not (np.abs(lengths - 1.0) < _UNIT_TOLERANCE).all():
        raise ValueError("numbers are not finite, or looks not of length 1")
    if (arrays["known_ids"] < 0).any() or min((*archive.numbers, *archive.next_ids), default=0) < 0:
        raise ValueError("negative numbers")
    if (
        not all(math.isfinite(number) and abs(number) < 1e9 for number in archive.scale)
        or archive.scale[0] < 0
    ):
        raise ValueError("scale")
