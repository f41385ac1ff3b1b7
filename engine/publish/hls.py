"""HLS in a folder (`hls:FOLDER`): playlist, segments and parts as files, for any web server.

Every file is written under another name and then renamed, so that nobody ever reads half of one. Files that the
playlist no longer names are deleted. A web server that knows nothing of HLS cannot hold requests back: players poll.
"""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from engine.errors import PublishDiskFull, PublishError
from engine.publish.base import Destination, Sink, serves
from engine.publish.low_latency_hls import PLAYLIST, HlsSettings, LowLatencyHls
from engine.types.packet import Packet

_OURS = re.compile(r"(?:init-\d+\.mp4|segment-\d+\.m4s|part-\d+-\d+\.m4s|index\.m3u8)(?:\.new)?")
_NS_PER_NUMBER = 500_000_000
"""Numbers begin at the clock's half seconds, so that they rise over restarts: no segment is shorter than that."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@serves("hls")
class HlsSink(Sink):
    """One folder. It is made where it is not there; what an earlier run has left in it is deleted."""

    takes_changes: ClassVar[bool] = True

    def __init__(self, destination: Destination, timeout_s: float = 5.0) -> None:
        super().__init__(destination, timeout_s)
        self._folder = Path()
        self._hls = LowLatencyHls()
        self._written: set[str] = set()

    def open(self, first: Packet) -> None:
        """Make the folder and empty it; see `Sink.open`."""
        self._folder = self.destination.address().folder
        number = first.meta.wall_ns // _NS_PER_NUMBER
        self._hls = LowLatencyHls(HlsSettings(blocking=False, first_number=number))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in self._folder.iterdir():
                if _OURS.fullmatch(path.name):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def write(self, packet: Packet) -> None:
        """Write what this packet has completed, and then the playlist. Raises `PublishDiskFull` or `PublishError`."""
        if not self._hls.add(packet):
            return
        names = self._hls.names
        for name in sorted(names - self._written):
            self._replace(name, self._hls.file(name) or b"")
            self._written.add(name)
        if self._hls.ready:
            self._replace(PLAYLIST, self._hls.playlist().encode())
        for name in self._written - names:
            with suppress(OSError):
                (self._folder / name).unlink()
        self._written &= names

    def close(self) -> None:
        """Leave the files as they are: a player shows what it has, and goes on when we do."""

    def _replace(self, name: str, data: bytes) -> None:
        new = self._folder / f"{name}.new"
        try:
            new.write_bytes(data)
            new.replace(self._folder / name)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> PublishError:
        line = f"publish {self.destination.label}: {error.strerror}"
        if error.errno in _DISK_FULL:
            return PublishDiskFull(f"{line}; free space there, or publish to another disk")
        return PublishError(line)
