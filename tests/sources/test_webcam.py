"""Which device a webcam URL means on which system, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import SourceNotFound, SourceUnsupported
from engine.sources.base import SourceOptions, create_source
from engine.sources.webcam import WebcamSource, webcam_address


def test_on_linux(tmp_path: Path) -> None:
    device = tmp_path / "video7"
    device.touch()
    address = webcam_address(f"webcam://{device}?width=1280&height=720&fps=30", "linux")
    assert (address.name, address.device) == (str(device), "v4l2")
    assert address.options == {"video_size": "1280x720", "framerate": "30"}
    assert address.live


def test_on_macos() -> None:
    for url in ("1", "webcam://1"):
        address = webcam_address(url, "darwin")
        assert (address.name, address.device) == ("1:none", "avfoundation")
        assert address.options == {"framerate": "30"}


@pytest.mark.parametrize("url", ["93", "webcam://93", "/dev/video93", "webcam:///dev/video93"])
def test_an_absent_camera_is_named(url: str) -> None:
    with pytest.raises(SourceNotFound, match=r"no camera /dev/video93 \(found: .*\); is it plugged in"):
        webcam_address(url, "linux")


def test_elsewhere() -> None:
    with pytest.raises(SourceUnsupported, match="no webcams on win32"):
        webcam_address("0", "win32")


@pytest.mark.skipif(sys.platform != "linux", reason="opens a file in place of a V4L2 device")
def test_a_file_in_place_of_a_device_is_an_error_of_ours(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.write_bytes(b"not a device")
    source = create_source(SourceOptions(f"webcam://{device}", timeout_s=2.0))
    assert isinstance(source, WebcamSource) and source.live
    with pytest.raises(Exception) as caught:
        source.open()
    assert type(caught.value).__module__ == "engine.errors"
    source.close()
