"""The dashboard over a live engine: two simulated cameras, one of them on a simulated head."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.dashboard.browser import Visit, visiting
from tests.dashboard.engines import Engines
from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(300)]

EVIL = "<img src=x onerror=alert(1)>"
FOLLOW_SOMEBODY = """() => {
  const told = document.querySelector('.notices').textContent;
  if (told.includes('follows it')) return true;
  if (!document.querySelector('.camera-view').dataset.chosen) document.querySelector('.objects td button')?.click();
  [...document.querySelectorAll('.actions button')].find(each => each.textContent === 'Follow with PTZ')?.click();
  if (told.includes('no ')) document.querySelector('.camera-view').dataset.chosen = '';
  return false;
}"""
COUNT_PEERS = """
  window.peers = [];
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) { super(...options); window.peers.push(this); }
  };
"""
DECODED = """async () => {
  const counts = [];
  for (const peer of window.peers) {
    for (const report of (await peer.getStats()).values()) {
      if (report.type === 'inbound-rtp') counts.push(report.framesDecoded);
    }
  }
  return counts;
}"""
NOTE_SHIFTS = """
  window.shifts = 0;
  new PerformanceObserver(list => list.getEntries().forEach(entry => {
    if (!entry.hadRecentInput) window.shifts += entry.value;
  })).observe({type: 'layout-shift', buffered: true});
