"""Sample clips to try the engine with: rendered here, with the truth beside them, or fetched.

    python tools/fetch_samples.py                      render all samples into the folder samples
    python tools/fetch_samples.py street --to clips    render one
    python tools/fetch_samples.py --list               what there is, its licence and where it comes from
    python tools/fetch_samples.py people-detection --sha256 SUM --bytes N

Rendering needs no network: people on a square, drawn by this project (docs/scene.md), as H.264 in MP4. NAME.truth holds
a line of JSON for every frame with the exact boxes of everybody.

Clips of others are fetched from their official address, resumed where a fetch broke off, and checked. Nobody publishes
checksums of those listed here, so you say which file you mean: by the sum and size that you have from somebody whom you
trust.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.command_line import EXIT_STATUS, print_table, run_tool

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Scene:
    """A clip that is rendered: scene, number of its camera, and what is to be seen."""

    name: str
    scene: str
    camera: int
    shows: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of others: file name, address, licence, and what is to be seen."""

    name: str
    url: str
    licence: str
    shows: str


SCENES = (
    Scene("street", "plaza", 1, "thirteen people on a square, from afar, among pillars and trees"),
    Scene("court", "court", 1, "about five people from near, hidden now and then"),
    Scene("crossing", "cross_two", 1, "two people pass each other"),
    Scene("hiding", "occlude_2s", 1, "somebody goes behind a wall and comes out again"),
    Scene("running", "run_reverse", 1, "a runner who turns round"),
)
_INTEL = "https://github.com/intel-iot-devkit/sample-videos/raw/master"
_CC_BY = "CC BY 4.0, Intel (sample-videos)"
CLIPS = (
    Clip("people-detection", f"{_INTEL}/people-detection.mp4", _CC_BY, "people in a corridor"),
    Clip("person-bicycle-car-detection", f"{_INTEL}/person-bicycle-car-detection.mp4", _CC_BY, "a car park"),
    Clip(
        "one-by-one-person-detection",
        f"{_INTEL}/one-by-one-person-detection.mp4",
        _CC_BY,
        "one after another",
    ),
    Clip(
        "store-aisle-detection", f"{_INTEL}/store-aisle-detection.mp4", _CC_BY, "people in a shop, from above"
    ),
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="fetch_samples",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="samples (default: all that are rendered)")
    parser.add_argument("--list", action="store_true", help="show the samples; stop")
    parser.add_argument(
        "--render", action="store_true", help="render only: refuse names that would be fetched"
    )
    parser.add_argument(
        "--to", type=Path, default=Path("samples"), metavar="DIR", help="folder (default: samples)"
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="of what is rendered (default: 20)"
    )
    parser.add_argument(
        "--size", default="640x360", metavar="WxH", help="of what is rendered (default: 640x360)"
    )
    parser.add_argument("--fps", type=int, default=15, help="of what is rendered (default: 15)")
    parser.add_argument("--sha256", metavar="SUM", help="checksum of the clip that is fetched")
    parser.add_argument("--bytes", type=int, metavar="N", help="its size")
    return parser


def carry_out(args: argparse.Namespace) -> int:
    """List, render or fetch. Raises an `EngineError`."""
    from engine.errors import ConfigError
    from engine.registry import nearest

    if args.list:
        return show()
    scenes, clips = {each.name: each for each in SCENES}, {each.name: each for each in CLIPS}
    names = args.names or list(scenes)
    for name in names:
        if name not in scenes and name not in clips:
            raise ConfigError(
                f"{name}: there is no such sample{nearest(name, [*scenes, *clips])}; --list shows them"
            )
        if args.render and name not in scenes:
            raise ConfigError(f"{name}: is not rendered but fetched; leave --render out")
    wanted = [clips[name] for name in names if name in clips]
    if len(wanted) > 1:
        raise ConfigError("one clip at a time is fetched: each has a checksum of its own")
    if wanted:
        check_sum(wanted[0], args)
    size_wh = check_size(args)
    for name in names:
        if name in scenes:
            print(render(scenes[name], args.to, size_wh, args.fps, args.seconds))
        else:
            print(fetch_clip(clips[name], args.to, args.sha256, args.bytes))
    return 0


