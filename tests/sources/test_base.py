"""Which source serves a URL, and what an unknown one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SourceUnsupported
from engine.sources.base import SourceOptions, create_source, file_path, scheme_of


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("clip.mp4", "file"),
        ("./odd: name?.mp4", "file"),
        ("C:\\clips\\a.mp4", "file"),
        ("file:///srv/clip.mp4", "file"),
        ("0", "webcam"),
        ("/dev/video2", "webcam"),
        ("webcam:///dev/video0", "webcam"),
        ("RTSP://camera/1", "rtsp"),
        ("https://host/live.m3u8", "https"),
        ("test://", "test"),
    ],
)
def test_scheme_of_a_url(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


def test_a_folder_is_a_source_of_images(tmp_path: Path) -> None:
    assert scheme_of(str(tmp_path)) == "images"
    assert scheme_of(f"file://{tmp_path}") == "images"
    assert scheme_of(str(tmp_path / "absent")) == "file"


def test_only_urls_are_percent_decoded() -> None:
    assert file_path("100%25.mp4") == "100%25.mp4"
    assert file_path("file:///srv/100%25%20done.mp4") == "/srv/100% done.mp4"


def test_an_unknown_scheme_names_the_nearest_and_masks_the_password() -> None:
    with pytest.raises(SourceUnsupported) as caught:
        create_source(SourceOptions("rtp://admin:geheim@camera/1"))
    message = str(caught.value)
    assert "did you mean 'rtsp'" in message or "did you mean 'rtmp'" in message
    assert "geheim" not in message and "admin" not in message and "\n" not in message


def test_every_kind_of_source_registers_itself() -> None:
    kinds = {
        "clip.mp4": "AvSource",
        "rtsp://h/1": "AvSource",
        "0": "WebcamSource",
        "test://": "TestPictureSource",
    }
    for url, name in kinds.items():
        assert type(create_source(SourceOptions(url))).__name__ == name