"""
NOTE_DRAWN = """() => {
  window.drawn = [];
  document.querySelector('canvas.overlay').addEventListener('drawn', ({detail: {shown, record}}) => {
    if (shown) window.drawn.push([shown.frame, shown.time, record?.frame ?? null, record?.time ?? null]);
  });
}"""


@pytest.fixture(scope="module")
def plaza(engines: Engines, data_dir: Path) -> EngineRun:
    """An overview and a steered camera over the same square."""
    return engines.start(
        "--source", "scene://plaza?cameras=2", "--model", model(data_dir), "--no-overlay",
        environ={"ENGINE_INFER_FPS": "8"},
    )  # fmt: skip


def url_of(run: EngineRun) -> str:
    return f"http://127.0.0.1:{run.port}"


def refuse(visit: Visit, path: str, status: int, detail: str) -> None:
    """Answer requests to a path as an engine would that cannot do this."""

    def answer(route: Route) -> None:
        body = json.dumps({"type": "about:blank", "title": "no", "status": status, "detail": detail})
        route.fulfill(status=status, content_type="application/problem+json", body=body)

    visit.page.route(path, answer)


def test_the_wall_plays_every_camera_in_step_with_its_records(browser: Browser, plaza: EngineRun) -> None:
    with visiting(browser, url_of(plaza)) as visit:
        visit.page.add_init_script(COUNT_PEERS + NOTE_SHIFTS)
        page = visit.go()
        for camera in ("overview", "ptz"):
            visit.playing("whep", camera)
        before = page.evaluate(DECODED)
        page.evaluate(NOTE_DRAWN)
        visit.until("() => window.drawn.filter(([frame]) => frame !== null).length >= 10")
        after = page.evaluate(DECODED)
        assert len(after) == 2 and all(late > early for early, late in zip(before, after, strict=True))
        named = [
            (shown, record) for shown, _, record, _ in page.evaluate("window.drawn") if shown is not None
        ]
        last = {shown: record for shown, record in named}  # a record may come after its picture
        in_step = [record is not None and abs(shown - record) <= 1 for shown, record in last.items()]
        assert sum(in_step[:-1]) >= 0.9 * len(in_step[:-1]), named
        assert page.evaluate("window.shifts") < 0.05, "what somebody is about to touch moves away"
        visit.screenshot("wall")


def test_without_webrtc_hls_plays_and_without_that_mjpeg(browser: Browser, plaza: EngineRun) -> None:
    with visiting(browser, url_of(plaza)) as visit:
        refuse(visit, "**/whep/**", 501, "install camring[webrtc]")
        page = visit.go("#/camera/overview")
        visit.playing("hls")
        expect(page.locator(".way-reason")).to_contain_text("install camring[webrtc]")
        page.evaluate(NOTE_DRAWN)
        visit.until("() => window.drawn.some(([, time, , record]) => Math.abs(time - record) < 0.05)")
        refuse(visit, "**/hls/**", 503, "no video yet")
        visit.playing("mjpeg")
        expect(page.locator(".way-reason")).to_contain_text("no video yet")
        visit.until("() => window.drawn.some(([frame, , record]) => frame !== null && frame === record)")
        page.unroute("**/whep/**")
        page.get_by_label("Video by").select_option("whep")
        visit.playing("whep")
        with page.expect_request("**/whep/overview?view=overlay"):
            page.get_by_label("Drawn by").select_option("overlay")
        visit.playing("whep")
        visit.screenshot("drawn-by-the-engine")


def test_the_joystick_moves_the_head_and_stops_it(browser: Browser, plaza: EngineRun) -> None:
    def pan() -> float:
        head = ((plaza.health() or {}).get("ptz") or {}).get("ptz") or {}
        return float((head.get("pose") or {}).get("pan_deg", float("nan")))

    until(lambda: ((plaza.health() or {})["ptz"] or {})["ptz"]["state"] == "ok", 30, "the head is ready")
    with visiting(browser, url_of(plaza)) as visit:
        page = visit.go("#/camera/ptz")
        joystick = page.get_by_role("application", name=re.compile("Joystick"))
        joystick.focus()
        start = pan()
        page.keyboard.down("ArrowRight")
        until(lambda: page.wait_for_timeout(100) or abs(pan() - start) > 5, 10, "the head turns")  # type: ignore[func-returns-value]  # lets the page live
        visit.until("() => document.querySelector('.ptz').dataset.following === 'manual'")
        visit.screenshot("camera-ptz")
        page.keyboard.up("ArrowRight")
        page.wait_for_timeout(2000)  # /health is a second old, and heads need a moment
        rests = pan()
        page.wait_for_timeout(1500)
        assert abs(pan() - rests) < 0.5, "it goes on turning"
        page.get_by_label("Number of the new preset").fill("5")
        page.get_by_label("Name of the new preset").fill("<b>gate</b>")
        page.get_by_role("button", name="Store").click()
        expect(page.get_by_role("button", name="5: <b>gate</b>", exact=True)).to_be_visible()
        page.get_by_role("button", name="Remove preset 5: <b>gate</b>").click()
        expect(page.get_by_role("button", name="5: <b>gate</b>", exact=True)).to_have_count(0)
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".notices")).to_contain_text("follows again")
        visit.until(FOLLOW_SOMEBODY)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone(browser: Browser, plaza: EngineRun, scheme: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with visiting(browser, url_of(plaza), color_scheme=scheme, reduced_motion="reduce", **phone) as visit:
        page = visit.go()
        visit.playing("whep", "overview")
        grounds = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", grounds))) < 60) == (scheme == "dark")
        visit.screenshot(f"phone-wall-{scheme}")
        page.set_viewport_size({"width": 390, "height": 260})
        below = page.locator('.tile[data-camera="ptz"]')
        expect(below).to_have_attribute("data-pictures", "false")  # what cannot be seen does not play
        below.scroll_into_view_if_needed()
        visit.playing("whep", "ptz")
        page.set_viewport_size({"width": 390, "height": 844})
        page.get_by_role("link", name="Camera overview").tap()
        visit.playing("whep")
        for place in ("#/camera/ptz", "#/events", "#/charts", "#/health", "#/manage"):
            visit.go(place)
            page.wait_for_timeout(100)
            wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wider <= 0, f"{place} is {wider} px wider than the screen"
        small = page.evaluate(
            "() => [...document.querySelectorAll('button')].filter(b => b.offsetHeight && b.offsetHeight < 40).length"
        )
        assert small == 0, "buttons too small for a finger"


def test_everything_with_the_keyboard(browser: Browser, plaza: EngineRun) -> None:
    with visiting(browser, url_of(plaza)) as visit:
        page = visit.go()
        visit.until("() => document.querySelectorAll('.tile').length === 2")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("To the content")
        page.keyboard.press("Enter")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        visit.screenshot("help")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
        page.locator("#main").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="overview", level=1)).to_be_visible()
        visit.playing("whep")
        page.keyboard.press("p")
        for key in ("ArrowDown", "Shift+ArrowDown", "ArrowLeft", "Shift+Enter"):
            page.keyboard.press(key)
        alert = page.get_by_role("alert").filter(has_text="segment")  # this run has no segmenter, and says so
        expect(alert).to_be_visible()
        page.locator("#main").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("heading", name="ptz", level=1)).to_be_visible()
        expect(page.locator(".joystick")).to_be_visible()
        page.keyboard.press("j")
        expect(page.locator(".joystick")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("list", name="Cameras")).to_be_visible()
        page.keyboard.press("3")
        expect(page.get_by_role("heading", name="Charts")).to_be_visible()


def test_themes_are_switched_and_kept(browser: Browser, plaza: EngineRun) -> None:
    with visiting(browser, url_of(plaza), color_scheme="light") as visit:
        page = visit.go("#/health")
        switch = page.get_by_role("button", name="Dark, light or as the system")
        switch.click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.reload()
        expect(switch).to_be_visible()
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
        visit.until("() => document.querySelectorAll('.health table').length >= 3")
        visit.screenshot("health-dark")


def test_charts_and_events_fill_by_themselves(browser: Browser, plaza: EngineRun) -> None:
    with visiting(browser, url_of(plaza)) as visit:
        page = visit.go("#/charts")
        visit.until("() => document.querySelectorAll('.chart .legend li').length >= 8")
        page.wait_for_timeout(3000)
        inked = page.evaluate(
            """() => [...document.querySelectorAll('.chart canvas')].filter(canvas => canvas.width &&
                 canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)).length"""
        )
        assert inked >= 5
        visit.screenshot("charts")
        visit.go("#/events")
        visit.until("() => document.querySelectorAll('.events li').length >= 1")
        visit.screenshot("events")
        page.get_by_label("Kind").select_option("appeared")
        kinds = page.locator(".events li").evaluate_all("all => all.map(each => each.dataset.kind)")
        assert set(kinds) == {"appeared"}
        page.get_by_label("Camera").select_option("overview")
        visit.until(
            "() => [...document.querySelectorAll('.events li a')].every(a => a.textContent === 'overview')"
        )
        page.get_by_label("Camera").select_option("")
        page.locator(".events a").first.click()
        expect(page.locator(".camera-view")).to_be_visible()


def test_names_from_outside_are_text(browser: Browser, plaza: EngineRun, data_dir: Path) -> None:
    with visiting(browser, url_of(plaza)) as visit:
        page = visit.go("#/manage")
        form = page.get_by_role("form", name="Add a camera")
        form.get_by_label("Name").fill(EVIL)
        form.get_by_label("Source").fill("nothing://there")
        form.get_by_role("button", name="Add").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing")
        form.get_by_label("Source").fill(clip(data_dir, "et_01_dog"))
        form.get_by_label("More settings").fill(
            '{"loop": true, "infer_fps": 4, "zone": [{"name": "<b>z</b>", "polygon": [[0, 0], [1, 0], [1, 1]]}]}'
        )
        form.get_by_role("button", name="Add").click()
        entry = page.locator("article", has=page.get_by_role("heading", name=EVIL))
        expect(entry).to_be_visible(timeout=20_000)
        visit.go()
        visit.playing(None, EVIL)  # a camera that is still being started may begin with HLS
        visit.screenshot("wall-with-a-strange-name")
        page.get_by_role("link", name=f"Camera {EVIL}").click()
        expect(page.get_by_role("heading", name=EVIL, level=1)).to_be_visible()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator(".tile .veil")).to_contain_text("stopped")
        visit.go("#/manage")
        entry.get_by_role("button", name="Remove").click()
        entry.get_by_role("button", name="Really remove").click()
        expect(entry).to_have_count(0)
        assert page.evaluate("document.querySelectorAll('img').length") == 0


def test_the_page_comes_back_by_itself_when_the_control_process_is_killed(
    browser: Browser, plaza: EngineRun
) -> None:
    with visiting(browser, url_of(plaza)) as visit:
        page = visit.go()
        visit.playing("whep", "overview")
        page.evaluate("window.untouched = true")
        control = next(pid for pid, kind in plaza.workers().items() if kind == "control")
        os.kill(control, signal.SIGKILL)
        visit.until("() => document.querySelector('.link').textContent !== ''")
        visit.until("() => document.querySelector('.link').textContent === ''")
        visit.playing("whep", "overview")
        number = int(visit.shown()["shownFrame"] or 0)
        visit.until("n => Number(document.querySelector('canvas.overlay').dataset.shownFrame) > n", number)
        assert page.evaluate("window.untouched")