def show() -> int:
    """The table of samples."""
    rows: list[tuple[str, str, str, str]] = [
        (each.name, "rendered", "this project's, Apache-2.0", each.shows) for each in SCENES
    ]
    rows += [(each.name, each.url, each.licence, each.shows) for each in CLIPS]
    print_table(("name", "from", "licence", "shows"), rows)
    return 0


def check_sum(clip: Clip, args: argparse.Namespace) -> None:
    """Refuse to fetch what could be anything. Raises `ConfigError`."""
    from engine.errors import ConfigError

    if args.sha256 is None or args.bytes is None:
        raise ConfigError(
            f"{clip.name}: give --sha256 and --bytes of the file that you mean ({clip.url}); nobody publishes them"
        )
    if not _SHA256.fullmatch(args.sha256) or args.bytes < 1:
        raise ConfigError("--sha256 is 64 hexadecimal digits in small letters, --bytes a number above 0")


def check_size(args: argparse.Namespace) -> tuple[int, int]:
    """Width and height. Raises `ConfigError`."""
    from engine.errors import ConfigError

    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", args.size)
    if match is None or int(match[1]) % 2 or int(match[2]) % 2 or min(int(match[1]), int(match[2])) < 64:
        raise ConfigError(f"--size {args.size}: even numbers from 64x64 on, such as 640x360")
    if not (1 <= args.fps <= 240 and 0 < args.seconds <= 3600):
        raise ConfigError("--fps is 1 to 240, --seconds above 0 and at most 3600")
    return int(match[1]), int(match[2])


def fetch_clip(clip: Clip, folder: Path, sha256: str, size_bytes: int) -> Path:
    """Raises `ModelError` and its kinds, in one line each."""
    from engine.models.fetch import Wanted, fetch

    target = folder / f"{clip.name}.mp4"
    fetch(Wanted(clip.url, sha256, size_bytes), target)
    print(f"{clip.name}: {clip.licence}: say so where you show it")
    return target


def render(scene: Scene, folder: Path, size_wh: tuple[int, int], fps: int, seconds: float) -> Path:
    """Draw a scene into `FOLDER/NAME.mp4`, its truth into `FOLDER/NAME.truth`; whole files or none.

    Raises `OutputError` where they cannot be written.
    """
    from engine.errors import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{scene.name}.") as work:
            url = f"scene://{scene.scene}?camera={scene.camera}&width={size_wh[0]}&height={size_wh[1]}&fps={fps}"
            url += f"&frames={max(1, round(seconds * fps))}&truth={work}&name={scene.name}"
            _record(url, Path(work) / f"{scene.name}.mp4", size_wh, fps)
            for name in (f"{scene.name}.truth", f"{scene.name}.mp4"):
                os.replace(Path(work) / name, folder / name)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder / f"{scene.name}.mp4"


def _record(url: str, path: Path, size_wh: tuple[int, int], fps: int) -> None:
    """Every picture of a source as H.264 that any player takes."""
    from fractions import Fraction

    import av
    import numpy as np

    from engine.sources.base import SourceOptions, create_source

    source = create_source(SourceOptions(url, offline=True))
    source.open()
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "20"})
            stream.width, stream.height = size_wh
            stream.pix_fmt = "yuv420p"
            number = 0
            while (picture := source.grab()) is not None:
                nv12 = np.empty((picture.height * 3 // 2, picture.width), np.uint8)
                luma, chroma = nv12[: picture.height], nv12[picture.height :]
                source.read_into(luma, chroma.reshape(picture.height // 2, picture.width // 2, 2))
                frame = av.VideoFrame.from_ndarray(nv12, format="nv12")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                container.mux(stream.encode(frame))
                number += 1
            container.mux(stream.encode())
    finally:
        source.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)


if __name__ == "__main__":
    sys.exit(main())
