"""References are resolved, and no spelling of a URL lets a password through."""

from __future__ import annotations

import pytest

from engine.errors import ConfigError
from engine.secrets import mask_text, mask_url, resolve_references


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("rtsp://admin:geheim@10.0.0.5:554/h264?channel=1", "rtsp://***@10.0.0.5:554/h264?channel=1"),
        ("rtsp://admin:geh@eim@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://admin:geh/eim@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://admin:geh#eim?@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://admin:geh eim@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://geheim@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://10.0.0.5/1?user=geheim&password=geheim&x=1", "rtsp://10.0.0.5/1?user=***&password=***&x=1"),
        ("http://host/live.m3u8?access_token=geheim#t", "http://host/live.m3u8?access_token=***#t"),
        ("http://host/a;apikey=geheim", "http://host/a;apikey=***"),
        ("http://host/@name/clip.mp4", "http://host/@name/clip.mp4"),
        ("/clips/a@b.mp4", "/clips/a@b.mp4"),
        ("rtsp://[fe80::1]:554/1", "rtsp://[fe80::1]:554/1"),
    ],
)
def test_mask_url(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_text_around_urls_stays() -> None:
    text = "cannot open 'rtsp://a:geheim@h/1', nor rtsp://b:geh@eim@h/2: refused, write to a@b.org"
    assert mask_text(text) == "cannot open 'rtsp://***@h/1', nor rtsp://***@h/2: refused, write to a@b.org"


def test_references_are_resolved_or_named() -> None:
    assert resolve_references("rtsp://u:${CAM}@h", {"CAM": "x"}) == "rtsp://u:x@h"
    with pytest.raises(ConfigError, match="CAM"):
        resolve_references("rtsp://u:${CAM}@h", {})
