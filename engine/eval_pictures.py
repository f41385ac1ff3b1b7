"""The pictures of a sequence of MOTChallenge: its folder `img1`, or a clip that the user names. As frames, in order.

Knows files. Frame n of the sequence is picture n, counted from 1, whatever numbers the clip has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.errors import ConfigError, SourceError
from engine.eval_cache import hash_of_files
from engine.evaluation.mot_sequence import Sequence
from engine.segment_pictures import Inputs, PictureFile, frames_of
from engine.types import FrameNv12


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pictures of the first `frames` frames are: files, or one clip.

    size_wh  what seqinfo.ini says, 0 where it does not
    """

    files: tuple[Path, ...]
    clip: Path | None
    frames: int
    size_wh: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, sequence: Sequence, clip: Path | None) -> Pictures | None:
        """Those of a sequence; None where it has none and no clip was named. Raises `ConfigError` where some lack."""
        info = sequence.info
        size_wh = (info.width, info.height)
        if clip is not None:
            if not clip.is_file():
                raise ConfigError(f"--clip {clip}: no such file")
            return cls((), clip, sequence.frames, size_wh)
        if not info.picture_folder.is_dir():
            return None
        files = tuple(
            info.picture_folder / f"{number:06d}{info.picture_suffix}"
            for number in range(1, sequence.frames + 1)
        )
        for number, file in enumerate(files, 1):
            if not file.is_file():
                raise ConfigError(f"{file}: missing; there is truth for frame {number}")
        return cls(files, None, sequence.frames, size_wh)

    def __iter__(self) -> Iterator[FrameNv12]:
        """The frames, as many as there is truth for.

        Raises `ConfigError` for a clip that ends before or is of another size, `SourceError` for what cannot be read.
        """
        pictures = tuple(PictureFile(file, file.stem) for file in self.files)
        shown_so_far = 0
        with closing(frames_of(Inputs(pictures, self.clip))) as shown:  # type: ignore[type-var]  # a generator
            for each in islice(shown, self.frames):
                if each.frame is None:
                    raise SourceError(each.problem)
                self._check_size(each.frame, each.path)
                shown_so_far += 1
                yield each.frame
        if shown_so_far < self.frames:
            raise ConfigError(
                f"{self.clip}: {shown_so_far} frames, but there is truth for {self.frames}: another clip?"
            )

    def _check_size(self, frame: FrameNv12, path: Path) -> None:
        size_wh = (frame.meta.width, frame.meta.height)
        if all(self.size_wh) and size_wh != self.size_wh:
            here, said = (f"{width} × {height}" for width, height in (size_wh, self.size_wh))
            raise ConfigError(f"{path}: {here} pixels, but seqinfo.ini says {said}")

    def fingerprint(self) -> str:
        """Hash of what the pictures are made from, and of how many there are. Raises `SourceError`."""
        paths = self.files or (self.clip,)
        try:
            return f"{hash_of_files(path for path in paths if path)}-{self.frames}"
        except OSError as error:
            raise SourceError(f"{error.filename}: cannot be read: {error.strerror}") from error
