"""What networks said of pictures, kept on disk, so that tuning a tracker does not run them again.

One npz file an answer, its name the hash of everything that the answer depends on. Read without pickle; a file that is
damaged counts as none. Knows arrays; not what they mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.registry import cache_dir

Arrays = dict[str, NDArray[Any]]

FORMAT = 1
"""Changed with what is in a file, or with how the engine prepares pictures: files of another format are not found."""
_BLOCK_BYTES = 1 << 20


class AnswerCache:
    """Files of arrays by their key. Without a folder nothing is kept.

    hits, misses  how often something was asked for and was there, or was not
    """

    def __init__(self, folder: Path | None) -> None:
        self.hits = self.misses = 0
        self._folder = folder

    @classmethod
    def of_the_engine(cls) -> AnswerCache:
        """Beside the models that were fetched: `$XDG_CACHE_HOME/camring/evaluation`."""
        return cls(cache_dir().parent / "evaluation")

    def find(self, key: str) -> Arrays | None:
        """The arrays stored under a key; None where there are none that can be read."""
        if self._folder is not None:
            with suppress(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
                # numpy leaves a file open that turns out to be damaged, if it has opened it itself.
                with (
                    (self._folder / f"{key}.npz").open("rb") as file,
                    np.load(file, allow_pickle=False) as stored,
                ):
                    found = {name: stored[name] for name in stored.files}
                self.hits += 1
                return found
        self.misses += 1
        return None

    def store(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays, whole or not at all. A folder that cannot be written costs another run, nothing else."""
        if self._folder is None:
            return
        unfinished = self._folder / f".{key}.{os.getpid()}"
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            unfinished.replace(self._folder / f"{key}.npz")
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def key_of(*facts: object) -> str:
    """The name of an answer that depends on these facts: text, numbers, and lists and tables of such."""
    return hashlib.sha256(json.dumps((FORMAT, facts), sort_keys=True).encode()).hexdigest()[:40]


def hash_of_files(paths: Iterable[Path]) -> str:
    """Of their contents in their order. Raises `OSError`."""
    total = hashlib.sha256()
    for path in paths:
        one = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                one.update(block)
        total.update(one.digest())
    return total.hexdigest()
