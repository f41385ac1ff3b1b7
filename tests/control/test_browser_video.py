"""Live video in a real Chromium: it plays, says which frame is shown, and goes on over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.browser_player import CHROMIUM, Player, browser_page
from tests.control.live_server import live_server, wait_for

pytestmark = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason="Chromium is missing: apt-get install chromium"
)


def test_webrtc_plays_knows_its_frames_and_goes_on_over_a_restart() -> None:
    with live_server("gate") as server, browser_page(f"{server.url}/openapi.json") as page:
        player = Player(page)
        player.whep("/whep/gate?view=overlay")
        player.wait(3)
        first = player.statistics()
        assert first["connection"] == "connected"
        assert first["framesDecoded"] > 20
        camera = server.live.cameras["gate"]
        camera.silent.set()
        player.wait(0.7)
        camera.restart()
        camera.silent.clear()
        player.wait(2)
        second = player.statistics()
        assert second["framesDecoded"] > first["framesDecoded"] + 10
        assert second["states"] == ["connecting", "connected"]
        shown = player.shown()
        known = [each for each in shown if each.told is not None]
        assert len(known) > 0.8 * len(shown) > 20
        apart = [each.told - each.number for each in known if each.told is not None]
        assert max(map(abs, apart)) <= 1 and apart.count(0) > 0.9 * len(apart), apart
        page.evaluate("() => player.peer.close()")
        wait_for(lambda: server.sessions() == 0)


def test_low_latency_hls_plays() -> None:
    with live_server("gate") as server, browser_page(f"{server.url}/openapi.json") as page:
        player = Player(page)
        player.hls("/hls/gate/clean/index.m3u8", 0.8)
        player.wait(4)
        assert player.statistics()["errors"] == []
        numbers = [each.number for each in player.shown()]
        assert len(numbers) > 30
        assert numbers == sorted(numbers)


def test_motion_jpeg_plays_in_an_image() -> None:
    with live_server("gate") as server, browser_page(f"{server.url}/openapi.json") as page:
        width = page.evaluate(
            """async () => {
                const image = document.body.appendChild(new Image());
                image.src = '/mjpeg/gate?fps=5';
                for (let n = 0; n < 100 && !image.naturalWidth; n++) await new Promise((go) => setTimeout(go, 50));
                return image.naturalWidth;
            }"""
        )
        assert width == 640
        assert server.statistics()["viewers"] == {"overlay_jpeg": 1}
