"""Which peers there are, what each needs, and how they are installed without touching anything else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.tracker_peers.peer import Peer

PINNED = (
    "trackers==2.6.1",
    "supervision==0.30.9",
    "norfair-enough==2.4.3",
    "pydeprecate==0.13.0",
    "defusedxml==0.7.1",
)
"""What `install` puts into a folder of its own, without dependencies: they would bring `opencv-python`, which owns the
same folder as `opencv-python-headless`. What else they import is in camring[bench,export]; so is ultralytics."""
HOW_TO_INSTALL = "python -m bench.identity --install-peers"
HOW_TO_INSTALL_ULTRALYTICS = "pip install 'camring[bench,export]'"


@dataclass(frozen=True)
class Entry:
    """A peer: the packages it needs, how to install them, and what makes it for pictures of a size (0 = unknown).

    looks  whether it looks at pictures
    """

    packages: tuple[str, ...]
    install: str
    make: Callable[[tuple[int, int]], Peer]
    looks: bool = False

    def missing(self) -> str:
        """Why it cannot run here, or nothing."""
        absent = [name for name in self.packages if find_spec(name) is None]
        return f"{' and '.join(absent)} missing: {self.install}" if absent else ""


def _roboflow(name: str) -> Callable[[tuple[int, int]], Peer]:
    def make(size_wh: tuple[int, int]) -> Peer:
        from bench.tracker_peers.roboflow import Roboflow

        return Roboflow(name)

    return make


def _ultralytics(name: str) -> Callable[[tuple[int, int]], Peer]:
    def make(size_wh: tuple[int, int]) -> Peer:
        from bench.tracker_peers.ultralytics_trackers import Ultralytics

        return Ultralytics(name, size_wh)

    return make


def _supervision(size_wh: tuple[int, int]) -> Peer:
    from bench.tracker_peers.roboflow import SupervisionByteTrack

    return SupervisionByteTrack()


def _norfair(size_wh: tuple[int, int]) -> Peer:
    from bench.tracker_peers.norfair_tracker import Norfair

    return Norfair()


CATALOGUE: dict[str, Entry] = {
    **{
        f"roboflow-{name}": Entry(
            ("trackers", "supervision", "deprecate"), HOW_TO_INSTALL, _roboflow(name), name in ("botsort", "mcbyte")
        )
        for name in ("sort", "bytetrack", "ocsort", "botsort", "cbiou", "mcbyte")
    },
    **{
        f"ultralytics-{name}": Entry(
            ("ultralytics", "lap", "torch"), HOW_TO_INSTALL_ULTRALYTICS, _ultralytics(name),
            name in ("botsort", "tracktrack"),
        )
        for name in ("botsort", "bytetrack", "ocsort", "deepocsort", "fasttrack", "tracktrack")
    },
    "supervision-bytetrack": Entry(("supervision", "deprecate"), HOW_TO_INSTALL, _supervision),
    "norfair": Entry(("norfair",), HOW_TO_INSTALL, _norfair),
}  # fmt: skip


def install(folder: Path) -> None:
    """Put the pinned packages into a folder of their own. Raises `SystemExit` where pip cannot."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--upgrade"]
    done = subprocess.run([*command, "--no-deps", "--target", str(folder), *PINNED])
    if done.returncode:
        raise SystemExit(f"pip could not install the peers into {folder}")
