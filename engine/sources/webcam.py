"""Cameras of this machine, through the system's own interface: V4L2 on Linux, AVFoundation on macOS.

`0`, `/dev/video0`, `webcam://0`, `webcam:///dev/video0?width=1280&height=720&fps=30`
"""

from __future__ import annotations

import glob
import os
import sys
from urllib.parse import parse_qs, urlsplit

from engine.errors import SourceNotFound, SourceUnsupported
from engine.sources.av import AvSource
from engine.sources.av_container import Address


class WebcamSource(AvSource, schemes=("webcam",)):
    """A camera of this machine by number or device path, read like any other live stream."""

    def address(self) -> Address:
        return webcam_address(self.options.url, sys.platform)


def webcam_address(url: str, platform: str) -> Address:
    """How FFmpeg opens this camera on this system.

    Raises `SourceNotFound` where the device is absent, `SourceUnsupported` for a system without a way.
    """
    parts = urlsplit(url if "://" in url else f"webcam://{url}")
    name = (parts.netloc + parts.path) or "0"
    wishes = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    options = {}
    if "width" in wishes and "height" in wishes:
        options["video_size"] = f"{wishes['width']}x{wishes['height']}"
    if "fps" in wishes:
        options["framerate"] = wishes["fps"]
    if platform == "linux":
        device = f"/dev/video{name}" if name.isdecimal() else name
        if not os.path.exists(device):
            found = ", ".join(sorted(glob.glob("/dev/video*"))) or "none"
            raise SourceNotFound(f"source {url}: no camera {device} (found: {found}); is it plugged in?")
        return Address(device, url, device="v4l2", options=options)
    if platform == "darwin":
        # This interface refuses to guess a rate, and lists audio after the colon.
        return Address(f"{name}:none", url, device="avfoundation", options={"framerate": "30", **options})
    raise SourceUnsupported(f"source {url}: no webcams on {platform}; use a file or a network stream")
