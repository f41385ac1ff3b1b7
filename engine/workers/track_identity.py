"""Identities in the tracking worker: one gallery for all cameras, its file, its time, and what is told of it.

Who is recognised is decided in `engine.identity`; this brings it time, tracks and bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.identity import OFF
from engine.config.links import LinkConfig
from engine.errors import OutputError
from engine.identity.archive import Archive, ArchiveError, archive_of, decode, restore
from engine.identity.arrivals import Arrivals
from engine.identity.gallery import Gallery
from engine.metrics import LatencyHistogram
from engine.tracking.base import Tracker
from engine.types import FrameFlag, ResultMeta, Tracks
from engine.workers.identity_file import IdentityFile, Saver
from engine.workers.runtime import Context

NUMBERS_SKIPPED = 1000
"""gids that a predecessor may have given since it last told how many."""


@dataclass
class CameraTime:
    """A camera's time on the gallery's time line, always forward.

    offset_s  what is added to the source's own time, so that it never goes back; grows where a file begins again
    """

    now_s: float = 0.0
    offset_s: float = 0.0

    def of_source(self, time_s: float) -> float:
        """For files that are read as fast as it goes: the source's time."""
        if time_s + self.offset_s < self.now_s:
            self.offset_s = self.now_s - time_s
        self.now_s = time_s + self.offset_s
        return self.now_s


