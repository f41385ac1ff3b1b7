"""From a fresh clone to the first mask in the dashboard: `make run` with nothing but a package index.

    python -m bench.out_of_box [--warm] [--json FILE]

The repository's last commit is cloned into an empty folder, `make run` is called there, and Chromium looks at the
dashboard until it draws a mask. Neither pip's cache nor fetched models are used (`--warm`: pip's cache is). The clock
is read at the call, when `engine-run` begins, and when the page has drawn the mask.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Error, sync_playwright

from bench.machine import argument_parser, heading, markdown_table, write_json

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = "/usr/bin/chromium"
PATIENCE_S = 900.0
DRAWN = (
    """() => [...document.querySelectorAll('canvas.overlay')].some(each => Number(each.dataset.masks) > 0)"""
)


@dataclass(frozen=True)
class Times:
    """Seconds: of the installation, from the engine's start to its first answer, and to the mask on the page."""

    installed_s: float
    answer_s: float
    mask_s: float


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def engine_started(make: subprocess.Popen[bytes]) -> bool:
    """Whether `make` has come to `engine-run`."""
    try:
        children = psutil.Process(make.pid).children(recursive=True)
        return any("engine-run" in " ".join(child.cmdline()) and child.name() != "sh" for child in children)
    except psutil.Error:
        return False


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: object, make: subprocess.Popen[bytes], what: str) -> float:
    """The moment at which it holds. Raises `SystemExit` where `make` has ended, or after a quarter of an hour."""
    assert callable(condition)
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if make.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"make run: no {what}")
        time.sleep(0.05)
    return time.monotonic()


def first_mask(browser: Browser, port: int, make: subprocess.Popen[bytes]) -> float:
    """When the dashboard has drawn one. Raises `SystemExit` where it never does."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    try:
        page.goto(f"http://127.0.0.1:{port}/#/")
        page.wait_for_function(DRAWN, timeout=60_000, polling=50)
    except Error as error:
        raise SystemExit(f"dashboard: no mask within a minute ({error.message.splitlines()[0]})") from None
    assert make.poll() is None
    return time.monotonic()


def measure(folder: Path, browser: Browser, warm: bool) -> Times:
    """Clone, set up, run, look; everything is stopped at the end."""
    clone = folder / "camring"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    port = free_port()
    environ = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    environ.pop("ENGINE_MODELS", None)
    if warm:
        environ |= {"PIP_CACHE_DIR": str(Path.home() / ".cache" / "pip")}
    else:
        environ |= {"PIP_NO_CACHE_DIR": "1"}
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        make = subprocess.Popen(
            ["make", "run", f"ARGS=--port {port}"],
            cwd=clone, env=environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            started = wait_for(lambda: engine_started(make), make, "engine")
            answer = wait_for(lambda: answers(port), make, "answer over HTTP")
            mask = first_mask(browser, port, make)
        finally:
            os.killpg(make.pid, signal.SIGINT)
            make.wait(60)
    print((folder / "log").read_text()[-2500:], file=sys.stderr)
    return Times(started - began, answer - started, mask - started)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--warm", action="store_true", help="with pip's cache of this user")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        times = measure(Path(folder), browser, args.warm)
    total_s = times.installed_s + times.mask_s
    rows: list[tuple[object, ...]] = [
        ("environment and installation", f"{times.installed_s:.1f}"),
        ("`engine-run` begins → answers over HTTP", f"{times.answer_s:.1f}"),
        ("`engine-run` begins → a mask is drawn in the dashboard", f"{times.mask_s:.1f}"),
        ("`make run` → a mask is drawn in the dashboard", f"{total_s:.1f}"),
    ]
    sentence = f"{total_s:.0f} s, {times.mask_s:.1f} s of it the engine"
    print(heading())
    print(
        markdown_table(("from a fresh clone, no caches" if not args.warm else "with pip's cache", "s"), rows)
    )
    write_json(args.json, times=rows, reach={"first_mask": sentence})


if __name__ == "__main__":
    main()
