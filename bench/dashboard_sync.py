"""Is what the dashboard draws over a picture the record of that very frame?

The source is a video whose pictures carry their number as black and white blocks. A whole engine processes it, headless
Chromium opens its dashboard; for every picture that the page draws over, the blocks are read off the video itself and
compared with the frame number of the record that was drawn: over WebRTC, low-latency HLS and Motion JPEG.

    python -m bench.dashboard_sync [--seconds 20] [--fps 15] [--model FILE] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from bench.data import data_folder
from bench.live_camera import moving_pictures, paint_clock
from bench.live_changes import Run, until

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)
WIDTH, HEIGHT = 640, 360
FRAMES = 600
WAYS = ("whep", "hls", "mjpeg")
READ_BACK = """() => {
  window.seen = [];
  const scratch = document.createElement('canvas');
  const pen = scratch.getContext('2d', {willReadFrequently: true});
  document.querySelector('canvas.overlay').addEventListener('drawn', ({detail: {shown, record}}) => {
    const jpeg = document.querySelector('canvas.mjpeg');
    const video = document.querySelector('video');
    const source = jpeg.hidden ? video : jpeg;
    const width = jpeg.hidden ? video.videoWidth : jpeg.width;
    if (!shown || shown.noSignal || !width) return;
    scratch.width = width; scratch.height = 16;
    pen.drawImage(source, 0, 0, width, 16, 0, 0, width, 16);
    const row = pen.getImageData(0, 8, width, 1).data;
    let number = 0;
    for (let bit = 0; bit < 32; bit += 1) {
      const at = Math.floor((bit + 0.5) * width / 64) * 4;
      number = (number * 2 + (row[at] > 128 ? 1 : 0)) >>> 0;
    }
    window.seen.push([number, record ? record.frame : null, shown.frame]);
  });
}"""


def make_video(path: Path, fps: int) -> None:
    """A moving scene of `FRAMES` pictures, each with its number in its top rows."""
    pictures = moving_pictures(WIDTH, HEIGHT, 60)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps), options={"crf": "16", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            grey = pictures[number % len(pictures)].y.copy()
            paint_clock(grey, number, 0)
            planes = np.vstack([grey, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())


def watch(browser: Browser, url: str, way: str, seconds: float) -> list[tuple[int, int | None, int | None]]:
    """(burnt in, of the record drawn, told by the way of video) of every picture drawn over, the last time it was."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(f"localStorage.camring = JSON.stringify({{way: '{way}'}})")
    page.goto(f"{url}/#/camera/cam0")
    page.wait_for_function(
        "way => document.querySelector('.tile')?.dataset.way === way", arg=way, timeout=60_000
    )
    page.wait_for_timeout(2000)
    page.evaluate(READ_BACK)
    page.wait_for_timeout(seconds * 1000)
    seen: list[tuple[int, int | None, int | None]] = page.evaluate("window.seen")
    page.close()
    # A record that comes after its picture is drawn then: what counts is what the picture had in the end.
    return list({burnt: (burnt, record, told) for burnt, record, told in seen}.values())


def judged(seen: list[tuple[int, int | None, int | None]]) -> dict[str, Any]:
    """Shares of the pictures with a record of the same frame, within one, and with none."""
    differences = [distance(burnt, record) for burnt, record, _ in seen if record is not None]
    known = max(1, len(differences))
    return {
        "pictures": len(seen),
        "same": sum(each == 0 for each in differences) / known,
        "within_one": sum(abs(each) <= 1 for each in differences) / known,
        "furthest": max((abs(each) for each in differences), default=0),
        "without_record": (len(seen) - len(differences)) / max(1, len(seen)),
    }


def distance(burnt: int, frame: int) -> int:
    """Frames between a number in a picture and one that goes on counting over the loops of the video."""
    return (frame - burnt + FRAMES // 2) % FRAMES - FRAMES // 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each way of video")
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = args.model or data_folder() / "weights" / "light_person_detector_192_f32.onnx"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        video = Path(folder) / "numbers.mp4"
        make_video(video, args.fps)
        arguments = ("--source", str(video), "--loop", "--no-overlay", "--model", str(model))
        run = Run(Path(folder) / "out", *arguments, environ={})
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            until(lambda: run.times("cam0"), "results")
            url = f"http://127.0.0.1:{run.port}"
            figures = {way: judged(watch(browser, url, way, args.seconds)) for way in WAYS}
        finally:
            browser.close()
            run.stop()
    print("| video by | pictures | record of the same frame | ± 1 frame | furthest | without a record |")
    print("|---|---|---|---|---|---|")
    for way, each in figures.items():
        print(
            f"| {way} | {each['pictures']} | {each['same']:.1%} | {each['within_one']:.1%} | "
            f"{each['furthest']} frames | {each['without_record']:.1%} |"
        )
    if args.json:
        args.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