class Identities:
    """What the tracking worker knows of identities. Belongs to the main thread.

    gallery  None in a run without re-identification: nothing can be recognised, nothing is kept
    """

    def __init__(self, context: Context) -> None:
        config = context.config
        self._context = context
        self._live = not config.offline
        self._wall_offset_ns = context.clock.wall_ns() - context.clock.now_ns()
        self._searches = LatencyHistogram()
        self._saver: Saver | None = None
        self._save_due_ns = 0
        self._told_problem = ""
        self.file_state = OFF
        self.gallery: Gallery | None = None
        self.next_ids: dict[str, int] = {}
        if not config.reid.enabled:
            return
        names = [camera.name for camera in config.cameras]
        timer = context.clock.now_ns
        self.gallery = Gallery(config.identity, names, config.links, timer, common_time=self._live)
        self._arrivals = {name: Arrivals(name, self.gallery) for name in names}
        self._times = {name: CameraTime() for name in names}
        self.network = network_of(context.params.get("reid") or config.reid.model)
        self._go_on_from(context.before.get("identity", {}))
        if config.identity.file != OFF:
            self._open_file(Path(config.identity.file).expanduser())

    @property
    def enabled(self) -> bool:
        """Whether there is a gallery at all."""
        return self.gallery is not None

    def follow(self, names: Sequence[str], links: Sequence[LinkConfig]) -> None:
        """These are the cameras from now on, and the ways between them."""
        if self.gallery is None:
            return
        self.gallery.follow(names, links)
        gallery = self.gallery
        self._arrivals = {name: self._arrivals.get(name) or Arrivals(name, gallery) for name in names}
        self._times = {name: self._times.get(name) or CameraTime() for name in names}

    def first_track_id(self, camera: str, following: int) -> int:
        """Where track IDs begin: `following`, or above those that somebody remembered has had."""
        return max(following, self.gallery.first_track_id(camera)) if self.gallery else following

    def advance(self, camera: str, tracks: Tracks, tracker: Tracker, meta: ResultMeta) -> Tracks:
        """A frame's tracks under the IDs that they are shown with, and their gids."""
        if self.gallery is None or meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
            return tracks
        shown = self._arrivals[camera].advance(tracks, tracker, self._time_s(camera, meta))
        self.next_ids[camera] = tracker.next_track_id
        return shown

    def _time_s(self, camera: str, meta: ResultMeta) -> float:
        """Live the wall's, which all cameras share and which no setting of the clock makes jump; else the source's."""
        if self._live:
            return (meta.trace.captured_ns + self._wall_offset_ns) / 1e9
        return self._times[camera].of_source(meta.time_s)

    def now_s(self) -> float:
        """The gallery's time before there is a frame."""
        return self._context.clock.wall_ns() / 1e9 if self._live else 0.0

    def tend(self) -> bool:
        """Save when it is time; whether a saving has come to its end."""
        if self._saver is None:
            return False
        done = self._saver.poll()
        if self._saver.problem != self._told_problem:
            self._told_problem = self._saver.problem
            if self._told_problem:
                self._context.log("warning", f"{self._told_problem}; the run goes on")
        now_ns = self._context.clock.now_ns()
        if now_ns >= self._save_due_ns and not self._saver.busy:
            self._save_due_ns = now_ns + round(self._context.config.identity.save_s * 1e9)
            self.save()
        return done

    def save(self, forgetting: bool = False) -> int | None:
        """Begin to save; the number to ask `saved` with, None where nothing is saved."""
        if self._saver is None or self.gallery is None:
            return None
        off = self.gallery.scope == OFF
        if off and not forgetting:
            return None  # there is no file
        return self._saver.save(None if off else self._archive(), forgetting)

    def saved(self, number: int | None) -> bool:
        """Whether that saving has come to its end."""
        return number is None or self._saver is None or self._saver.is_done(number)

    @property
    def problem(self) -> str:
        """Why the newest saving failed."""
        return self._saver.problem if self._saver else ""

    @property
    def still_in_file(self) -> bool:
        """Whether the newest saving failed and left the file as it was before."""
        return self._saver is not None and self._saver.kept

    def close(self) -> None:
        """Save for the last time."""
        if self._saver is not None:
            self.save()
            self._saver.finish()
            if self._saver.problem:
                self._context.log("warning", self._saver.problem)

    def told(self) -> dict[str, Any]:
        """For the status: what /health shows, and what a successor needs to go on."""
        gallery = self.gallery
        if gallery is None:
            return {}
        for search_ns in gallery.search_ns:
            self._searches.add(search_ns / 1e6)
        gallery.search_ns.clear()
        return {
            "scope": gallery.scope,
            "known": len(gallery),
            "looks": len(gallery.looks) if gallery.looks else 0,
            "counts": dict(gallery.counts),
            "threshold": gallery.scale.threshold,
            "different_mean": gallery.scale.different_mean,
            "search": self._searches.to_dict(),
            "exact": gallery.looks is None or gallery.looks.exact,
            "file": self.file_state,
            "saved": self._saver.saved if self._saver else 0,
            "numbers": gallery.numbers(),
            "highest_gid": gallery.highest_gid,
        }

    def degraded(self) -> list[str]:
        """What runs worse than asked for."""
        lines = (self.gallery.degraded if self.gallery else "", self.problem)
        return [line for line in lines if line]

    def _go_on_from(self, before: dict[str, Any]) -> None:
        assert self.gallery is not None
        if not before:
            return
        self.gallery.scope = before["scope"]
        self.gallery.counts.update(before["counts"])
        numbers = [number + NUMBERS_SKIPPED for number in before["numbers"]]
        if len(numbers) == len(self.gallery.cameras):
            self.gallery.skip_numbers(numbers)
        else:  # cameras have come and gone since the run began
            above = int(before["highest_gid"]) + NUMBERS_SKIPPED * len(numbers)
            self.gallery.skip_numbers([0 for _ in self.gallery.cameras], above)
        self._searches.merge(LatencyHistogram.from_dict(before["search"]))
        if before["known"] and self._context.config.identity.file == OFF:
            self._context.log(
                "warning", "identities went with the worker before; identity.file would have kept them"
            )

    def _open_file(self, path: Path) -> None:
        assert self.gallery is not None
        context, file = self._context, IdentityFile(path)
        # The last saving may take its time; the supervisor's patience is the limit.
        context.stop_grace_s = None
        self._saver = Saver(file, context.wake.notify)
        self._save_due_ns = context.clock.now_ns() + round(context.config.identity.save_s * 1e9)
        try:
            content = file.read()
            if self.gallery.scope == OFF:
                self._delete(file, content)
            elif content is not None:
                self._restore(content)
            else:
                self.file_state = "none"
        except ArchiveError as error:
            self._set_aside(file, error)
        except OutputError as error:
            self.file_state = "unreadable"
            context.log("warning", f"{error}; the run begins without identities")

    def _delete(self, file: IdentityFile, content: bytes | None) -> None:
        """`identity.scope = "off"` is an order to forget; a file that is not ours is left alone."""
        self.file_state = "none"
        if content is None:
            return
        try:
            decode(content)
        except ArchiveError as error:
            if error.state == "foreign":
                raise
        file.remove()
        self._context.log("info", f"{file.path}: deleted, because identity.scope is off")

    def _restore(self, content: bytes) -> None:
        assert self.gallery is not None
        archive = decode(content)
        if archive.dims and archive.network != self.network:
            raise ArchiveError(
                "network", f"its looks are from another network ({archive.network}, now {self.network})"
            )
        wall_ns = self._context.clock.wall_ns()
        count = restore(self.gallery, archive, self.now_s(), wall_ns)
        self.file_state = "restored"
        self._context.log("info", f"identities remembered from before: {count}")

    def _set_aside(self, file: IdentityFile, error: ArchiveError) -> None:
        self.file_state = error.state
        try:
            where = f"moved to {file.set_aside()}"
        except OutputError as failed:
            where = str(failed)
        self._context.log("warning", f"{file.path}: {error}; {where}; the run begins without identities")

    def _archive(self) -> Archive:
        assert self.gallery is not None
        gallery = self.gallery
        next_ids = [max(gallery.first_track_id(name), self.next_ids.get(name, 1)) for name in gallery.cameras]
        return archive_of(gallery, self.network, self._context.clock.wall_ns(), next_ids)


def network_of(model: str) -> str:
    """What tells networks apart: the checksum of the file, or the name where there is no file."""
    path = Path(model)
    if not path.is_file():
        return model
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
