"""The files of one camera's recording: what they are called, when one ends and the next begins, how long they stay.

Takes packets that somebody else has encoded. Without segments there is one file, and a further part after each
interruption; with segments files are called after the time of their first picture, and the oldest go when they are too
old or too many. Each file plays alone. Knows files; does not know what is in the pictures.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.clock import Clock, SystemClock
from engine.errors import OutputError
from engine.outputs.encode import EncodedPicture, PictureFormat
from engine.outputs.mp4 import cut_torn_end
from engine.outputs.mp4_writer import Mp4Writer

_LOG = logging.getLogger(__name__)
_GIB = 1 << 30
_TIDY_INTERVAL_S = 10.0


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """segment_s  length of a file; 0: one file for all
    keep_h     age at which a segment goes; 0: never
    keep_gib   what all segments of the camera take together at most; 0: as much as there is
    """

    segment_s: float = 0.0
    keep_h: float = 0.0
    keep_gib: float = 0.0


def part_path(path: Path, number: int) -> Path:
    """`cam0.mp4`, `cam0.part2.mp4`, `cam0.part3.mp4`, …"""
    return path if number == 1 else path.with_name(f"{path.stem}.part{number}{path.suffix}")


def existing_parts(path: Path) -> dict[int, Path]:
    """The parts that are there, by number."""
    pattern = re.compile(re.escape(path.stem) + r"\.part(\d+)" + re.escape(path.suffix))
    parts = {1: path} if path.exists() else {}
    for sibling in path.parent.iterdir():
        if match := pattern.fullmatch(sibling.name):
            parts[int(match[1])] = sibling
    return parts


def segment_path(path: Path, wall_ns: int, number: int = 1) -> Path:
    """`cam0.20261123T050313Z.mp4`: the time (UTC) of its first picture; `…Z-2.mp4` for a second one in that second."""
    stamp = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return path.with_name(f"{path.stem}.{stamp}{'' if number == 1 else f'-{number}'}{path.suffix}")


def existing_segments(path: Path) -> list[Path]:
    """The segments that are there, oldest first."""
    pattern = re.compile(re.escape(path.stem) + r"\.(\d{8}T\d{6}Z)(?:-(\d+))?" + re.escape(path.suffix))
    found = [
        (match[1], int(match[2] or 1), sibling)
        for sibling in path.parent.iterdir()
        if (match := pattern.fullmatch(sibling.name))
    ]
    return [sibling for *_, sibling in sorted(found)]


class Recording:
    """Writes the packets of one camera.

    Without segments a new run replaces the files of the run before it, and `resume` goes on with the next part, after
    a killed predecessor of the same run. Segments of runs before stay. Either way the fragment that somebody was
    killed in is cut off. A file is never written over.
    """

    def __init__(
        self,
        path: Path,
        settings: RecordingSettings | None = None,
        resume: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Prepare the folder; the first file is created with the first key frame. Raises `OutputError`."""
        self._path = path
        self._settings = settings or RecordingSettings()
        self._clock = clock or SystemClock()
        self._writer: Mp4Writer | None = None
        self._format: PictureFormat | None = None
        self._planned_ns: int | None = None
        self._starts: deque[int] = deque()
        self._began_ns = 0
        self._tidy_at_ns = 0
        self._undeletable: set[Path] = set()
        self._in_fragment = 0
        self.frames = 0
        """Pictures written, over all files."""
        self.lost = 0
        """Pictures taken that are in no file: cut off with their fragment, or behind one that could not be written."""
        self.fragments = 0
        """Whole fragments written: what was recorded for certain."""
        self.files = 0
        """Files begun."""
        self.deleted = 0
        """Segments deleted because they were too old or too many."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._next_part = 1 if self._settings.segment_s else self._prepare_parts(resume)
            if self._settings.segment_s and (segments := existing_segments(path)):
                cut_torn_end(segments[-1])
        except OSError as error:
            raise OutputError(f"{path}: cannot be prepared for writing: {error.strerror}") from error

    def _prepare_parts(self, resume: bool) -> int:
        """The number of the next part."""
        parts = existing_parts(self._path)
        if resume and parts and not cut_torn_end(parts[max(parts)]):
            del parts[max(parts)]
        if not resume:
            for part in parts.values():
                part.unlink()
            parts = {}
        return max(parts, default=0) + 1

    @property
    def path(self) -> Path | None:
        """The file that is being written."""
        return None if self._writer is None else self._writer.path

    def plan(self, picture_format: PictureFormat, shown_ns: int) -> bool:
        """Told of each picture before it is encoded: whether a file begins with it, so that it must be a key frame."""
        began_ns, segment_ns = self._planned_ns, self._settings.segment_s * 1e9
        same = began_ns is not None and picture_format == self._format
        if same and not (segment_ns and shown_ns - (began_ns or 0) >= segment_ns):
            return False
        self._planned_ns, self._format = shown_ns, picture_format
        self._starts.append(shown_ns)
        return True

    def write(self, picture: EncodedPicture, shown_ns: int, wall_ns: int) -> None:
        """Write one packet. Pictures before the first key frame of a file are left out.

        shown_ns  when it is shown, as planned; the first one of a file begins it
        wall_ns   the time of day that it was taken at

        Raises `OutputError` (`OutputDiskFull` where there is no room); the file then plays up to its last whole
        fragment, and another one is planned with the next picture.
        """
        if picture.keyframe and self._starts and shown_ns >= self._starts[0]:
            self._finish()
            self._starts.popleft()
            self._begin(picture, wall_ns)
            self._began_ns = shown_ns
        if self._writer is None:
            self.lost += 1
            return
        try:
            self._writer.write(picture, shown_ns - self._began_ns)
        except OutputError:
            self.lost += 1
            self._give_up_file()
            raise
        self.frames += 1
        if picture.keyframe and self._in_fragment:
            self.fragments, self._in_fragment = self.fragments + 1, 0
        self._in_fragment += 1

    def tidy(self) -> None:
        """Delete what is too old or too much, now and then; never the newest."""
        settings, now_ns = self._settings, self._clock.now_ns()
        if not settings.segment_s or not (settings.keep_h or settings.keep_gib) or now_ns < self._tidy_at_ns:
            return
        self._tidy_at_ns = now_ns + round(_TIDY_INTERVAL_S * 1e9)
        try:
            told = [(path, path.stat()) for path in existing_segments(self._path)]
        except OSError as error:
            _LOG.warning("%s: segments cannot be listed: %s", self._path.parent, error.strerror)
            return
        total_bytes = sum(stat.st_size for _, stat in told)
        for path, stat in told[:-1]:
            age_h = (self._clock.wall_ns() - stat.st_mtime_ns) / 3.6e12
            reason = ""
            if settings.keep_gib and total_bytes > settings.keep_gib * _GIB:
                reason = f"{total_bytes / _GIB:.2f} GiB, {settings.keep_gib:g} are kept"
            elif settings.keep_h and age_h > settings.keep_h:
                reason = f"{age_h:.1f} h old, {settings.keep_h:g} are kept"
            if path != self.path and reason and self._delete(path, reason):
                total_bytes -= stat.st_size

    def close(self) -> None:
        """Finish the current file; the next picture begins another. Raises `OutputError` if its end cannot be written.

        May be called twice.
        """
        self._planned_ns = None
        self._starts.clear()
        self._finish()

    def _finish(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.close()
        except OutputError:
            self._give_up_file()
            raise
        self._writer = None
        self.fragments, self._in_fragment = self.fragments + 1, 0

    def _begin(self, first: EncodedPicture, wall_ns: int) -> None:
        path = part_path(self._path, self._next_part)
        if self._settings.segment_s:
            number = 1
            while (path := segment_path(self._path, wall_ns, number)).exists():
                number += 1
        try:
            self._writer = Mp4Writer(path, first)
        except OutputError:
            self._planned_ns = None
            self.lost += 1
            raise
        self._next_part += 1
        self.files += 1
        if self._format is not None:
            _LOG.info("%s: %s", path, _size_in_words(self._format))

    def _give_up_file(self) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None
        self._planned_ns = None
        self._starts.clear()
        self.frames, self.lost = self.frames - self._in_fragment, self.lost + self._in_fragment
        self._in_fragment = 0
        writer.abandon()
        if not cut_torn_end(writer.path):
            self._next_part -= 1

    def _delete(self, path: Path, reason: str) -> bool:
        try:
            path.unlink()
        except OSError as error:
            if path not in self._undeletable:
                self._undeletable.add(path)
                _LOG.warning("%s: cannot be deleted: %s", path, error.strerror)
            return False
        self.deleted += 1
        _LOG.info("%s: deleted: %s", path, reason)
        return True


def _size_in_words(picture_format: PictureFormat) -> str:
    size = f"{picture_format.width}x{picture_format.height}"
    padded = f"{picture_format.padded_width}x{picture_format.padded_height}"
    return size if size == padded else f"{size}, padded to {padded} because H.264 takes even sizes only"
