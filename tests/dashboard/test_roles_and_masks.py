"""The dashboard where people log in, and where a click makes a mask: one engine with tokens and a segmenter."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Position, expect

from tests.dashboard.browser import Visit, visiting
from tests.dashboard.engines import Engines
from tests.e2e.engine import ENGINE_RUN, EngineRun, clip, model

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Guarded:
    """A run, and the tokens of those who may see it."""

    run: EngineRun
    tokens: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.run.port}"


def new_token(file: Path, role: str) -> str:
    done = subprocess.run(
        [ENGINE_RUN, "--tokens", str(file), "--new-token", role], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def guarded(
    engines: Engines, data_dir: Path, sam2_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Guarded:
    """An engine that asks who comes, with a SAM 2 of random weights."""
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens = {role: new_token(file, role) for role in ("viewer", "operator")}
    run = engines.start(
        "--source", clip(data_dir, "et_12_hideandseek"), "--loop", "--no-overlay",
        "--model", model(data_dir), "--segment-model", str(sam2_folder), "--tokens", str(file),
        environ={"ENGINE_SEGMENT_STANDBY": "yes", "ENGINE_INFER_FPS": "4"},
    )  # fmt: skip
    return Guarded(run, tokens)


def log_in(visit: Visit, token: str) -> None:
    visit.page.get_by_label("Token").fill(token)
    visit.page.get_by_role("button", name="Log in").click()


def prompt_of(visit: Visit, act: Callable[[], None]) -> dict[str, Any]:
    """What the page asks for when somebody does this, and the engine grants."""
    with visit.page.expect_response("**/prompt") as answer:
        act()
    assert answer.value.ok, answer.value.text()
    return dict(answer.value.request.post_data_json or {})


def drag(visit: Visit, x: float, y: float, right: float, down: float) -> None:
    mouse = visit.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right / 2, y + down / 2)
    mouse.move(x + right, y + down)
    mouse.up()


def test_a_viewer_sees_and_changes_nothing(browser: Browser, guarded: Guarded) -> None:
    with visiting(browser, guarded.url) as visit:
        page = visit.go("#/camera/cam0")
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        log_in(visit, "wrong")
        expect(page.get_by_role("alert").first).to_contain_text("token")
        visit.screenshot("login")
        log_in(visit, guarded.tokens["viewer"])
        visit.playing("whep", "cam0")
        expect(page.get_by_role("link", name="Events")).to_be_visible()
        expect(page.get_by_role("link", name="Manage")).to_have_count(0)
        for text in ("Stop", "Start", "Set"):
            expect(page.get_by_role("button", name=text, exact=True)).to_have_count(0)
        expect(page.get_by_label("Mask mode")).to_have_count(0)
        asked = page.evaluate(
            "async () => (await fetch('/mode', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
            "body: JSON.stringify({mode: 'off'})})).status"
        )
        assert asked == 403
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        page.reload()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_click_starts_a_track_with_a_mask(browser: Browser, guarded: Guarded) -> None:
    with visiting(browser, guarded.url) as visit:
        page = visit.go("#/camera/cam0")
        log_in(visit, guarded.tokens["operator"])
        visit.playing("whep", "cam0")
        visit.until("() => Number(document.querySelector('canvas.overlay').dataset.recordFrame) > 0")
        picture = page.locator("canvas.overlay")
        corner: Position = {"x": 30, "y": 30}  # nobody stands there
        picture.click(position=corner)
        refused = page.get_by_role("alert").filter(has_text="prompts need")
        expect(refused).to_be_visible()
        refused.get_by_role("button", name="Switch to “prompt”").click()
        expect(page.get_by_label("Mask mode")).to_have_value("prompt")
        asked = prompt_of(visit, lambda: picture.click(position=corner))
        box = picture.bounding_box()
        assert box is not None
        assert asked["points"][0] == pytest.approx(
            [30 * 1280 / box["width"], 30 * 720 / box["height"], 1], abs=2
        )
        assert asked["camera"] == "cam0" and asked["frame"] >= 0
        visit.until("() => document.querySelector('.camera-view').dataset.chosen !== ''")
        number = page.locator(".camera-view").get_attribute("data-chosen")
        row = page.locator(f"tr[data-id='{number}']")
        # On a quick machine the next keyframe's mask, from memory, is there before anybody has looked.
        expect(row).to_contain_text(re.compile("prompt|memory"), timeout=200_000)
        visit.until(
            "() => Number(document.querySelector('canvas.overlay').dataset.masks) >= 1", timeout_s=100
        )
        visit.screenshot("click-to-track")
        asked = prompt_of(visit, lambda: picture.click(position=corner, modifiers=["Shift"]))
        assert asked["points"][0][2] == 0 and asked["object"] == int(number or 0)
        asked = prompt_of(visit, lambda: drag(visit, box["x"] + 200, box["y"] + 100, 60, 40))
        scale = 1280 / box["width"]
        assert asked["box"] == pytest.approx([200 * scale, 100 * scale, 260 * scale, 140 * scale], abs=3)
        page.locator(f"tr[data-id='{number}'] button").click()
        page.get_by_role("button", name="Protect", exact=True).click()
        expect(page.get_by_role("button", name="Unprotect")).to_be_visible()
        page.get_by_role("button", name="Forget").click()
        expect(page.locator(".notices")).to_contain_text("no longer segmented")
        page.get_by_label("Frames per second").fill("3")
        page.get_by_role("button", name="Set", exact=True).click()
        expect(page.locator(".notices")).to_contain_text("frame rate set")
        page.get_by_label("Mask mode").select_option("off")
        expect(page.locator(".notices")).to_contain_text("masks: off")
