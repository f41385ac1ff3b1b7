"""One video of all cameras: drawn pictures in, one mp4 out. Knows times; does not know how pictures are drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.errors import ConfigError, OutputError
from engine.outputs.encode import EncodedPicture, Encoder, EncoderSettings, PictureFormat, choose_encoder
from engine.outputs.mosaic import LEAST_STEP_NS, Interleave, Mosaic, Tile
from engine.outputs.recording import Recording

SUFFIX = ".mp4"


def check_record(path: Path, where: str) -> None:
    """Raise `ConfigError` unless a video can be written there."""
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"{where}: {str(path)!r} must end in {SUFFIX}, which is what is written")
    if path.is_dir():
        raise ConfigError(f"{where}: {str(path)!r} is a folder; name a file in it")
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"{where}: there is no folder {str(folder)!r}; make it, or name another one")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ConfigError(f"{where}: no permission to write {str(path)!r}")


class MosaicFile:
    """Writes the pictures of several cameras into one file, and further parts where the cameras change."""

    def __init__(self, path: Path, names: Sequence[str], settings: EncoderSettings, *, resume: bool) -> None:
        """Check encoder and folder; the file is created with the first picture. Raises `OutputError`."""
        self.settings, self.reason = choose_encoder(settings)
        self.recording = Recording(path, resume=resume)
        self.pictures = 0
        """Pictures handed to the encoder."""
        self._names = tuple(names)
        self._order = Interleave(names)
        self._mosaic: Mosaic | None = None
        self._encoder: Encoder | None = None
        self._began_ns: int | None = None
        self._shown_ns = -LEAST_STEP_NS

    def follow(self, names: Sequence[str]) -> None:
        """Other cameras from now on: what waits is shown, and the next picture begins a part. Raises `OutputError`."""
        self._show(everything=True)
        self._names, self._mosaic, self._order = tuple(names), None, Interleave(names)

    def put(self, name: str, time_ns: int, tile: Tile) -> None:
        """The next picture of a camera. Raises `OutputError`; the file then plays up to its last whole fragment."""
        self._order.put(name, time_ns, tile)
        self._show()

    def end(self, name: str) -> None:
        """A camera has ended; with the last one the file is finished. Raises `OutputError`."""
        self._order.end(name)
        self._show()
        if self._order.all_ended:
            self.close()

    def close(self) -> None:
        """Show what waits and finish the file. May be called twice. Raises `OutputError`."""
        self._show(everything=True)
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            self._record(encoder.flush())
        self.recording.close()

    def _show(self, *, everything: bool = False) -> None:
        for name, time_ns, tile in self._order.due(everything=everything):
            if self._mosaic is None:
                self._mosaic = Mosaic(self._names, tile)
            if self._began_ns is None:
                self._began_ns = time_ns
            self._mosaic.paste(name, tile)
            # Cameras take their pictures at different moments: one of all shows the newest of each.
            if time_ns - self._began_ns - self._shown_ns >= LEAST_STEP_NS:
                self._shown_ns = time_ns - self._began_ns
                self._encode(self._mosaic)

    def _encode(self, mosaic: Mosaic) -> None:
        picture_format = PictureFormat.of(mosaic.frame)
        try:
            if self._encoder is None or self._encoder.format != picture_format:
                if self._encoder is not None:
                    self._record(self._encoder.flush())
                self._encoder = Encoder(picture_format, self.settings)
            keyframe = self.recording.plan(picture_format, self._shown_ns)
            self._record(self._encoder.encode(Encoder.picture_of(mosaic.frame), self._shown_ns, keyframe))
        except OutputError:
            self._encoder = None
            raise
        self.pictures += 1

    def _record(self, pictures: list[EncodedPicture]) -> None:
        for picture in pictures:
            self.recording.write(picture, picture.time_ns, 0)
