"""Pictures that lie in GPU memory as well, by camera and sequence number, for everybody in this process.

Nothing depends on them: what is not found here is uploaded from the pool. So old ones are forgotten without asking,
and a process that is killed leaves nothing to clean up. Memory is freed with the last reference to a picture: a call
that computes holds its own until it has read it (invariant G2 of docs/ipc.md).
"""

from __future__ import annotations

import threading

from engine.types import Surface


class Surfaces:
    """A bounded number of pictures per camera. For any thread.

    found, missed  how many pictures were asked for with success, and without
    """

    def __init__(self) -> None:
        self.found = self.missed = 0
        self._lock = threading.Lock()
        self._by_camera: dict[str, dict[int, Surface]] = {}

    def put(self, camera: str, seq: int, surface: Surface, most: int) -> None:
        """Keep the picture of the published frame `seq`; the oldest go where there are more than `most`."""
        with self._lock:
            kept = self._by_camera.setdefault(camera, {})
            kept[seq] = surface
            forgotten = [kept.pop(old) for old in sorted(kept)[: max(0, len(kept) - most)]]
        # Outside the lock: freeing GPU memory is work of its own.
        del forgotten

    def take(self, camera: str, seq: int) -> Surface | None:
        """The picture of frame `seq`, None if it is not here; it and older ones of the camera are forgotten."""
        with self._lock:
            kept = self._by_camera.get(camera)
            if kept is None:
                return None
            surface = kept.get(seq)
            forgotten = [kept.pop(old) for old in sorted(kept) if old <= seq]
            self.found += surface is not None
            self.missed += surface is None
        del forgotten
        return surface

    def forget(self, camera: str) -> None:
        """The camera gives no more pictures for now."""
        with self._lock:
            forgotten = self._by_camera.pop(camera, None)
        del forgotten

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._by_camera.values()))
