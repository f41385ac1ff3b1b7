"""Documents without secrets: what is masked, and what is left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from engine.control.masking import masked


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"password": "hunter2"}, {"password": "***"}),
        ({"ptz": {"user": "ann", "password": "${PW}"}}, {"ptz": {"user": "ann", "password": "${PW}"}}),
        ({"password": "${PW}x"}, {"password": "***"}),
        ({"password": "off", "token": ""}, {"password": "off", "token": ""}),
        ({"access_token": "abc", "tokens": "tokens.txt"}, {"access_token": "***", "tokens": "tokens.txt"}),
        ({"source": "rtsp://ann:pw@camera/live?token=1"}, {"source": "rtsp://***@camera/live?token=***"}),
        ({"sources": ["rtsp://ann:pw@camera/", 7, None]}, {"sources": ["rtsp://***@camera/", 7, None]}),
        (
            {"publish": ["rtmp://live.example/app/stream-key", "rtmp://live.example/app/${KEY}", "hls:out"]},
            {"publish": ["rtmp://live.example/app/***", "rtmp://live.example/app/${KEY}", "hls:out"]},
        ),
        ({"url": "http://camera:80/onvif", "n": 1.5}, {"url": "http://camera:80/onvif", "n": 1.5}),
    ],
)  # fmt: skip
def test_secrets_are_masked_and_references_are_not(document: Any, expected: Any) -> None:
    assert masked(document) == expected
