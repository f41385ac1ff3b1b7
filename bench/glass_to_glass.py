"""How old a frame is when a browser shows it: a clock in the picture, read back in a real Chromium.

    python -m bench.glass_to_glass [--seconds S] [--json FILE]

Capture is when the time is painted into the picture; from there it goes through the encoder with the settings of
live video, the hub, the HTTP side, the loopback, and the browser's buffer, decoder and compositor. What inference and
drawing take before that is told by /health. One run over WebRTC (WHEP), one over low-latency HLS with a player of Media
Source Extensions. The browser draws without a GPU here.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np

from bench.browser_player import Player, Shown, browser_page
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.viewers import Server

WEBRTC_MS = 150.0, 300.0
HLS_MS = 3000.0
WARM_UP_S = 3.0
HLS_LAG_S = 0.8
"""How far behind the newest part the player stays: one part and a half."""


@dataclass(frozen=True)
class Ages:
    """Ages of frames when they were shown, ms; and what came of the frames."""

    way: str
    frames: int
    p50_ms: float
    p95_ms: float
    worst_ms: float
    fps: float
    told: str = ""


def ages_of(way: str, shown: list[Shown], offset_s: float) -> Ages:
    """Of frames whose clock could be read. `offset_s`: seconds since the epoch less the monotonic clock."""
    ages = np.array([((each.shown_s - offset_s) * 1000 - each.painted_ms) % 2**32 for each in shown])
    ages = ages[ages < 60_000]
    spans = shown[-1].shown_s - shown[0].shown_s
    matched = sum(each.told == each.number for each in shown)
    told = (
        f"{matched} of {len(shown)} frames known by their number" if any(each.told for each in shown) else ""
    )
    p50, p95 = np.percentile(ages, [50, 95])
    return Ages(
        way, len(shown), float(p50), float(p95), float(ages.max()), len(shown) / max(spans, 0.001), told
    )


def measure(way: str, server: Server, seconds: float) -> Ages:
    """Play for so long after a warm-up."""
    offset_s = time.time() - time.monotonic()
    # Any page of the server's own origin will do; this one is small.
    with browser_page(f"http://127.0.0.1:{server.port}/openapi.json") as page:
        player = Player(page)
        if way == "WebRTC":
            player.whep("/whep/gate?view=overlay")
        else:
            player.hls("/hls/gate/overlay/index.m3u8", HLS_LAG_S)
        player.wait(WARM_UP_S)
        before = len(player.shown())
        player.wait(seconds)
        statistics, shown = player.statistics(), player.shown()[before:]
    if len(shown) < seconds:
        raise SystemExit(f"{way}: only {len(shown)} frames were shown: {statistics}")
    return ages_of(way, shown, offset_s)


def verdict(every: list[Ages]) -> dict[str, str]:
    """The goals' lines."""
    webrtc, hls = every
    good = webrtc.p50_ms <= WEBRTC_MS[0] and webrtc.p95_ms <= WEBRTC_MS[1]
    return {
        "webrtc": f"{'reached' if good else 'missed'}: p50 {webrtc.p50_ms:.0f} ms, p95 {webrtc.p95_ms:.0f} ms",
        "hls": f"{'reached' if hls.p95_ms <= HLS_MS else 'missed'}: p50 {hls.p50_ms / 1000:.2f} s, "
        f"p95 {hls.p95_ms / 1000:.2f} s",
    }


def main() -> None:
    """Measure both, print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    server = Server()
    try:
        every = [measure(way, server, args.seconds) for way in ("WebRTC", "low-latency HLS")]
    finally:
        server.stop()
    rows: list[tuple[object, ...]] = [
        (each.way, each.frames, f"{each.fps:.1f}", f"{each.p50_ms:.0f}", f"{each.p95_ms:.0f}", f"{each.worst_ms:.0f}",
         each.told)
        for each in every
    ]  # fmt: skip
    print(heading())
    columns = ("1280 × 720, 30 frames/s", "frames", "frames/s", "p50 ms", "p95 ms", "worst ms", "")
    print(markdown_table(columns, rows))
    write_json(args.json, ages=[asdict(each) for each in every], reach=verdict(every))


if __name__ == "__main__":
    main()
