"""Make docs/images/out_of_the_box.webp anew: the default run, recorded, some seconds of it as a moving picture.

Has the README show it, as its first picture.

python tools/readme_picture.py [--from-s 30] [--seconds 5] [--video demo.mp4]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "images" / "out_of_the_box.webp"
SHOWN = (
    "![The default run: a fixed camera and one whose head follows, people with masks and IDs]"
    "(docs/images/out_of_the_box.webp)\n\n"
    "*Some seconds of what `make run` shows, as `--record` writes them: the built-in scene, the embedded models,\n"
    "two cores.*"
)
WIDTH = 1024
SETTLE_S = 10.0
"""The first pictures, and the last ones, are not in the video: models load, files are finished."""


def record(folder: Path, seconds: float) -> Path:
    """The video of a run as `make run` starts it, with `--record`."""
    video = folder / "demo.mp4"
    command = [
        str(Path(sys.executable).with_name("engine-run")), "--record", str(video), "--out", str(folder / "out"),
        "--duration", str(seconds + SETTLE_S), "--port", "0",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=seconds + 120)
    return video


def pictures(video: Path, from_s: float, seconds: float, fps: int) -> Iterator[av.VideoFrame]:
    """`fps` pictures of each second, made smaller."""
    due_s = from_s
    with av.open(str(video)) as container:
        for picture in container.decode(video=0):
            if picture.time is None or picture.time < due_s:
                continue
            if picture.time >= from_s + seconds:
                return
            due_s += 1 / fps
            height = round(WIDTH * picture.height / picture.width / 2) * 2
            yield picture.reformat(WIDTH, height, "yuv420p", interpolation="AREA")


def write(target: Path, shown: Iterator[av.VideoFrame], fps: int, quality: int) -> int:
    """An animated WebP that loops for ever; returns how many pictures it has."""
    written = 0
    with av.open(str(target), "w", format="webp", options={"loop": "0"}) as container:
        stream = None
        for picture in shown:
            if stream is None:
                stream = container.add_stream("libwebp_anim", rate=fps, options={"quality": str(quality)})
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
            picture.pts, picture.time_base = written, Fraction(1, fps)
            container.mux(stream.encode(picture))
            written += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return written


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--from-s", type=float, default=30.0, help="second of the video to begin at (default: 30)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how much of it (default: 5)")
    parser.add_argument("--fps", type=int, default=8, help="pictures a second (default: 8)")
    parser.add_argument("--quality", type=int, default=55, help="of WebP, 0 to 100 (default: 55)")
    parser.add_argument("--video", type=Path, help="take this recording instead of making one")
    parser.add_argument("--out", type=Path, default=TARGET, help="file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = args.video or record(Path(folder), args.from_s + args.seconds)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        count = write(args.out, pictures(video, args.from_s, args.seconds, args.fps), args.fps, args.quality)
    if not count:
        print(f"readme_picture.py: the video ends before second {args.from_s:g}", file=sys.stderr)
        return 1
    if args.out == TARGET:
        readme = ROOT / "README.md"
        readme.write_text(
            re.sub(r"!\[[^]]*\]\([^)]*\)(\n\n\*[^*]*\*)?", lambda _: SHOWN, readme.read_text(), count=1)
        )
    print(f"{args.out}: {count} pictures, {args.out.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
